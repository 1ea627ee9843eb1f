// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask clean`: removes what was built from the workspace, logs, and whether KVM works; with `--cache` all that
//! is kept in the cache. Removes nothing that is not ours, and nothing while another `cargo xtask` uses the cache.

use std::{fs, io::ErrorKind, path::Path, process::ExitCode};

use anyhow::{Context, Result};

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
    let kinds: &[Kind] = if args.cache { &Kind::ALL } else { &BUILT };
    empty(&ctx.cache, kinds, &ctx.workspace.join("target/guest"))?;
    let after = disk::usage(ctx.cache.dir()).unwrap_or(0);
    ctx.ui.step(&format!(
        "removed {} from {}",
        disk::human(before.saturating_sub(after)),
        ctx.cache.dir().display()
    ));
    Ok(ExitCode::SUCCESS)
}

/// Removes everything of these kinds, and the guest's programs, or nothing.
fn empty(cache: &Cache, kinds: &[Kind], programs: &Path) -> Result<()> {
    let mut dirs: Vec<_> = kinds.iter().map(|kind| cache.dir().join(kind.name())).collect();
    let _lock = match cache.is_tagged() {
        true => Some(cache.lock_out()?),
        false if dirs.iter().any(|dir| dir.exists()) => {
            return Err(Failure::usage(format!(
                "{} is not a cache of ours (it has no CACHEDIR.TAG), so nothing was removed: look at SHMDEV_CACHE, or \
                 remove what you do not need yourself",
                cache.dir().display()
            )));
        }
        false => None,
    };
    dirs.push(programs.to_owned());
    dirs.iter().try_for_each(|dir| remove(dir))
}

/// Removes a directory. Who is interrupted leaves it whole or under another name, which the next one removes too.
fn remove(dir: &Path) -> Result<()> {
    let aside = dir.with_extension("removed");
    cache::remove_tree(&aside)?;
    match fs::rename(dir, &aside) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot rename {}", dir.display())),
        Ok(()) => cache::remove_tree(&aside),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{error, ui::Ui};

    /// A cache that nobody uses any more, and programs beside it.
    fn filled() -> (tempfile::TempDir, Cache, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (cache, programs) = (dir.path().join("cache"), dir.path().join("target/guest"));
        for kind in [Kind::Root, Kind::Kmod] {
            let made = Cache::at(&cache).entry(&Ui::silent(), kind, "key", |_| Ok(()));
            made.unwrap();
        }
        fs::create_dir_all(&programs).unwrap();
        (dir, Cache::at(cache), programs)
    }

    #[test]
    fn only_what_is_ours_is_removed() {
        let (dir, cache, programs) = filled();
        fs::write(cache.dir().join("diary"), "").unwrap();
        cache::soon(|| empty(&cache, &BUILT, &programs).ok());
        assert!(!cache.dir().join("kmod").exists() && !programs.exists());
        assert!(cache.dir().join("root/key").exists() && dir.path().join("target").exists());
        cache::soon(|| empty(&cache, &Kind::ALL, &programs).ok());
        assert!(!cache.dir().join("root").exists());
        assert!(cache.dir().join("diary").exists());
        // It is still a cache.
        cache.entry(&Ui::silent(), Kind::Root, "key", |_| Ok(())).unwrap();
    }

    #[test]
    fn what_was_removed_in_part_is_not_there_any_more() {
        let (_dir, cache, _) = filled();
        let (kind, aside) = (cache.dir().join("root"), cache.dir().join("root.removed"));
        // Something that stops it, whatever this process may do.
        fs::write(&aside, "").unwrap();
        remove(&kind).unwrap_err();
        assert!(kind.join("key").exists(), "nothing of it is gone");
        fs::remove_file(&aside).unwrap();
        // Another one was interrupted.
        fs::create_dir_all(aside.join("key/usr")).unwrap();
        remove(&kind).unwrap();
        assert!(!kind.exists() && !aside.exists());
        // And before that one could begin anew.
        fs::create_dir_all(aside.join("key/usr")).unwrap();
        remove(&kind).unwrap();
        assert!(!aside.exists());
    }

    #[test]
    fn a_directory_that_is_not_a_cache_is_left_alone() {
        let (dir, _, programs) = filled();
        fs::create_dir(dir.path().join("kernel")).unwrap();
        let error = empty(&Cache::at(dir.path()), &Kind::ALL, &programs).unwrap_err();
        assert_eq!(error::kind(&error), error::Kind::Usage);
        assert!(dir.path().join("kernel").exists() && programs.exists());
    }

    #[test]
    fn a_cache_that_is_not_there_is_empty_already() {
        let (dir, _, programs) = filled();
        let none = dir.path().join("none");
        empty(&Cache::at(&none), &Kind::ALL, &programs).unwrap();
        assert!(!none.exists() && !programs.exists());
    }

    #[test]
    fn nothing_is_removed_while_somebody_uses_it() {
        let (_dir, cache, programs) = filled();
        let other = Cache::at(cache.dir());
        // It need not be made by whoever uses it.
        let found = other.entry(&Ui::silent(), Kind::Root, "key", |_| panic!("it is there"));
        found.unwrap();
        for kinds in [&BUILT[..], &Kind::ALL] {
            let error = empty(&cache, kinds, &programs).unwrap_err();
            assert_eq!(error::kind(&error), error::Kind::Machinery);
        }
        assert!(cache.dir().join("root/key").exists() && cache.dir().join("kmod/key").exists());
        assert!(programs.exists());
        drop(other);
        cache::soon(|| empty(&cache, &Kind::ALL, &programs).ok());
    }
}
