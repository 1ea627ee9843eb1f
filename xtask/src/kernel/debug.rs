// SPDX-License-Identifier: MIT OR Apache-2.0
//! The debug kernel: the default series' source with `qemu/debug.config`, built with LLVM, so that KASAN instruments the
//! module's Rust too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{Kernel, Toolchain, config};
use crate::{
    cache::{Key, Kind, create_dir},
    ctx::Ctx,
    debian::Recipe,
    disk,
    error::Failure,
    root::Root,
    run,
    sandbox::Sandbox,
};

/// Counts up when this file makes the kernel differently.
const LAYOUT: &str = "1";

/// Objects while it is built; less than half of that stays.
const MEGABYTES: u64 = 3000;

/// About as many steps as make reports; only the bar depends on it.
const STEPS: u64 = 2200;

/// The debug kernel.
pub fn ensure(ctx: &Ctx, root: &Root) -> Result<Kernel> {
    let recipe = Recipe::load(&ctx.workspace)?;
    let stock = super::stock::ensure(ctx, root, &recipe.debug.series)?;
    let fragment = super::read(&ctx.workspace.join("qemu/debug.config"))?;
    let key = Key::new()
        .with(LAYOUT)
        .with(&stock.key)
        .with(&stock.version)
        .with(&recipe.debug.llvm);
    let key = format!("debug-{}", key.with(requests(&fragment)).hex());
    let entry = ctx.cache.entry(&ctx.ui, Kind::Kernel, &key, |dir| {
        disk::require(ctx, "the debug kernel", MEGABYTES)?;
        // Built where an interrupted build is taken up again: make knows which objects are whole.
        let (objects, _lock) = ctx.cache.workspace(&ctx.ui, Kind::Building, &key)?;
        let llvm = format!("LLVM={}", recipe.debug.llvm);
        let maker = Maker {
            ctx,
            root,
            stock: &stock,
            objects: &objects,
            llvm: &llvm,
        };
        maker.configure(&fragment)?;
        maker.build()?;
        maker.trim()?;
        create_dir(dir)?;
        fs::copy(objects.join("arch/x86/boot/bzImage"), dir.join("vmlinuz"))
            .context("no bzImage was made")?;
        super::save(dir, &maker.kernel(&key)?)?;
        fs::rename(&objects, dir.join("objects")).context("cannot move what was built")
    })?;
    Ok(Kernel {
        source: stock.source,
        ..super::load(&entry)?
    })
}

/// A fragment without its comments: those may change without a new build.
fn requests(fragment: &str) -> String {
    let request = |line: &&str| line.starts_with("CONFIG_") || line.ends_with(" is not set");
    fragment
        .lines()
        .filter(request)
        .flat_map(|line| [line, "\n"])
        .collect()
}

struct Maker<'a> {
    ctx: &'a Ctx,
    root: &'a Root,
    stock: &'a Kernel,
    objects: &'a Path,
    llvm: &'a str,
}

impl Maker<'_> {
    fn make(&self) -> Sandbox {
        super::make(self.root, &self.stock.source, self.objects).arg(self.llvm)
    }

    fn configure(&self, fragment: &str) -> Result<()> {
        let task = self.ctx.ui.task("debug kernel: configuring", 0);
        let quiet = |target: &str| {
            run::logged(
                self.ctx,
                &mut self.make().arg(target).command(),
                &format!("debug-{target}"),
                |line| {
                    task.message(line.unwrap_or_default());
                },
            )
        };
        let config = self.objects.join(".config");
        quiet("tinyconfig")?;
        fs::write(&config, super::read(&config)? + &requests(fragment))?;
        quiet("olddefconfig")?;
        let lost = config::unfulfilled(fragment, &super::read(&config)?);
        if lost.is_empty() {
            return Ok(());
        }
        Err(Failure::machinery(format!(
            "qemu/debug.config asks for what this kernel's configuration does not allow: {}. A dependency is missing from \
             the fragment, or the option's name has changed",
            lost.join("; ")
        )))
    }

    fn build(&self) -> Result<()> {
        let task = self.ctx.ui.task("debug kernel: compiling", STEPS);
        let mut done = commands(self.objects);
        let mut command = self.make().args([&super::jobs(), "bzImage", "modules"]).command();
        run::logged(self.ctx, &mut command, "debug-build", |line| {
            super::watch_steps(&task, &mut done, line);
        })?;
        task.finish();
        Ok(())
    }

    /// Leaves what modules are built against, the kernel, and its symbols.
    fn trim(&self) -> Result<()> {
        let find = self
            .root
            .command("find")
            .bind(self.objects, super::OBJECTS)
            .chdir(super::OBJECTS);
        let object = [
            "(", "-name", "*.o", "-o", "-name", "*.a", "-o", "-name", ".*.cmd", ")",
        ];
        let kept = [
            "-not",
            "-path",
            "./scripts/*",
            "-not",
            "-path",
            "./tools/*",
            "-not",
            "-path",
            "./rust/*",
        ];
        let find = find
            .args([".", "-type", "f"])
            .args(kept)
            .args(object)
            .arg("-delete");
        run::output(self.ctx, &mut find.command()).map(drop)
    }

    fn kernel(&self, key: &str) -> Result<Kernel> {
        let release = super::read(&self.objects.join("include/config/kernel.release"))?;
        if !self.objects.join("Module.symvers").exists() {
            bail!("the debug kernel has no Module.symvers");
        }
        Ok(Kernel {
            name: "debug".to_owned(),
            release: release.trim().to_owned(),
            version: self.stock.version.clone(),
            image: "vmlinuz".into(),
            unpacked: None,
            modules: None,
            build: "objects".into(),
            source: self.stock.source.clone(),
            toolchain: Toolchain::Root,
            make: vec![self.llvm.to_owned()],
            key: key.to_owned(),
        })
    }
}

/// How many of make's steps an earlier, interrupted build has done.
fn commands(objects: &Path) -> u64 {
    let mut dirs: Vec<PathBuf> = vec![objects.to_owned()];
    let mut count = 0;
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                dirs.push(entry.path());
            } else if entry.file_name().to_string_lossy().ends_with(".o.cmd") {
                count += 1;
            }
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_do_not_count() {
        assert_eq!(
            requests("# why\n\nCONFIG_A=y\n# CONFIG_B is not set\n"),
            "CONFIG_A=y\n# CONFIG_B is not set\n"
        );
    }
}
