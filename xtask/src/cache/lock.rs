// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks on files: the kernel drops one when its holder dies.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// Beside whom a lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nobody.
    Alone,
    /// Others who share it.
    Shared,
}

impl Hold {
    fn operation(self, waits: bool) -> FlockOperation {
        match (self, waits) {
            (Hold::Alone, true) => FlockOperation::LockExclusive,
            (Hold::Alone, false) => FlockOperation::NonBlockingLockExclusive,
            (Hold::Shared, true) => FlockOperation::LockShared,
            (Hold::Shared, false) => FlockOperation::NonBlockingLockShared,
        }
    }
}

/// A lock, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock on the file `path`, unless somebody has it who is in the way.
    pub fn try_take(path: &Path, hold: Hold) -> Result<Option<Self>> {
        let file = open_lock(path)?;
        match flock(&file, hold.operation(false)) {
            Ok(()) => Ok(Some(Lock::held(file, hold))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
        }
    }

    /// Takes the lock on the file `path`, however long that takes.
    pub fn take(path: &Path, hold: Hold) -> Result<Self> {
        let file = open_lock(path)?;
        while let Err(error) = flock(&file, hold.operation(true)) {
            if error != rustix::io::Errno::INTR {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        Ok(Lock::held(file, hold))
    }

    /// Says in the file who holds it alone, for those who wait. Nothing but a message depends on that.
    fn held(mut file: File, hold: Hold) -> Self {
        if hold == Hold::Alone {
            let _ = file
                .set_len(0)
                .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        }
        Lock { _file: file }
    }
}

/// For reading, too: NFS shares a lock with those alone who may read.
fn open_lock(path: &Path) -> Result<File> {
    let file = File::options().read(true).create(true).append(true).open(path);
    file.with_context(|| format!("cannot open the lock {}", path.display()))
}

/// Who holds a lock alone, in words.
pub fn holder(path: &Path) -> String {
    match fs::read_to_string(path).unwrap_or_default().parse::<u32>() {
        Ok(process) => format!("another cargo xtask (process {process})"),
        Err(_) => "another cargo xtask".to_owned(),
    }
}

/// Tries until it succeeds: a process that another test starts has what is locked here until it is another program.
#[cfg(test)]
pub fn soon<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        if let Some(outcome) = attempt() {
            return outcome;
        }
        assert!(std::time::Instant::now() < end, "tried in vain");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
