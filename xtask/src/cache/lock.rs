// SPDX-License-Identifier: MIT OR Apache-2.0
//! Locks on files: the kernel drops one when its holder dies.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

/// An exclusive lock, held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock on the file `path`, unless somebody has it.
    pub fn try_take(path: &Path) -> Result<Option<Self>> {
        let file = open_lock(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Lock::held(file))),
            Err(_) => Ok(None),
        }
    }

    /// Takes the lock on the file `path`, however long that takes.
    pub fn take(path: &Path) -> Result<Self> {
        let file = open_lock(path)?;
        while let Err(error) = flock(&file, FlockOperation::LockExclusive) {
            if error != rustix::io::Errno::INTR {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        Ok(Lock::held(file))
    }

    /// Says in the file who holds it, for those who wait. Nothing but a message depends on that.
    fn held(mut file: File) -> Self {
        let _ = file
            .set_len(0)
            .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
        Lock { _file: file }
    }
}

fn open_lock(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.with_context(|| format!("cannot open the lock {}", path.display()))
}

/// Who holds a lock, in words.
pub fn holder(path: &Path) -> String {
    match fs::read_to_string(path).unwrap_or_default().parse::<u32>() {
        Ok(process) => format!("another cargo xtask (process {process})"),
        Err(_) => "another cargo xtask".to_owned(),
    }
}
