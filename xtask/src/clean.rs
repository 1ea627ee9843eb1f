// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask clean`: removes what was built from the workspace, logs, and whether KVM works; with `--cache` all that is
//! kept in the cache. Removes nothing that is not ours, and nothing that another `cargo xtask` is making.

use std::process::ExitCode;

use anyhow::Result;

use crate::{
    cache::{self, Cache, Kind},
    ctx::Ctx,
    disk,
    error::Failure,
};

/// What is built from the workspace, and what is quickly found out again.
const BUILT: [Kind; 6] = [
    Kind::Accel,
    Kind::Kmod,
    Kind::KmodClippy,
    Kind::KmodAnalyzer,
    Kind::Building,
    Kind::Logs,
];

/// Remove what was built from the workspace, logs, and whether KVM works
#[derive(clap::Args)]
pub struct Args {
    /// Also remove the build root, the kernels and the downloaded packages
    #[arg(long)]
    cache: bool,
}

/// Runs the subcommand.
pub fn run(ctx: &Ctx, args: &Args) -> Result<ExitCode> {
    let before = disk::usage(ctx.cache.dir()).unwrap_or(0);
    empty(&ctx.cache, if args.cache { &Kind::ALL } else { &BUILT })?;
    cache::remove_tree(&ctx.workspace.join("target/guest"))?;
    let after = disk::usage(ctx.cache.dir()).unwrap_or(0);
    ctx.ui.step(&format!(
        "removed {} from {}",
        disk::human(before.saturating_sub(after)),
        ctx.cache.dir().display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Removes everything of these kinds, or nothing.
fn empty(cache: &Cache, kinds: &[Kind]) -> Result<()> {
    if !cache.is_tagged() {
        let there = kinds.iter().any(|kind| cache.dir().join(kind.name()).exists());
        return match there {
            false => Ok(()),
            true => Err(Failure::usage(format!(
                "{} is not a cache of ours (it has no CACHEDIR.TAG), so nothing was removed: look at SHMDEV_CACHE, or \
                 remove what you do not need yourself",
                cache.dir().display()
            ))),
        };
    }
    let _locks = cache.lock_all(kinds)?;
    kinds
        .iter()
        .try_for_each(|kind| cache::remove_tree(&cache.dir().join(kind.name())))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{error, ui::Ui};

    fn filled() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        for kind in [Kind::Root, Kind::Kmod] {
            cache.entry(&Ui::silent(), kind, "key", |_| Ok(())).unwrap();
        }
        (dir, cache)
    }

    #[test]
    fn only_what_is_ours_is_removed() {
        let (_dir, cache) = filled();
        fs::write(cache.dir().join("diary"), "").unwrap();
        empty(&cache, &BUILT).unwrap();
        assert!(!cache.dir().join("kmod").exists());
        assert!(cache.dir().join("root/key").exists());
        empty(&cache, &Kind::ALL).unwrap();
        assert!(!cache.dir().join("root").exists());
        assert!(cache.dir().join("diary").exists());
        // It is still a cache.
        cache.entry(&Ui::silent(), Kind::Root, "key", |_| Ok(())).unwrap();
    }

    #[test]
    fn a_directory_that_is_not_a_cache_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("kernel")).unwrap();
        let error = empty(&Cache::at(dir.path()), &Kind::ALL).unwrap_err();
        assert_eq!(error::kind(&error), error::Kind::Usage);
        assert!(dir.path().join("kernel").exists());
    }

    #[test]
    fn a_cache_that_is_not_there_is_empty_already() {
        let dir = tempfile::tempdir().unwrap();
        empty(&Cache::at(dir.path().join("none")), &Kind::ALL).unwrap();
        assert!(!dir.path().join("none").exists());
    }

    #[test]
    fn nothing_is_removed_while_something_is_being_made() {
        let (_dir, cache) = filled();
        let (_, _held) = cache.workspace(&Ui::silent(), Kind::Building, "debug").unwrap();
        assert!(empty(&cache, &Kind::ALL).is_err());
        assert!(cache.dir().join("root/key").exists() && cache.dir().join("kmod/key").exists());
    }
}
