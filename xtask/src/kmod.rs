// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module: built, linted and described to rust-analyzer with the kernel's own kbuild. Nothing is written into
//! `kmod/`; objects are kept in the cache, for each kernel and workspace.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};

use crate::{
    cache::{Key, Kind, Lock},
    ctx::Ctx,
    error::Failure,
    kernel::{self, Kernel, OBJECTS, SOURCE, Spec, Toolchain},
    root::Root,
    run as process,
    sandbox::Program,
};

/// Where `kmod/` is inside the sandbox: fixed, so that the module does not depend on where the workspace is.
const INSIDE: &str = "/build/kmod";

/// Where objects go inside the sandbox.
const OUT: &str = "/build/out";

/// Build the module and print where it is
#[derive(clap::Args)]
pub struct Args {
    /// Which kernel to build for: a series (7.3, the default, or 7.2), debug, or host, the running one
    #[arg(long, value_name = "KERNEL", conflicts_with = "kernel_dir")]
    kernel: Option<String>,
    /// A kernel tree of your own, built with CONFIG_RUST=y
    #[arg(long, value_name = "DIR")]
    kernel_dir: Option<PathBuf>,
}

/// `cargo xtask kmod`: builds the module and prints where it is.
pub fn run(ctx: &Ctx, args: &Args) -> Result<ExitCode> {
    let spec = Spec::from_options(ctx, args.kernel.as_deref(), args.kernel_dir.as_deref(), true)?;
    let root = kernel::root_for(ctx, [&spec])?;
    let kernel = Kernel::ensure_to_build(ctx, &root, &spec)?;
    println!("{}", build(ctx, &root, &kernel)?.display());
    ctx.ui.step(&by_hand(&kernel));
    Ok(ExitCode::SUCCESS)
}

/// How to build the module without xtask: a kernel needs the very compilers that made it.
fn by_hand(kernel: &Kernel) -> String {
    let make = format!(
        "make -C kmod KDIR={} {}",
        kernel.build.display(),
        kernel.make.join(" ")
    );
    match kernel.toolchain {
        Toolchain::Host => format!("by hand: {}", make.trim_end()),
        Toolchain::RootInPlace => format!(
            "by hand: {}, with the compilers that built the tree (here those of the build root)",
            make.trim_end()
        ),
        Toolchain::Root => {
            "made in a sandbox with the kernel's own compilers (--verbose shows the command); to build \
                            by hand, use a kernel tree of your own: make -C kmod KDIR=…"
                .to_owned()
        }
    }
}

/// Builds the module for `kernel`; the path of `shmdev.ko`.
pub fn build(ctx: &Ctx, root: &Root, kernel: &Kernel) -> Result<PathBuf> {
    Job::new(ctx, root, kernel, Kind::Kmod)?.module()
}

/// As [`build`], without debugging information, which is most of the file: it loads faster. The module's bytes, because
/// the file may be another one as soon as somebody else builds.
pub fn build_stripped(ctx: &Ctx, root: &Root, kernel: &Kernel) -> Result<Vec<u8>> {
    let job = Job::new(ctx, root, kernel, Kind::Kmod)?;
    let module = job.module()?;
    let stripped = job.out.join("stripped.ko");
    derive(&module, &stripped, |partial| {
        let seen = |path: &Path| Path::new(&job.out_seen()).join(path.file_name().unwrap_or_default());
        let strip = job
            .program("strip")
            .args(["--strip-debug", "-o"])
            .args([seen(partial), seen(&module)]);
        process::logged(ctx, &mut strip.command(), "strip", |_| ())
    })?;
    fs::read(&stripped).with_context(|| format!("cannot read {}", stripped.display()))
}

fn remove_if_there(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

/// Adds the names and contents of all files in a directory, but for what editors hide there.
fn with_files(mut key: Key, dir: &Path) -> Result<Key> {
    let context = || format!("cannot read {}", dir.display());
    let mut entries = fs::read_dir(dir)
        .with_context(context)?
        .collect::<io::Result<Vec<_>>>()
        .with_context(context)?;
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        key = key.with(path.as_os_str().as_encoded_bytes());
        key = if entry.file_type().with_context(context)?.is_dir() {
            with_files(key, &path)?
        } else {
            key.with(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?)
        };
    }
    Ok(key)
}

/// Makes `to` from `from` if it is older; `to` is whole whenever it is there.
fn derive(from: &Path, to: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let made = time(from).with_context(|| format!("cannot look at {}", from.display()))?;
    if time(to).is_ok_and(|derived| derived > made) {
        return Ok(());
    }
    let partial = to.with_extension("partial");
    make(&partial)?;
    fs::rename(&partial, to).with_context(|| format!("cannot rename {}", partial.display()))
}

/// Counts up when this file makes the module differently.
const LAYOUT: &str = "1";

/// Where it is kept what a module was made from: kbuild takes seconds to see that nothing has changed.
const MADE_FROM: &str = "made-from";

/// Runs clippy over the module; any warning fails.
pub fn clippy(ctx: &Ctx, root: &Root, kernel: &Kernel) -> Result<()> {
    let job = Job::new(ctx, root, kernel, Kind::KmodClippy)?;
    // clippy speaks only when it compiles, and a warning must not be silent the second time.
    crate::cache::remove_tree(&job.out)?;
    crate::cache::create_dir(&job.out)?;
    job.make(
        &["CLIPPY=1", "KRUSTFLAGS=-Dwarnings", "modules"],
        "clippy of the module",
    )
}

/// The kernel's description of the module for rust-analyzer, with paths of the host.
pub fn rust_project(ctx: &Ctx, root: &Root, kernel: &Kernel) -> Result<String> {
    let job = Job::new(ctx, root, kernel, Kind::KmodAnalyzer)?;
    let args = [
        format!("M={}", job.source_seen()),
        format!("MO={}", job.out_seen()),
        "rust-analyzer".to_owned(),
    ];
    let make = job
        .program("make")
        .args(["-s", "-C"])
        .args([kernel.build_seen()])
        .args(&kernel.make)
        .args(args);
    process::logged(ctx, &mut make.command(), "rust-analyzer", |_| ())?;
    let text =
        fs::read_to_string(job.out.join("rust-project.json")).context("kbuild wrote no rust-project.json")?;
    Ok(on_the_host(&text, &job.places()))
}

/// One build directory, locked.
struct Job<'a> {
    ctx: &'a Ctx,
    root: &'a Root,
    kernel: &'a Kernel,
    source: PathBuf,
    out: PathBuf,
    _lock: Lock,
}

impl<'a> Job<'a> {
    fn module(&self) -> Result<PathBuf> {
        let (module, mark) = (self.out.join("shmdev.ko"), self.out.join(MADE_FROM));
        let inputs = self.inputs()?;
        let is_made = || fs::read_to_string(&mark).is_ok_and(|made_from| Some(made_from) == inputs);
        if module.exists() && is_made() {
            return Ok(module);
        }
        // Whoever is interrupted leaves no mark.
        remove_if_there(&mark)?;
        self.make(&["modules"], "module")?;
        if !module.exists() {
            return Err(Failure::tests(
                "the module's build made no shmdev.ko: look at kmod/Kbuild",
            ));
        }
        match inputs {
            Some(inputs) if self.inputs()?.as_ref() == Some(&inputs) => {
                fs::write(&mark, inputs).with_context(|| format!("cannot write {}", mark.display()))?;
            }
            // One was saved meanwhile: kbuild would keep an object that was begun before and written after that.
            Some(_) => self.remove_objects()?,
            None => {}
        }
        Ok(module)
    }

    fn remove_objects(&self) -> Result<()> {
        let entries =
            fs::read_dir(&self.out).with_context(|| format!("cannot read {}", self.out.display()))?;
        let mut paths = entries.flatten().map(|entry| entry.path());
        paths.try_for_each(|path| match path.extension() {
            Some(extension) if extension == "o" => remove_if_there(&path),
            _ => Ok(()),
        })
    }

    /// What the module is made from, as a hash: of its source, for the build directory belongs to one kernel. Nothing if
    /// that kernel is not ours, and may be another one tomorrow.
    fn inputs(&self) -> Result<Option<String>> {
        if self.kernel.toolchain != Toolchain::Root {
            return Ok(None);
        }
        let key = Key::new().with(LAYOUT).with(self.kernel.make.join(" "));
        Ok(Some(with_files(key, &self.source)?.hex()))
    }

    fn new(ctx: &'a Ctx, root: &'a Root, kernel: &'a Kernel, kind: Kind) -> Result<Self> {
        let source = ctx.workspace.join("kmod");
        // kbuild refuses to build elsewhere what was built here.
        if source.join("modules.order").exists() {
            return Err(Failure::usage(format!(
                "{} holds what `make -C kmod` built there by hand: remove that with `git clean -fX kmod` (with MO=DIR, make \
                 builds it elsewhere)",
                source.display()
            )));
        }
        let place = Key::new().with(source.as_os_str().as_encoded_bytes());
        let (out, lock) = ctx
            .cache
            .workspace(&ctx.ui, kind, &format!("{}-{}", kernel.key, place.hex()))?;
        Ok(Job {
            ctx,
            root,
            kernel,
            source,
            out,
            _lock: lock,
        })
    }

    fn in_root(&self) -> bool {
        self.kernel.toolchain != Toolchain::Host
    }

    fn source_seen(&self) -> String {
        if self.in_root() {
            INSIDE.to_owned()
        } else {
            self.source.display().to_string()
        }
    }

    fn out_seen(&self) -> String {
        if self.in_root() {
            OUT.to_owned()
        } else {
            self.out.display().to_string()
        }
    }

    fn program(&self, program: &str) -> Program {
        self.kernel
            .program(self.root, program)
            .ro_bind(&self.source, INSIDE)
            .bind(&self.out, OUT)
    }

    /// Runs `make -C kmod`; shows what the compilers said.
    fn make(&self, args: &[&str], what: &str) -> Result<()> {
        let (kernel, ctx) = (self.kernel, self.ctx);
        let task = ctx.ui.task(&format!("{what} for {}", kernel.release), 0);
        let make = self.program("make").args(["-s", "-C", &self.source_seen()]);
        let make = make.args([
            format!("KDIR={}", kernel.build_seen().display()),
            format!("MO={}", self.out_seen()),
        ]);
        let mut said = Vec::new();
        let log = format!(
            "{}-{}",
            if args.len() > 1 { "clippy" } else { "kmod" },
            kernel.name
        );
        let made = process::judged(
            ctx,
            &mut make.args(&kernel.make).args(args).command(),
            &log,
            |line| {
                task.message("");
                said.extend(line.map(|line| on_the_host(line, &self.places())));
            },
        );
        task.finish();
        // Debian ships no vmlinux to make BTF from.
        for line in said
            .iter()
            .filter(|line| !line.starts_with("Skipping BTF generation"))
        {
            ctx.ui.line(line);
        }
        if made? {
            return Ok(());
        }
        Err(Failure::tests(format!(
            "{what} for {} failed; the log is {}",
            kernel.release,
            ctx.cache.log_path(&log).display()
        )))
    }

    /// Paths inside the sandbox, and what they are on the host.
    fn places(&self) -> Vec<(&'static str, String)> {
        let host = |path: &Path| path.display().to_string();
        let mut places = vec![(INSIDE, host(&self.source)), (OUT, host(&self.out))];
        if self.kernel.toolchain == Toolchain::Root {
            places.extend([
                (SOURCE, host(&self.kernel.source)),
                (OBJECTS, host(&self.kernel.build)),
            ]);
        }
        if self.in_root() {
            places.push((
                "/usr/lib/rustlib",
                host(&self.root.path().join("usr/lib/rustlib")),
            ));
            places.push(("/usr/src/rustc-", host(&self.root.path().join("usr/src/rustc-"))));
            places.push(("\"/usr\"", format!("\"{}\"", host(&self.root.path().join("usr")))));
        }
        places
    }
}

/// Text with the sandbox's paths replaced by the host's.
fn on_the_host(text: &str, places: &[(&str, String)]) -> String {
    places
        .iter()
        .fold(text.to_owned(), |text, (inside, host)| text.replace(inside, host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_up_to_date_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("shmdev.ko"), dir.path().join("stripped.ko"));
        let set = |path: &Path, seconds| {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            fs::File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        };
        let copy = |partial: &Path| Ok(fs::copy(&from, partial).map(drop)?);
        fs::write(&from, "one").unwrap();
        derive(&from, &to, copy).unwrap();
        set(&from, 1);
        derive(&from, &to, |_| panic!("made again")).unwrap();
        fs::write(&from, "two").unwrap();
        set(&to, 1);
        // What fails leaves the old one, whole.
        let failing = |partial: &Path| {
            fs::write(partial, "t")?;
            anyhow::bail!("no disk")
        };
        assert!(derive(&from, &to, failing).is_err());
        assert_eq!(fs::read_to_string(&to).unwrap(), "one");
        derive(&from, &to, copy).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "two");
    }

    #[test]
    fn every_file_counts() {
        let dir = tempfile::tempdir().unwrap();
        let hash = || with_files(Key::new(), dir.path()).unwrap().hex();
        let mut seen = vec![hash()];
        fs::create_dir(dir.path().join("sync")).unwrap();
        for (name, text) in [
            ("sync/a.rs", "1"),
            ("sync/a.rs", "2"),
            ("b.rs", ""),
            ("Kbuild", ""),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
            assert!(!seen.contains(&hash()));
            seen.push(hash());
        }
        assert_eq!(seen.last(), Some(&hash()));
    }

    #[test]
    fn diagnostics_name_files_where_the_person_has_them() {
        let places = [(INSIDE, "/home/eve/shmdev/kmod".to_owned())];
        let line = on_the_host(" --> /build/kmod/device.rs:3:1", &places);
        assert_eq!(line, " --> /home/eve/shmdev/kmod/device.rs:3:1");
    }
}
