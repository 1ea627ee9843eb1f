// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernels to build for and to boot: which there are, and what the rest of xtask gets to know of one.
//!
//! How each comes about is a file of its own: `stock` (Debian's), `debug` (built here), `dir` (the experimenter's own
//! tree, or the running kernel's).

mod archive;
mod config;
mod debug;
mod dir;
mod image;
mod stock;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::{
    ctx::Ctx,
    debian::Recipe,
    error::Failure,
    host,
    root::Root,
    sandbox::{Program, Sandbox},
    ui::Task,
};

/// Where a kernel's source is inside the sandbox. Fixed, so that what is built does not depend on where the cache is.
pub const SOURCE: &str = "/build/source";

/// Where a kernel's build directory is inside the sandbox.
pub const OBJECTS: &str = "/build/objects";

/// Which kernel is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// Debian's stock kernel of a series, such as `7.3`.
    Series(String),
    /// The debug kernel.
    Debug,
    /// The experimenter's own built tree.
    Dir(PathBuf),
    /// The running kernel; to build for only.
    Host,
}

impl Spec {
    /// What `--kernel WORD` and `--kernel-dir DIR` mean together; the default series when neither is given.
    /// [`Spec::Host`] only where `host` says that it makes sense.
    pub fn from_options(ctx: &Ctx, word: Option<&str>, dir: Option<&Path>, host: bool) -> Result<Self> {
        let others: &[&str] = if host { &["debug", "host"] } else { &["debug"] };
        match (word, dir) {
            (_, Some(dir)) => Ok(Spec::Dir(dir::checked(dir)?)),
            (word, None) => Spec::parse(&Recipe::load(&ctx.workspace)?, word, others),
        }
    }

    /// The same where `all` is a word too.
    pub fn several(ctx: &Ctx, word: Option<&str>, dir: Option<&Path>) -> Result<Vec<Self>> {
        match (word, dir) {
            (_, Some(dir)) => Ok(vec![Spec::Dir(dir::checked(dir)?)]),
            (Some("all"), None) => Spec::all(ctx),
            (word, None) => {
                let recipe = Recipe::load(&ctx.workspace)?;
                Ok(vec![Spec::parse(&recipe, word, &["debug", "all"])?])
            }
        }
    }

    /// The kernel that a word means. `others` are the words that are no series.
    fn parse(recipe: &Recipe, word: Option<&str>, others: &[&str]) -> Result<Self> {
        let Some(word) = word else {
            return Ok(Spec::Series(recipe.default_series().to_owned()));
        };
        let series = &recipe.kernels.series;
        match word {
            "debug" => Ok(Spec::Debug),
            "host" if others.contains(&word) => Ok(Spec::Host),
            _ if series.iter().any(|known| known == word) => Ok(Spec::Series(word.to_owned())),
            _ => Err(Failure::usage(format!(
                "there is no kernel {word}: known are {}, {} (for a kernel tree of your own use --kernel-dir; a new series \
                 is added to qemu/debian.toml)",
                series.join(", "),
                others.join(", ")
            ))),
        }
    }

    /// Fetches what can be fetched without a root.
    fn fetch(&self, ctx: &Ctx) -> Result<()> {
        match self {
            Spec::Series(series) => stock::fetch(ctx, series),
            Spec::Debug => stock::fetch(ctx, &Recipe::load(&ctx.workspace)?.debug.series),
            Spec::Dir(_) | Spec::Host => Ok(()),
        }
    }

    /// Every kernel that tests run on.
    pub fn all(ctx: &Ctx) -> Result<Vec<Self>> {
        let series = Recipe::load(&ctx.workspace)?.kernels.series;
        Ok(series
            .into_iter()
            .map(Spec::Series)
            .chain([Spec::Debug])
            .collect())
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::Series(series) => f.write_str(series),
            Spec::Debug => f.write_str("debug"),
            Spec::Dir(dir) => write!(f, "{}", dir.display()),
            Spec::Host => f.write_str("host"),
        }
    }
}

/// A kernel, ready to be built for and booted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kernel {
    /// `7.3`, `7.2`, `debug`, `dir` or `host`.
    pub name: String,
    /// `uname -r`.
    pub release: String,
    /// The version of the package or tree that it was made from.
    pub version: String,
    /// The bzImage; there is none to boot for the running kernel.
    pub image: PathBuf,
    /// The same, unpacked already, which saves the guest a second or two; if that is known to start.
    pub unpacked: Option<PathBuf>,
    /// `…/lib/modules/RELEASE`, if it has modules.
    pub modules: Option<PathBuf>,
    /// The build directory: `KDIR` for out-of-tree modules.
    pub build: PathBuf,
    /// The source directory.
    pub source: PathBuf,
    /// Whose compilers build modules for it.
    pub toolchain: Toolchain,
    /// What make is told of the compilers, such as `CC=gcc-14`.
    pub make: Vec<String>,
    /// Changes when the kernel does: keys what is built for it.
    pub key: String,
}

/// Whose compilers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Toolchain {
    /// The build root's; the kernel's directories are at [`SOURCE`] and [`OBJECTS`].
    Root,
    /// The build root's; the kernel's directories are where they are on the host.
    RootInPlace,
    /// The host's.
    Host,
}

impl Kernel {
    /// Whether it looks for errors of its own, and is slow.
    pub fn is_debug(&self) -> bool {
        self.name == "debug"
    }

    /// The kernel to boot, fetched and built if it is not there yet.
    pub fn ensure(ctx: &Ctx, root: &Root, spec: &Spec) -> Result<Self> {
        let kernel = Kernel::ensure_to_build(ctx, root, spec)?;
        if let Spec::Dir(_) = spec {
            dir::require_guest(&kernel)?;
        }
        if kernel.image.exists() {
            return Ok(kernel);
        }
        let message = format!(
            "{spec} has no kernel to boot ({}): run `make bzImage` in it",
            kernel.image.display()
        );
        Err(Failure::machinery(message))
    }

    /// The kernel to build modules for; there may be none to boot.
    pub fn ensure_to_build(ctx: &Ctx, root: &Root, spec: &Spec) -> Result<Self> {
        match spec {
            Spec::Series(series) => stock::ensure(ctx, root, series),
            Spec::Debug => debug::ensure(ctx, root),
            Spec::Dir(dir) => dir::ensure(ctx, root, dir),
            Spec::Host => dir::host(ctx, root),
        }
    }

    /// The build directory as programs of [`Kernel::program`] see it.
    pub fn build_seen(&self) -> &Path {
        if self.toolchain == Toolchain::Root {
            Path::new(OBJECTS)
        } else {
            &self.build
        }
    }

    /// A program of the right toolchain, with the kernel's directories in reach, read-only.
    pub fn program(&self, root: &Root, program: &str) -> Program {
        match self.toolchain {
            Toolchain::Host => Program::host(program),
            Toolchain::Root => Program::Sandbox(
                root.command(program)
                    .ro_bind(&self.source, SOURCE)
                    .ro_bind(&self.build, OBJECTS),
            ),
            Toolchain::RootInPlace => Program::Sandbox(
                root.command(program)
                    .ro_bind(&self.source, &self.source)
                    .ro_bind(&self.build, &self.build),
            ),
        }
    }
}

/// Fetch or build kernels and print where they are
///
/// For each a line: its name, its release, the kernel to boot, the build directory, with tabs between them. A module can be
/// built in that directory by `cargo xtask kmod` only, which has the kernel's own compilers at hand.
#[derive(clap::Args)]
pub struct Args {
    /// A series (7.3, the default, or 7.2), debug, or all
    kernel: Option<String>,
}

/// Runs the subcommand.
pub fn run(ctx: &Ctx, args: &Args) -> Result<ExitCode> {
    let specs = Spec::several(ctx, args.kernel.as_deref(), None)?;
    let root = root_for(ctx, &specs)?;
    for spec in specs {
        let kernel = Kernel::ensure(ctx, &root, &spec)?;
        println!(
            "{}\t{}\t{}\t{}",
            kernel.name,
            kernel.release,
            kernel.image.display(),
            kernel.build.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The build root, and what these kernels need beside it, which is fetched while it is made.
pub fn root_for<'a>(ctx: &Ctx, specs: impl IntoIterator<Item = &'a Spec> + Send) -> Result<Root> {
    host::require(ctx)?;
    thread::scope(|scope| {
        let packages = scope.spawn(|| specs.into_iter().try_for_each(|spec| spec.fetch(ctx)));
        let root = Root::ensure(ctx);
        let packages = packages
            .join()
            .unwrap_or_else(|_| Err(anyhow!("fetching a kernel's packages panicked")));
        match (root, packages) {
            (Err(error), Err(another)) => {
                ctx.ui.warn(&format!("{another:#}"));
                Err(error)
            }
            (root, packages) => packages.and(root),
        }
    })
}

/// Runs `make` for a kernel that is being made: `source` read-only, `objects` writable.
fn make(root: &Root, source: &Path, objects: &Path) -> Sandbox {
    root.command("make")
        .ro_bind(source, SOURCE)
        .bind(objects, OBJECTS)
        .chdir(OBJECTS)
        // What ends up in the kernel's version string must not depend on who builds it.
        .env("KBUILD_BUILD_USER", "shmdev")
        .env("KBUILD_BUILD_HOST", "shmdev")
        .env("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 1970")
        .args(["-C", SOURCE])
        .arg(format!("O={OBJECTS}"))
}

/// Shows how far make is, from what it says: `  CC      mm/memory.o` is a step.
fn watch_steps(task: &Task, done: &mut u64, line: Option<&str>) {
    let step = line.and_then(|line| line.strip_prefix("  "));
    *done += u64::from(step.is_some());
    let what = step.and_then(|step| step.split_whitespace().last());
    task.set(*done, what.unwrap_or_default());
}

/// As many jobs as there are processors.
fn jobs() -> String {
    format!("-j{}", thread::available_parallelism().map_or(1, usize::from))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Remembers what a cache entry is; relative paths are those inside the entry.
fn save(dir: &Path, kernel: &Kernel) -> Result<()> {
    let text = serde_json::to_string_pretty(kernel)?;
    fs::write(dir.join("kernel.json"), text).context("cannot write kernel.json")
}

/// What [`save`] remembered; relative paths are made absolute.
fn load(entry: &Path) -> Result<Kernel> {
    let mut kernel: Kernel = serde_json::from_str(&read(&entry.join("kernel.json"))?)
        .with_context(|| format!("{} is damaged: remove it", entry.display()))?;
    for path in [&mut kernel.image, &mut kernel.build, &mut kernel.source]
        .into_iter()
        .chain(&mut kernel.unpacked)
        .chain(&mut kernel.modules)
    {
        *path = entry.join(&*path);
    }
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error;

    #[test]
    fn a_word_means_a_kernel_and_the_error_lists_the_words() {
        let recipe = Recipe::load(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
        let parse = |word, others: &[&str]| Spec::parse(&recipe, word, others);
        assert_eq!(parse(Some("7.2"), &[]).unwrap(), Spec::Series("7.2".into()));
        assert_eq!(
            parse(None, &[]).unwrap(),
            Spec::Series(recipe.kernels.series[0].clone())
        );
        assert_eq!(parse(Some("host"), &["debug", "host"]).unwrap(), Spec::Host);
        let error = parse(Some("host"), &["debug", "all"]).unwrap_err();
        assert_eq!(error::kind(&error), error::Kind::Usage);
        assert!(error.to_string().contains("7.3, 7.2, debug, all ("), "{error}");
    }
}
