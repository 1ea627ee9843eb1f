// SPDX-License-Identifier: MIT OR Apache-2.0

//! A mutex of pthreads that processes share and that tells of owners who died.

use std::mem::MaybeUninit;

use anyhow::{Result, bail};
use nix::errno::Errno;

use super::memory::Region;

/// A robust mutex at the start of memory that children inherit. Each child has one of its own that it made by `fork`.
#[derive(Debug)]
pub struct RobustMutex {
    memory: Region,
}

impl RobustMutex {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let memory = Region::inherited(4096)?;
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: there is room for attributes.
        done(unsafe { libc::pthread_mutexattr_init(attributes) })?;
        // SAFETY: they are initialised.
        done(unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) })?;
        // SAFETY: so they are.
        done(unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) })?;
        let mutex = Self { memory };
        // SAFETY: the memory is zeroed, aligned, and large enough, and nobody else has it.
        done(unsafe { libc::pthread_mutex_init(mutex.raw(), attributes) })?;
        Ok(mutex)
    }

    fn raw(&self) -> *mut libc::pthread_mutex_t {
        self.memory.start().cast()
    }

    /// Waits for it and takes it.
    pub fn lock(&self) -> Result<()> {
        // SAFETY: it was initialised when it was made, and stays where it is.
        done(unsafe { libc::pthread_mutex_lock(self.raw()) })
    }

    /// Gives it back.
    pub fn unlock(&self) -> Result<()> {
        // SAFETY: as for `lock`; a robust mutex refuses who does not own it.
        done(unsafe { libc::pthread_mutex_unlock(self.raw()) })
    }
}

/// These functions return an errno.
fn done(result: i32) -> Result<()> {
    match result {
        0 => Ok(()),
        errno => bail!("a function of pthread_mutex: {}", Errno::from_raw(errno)),
    }
}
