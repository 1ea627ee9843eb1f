// SPDX-License-Identifier: MIT OR Apache-2.0

//! Futexes, semaphores of SysV, and calls that fail.

use std::os::fd::{AsFd, AsRawFd};
use std::ptr;
use std::sync::atomic::AtomicU32;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;

/// `FUTEX_WAIT` of a shared futex: sleeps if the word is `expected`.
pub fn futex_wait(word: &AtomicU32, expected: u32) -> Result<()> {
    let forever = ptr::null::<libc::timespec>();
    // SAFETY: the word is there until the call returns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            forever,
        )
    };
    match Errno::result(result) {
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno).context("FUTEX_WAIT"),
    }
}

/// `FUTEX_WAKE` of a shared futex: how many were woken.
pub fn futex_wake(word: &AtomicU32, count: i32) -> Result<u32> {
    // SAFETY: the word is there until the call returns.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
    Ok(Errno::result(woken).context("FUTEX_WAKE")? as u32)
}

/// An ioctl that no driver has, which is to end in ENOTTY.
pub fn unknown_ioctl(file: impl AsFd) -> Result<()> {
    /// `_IO(0xbb, 0x7f)`.
    const UNKNOWN: libc::Ioctl = 0xbb7f;
    // SAFETY: no driver has it, so none takes its argument for an address.
    let result = unsafe { libc::ioctl(file.as_fd().as_raw_fd(), UNKNOWN, 0) };
    ensure!(
        Errno::result(result) == Err(Errno::ENOTTY),
        "an unknown ioctl ends in {} instead of ENOTTY",
        Errno::last()
    );
    Ok(())
}

/// A semaphore of SysV; removed when dropped.
#[derive(Debug)]
pub struct SysvSemaphore {
    id: i32,
}

impl SysvSemaphore {
    /// A set of one, with this value.
    pub fn new(value: i32) -> Result<Self> {
        // SAFETY: it takes numbers.
        let id = unsafe { libc::semget(libc::IPC_PRIVATE, 1, libc::IPC_CREAT | 0o600) };
        let set = Self {
            id: Errno::result(id).context("semget")?,
        };
        // SAFETY: SETVAL takes a number.
        let result = unsafe { libc::semctl(set.id, 0, libc::SETVAL, value) };
        Errno::result(result).context("SETVAL")?;
        Ok(set)
    }

    /// Adds to it, or takes away and waits until there is so much. `flags` is 0 or `SEM_UNDO`.
    pub fn change(&self, by: i16, flags: i32) -> Result<()> {
        let mut change = libc::sembuf {
            sem_num: 0,
            sem_op: by,
            sem_flg: flags as i16,
        };
        // SAFETY: there is one operation.
        let result = unsafe { libc::semop(self.id, &raw mut change, 1) };
        Errno::result(result).map(drop).context("semop")
    }
}

impl Drop for SysvSemaphore {
    fn drop(&mut self) {
        // SAFETY: IPC_RMID takes no argument.
        let _ = unsafe { libc::semctl(self.id, 0, libc::IPC_RMID) };
    }
}

/// The lock on a whole file that a description of it has.
pub fn whole_file(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 0,
        l_len: 0,
        // Zero, as F_OFD_SETLK demands.
        l_pid: 0,
    }
}
