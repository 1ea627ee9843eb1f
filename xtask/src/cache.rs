// SPDX-License-Identifier: MIT OR Apache-2.0
//! The user's cache: things made once, keyed by what they were made from.
//!
//! # Invariants
//!
//! - `KIND/KEY` exists only when it is whole: it is made in a sibling, written back, and renamed.
//! - `KIND/KEY` is made by one process at a time, the holder of the lock on `locks/KIND-KEY`. The kernel drops the
//!   lock when its holder dies, and whoever takes it next finds and removes what the dead one left.
//! - An entry is never changed after the rename. What changes (object directories) lives in a [`Cache::workspace`].

use std::{
    env, fs,
    fs::File,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{error::Failure, ui::Ui, userns};

/// The cache directory.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
}

/// What an entry was made from, as a short hash.
#[derive(Debug, Clone, Default)]
pub struct Key {
    hash: Sha256,
}

impl Key {
    /// An empty key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an input. Lengths are hashed too, so `("ab", "c")` and `("a", "bc")` differ.
    pub fn with(mut self, input: impl AsRef<[u8]>) -> Self {
        let input = input.as_ref();
        self.hash.update((input.len() as u64).to_le_bytes());
        self.hash.update(input);
        self
    }

    /// Sixteen hexadecimal digits.
    pub fn hex(&self) -> String {
        self.hash
            .clone()
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// An exclusive lock, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Cache {
    /// `$SHMDEV_CACHE`, else `$XDG_CACHE_HOME/shmdev`, else `~/.cache/shmdev`; not created yet.
    pub fn locate() -> Result<Self> {
        let set = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let dir = set("SHMDEV_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("shmdev")))
            .or_else(|| set("HOME").map(|dir| dir.join(".cache/shmdev")))
            .ok_or_else(|| {
                Failure::machinery("neither HOME nor SHMDEV_CACHE is set: set SHMDEV_CACHE to a directory")
            })?;
        Ok(Cache {
            dir: std::path::absolute(dir)?,
        })
    }

    /// A cache in `dir`.
    #[cfg(test)]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Cache { dir: dir.into() }
    }

    /// Where the cache is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The entry `kind/key`, made by `make` in an empty directory if it is not there yet.
    ///
    /// When two processes ask at once, the second waits for the first, saying so.
    pub fn entry(
        &self,
        ui: &Ui,
        kind: &str,
        key: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let whole = self.path(kind, key);
        if whole.exists() {
            return Ok(whole);
        }
        let _lock = self.lock(ui, &format!("{kind}-{key}"))?;
        if whole.exists() {
            return Ok(whole);
        }
        let parent = self.dir.join(kind);
        create_dir(&parent)?;
        let partial = parent.join(format!("{key}.partial"));
        remove_tree(&partial)?;
        create_dir(&partial)?;
        if let Err(error) = make(&partial).and_then(|()| sync_file_system(&partial)) {
            if let Err(leftover) = remove_tree(&partial) {
                ui.warn(&format!("{leftover:#}"));
            }
            return Err(error);
        }
        fs::rename(&partial, &whole).with_context(|| format!("cannot rename {}", partial.display()))?;
        Ok(whole)
    }

    /// Where the entry `kind/key` is or would be.
    pub fn path(&self, kind: &str, key: &str) -> PathBuf {
        self.dir.join(kind).join(key)
    }

    /// A directory that may be changed in place by the holder of its lock, for programs that are themselves
    /// incremental (make, cargo, apt).
    pub fn workspace(&self, ui: &Ui, kind: &str, key: &str) -> Result<(PathBuf, Lock)> {
        let dir = self.path(kind, key);
        let lock = self.lock(ui, &format!("{kind}-{key}"))?;
        create_dir(&dir)?;
        Ok((dir, lock))
    }

    /// Takes the lock `name`; waits, saying so, while somebody else has it.
    pub fn lock(&self, ui: &Ui, name: &str) -> Result<Lock> {
        let locks = self.dir.join("locks");
        create_dir(&locks)?;
        let path = locks.join(name);
        let file = File::options().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot open the lock {}", path.display()))?;
        use rustix::fs::{FlockOperation, flock};
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            ui.step(&format!("another cargo xtask is making {name}: waiting for it"));
            while let Err(error) = flock(&file, FlockOperation::LockExclusive) {
                if error != rustix::io::Errno::INTR {
                    return Err(error).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
        Ok(Lock { _file: file })
    }
}

/// Creates a directory and its parents, with what to do in the error.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| {
        format!(
            "cannot create {}: set SHMDEV_CACHE to a directory that you can write",
            path.display()
        )
    })
}

/// Removes a tree, if it is there; also one whose files belong to the user's subordinate ids.
pub fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => userns::remove_tree(path),
        other => other.with_context(|| format!("cannot remove {}", path.display())),
    }
}

/// An entry must be whole after a power cut too: its data go to disk before its name does.
fn sync_file_system(path: &Path) -> Result<()> {
    let dir = File::open(path)?;
    rustix::fs::syncfs(&dir).with_context(|| format!("cannot write {} to disk", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{thread, time::Duration};

    fn fresh() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path());
        (dir, cache)
    }

    #[test]
    fn an_entry_is_made_once() {
        let (_dir, cache) = fresh();
        let ui = Ui::silent();
        let make = |dir: &Path| Ok(fs::write(dir.join("file"), "whole")?);
        let first = cache.entry(&ui, "kind", "key", make).unwrap();
        let second = cache.entry(&ui, "kind", "key", |_| panic!("made twice")).unwrap();
        assert_eq!(first, second);
        assert_eq!(fs::read_to_string(second.join("file")).unwrap(), "whole");
    }

    #[test]
    fn a_failed_make_leaves_nothing() {
        let (_dir, cache) = fresh();
        let ui = Ui::silent();
        let failing = |dir: &Path| {
            fs::write(dir.join("half"), "")?;
            anyhow::bail!("no network")
        };
        assert!(cache.entry(&ui, "kind", "key", failing).is_err());
        assert_eq!(fs::read_dir(cache.dir().join("kind")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_maker_left_is_not_mistaken_for_a_part() {
        let (_dir, cache) = fresh();
        let left = cache.dir().join("kind/key.partial");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("half"), "").unwrap();
        let made = cache.entry(&Ui::silent(), "kind", "key", |_| Ok(())).unwrap();
        assert_eq!(fs::read_dir(made).unwrap().count(), 0);
    }

    #[test]
    fn of_two_makers_at_once_one_makes_and_the_other_waits() {
        let (_dir, cache) = fresh();
        let made = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let make = |_: &Path| {
                        made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        thread::sleep(Duration::from_millis(30));
                        Ok(())
                    };
                    cache.entry(&Ui::silent(), "kind", "key", make).unwrap();
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn keys_tell_apart_how_inputs_are_split() {
        assert_ne!(
            Key::new().with("ab").with("c").hex(),
            Key::new().with("a").with("bc").hex()
        );
        assert_eq!(Key::new().with("ab").hex(), Key::new().with("ab").hex());
        assert_eq!(Key::new().hex().len(), 16);
    }
}
