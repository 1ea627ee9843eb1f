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
    root::Root,
    run,
};

/// Counts up when this file makes a kernel differently.
const LAYOUT: &str = "4";

/// Source 0.5 GB, objects 0.3 GB, modules 0.1 GB.
const MEGABYTES: u64 = 1500;

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
///
/// Which version is taken is decided when the entry is made, and stays so: later runs need no network.
pub fn ensure(ctx: &Ctx, root: &Root, series: &str) -> Result<Kernel> {
    let recipe = Recipe::load(&ctx.workspace)?;
    let flavour = recipe.kernels.flavour.clone();
    entry(ctx, root, &recipe, series, &flavour, |archive| {
        archive.choose(&recipe, series)
    })
}

/// The stock kernel whose `uname -r` is `release`.
pub fn ensure_release(ctx: &Ctx, root: &Root, release: &str) -> Result<Kernel> {
    let recipe = Recipe::load(&ctx.workspace)?;
    let parts = archive::parse_release(release).context("not a release of Debian's")?;
    entry(ctx, root, &recipe, release, &parts.flavour, |archive| {
        archive.exact(release)
    })
}

fn entry(
    ctx: &Ctx,
    root: &Root,
    recipe: &Recipe,
    name: &str,
    flavour: &str,
    choose: impl FnOnce(&Archive<'_>) -> Result<Choice>,
) -> Result<Kernel> {
    let key = Key::new()
        .with(LAYOUT)
        .with(root.key())
        .with(flavour)
        .with(&recipe.kernels.compiler);
    let key = format!("{name}-{}", key.hex());
    let entry = ctx.cache.entry(&ctx.ui, Kind::Kernel, &key, |dir| {
        disk::require(ctx, &format!("kernel {name}"), MEGABYTES)?;
        let archive = Archive::open(ctx, root, recipe)?;
        let choice = choose(&archive)?;
        let debs = archive.fetch(&choice.packages(), &choice.version)?;
        drop(archive);
        let maker = Maker {
            ctx,
            root,
            flavour,
            compiler: &recipe.kernels.compiler,
            choice,
            dir,
            key: &key,
        };
        maker.make(&debs)
    })?;
    super::load(&entry)
}

struct Maker<'a> {
    ctx: &'a Ctx,
    root: &'a Root,
    flavour: &'a str,
    compiler: &'a str,
    choice: Choice,
    dir: &'a Path,
    key: &'a str,
}

impl Maker<'_> {
    fn make(&self, debs: &[PathBuf]) -> Result<()> {
        self.unpack(debs)?;
        let kernel = self.kernel();
        self.check_image(&self.dir.join(&kernel.image))?;
        let packaged = super::read(&self.dir.join("config"))?;
        self.check_rustc(&packaged)?;
        self.configure(&packaged)?;
        self.prepare()?;
        super::save(self.dir, &kernel)
    }

    fn kernel(&self) -> Kernel {
        let Choice {
            series,
            release,
            version,
        } = &self.choice;
        Kernel {
            name: series.clone(),
            release: release.clone(),
            version: version.clone(),
            image: "vmlinuz".into(),
            modules: Some(format!("lib/modules/{release}").into()),
            build: "objects".into(),
            source: "source".into(),
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

    fn unpack(&self, debs: &[PathBuf]) -> Result<()> {
        let Choice { series, release, .. } = &self.choice;
        let flavour = self.flavour;
        let task = self.ctx.ui.task(&format!("kernel {release}: unpacking"), 0);
        create_dir(&self.dir.join("source"))?;
        create_dir(&self.objects())?;
        let left_out = LEFT_OUT
            .map(|folder| format!("--exclude='*/{folder}/*/*.[chS]' --exclude='*/{folder}/*/*.dts*'"));
        let whole = LEFT_OUT_WHOLE.map(|folder| format!("--exclude='*/{folder}/*/*'"));
        let left_out = [left_out.join(" "), whole.join(" ")].join(" ");
        // Parts of packages, straight to where they belong: the source alone is a 1.5 GB archive in a package.
        let script = format!(
            "part() {{ dpkg-deb --fsys-tarfile \"$1\" | tar -xf - -O \"$2\"; }}
             part \"$1\" ./usr/src/linux-source-{series}.tar.xz | tar -xJf - -C /out/source --strip-components=1 --no-same-owner {left_out}
             part \"$2\" ./usr/src/linux-config-{series}/config.amd64_none_{flavour}.xz | xz -dc > /out/config
             part \"$3\" ./usr/src/linux-headers-{release}/Module.symvers > /out/objects/Module.symvers
             part \"$4\" ./usr/lib/modules/{release}/vmlinuz > /out/vmlinuz
             dpkg-deb --fsys-tarfile \"$5\" | tar -xf - -C /out --strip-components=2 --no-same-owner ./usr/lib/modules"
        );
        let archives = debs[0].parent().context("a package without a directory")?;
        let mut sandbox = self
            .root
            .command("bash")
            .ro_bind(archives, "/debs")
            .bind(self.dir, "/out");
        sandbox = sandbox.args(["-euo", "pipefail", "-c", &script, "unpack"]);
        for deb in debs {
            sandbox =
                sandbox.arg(Path::new("/debs").join(deb.file_name().context("a package without a name")?));
        }
        run::logged(self.ctx, &mut sandbox.command(), "kernel-unpack", |line| {
            task.message(line.unwrap_or_default());
        })?;
        task.finish();
        Ok(())
    }

    /// The kernel must be of the version that the source is of.
    fn check_image(&self, path: &Path) -> Result<()> {
        let Choice { release, version, .. } = &self.choice;
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
            self.choice.release,
            ours.trim()
        )))
    }

    fn configure(&self, packaged: &str) -> Result<()> {
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
            self.choice.release,
            differences.join("; ")
        )))
    }

    fn prepare(&self) -> Result<()> {
        self.run_make("modules_prepare", "Rust metadata", STEPS)?;
        let release = super::read(&self.objects().join("include/config/kernel.release"))?;
        let wanted = &self.choice.release;
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
        let release = &self.choice.release;
        let suffix = release.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let task = self.ctx.ui.task(&format!("kernel {release}: {what}"), steps);
        let mut done = 0;
        let make = super::make(self.root, &self.dir.join("source"), &self.objects());
        let make = make.args([
            &super::jobs(),
            &self.cc(),
            &format!("LOCALVERSION={suffix}"),
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
