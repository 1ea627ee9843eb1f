// SPDX-License-Identifier: MIT OR Apache-2.0
//! The user's cache: things made once, keyed by what they were made from.
//!
//! # Invariants
//!
//! - `KIND/KEY` exists only when it is whole: it is made in a sibling, written back, and renamed.
//! - `KIND/KEY` is made by one process at a time, the holder of the lock on `locks/KIND-KEY`. The kernel drops the
//!   lock when its holder dies, and whoever takes it next finds and removes what the dead one left.
//! - An entry is never changed after the rename. What changes (object directories) lives in a [`Cache::workspace`].
//! - Who uses any of it shares the lock `locks/in-use` until the process ends, and only who has that lock alone removes
//!   what is whole. Of logs the old ones are removed without that, but none that somebody still needs.
//! - The directory is ours alone: it carries a tag, and a directory with other things in it is not taken. So what is
//!   removed from it is never somebody else's.

mod kind;
mod lock;
mod log;

use std::{
    env, fs,
    fs::File,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{error::Failure, ui::Ui, userns};

pub use kind::Kind;
use lock::Hold;
pub use lock::Lock;
#[cfg(test)]
pub use lock::soon;
pub use log::Log;

/// Where locks are. They are never removed: that would let a third in beside a holder.
const LOCKS: &str = "locks";

/// The lock that is shared by all who use the cache.
const IN_USE: &str = "in-use";

/// Marks the directory as a cache, for us and for programs that make backups (<https://bford.info/cachedir/>).
const TAG: &str = "CACHEDIR.TAG";

const SIGNATURE: &str = "Signature: 8a477f597d28d172789f06886806bc55";

/// The cache directory. Clones are the same user of it.
#[derive(Debug, Clone)]
pub struct Cache {
    dir: PathBuf,
    /// From the first use on.
    in_use: Arc<Mutex<Option<Lock>>>,
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
            in_use: Arc::default(),
        })
    }

    /// A cache in `dir`.
    #[cfg(test)]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Cache {
            dir: dir.into(),
            in_use: Arc::default(),
        }
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
        kind: Kind,
        key: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        self.begin_use(ui)?;
        let whole = self.path(kind, key);
        if whole.exists() {
            return Ok(whole);
        }
        let _lock = self.lock(ui, &format!("{kind}-{key}"))?;
        if whole.exists() {
            return Ok(whole);
        }
        let parent = self.dir.join(kind.name());
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
    pub fn path(&self, kind: Kind, key: &str) -> PathBuf {
        self.dir.join(kind.name()).join(key)
    }

    /// A directory that may be changed in place by the holder of its lock, for programs that are themselves
    /// incremental (make, cargo, apt).
    pub fn workspace(&self, ui: &Ui, kind: Kind, key: &str) -> Result<(PathBuf, Lock)> {
        let dir = self.path(kind, key);
        let lock = self.lock(ui, &format!("{kind}-{key}"))?;
        create_dir(&dir)?;
        Ok((dir, lock))
    }

    /// A file for the log `name` of this process.
    pub fn log(&self, ui: &Ui, name: &str) -> Result<Log> {
        self.begin_use(ui)?;
        create_dir(&self.dir.join(Kind::Logs.name()))?;
        Log::create(self.log_path(name))
    }

    /// Where the log `name` of this process is or would be.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.path(Kind::Logs, &format!("{name}-{}.log", process::id()))
    }

    /// Takes the lock `name`; waits, saying so, while somebody else has it.
    fn lock(&self, ui: &Ui, name: &str) -> Result<Lock> {
        self.begin_use(ui)?;
        self.take(ui, name, Hold::Alone, &format!("is making {name}"))
    }

    /// From now on nothing is removed that this process may be using; waits, saying so, while somebody is at that.
    fn begin_use(&self, ui: &Ui) -> Result<()> {
        self.claim()?;
        let mut in_use = self.in_use.lock().unwrap_or_else(PoisonError::into_inner);
        if in_use.is_none() {
            *in_use = Some(self.take(ui, IN_USE, Hold::Shared, "is cleaning the cache")?);
        }
        Ok(())
    }

    /// Sees to it that nobody else uses the cache, or says that somebody does; waits for nobody.
    pub fn lock_out(&self) -> Result<Lock> {
        Lock::try_take(&self.lock_file(IN_USE)?, Hold::Alone)?.ok_or_else(|| {
            Failure::machinery(format!(
                "another cargo xtask uses {}: nothing was removed; try again when that has ended",
                self.dir.display()
            ))
        })
    }

    fn take(&self, ui: &Ui, name: &str, hold: Hold, meanwhile: &str) -> Result<Lock> {
        let path = self.lock_file(name)?;
        if let Some(lock) = Lock::try_take(&path, hold)? {
            return Ok(lock);
        }
        ui.step(&format!("{} {meanwhile}: waiting for it", lock::holder(&path)));
        Lock::take(&path, hold)
    }

    fn lock_file(&self, name: &str) -> Result<PathBuf> {
        let locks = self.dir.join(LOCKS);
        create_dir(&locks)?;
        Ok(locks.join(name))
    }

    /// Whether the directory carries our tag.
    pub fn is_tagged(&self) -> bool {
        fs::read_to_string(self.dir.join(TAG)).is_ok_and(|text| text.starts_with(SIGNATURE))
    }

    /// Makes the directory, or takes an empty one; refuses one that has been somebody else's.
    fn claim(&self) -> Result<()> {
        if self.is_tagged() {
            return Ok(());
        }
        create_dir(&self.dir)?;
        // Somebody else may have claimed and filled it since: the tag comes first.
        if let Some(foreign) = self.foreign()?.filter(|_| !self.is_tagged()) {
            return Err(Failure::usage(format!(
                "{} cannot be the cache: it holds other things, such as {foreign}; set SHMDEV_CACHE to a new or empty \
                 directory",
                self.dir.display()
            )));
        }
        let text =
            format!("{SIGNATURE}\n# What `cargo xtask` of shmdev keeps; made again when it is missing.\n");
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            file.write_all(text.as_bytes())?;
            file.persist(self.dir.join(TAG)).map_err(|error| error.error)
        };
        write()
            .map(drop)
            .with_context(|| format!("cannot write {}", self.dir.join(TAG).display()))
    }

    /// Something in the directory that is not ours.
    fn foreign(&self) -> Result<Option<String>> {
        let entries =
            fs::read_dir(&self.dir).with_context(|| format!("cannot read {}", self.dir.display()))?;
        let names: Vec<String> = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        // Somebody else may be in the middle of this; a new file system is not quite empty.
        let ignored = |name: &str| name == TAG || name == "lost+found" || name.starts_with(".tmp");
        // A cache of ours from before there was a tag has locks.
        let old = names.iter().any(|name| name == LOCKS);
        let ours = |name: &str| old && (name == LOCKS || Kind::ALL.iter().any(|kind| kind.name() == name));
        Ok(names.into_iter().find(|name| !ignored(name) && !ours(name)))
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
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => userns::remove_tree(path),
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
    use crate::error;
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
        let first = cache.entry(&ui, Kind::Kmod, "key", make).unwrap();
        let second = cache
            .entry(&ui, Kind::Kmod, "key", |_| panic!("made twice"))
            .unwrap();
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
        assert!(cache.entry(&ui, Kind::Kmod, "key", failing).is_err());
        assert_eq!(fs::read_dir(cache.dir().join("kmod")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_maker_left_is_not_mistaken_for_a_part() {
        let (_dir, cache) = fresh();
        cache.claim().unwrap();
        let left = cache.dir().join("kmod/key.partial");
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("half"), "").unwrap();
        let made = cache.entry(&Ui::silent(), Kind::Kmod, "key", |_| Ok(())).unwrap();
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
                    cache.entry(&Ui::silent(), Kind::Kmod, "key", make).unwrap();
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_not_taken() {
        let (_dir, cache) = fresh();
        fs::create_dir(cache.dir().join("kernel")).unwrap();
        let error = cache
            .entry(&Ui::silent(), Kind::Kmod, "key", |_| Ok(()))
            .unwrap_err();
        assert_eq!(error::kind(&error), error::Kind::Usage);
        assert!(!cache.is_tagged());
        // What locks lie beside was ours before there was a tag.
        fs::create_dir(cache.dir().join(LOCKS)).unwrap();
        cache.entry(&Ui::silent(), Kind::Kmod, "key", |_| Ok(())).unwrap();
        assert!(cache.is_tagged());
    }

    #[test]
    fn two_may_be_the_first_to_use_it() {
        for _ in 0..100 {
            let (_dir, cache) = fresh();
            let start = std::sync::Barrier::new(4);
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        cache.log(&Ui::silent(), "test").unwrap();
                    });
                }
            });
        }
    }

    #[test]
    fn a_lock_that_is_held_is_not_taken_and_the_holder_is_named() {
        let (_dir, cache) = fresh();
        let (_, held) = cache.workspace(&Ui::silent(), Kind::Kmod, "key").unwrap();
        let path = cache.lock_file("kmod-key").unwrap();
        assert!(Lock::try_take(&path, Hold::Alone).unwrap().is_none());
        assert!(Lock::try_take(&path, Hold::Shared).unwrap().is_none());
        let holder = lock::holder(&path);
        assert!(holder.contains(&format!("process {}", process::id())), "{holder}");
        drop(held);
        soon(|| Lock::try_take(&path, Hold::Alone).unwrap());
    }

    #[test]
    fn nobody_is_locked_out_who_uses_it() {
        let uses: [fn(&Cache); 3] = [
            |cache| drop(cache.entry(&Ui::silent(), Kind::Root, "key", |_| panic!("is there"))),
            |cache| drop(cache.workspace(&Ui::silent(), Kind::Kmod, "key")),
            |cache| drop(cache.log(&Ui::silent(), "test")),
        ];
        let (dir, cache) = fresh();
        cache.entry(&Ui::silent(), Kind::Root, "key", |_| Ok(())).unwrap();
        drop(cache);
        for begin in uses {
            let (first, second) = (Cache::at(dir.path()), Cache::at(dir.path()));
            begin(&first);
            begin(&second);
            let other = Cache::at(dir.path());
            drop(first);
            assert!(other.lock_out().is_err());
            drop(second);
            let _alone = soon(|| other.lock_out().ok());
            let path = other.lock_file(IN_USE).unwrap();
            assert!(Lock::try_take(&path, Hold::Shared).unwrap().is_none());
        }
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
