// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's own kernels, as shipped, with the Rust metadata that the headers package leaves out made again: from the
//! same source version, the same configuration and the same compilers. Each of the three is compared with what the
//! kernel says of itself; a kernel that a module merely seems to fit is worse than none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use super::{
    Kernel, OBJECTS, SOURCE, Toolchain,
    archive::{self, Archive, Choice},
    config, image,
};
use crate::{
    cache::{Key, Kind, create_dir},
    ctx::Ctx,
    debian::Recipe,
    disk,
    error::Failure,
    mirror::Mirror,
    root::{self, Root},
    run,
    sandbox::isolated,
};

/// Counts up when this file unpacks packages differently.
const PACKAGES_LAYOUT: &str = "1";

/// Counts up when this file makes a kernel differently.
const LAYOUT: &str = "5";

/// Source 0.5 GB, modules 0.1 GB, and the packages themselves.
const PACKAGES_MEGABYTES: u64 = 1000;

const MEGABYTES: u64 = 500;

/// Of the source, what lies deeper in these folders and is to be compiled is two thirds, and neither the metadata nor
/// the debug kernel are made of it; nor of folders of these names in `include` and `tools`. What configures them stays,
/// as does everything written in Rust.
const LEFT_OUT: [&str; 10] = [
    "arch/[!x]*",
    "drivers/accel",
    "drivers/gpu",
    "drivers/iio",
    "drivers/infiniband",
    "drivers/media",
    "drivers/net",
    "drivers/scsi",
    "drivers/staging",
    "sound",
];

/// So, too, all that lies deeper in these.
const LEFT_OUT_WHOLE: [&str; 3] = ["Documentation", "tools/perf", "tools/testing"];

/// About as many steps as `make modules_prepare` reports; only the bar depends on it.
const STEPS: u64 = 230;

/// The stock kernel of a series.
pub fn ensure(ctx: &Ctx, root: &Root, series: &str) -> Result<Kernel> {
    let recipe = Recipe::load(&ctx.workspace)?;
    let packages = Packages::of_series(ctx, &recipe, Some(root), series)?;
    if packages.choice.series != series {
        ctx.ui.warn(&format!(
            "kernel {series} had left the archive: {} is taken instead (qemu/debian.toml names the series)",
            packages.choice.release
        ));
    }
    make(ctx, root, &recipe, &packages)
}

/// The stock kernel whose `uname -r` is `release`.
pub fn ensure_release(ctx: &Ctx, root: &Root, release: &str) -> Result<Kernel> {
    let recipe = Recipe::load(&ctx.workspace)?;
    let packages = Packages::of_release(ctx, &recipe, root, release)?;
    make(ctx, root, &recipe, &packages)
}

/// Fetches and unpacks, if that was not done before, what [`ensure`] needs for a series: there need not be a root yet,
/// if the host knows a mirror.
pub fn fetch(ctx: &Ctx, series: &str) -> Result<()> {
    if Mirror::find().is_some() {
        Packages::of_series(ctx, &Recipe::load(&ctx.workspace)?, None, series)?;
    }
    Ok(())
}

/// What is taken from a kernel's packages.
///
/// Which version that is, is decided when they are fetched, and stays so: later runs need no network.
struct Packages {
    choice: Choice,
    /// `source`, `config`, `Module.symvers`, `vmlinuz` and `lib/modules`.
    dir: PathBuf,
    key: String,
}

impl Packages {
    fn of_series(ctx: &Ctx, recipe: &Recipe, root: Option<&Root>, series: &str) -> Result<Self> {
        let flavour = &recipe.kernels.flavour;
        Packages::ensure(ctx, recipe, root, series, flavour, |archive| {
            archive.choose(recipe, series)
        })
    }

    fn of_release(ctx: &Ctx, recipe: &Recipe, root: &Root, release: &str) -> Result<Self> {
        let parts = archive::parse_release(release).context("not a release of Debian's")?;
        Packages::ensure(ctx, recipe, Some(root), release, &parts.flavour, |archive| {
            archive.exact(release)
        })
    }

    fn ensure(
        ctx: &Ctx,
        recipe: &Recipe,
        root: Option<&Root>,
        name: &str,
        flavour: &str,
        choose: impl FnOnce(&Archive<'_>) -> Result<Choice>,
    ) -> Result<Self> {
        // A new root has new compilers, which fit a new kernel.
        let key = Key::new()
            .with(PACKAGES_LAYOUT)
            .with(root::key(recipe))
            .with(flavour);
        let key = format!("{name}-packages-{}", key.hex());
        let mut unpacked = None;
        let dir = ctx.cache.entry(&ctx.ui, Kind::Kernel, &key, |dir| {
            disk::require(ctx, &format!("kernel {name}"), PACKAGES_MEGABYTES)?;
            let archive = Archive::open(ctx, recipe, root)?;
            let choice = choose(&archive)?;
            let debs = archive.fetch(&choice.packages(), &choice.version)?;
            unpack(ctx, &choice, flavour, &debs, dir)?;
            fs::write(dir.join(CHOICE), serde_json::to_string_pretty(&choice)?)
                .context("cannot write what was chosen")?;
            unpacked = Some((archive, debs));
            Ok(())
        })?;
        // Not before the entry is whole on disk: whoever is interrupted until then need not fetch them again.
        if let Some((archive, debs)) = unpacked {
            archive.forget(&debs)?;
        }
        let choice = serde_json::from_str(&super::read(&dir.join(CHOICE))?)
            .with_context(|| format!("{} is damaged: remove it", dir.display()))?;
        Ok(Packages { choice, dir, key })
    }

    fn image(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    fn modules(&self) -> PathBuf {
        self.dir.join("lib/modules").join(&self.choice.release)
    }

    fn source(&self) -> PathBuf {
        self.dir.join("source")
    }
}

/// Remembers which kernel it is, among what was unpacked.
const CHOICE: &str = "choice.json";

/// Parts of packages, straight to where they belong: the source alone is a 1.5 GB archive in a package.
fn unpack(ctx: &Ctx, choice: &Choice, flavour: &str, debs: &[PathBuf], dir: &Path) -> Result<()> {
    let Choice { series, release, .. } = choice;
    let task = ctx.ui.task(&format!("kernel {release}: unpacking"), 0);
    create_dir(&dir.join("source"))?;
    let left_out =
        LEFT_OUT.map(|folder| format!("--exclude='*/{folder}/*/*.[chS]' --exclude='*/{folder}/*/*.dts*'"));
    let whole = LEFT_OUT_WHOLE.map(|folder| format!("--exclude='*/{folder}/*/*'"));
    let left_out = [left_out.join(" "), whole.join(" ")].join(" ");
    let script = format!(
        "part() {{ dpkg-deb --fsys-tarfile \"$1\" | tar -xf - -O \"$2\"; }}
         part \"$1\" ./usr/src/linux-source-{series}.tar.xz | tar -xJf - -C source --strip-components=1 --no-same-owner {left_out}
         part \"$2\" ./usr/src/linux-config-{series}/config.amd64_none_{flavour}.xz | xz -dc > config
         part \"$3\" ./usr/src/linux-headers-{release}/Module.symvers > Module.symvers
         part \"$4\" ./usr/lib/modules/{release}/vmlinuz > vmlinuz
         dpkg-deb --fsys-tarfile \"$5\" | tar -xf - --strip-components=2 --no-same-owner ./usr/lib/modules"
    );
    let mut bash = isolated("bash");
    bash.args(["-euo", "pipefail", "-c", &script, "unpack"])
        .args(debs)
        .current_dir(dir);
    // What they would do otherwise.
    for variable in ["BASH_ENV", "TAR_OPTIONS", "XZ_DEFAULTS", "XZ_OPT"] {
        bash.env_remove(variable);
    }
    run::logged(ctx, &mut bash, "kernel-unpack", |line| {
        task.message(line.unwrap_or_default());
    })?;
    task.finish();
    Ok(())
}

fn make(ctx: &Ctx, root: &Root, recipe: &Recipe, packages: &Packages) -> Result<Kernel> {
    let compiler = &recipe.kernels.compiler;
    let key = Key::new()
        .with(LAYOUT)
        .with(&packages.key)
        .with(&packages.choice.version)
        .with(compiler);
    let key = format!("{}-{}", packages.choice.series, key.hex());
    let entry = ctx.cache.entry(&ctx.ui, Kind::Kernel, &key, |dir| {
        disk::require(ctx, &format!("kernel {}", packages.choice.release), MEGABYTES)?;
        let maker = Maker {
            ctx,
            root,
            compiler,
            packages,
            dir,
            key: &key,
        };
        maker.make()
    })?;
    // The cache may have been somewhere else when it was made.
    let kernel = super::load(&entry)?;
    Ok(Kernel {
        image: packages.image(),
        modules: Some(packages.modules()),
        source: packages.source(),
        ..kernel
    })
}

struct Maker<'a> {
    ctx: &'a Ctx,
    root: &'a Root,
    compiler: &'a str,
    packages: &'a Packages,
    dir: &'a Path,
    key: &'a str,
}

impl Maker<'_> {
    fn make(&self) -> Result<()> {
        self.check_image(&self.packages.image())?;
        let packaged = super::read(&self.packages.dir.join("config"))?;
        self.check_rustc(&packaged)?;
        self.configure(&packaged)?;
        self.prepare()?;
        let mut kernel = self.kernel();
        kernel.unpacked = self.unpack_image()?;
        super::save(self.dir, &kernel)
    }

    /// Unpacks the kernel as it would unpack itself; nothing if it is not made to be started so.
    fn unpack_image(&self) -> Result<Option<PathBuf>> {
        let image = fs::read(self.packages.image())?;
        let Some((packed, length)) = image::payload(&image) else {
            return Ok(None);
        };
        let (from, to) = (self.dir.join("vmlinux.zst"), self.dir.join("vmlinux"));
        fs::write(&from, packed)?;
        let zstd = self
            .root
            .command("zstd")
            .bind(self.dir, "/out")
            .args(["-dq", "--rm", "/out/vmlinux.zst"]);
        // Another compressor than Debian's today is no reason to stop.
        if run::output(self.ctx, &mut zstd.command()).is_err() {
            return Ok(None);
        }
        let kernel = fs::read(&to)?;
        let whole = u32::try_from(kernel.len()) == Ok(length);
        Ok((whole && image::starts_unpacked(&kernel)).then(|| "vmlinux".into()))
    }

    fn kernel(&self) -> Kernel {
        let Choice {
            series,
            release,
            version,
        } = &self.packages.choice;
        Kernel {
            name: series.clone(),
            release: release.clone(),
            version: version.clone(),
            image: self.packages.image(),
            unpacked: None,
            modules: Some(self.packages.modules()),
            build: "objects".into(),
            source: self.packages.source(),
            toolchain: Toolchain::Root,
            make: vec![self.cc()],
            key: self.key.to_owned(),
        }
    }

    fn cc(&self) -> String {
        format!("CC={}", self.compiler)
    }

    fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    /// The kernel must be of the version that the source is of.
    fn check_image(&self, path: &Path) -> Result<()> {
        let Choice { release, version, .. } = &self.packages.choice;
        let says = image::version(path)?;
        let fits = says.split(' ').next() == Some(release) && says.split(' ').any(|word| word == version);
        if fits {
            return Ok(());
        }
        Err(Failure::machinery(format!(
            "the packages do not fit each other: {release} version {version} was asked for, and the kernel says that it \
             is {says}: try again later, or set SHMDEV_MIRROR to another mirror"
        )))
    }

    /// rustc puts its own version into every symbol name.
    fn check_rustc(&self, packaged: &str) -> Result<()> {
        let built_by = config::value(packaged, "RUSTC_VERSION_TEXT").unwrap_or_default();
        let ours = run::output(
            self.ctx,
            &mut self.root.command("rustc").arg("--version").command(),
        )?;
        if built_by == ours.trim() {
            return Ok(());
        }
        Err(Failure::machinery(format!(
            "kernel {} was built by `{built_by}`, and the build root's compiler is `{}` (CONFIG_RUSTC_VERSION_TEXT): a \
             module needs the very same; make the root again with `cargo xtask clean --cache`, or name another Debian \
             release in qemu/debian.toml",
            self.packages.choice.release,
            ours.trim()
        )))
    }

    fn configure(&self, packaged: &str) -> Result<()> {
        create_dir(&self.objects())?;
        let symbols = "Module.symvers";
        fs::copy(self.packages.dir.join(symbols), self.objects().join(symbols))?;
        let config = self.objects().join(".config");
        fs::write(&config, packaged)?;
        self.run_make("olddefconfig", "configuring", 0)?;
        let differences = config::differences(packaged, &super::read(&config)?);
        if differences.is_empty() {
            return Ok(());
        }
        Err(Failure::machinery(format!(
            "the configuration of {} cannot be reproduced, so a module built here would not fit it: {}. A tool that \
             Debian's build had is missing from qemu/debian.toml, or another one has another version",
            self.packages.choice.release,
            differences.join("; ")
        )))
    }

    fn prepare(&self) -> Result<()> {
        self.run_make("modules_prepare", "Rust metadata", STEPS)?;
        let release = super::read(&self.objects().join("include/config/kernel.release"))?;
        let wanted = &self.packages.choice.release;
        ensure!(
            release.trim() == wanted,
            "the source calls itself {}, the kernel {wanted}",
            release.trim()
        );
        let metadata = self.objects().join("rust/libkernel.rmeta");
        ensure!(metadata.exists(), "{} was not made", metadata.display());
        Ok(())
    }

    fn run_make(&self, target: &str, what: &str, steps: u64) -> Result<()> {
        let release = &self.packages.choice.release;
        let suffix = release.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let task = self.ctx.ui.task(&format!("kernel {release}: {what}"), steps);
        let mut done = 0;
        let make = super::make(self.root, &self.packages.source(), &self.objects());
        let make = make.args([
            &super::jobs(),
            &self.cc(),
            &format!("LOCALVERSION={suffix}"),
            // What links a kernel's type information takes a while to build, and nothing is linked here.
            "CONFIG_DEBUG_INFO_BTF=",
            target,
        ]);
        run::logged(
            self.ctx,
            &mut make.command(),
            &format!("kernel-{target}"),
            |line| {
                super::watch_steps(&task, &mut done, line);
            },
        )
        .with_context(|| format!("{target} failed in {SOURCE} with {OBJECTS}"))?;
        task.finish();
        Ok(())
    }
}
