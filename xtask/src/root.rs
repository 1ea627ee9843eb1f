// SPDX-License-Identifier: MIT OR Apache-2.0
//! The build root: a Debian tree with the compilers, QEMU and what experimenters use. Made once by mmdebstrap, never
//! changed afterwards; it is also what the guest sees as `/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    cache::{self, Key, Kind},
    ctx::Ctx,
    debian::Recipe,
    disk,
    error::Failure,
    host,
    mirror::{KEYRING, Mirror},
    run,
    sandbox::{Sandbox, isolated},
    ui::Task,
};

/// Counts up when this file makes the root differently.
const LAYOUT: &str = "2";

/// A made root takes 1.5 GB, its packages 0.4 GB.
const MEGABYTES: u64 = 2400;

/// The build root.
#[derive(Debug, Clone)]
pub struct Root {
    path: PathBuf,
    key: String,
}

impl Root {
    /// The root, made if it is not there yet.
    pub fn ensure(ctx: &Ctx) -> Result<Self> {
        let recipe = Recipe::load(&ctx.workspace)?;
        host::require(ctx)?;
        let key = key(&recipe);
        let entry = ctx
            .cache
            .entry(&ctx.ui, Kind::Root, &key, |dir| make(ctx, &recipe, dir))?;
        Ok(Root {
            path: entry.join("fs"),
            key,
        })
    }

    /// Where the root's `/` is on the host.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the root was made from.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A program of the root's, to be run inside it.
    pub fn command(&self, program: &str) -> Sandbox {
        Sandbox::new(&self.path, program)
    }
}

/// What a root is called that is made from this recipe.
pub fn key(recipe: &Recipe) -> String {
    let inputs = format!(
        "{} {:?} {:?} {:?}",
        recipe.release, recipe.suites, recipe.security, recipe.packages
    );
    format!(
        "{}-{}",
        recipe.release,
        Key::new().with(LAYOUT).with(inputs).hex()
    )
}

fn make(ctx: &Ctx, recipe: &Recipe, dir: &Path) -> Result<()> {
    disk::require(ctx, "the build root", MEGABYTES)?;
    let mirror = Mirror::find();
    let (debs, _lock) = ctx.cache.workspace(&ctx.ui, Kind::Debs, "root")?;
    cache::create_dir(&debs.join("partial"))?;
    let fs_dir = dir.join("fs");
    let task = ctx
        .ui
        .task(&format!("build root (Debian {})", recipe.release), 100);
    let mut phase = Phase::default();
    // It mounts things in the root.
    let mut command = isolated("mmdebstrap");
    command
        .args(arguments(recipe, &debs))
        .arg(&recipe.release)
        .arg(&fs_dir);
    if let Some(mirror) = &mirror {
        let sources = dir.join("sources.list");
        fs::write(&sources, mirror.sources_list(recipe))?;
        command.arg(&sources);
    }
    run::logged(ctx, &mut command, "root", |line| {
        phase.watch(line, &debs, &fs_dir, &task);
    })
    .with_context(|| explain(recipe, mirror.as_ref()))?;
    task.finish();
    Ok(())
}

fn arguments(recipe: &Recipe, debs: &Path) -> Vec<String> {
    let debs = crate::ui::quote(&debs.to_string_lossy());
    let mut arguments: Vec<String> = [
        "--mode=root",
        "--variant=apt",
        "--format=directory",
        "--architectures=amd64",
        "--aptopt=Acquire::Languages none",
        "--aptopt=Acquire::Retries 3",
        "--aptopt=APT::Sandbox::User root",
        // Nothing here is worth an fsync: the tree is written back as a whole in the end.
        "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/info/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        // A third of it all, and nothing is made of it: the compilers' own source, and LLVM to be linked statically.
        "--dpkgopt=path-exclude=/usr/src/rustc-*",
        "--dpkgopt=path-include=/usr/src/rustc-*/library/*",
        "--dpkgopt=path-exclude=/usr/lib/llvm-*/lib/lib*.a",
        // Packages stay in the cache when the root is made again.
        "--skip=download/empty",
        "--skip=essential/unlink",
        "--skip=cleanup/apt/cache",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--keyring={KEYRING}"));
    arguments.push(format!("--include={}", recipe.packages.join(",")));
    arguments.push(format!(
        "--setup-hook=mkdir -p \"$1\"/var/cache/apt/archives && mount --bind {debs} \"$1\"/var/cache/apt/archives"
    ));
    // Places to mount things upon: the root is read-only later.
    arguments.push("--customize-hook=umount \"$1\"/var/cache/apt/archives".to_owned());
    arguments.push("--customize-hook=rm -f \"$1\"/etc/resolv.conf && : > \"$1\"/etc/resolv.conf".to_owned());
    arguments.push("--customize-hook=echo shmdev > \"$1\"/etc/hostname".to_owned());
    arguments
}

/// How far mmdebstrap is, from what it says and what it has done.
#[derive(Debug, Default)]
struct Phase {
    installing: bool,
    packages: u64,
}

impl Phase {
    fn watch(&mut self, line: Option<&str>, debs: &Path, fs_dir: &Path, task: &Task) {
        if line.is_some_and(|line| line.starts_with("I: extracting") || line.starts_with("I: installing")) {
            self.installing = true;
            self.packages = files(debs, "deb").0.max(1);
        }
        if line.is_some() {
            return;
        }
        if self.installing {
            let (done, _) = files(&fs_dir.join("var/lib/dpkg/info"), "list");
            task.set(
                20 + 80 * done.min(self.packages) / self.packages,
                &format!("{done} packages installed"),
            );
        } else {
            let (count, bytes) = files(debs, "deb");
            let (_, partial) = files(&debs.join("partial"), "deb");
            task.set(
                1,
                &format!("{count} packages, {} fetched", disk::human(bytes + partial)),
            );
        }
    }
}

/// How many files with this extension a directory has, and their bytes.
fn files(dir: &Path, extension: &str) -> (u64, u64) {
    let Ok(entries) = fs::read_dir(dir) else {
        return (0, 0);
    };
    let files = entries
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|found| found == extension));
    files.fold((0, 0), |(count, bytes), file| {
        (count + 1, bytes + file.metadata().map_or(0, |data| data.len()))
    })
}

fn explain(recipe: &Recipe, mirror: Option<&Mirror>) -> Failure {
    Failure::new(
        crate::error::Kind::Machinery,
        format!(
            "the build root could not be made from {} (suites {}): mmdebstrap said why above; if the mirror \
             cannot be reached or lacks a suite or a package, set SHMDEV_MIRROR to another Debian mirror (behind a \
             proxy, set http_proxy)",
            mirror.map_or("mmdebstrap's default mirror", |mirror| &mirror.main),
            recipe.suites.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mmdebstrap_checks_signatures_and_keeps_packages() {
        let recipe = Recipe::load(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()).unwrap();
        let line = arguments(&recipe, Path::new("/c/debs")).join(" ");
        assert!(line.contains("--keyring=/usr/share/keyrings/"), "{line}");
        assert!(line.contains("mount --bind /c/debs"), "{line}");
        assert!(
            !line.contains("allow-unauthenticated") && !line.contains("trusted=yes"),
            "{line}"
        );
    }
}
