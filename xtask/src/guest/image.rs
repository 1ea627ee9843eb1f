// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's image: a first root file system with PID 1, the kernel's modules that the guest needs, our module and
//! our programs. The same inputs make the same bytes.
//!
//! It is not compressed: loading costs QEMU little, and unpacking would cost a translated processor much.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use anyhow::{Context, Result, anyhow};

use super::{
    cpio::Archive,
    modules::{self, Module},
    qemu,
};
use crate::{
    cache::{Key, Kind},
    ctx::Ctx,
    error::Failure,
    guest_bins::{self, GuestBins, Purpose},
    host,
    kernel::{self, Kernel, Spec},
    kmod,
    root::Root,
};

/// Counts up when the modules are chosen or kept differently.
const LAYOUT: &str = "1";

/// Build the guest's image
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    kernel: KernelArgs,
    /// Leave kernel, image and a run.sh that starts them with nothing but QEMU in this directory
    #[arg(long, short, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// Which kernel the guest runs.
#[derive(clap::Args, Debug, Clone, Default)]
pub struct KernelArgs {
    /// Kernel of the guest: 7.3 (default), 7.2 or debug
    #[arg(long, value_name = "KERNEL", conflicts_with = "kernel_dir")]
    pub kernel: Option<String>,
    /// Kernel tree of your own, built with Rust
    #[arg(long, value_name = "DIR")]
    pub kernel_dir: Option<PathBuf>,
}

impl KernelArgs {
    /// What the user means.
    pub fn spec(&self, ctx: &Ctx) -> Result<Spec> {
        Spec::from_options(ctx, self.kernel.as_deref(), self.kernel_dir.as_deref(), false)
    }
}

/// Everything that a guest is started from.
#[derive(Debug)]
pub struct Parts {
    /// The build root: QEMU, and what the guest sees.
    pub root: Root,
    /// The kernel.
    pub kernel: Kernel,
    /// The image's bytes.
    pub image: Vec<u8>,
}

/// Makes, or finds in the cache, all that a guest with this kernel needs for that purpose.
pub fn prepare(ctx: &Ctx, spec: &Spec, purpose: Purpose) -> Result<Parts> {
    let (root, kernel, archive) = assemble(ctx, spec, purpose)?;
    Ok(Parts {
        root,
        kernel,
        image: archive.finish(),
    })
}

/// The same, with the image in pieces yet.
fn assemble(ctx: &Ctx, spec: &Spec, purpose: Purpose) -> Result<(Root, Kernel, Archive)> {
    // Before the programs, so that nobody waits for those to be told that something is missing.
    host::require(ctx)?;
    thread::scope(|scope| {
        // The host's compiler makes the programs, so they need not wait for the root.
        let programs = scope.spawn(|| guest_bins::build(ctx, purpose));
        let root = kernel::root_for(ctx, [spec])?;
        let kernel = Kernel::ensure(ctx, &root, spec)?;
        let module = kmod::build_stripped(ctx, &root, &kernel)?;
        let programs = programs
            .join()
            .map_err(|_| anyhow!("building the guest's programs panicked"))??;
        let archive = archive(ctx, &root, &kernel, module, &programs)?;
        Ok((root, kernel, archive))
    })
}

/// Runs the subcommand.
pub fn run(ctx: &Ctx, args: Args) -> Result<ExitCode> {
    let (root, kernel, mut archive) = assemble(ctx, &args.kernel.spec(ctx)?, Purpose::Tests)?;
    let Some(output) = args.output else {
        ctx.ui.step(&format!(
            "the image for {} has {} KiB",
            kernel.release,
            archive.finish().len() >> 10
        ));
        return Ok(ExitCode::SUCCESS);
    };
    add_shell(&mut archive, &root)?;
    write_output(&output, &kernel, &archive.finish())?;
    println!("{}", output.join("run.sh").display());
    Ok(ExitCode::SUCCESS)
}

/// The image, as yet in pieces.
fn archive(
    ctx: &Ctx,
    root: &Root,
    kernel: &Kernel,
    module: Vec<u8>,
    programs: &GuestBins,
) -> Result<Archive> {
    let mut archive = Archive::default();
    // Before PID 1 has mounted anything, its standard streams and Rust's runtime need these.
    archive.character_device("/dev/console", 0o600, 5, 1);
    archive.character_device("/dev/null", 0o666, 1, 3);
    for dir in ["/proc", "/sys", "/root"] {
        archive.dir(dir);
    }
    let mut add = |inside: &str, permissions: u32, path: &Path| {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        archive.file(inside, permissions, bytes);
        Ok::<_, anyhow::Error>(())
    };
    add("/init", 0o755, &programs.init)?;
    for (name, path) in &programs.programs {
        add(&format!("/usr/local/bin/{name}"), 0o755, path)?;
    }
    archive.file("/lib/shmdev/shmdev.ko", 0o644, module);
    add_modules(ctx, root, kernel, &mut archive)?;
    Ok(archive)
}

/// The kernel's modules, and the two lists that PID 1 loads.
fn add_modules(ctx: &Ctx, root: &Root, kernel: &Kernel, archive: &mut Archive) -> Result<()> {
    let (console, rest) = match &kernel.modules {
        Some(dir) => unpacked_modules(ctx, root, kernel, dir)?,
        None => (Vec::new(), Vec::new()),
    };
    for (list, modules) in [("console", console), ("rest", rest)] {
        let mut lines = String::new();
        for module in modules {
            let path = format!("/lib/modules/{}.ko", module.name);
            lines.push_str(&path);
            lines.push('\n');
            archive.file(&path, 0o644, module.bytes);
        }
        archive.file(&format!("/lib/modules/{list}"), 0o644, lines);
    }
    Ok(())
}

/// The modules for the console and the others, from the cache: unpacking takes longer than all the rest.
fn unpacked_modules(
    ctx: &Ctx,
    root: &Root,
    kernel: &Kernel,
    dir: &Path,
) -> Result<(Vec<Module>, Vec<Module>)> {
    let chosen = format!("{:?} {:?}", modules::CONSOLE, modules::OTHERS);
    let key = Key::new().with(LAYOUT).with(&kernel.key).with(chosen).hex();
    let entry = ctx.cache.entry(&ctx.ui, Kind::GuestModules, &key, |entry| {
        let console = modules::collect(root, dir, modules::CONSOLE, &[])?;
        let rest = modules::collect(root, dir, modules::OTHERS, &console)?;
        store(&entry.join("console"), &console)?;
        store(&entry.join("rest"), &rest)
    })?;
    Ok((fetch(&entry.join("console"))?, fetch(&entry.join("rest"))?))
}

/// Files named after the modules, with numbers in front that keep their order.
fn store(dir: &Path, modules: &[Module]) -> Result<()> {
    fs::create_dir(dir)?;
    for (number, module) in modules.iter().enumerate() {
        fs::write(dir.join(format!("{number:02}.{}", module.name)), &module.bytes)?;
    }
    Ok(())
}

fn fetch(dir: &Path) -> Result<Vec<Module>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    let module = |path: &PathBuf| {
        let name = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Module {
            name,
            bytes: fs::read(path)?,
        })
    };
    paths.iter().map(module).collect()
}

/// Adds the root's busybox, so that the image alone can offer a shell.
fn add_shell(archive: &mut Archive, root: &Root) -> Result<()> {
    let busybox = fs::read(root.path().join("usr/bin/busybox")).unwrap_or_default();
    if busybox.is_empty() || !is_static(&busybox) {
        return Err(Failure::machinery(
            "the build root has no static busybox, which is the shell of an image that runs alone: qemu/debian.toml must \
             list the package busybox-static",
        ));
    }
    archive.file("/bin/busybox", 0o755, busybox);
    Ok(())
}

/// A dynamic program names its loader.
fn is_static(program: &[u8]) -> bool {
    let head = &program[..program.len().min(4096)];
    !head.windows(7).any(|bytes| bytes == b"/lib64/")
}

fn write_output(output: &Path, kernel: &Kernel, image: &[u8]) -> Result<()> {
    let write = || {
        fs::create_dir_all(output)?;
        fs::copy(&kernel.image, output.join("kernel"))?;
        fs::write(output.join("image"), image)?;
        let script = output.join("run.sh");
        fs::write(&script, run_script(&kernel.name))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
    };
    write().with_context(|| format!("cannot write to {}", output.display()))
}

/// Starts the image with QEMU alone. There is no host program to talk to, and no root but the image. The tests are told
/// what `kernel` it is, for one that is slow gives them more time.
fn run_script(kernel: &str) -> String {
    format!(
        r#"#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Starts the guest: a shell on this terminal, with the module loaded. `run.sh tests` runs the tests that need no
# other root file system than the image. Further arguments go to QEMU. Ctrl-A x ends QEMU. KVM is used where it seems to
# work; where it does not after all, say ACCEL=tcg.
# QEMU before 8.1 crashes Linux guests now and then: take a newer one.
dir=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit
what=shell
case ${{1-}} in shell | tests) what=$1 && shift ;; esac
kvm=$(grep -qwE 'vmx|svm' /proc/cpuinfo && [ -w /dev/kvm ] && echo kvm)
exec qemu-system-x86_64 {board} -accel "${{ACCEL:-${{kvm:-tcg}}}}" -nographic \
    -kernel "$dir/kernel" -initrd "$dir/image" \
    -append "console=ttyS0 quiet panic=-1 oops=panic shmdev.standalone=$what shmdev.kernel={kernel}" "$@"
"#,
        board = qemu::STANDALONE
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::cmdline::{Options, Standalone};

    #[test]
    fn modules_come_back_from_the_cache_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let module = |name: &str| Module {
            name: name.into(),
            bytes: name.into(),
        };
        let modules = ["netfs", "9pnet", "9p", "overlay"].map(module);
        store(&dir.path().join("rest"), &modules).unwrap();
        assert_eq!(fetch(&dir.path().join("rest")).unwrap(), modules);
    }

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        assert!(is_static(b"\x7fELF and so on"));
        assert!(!is_static(b"\x7fELF\0\0/lib64/ld-linux-x86-64.so.2\0"));
    }

    #[test]
    fn the_script_starts_the_image_beside_it() {
        let script = run_script("debug");
        assert!(
            script.contains("-kernel \"$dir/kernel\" -initrd \"$dir/image\""),
            "{script}"
        );
        assert!(script.contains("\nwhat=shell\n"), "{script}");
        let line = script
            .lines()
            .find_map(|line| line.trim().strip_prefix("-append "));
        let line = line.unwrap().split('"').nth(1).unwrap();
        let options = Options::parse(&line.replace("$what", "tests"));
        assert_eq!(options.standalone, Some(Standalone::Tests));
        assert_eq!(options.kernel, "debug");
    }
}
