// SPDX-License-Identifier: MIT OR Apache-2.0

//! The calls about words: waiting, waking, robust words, eventfds.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use super::handle::owned;
use super::{
    EVENTFD_GENERATION, Errno, Eventfd, Handle, IOC_EVENTFD_ADD, IOC_EVENTFD_DEL, IOC_REQUEUE,
    IOC_ROBUST_ADD, IOC_ROBUST_DEL, IOC_WAITV, IOC_WAKE, Requeue, Result, Robust, Wait, WaitWord, Waitv,
    Wake, WakeWait,
};

/// Such a wait.
pub(crate) fn wait(offset: u64, expected: u32, deadline_ns: u64) -> Wait {
    Wait {
        offset,
        deadline_ns,
        expected,
        flags: 0,
    }
}

/// Such a wake-up.
pub(crate) fn wake(offset: u64, count: u32) -> Wake {
    Wake {
        offset,
        count,
        flags: 0,
    }
}

impl Handle {
    pub(crate) fn wait_on(&self, offset: u64, expected: u32, deadline_ns: u64) -> Result<()> {
        self.call(&mut wait(offset, expected, deadline_ns))
    }

    /// Returns how many.
    pub(crate) fn wake(&self, offset: u64, count: u32) -> Result<u32> {
        self.count(IOC_WAKE, &mut wake(offset, count))
    }

    /// WAITV on words of these offsets and values; the index of the one that was woken.
    pub(crate) fn wait_on_any(&self, words: &[(u64, u32)], deadline_ns: u64) -> Result<u32> {
        let mut waitv = Waitv {
            deadline_ns,
            count: words.len() as u32,
            ..Waitv::default()
        };
        for (word, &(offset, expected)) in waitv.words.iter_mut().zip(words) {
            *word = WaitWord {
                offset,
                expected,
                flags: 0,
            };
        }
        self.count(IOC_WAITV, &mut waitv)
    }

    /// REQUEUE; how many were woken or moved.
    pub(crate) fn requeue(&self, from: u64, expected: u32, wake: u32, to: u64, requeue: u32) -> Result<u32> {
        let mut arg = Requeue {
            from,
            to,
            expected,
            wake,
            requeue,
            flags: 0,
        };
        self.count(IOC_REQUEUE, &mut arg)
    }

    pub(crate) fn wake_wait(&self, wake: Wake, wait: Wait) -> Result<()> {
        self.call(&mut WakeWait { wake, wait })
    }

    pub(crate) fn robust_add(&self, offset: u64, flags: u32) -> Result<()> {
        self.robust(IOC_ROBUST_ADD, offset, flags)
    }

    pub(crate) fn robust_del(&self, offset: u64, flags: u32) -> Result<()> {
        self.robust(IOC_ROBUST_DEL, offset, flags)
    }

    fn robust(&self, command: u32, offset: u64, flags: u32) -> Result<()> {
        let mut arg = Robust {
            offset,
            flags,
            reserved: 0,
        };
        self.count(command, &mut arg).map(drop)
    }

    /// For the word at an offset, or for new generations.
    pub(crate) fn eventfd_add(&self, word: Option<u64>, fd: RawFd) -> Result<()> {
        self.count(IOC_EVENTFD_ADD, &mut signal(word, fd)).map(drop)
    }

    pub(crate) fn eventfd_del(&self, word: Option<u64>, fd: RawFd) -> Result<()> {
        self.count(IOC_EVENTFD_DEL, &mut signal(word, fd)).map(drop)
    }
}

fn signal(word: Option<u64>, fd: RawFd) -> Eventfd {
    Eventfd {
        offset: word.unwrap_or(0),
        fd,
        flags: if word.is_some() { 0 } else { EVENTFD_GENERATION },
    }
}

/// A new eventfd, which does not block.
pub(crate) fn eventfd() -> OwnedFd {
    // SAFETY: the call takes two integers.
    let fd = Errno::result(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) });
    owned(fd.expect("eventfd"))
}

/// What was added to an eventfd since it was last read; 0 for nothing.
pub(crate) fn drain(eventfd: impl AsFd) -> u64 {
    let mut count = 0_u64;
    // SAFETY: eight bytes, which outlive the call.
    let read = unsafe { libc::read(eventfd.as_fd().as_raw_fd(), (&raw mut count).cast(), 8) };
    match super::count(read) {
        Ok(8) => count,
        Err(Errno::EAGAIN) => 0,
        other => panic!("reading an eventfd: {other:?}"),
    }
}

/// Adds to an eventfd.
pub(crate) fn fill(eventfd: impl AsFd, count: u64) {
    // SAFETY: eight bytes, which outlive the call.
    let written = unsafe { libc::write(eventfd.as_fd().as_raw_fd(), (&raw const count).cast(), 8) };
    assert_eq!(super::count(written), Ok(8));
}
