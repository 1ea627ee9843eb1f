// SPDX-License-Identifier: MIT OR Apache-2.0

//! Words: sleeping until somebody wakes those who wait on four bytes of a segment, as futexes do.

use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::deadline::Deadline;
use crate::error::{WaitError, WakeError, errno};
use crate::segment::Segment;
use crate::sys;
use crate::uapi::{Wait, Wake};

/// How a wait on a word ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "only the word itself tells whether what was waited for has happened"]
pub enum Waited {
    /// It slept and was woken.
    Woken,
    /// The word was not what was expected: it did not sleep.
    Changed,
    /// Nobody woke it until the deadline.
    TimedOut,
}

impl Segment {
    /// Sleeps if the word at `offset` is `expected`, until [`wake`](Self::wake) wakes it.
    ///
    /// A word is four bytes at an offset that is a multiple of 4, in the machine's byte order: what
    /// [`Mapping::atomic`](crate::Mapping::atomic) gives as an [`AtomicU32`](std::sync::atomic::AtomicU32).
    /// Whoever changes it, and then wakes, misses nobody: comparing and going to sleep are one step. Look at
    /// the word again afterwards, whatever this returns; somebody may have changed it since.
    ///
    /// Who waited first is woken first, but for real-time tasks, which come before all others. A signal does
    /// not end the wait: it goes on, to the same deadline, if the word is still as expected.
    ///
    /// ```no_run
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use shmdev::{Deadline, Segment};
    ///
    /// let segment = Segment::open("frames")?;
    /// let mapping = segment.map()?;
    /// let ready = mapping.atomic::<AtomicU32>(0)?;
    /// while ready.load(Ordering::Acquire) == 0 {
    ///     let _ = segment.wait(0, 0, Deadline::Never)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::WaitErrorKind::Invalid), [`Denied`](crate::WaitErrorKind::Denied),
    /// [`NoMemory`](crate::WaitErrorKind::NoMemory), [`Unsupported`](crate::WaitErrorKind::Unsupported).
    pub fn wait(&self, offset: u64, expected: u32, deadline: Deadline) -> Result<Waited, WaitError> {
        let request = Wait {
            offset,
            deadline_ns: deadline.to_ns(),
            expected,
            flags: 0,
        };
        loop {
            return match sys::wait(self.as_fd(), &request) {
                Ok(()) => Ok(Waited::Woken),
                Err(error) => match errno(&error) {
                    Errno::EINTR => continue,
                    Errno::EAGAIN => Ok(Waited::Changed),
                    Errno::ETIMEDOUT => Ok(Waited::TimedOut),
                    _ => Err(WaitError::new(
                        format_args!("wait on the word at {offset}"),
                        error,
                    )),
                },
            };
        }
    }

    /// Wakes up to `count` of those who [`wait`](Self::wait) on the word at `offset`, through whatever handle
    /// of the segment; `u32::MAX` for all. Returns how many.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::WakeErrorKind::Invalid), [`Denied`](crate::WakeErrorKind::Denied),
    /// [`Unsupported`](crate::WakeErrorKind::Unsupported).
    pub fn wake(&self, offset: u64, count: u32) -> Result<u32, WakeError> {
        let request = Wake {
            offset,
            // As many as the call can count.
            count: count.min(i32::MAX as u32),
            flags: 0,
        };
        sys::wake(self.as_fd(), &request)
            .map_err(|error| WakeError::new(format_args!("wake who waits on the word at {offset}"), error))
    }
}
