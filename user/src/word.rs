// SPDX-License-Identifier: MIT OR Apache-2.0

//! Words: sleeping until somebody wakes those who wait on four bytes of a segment, as futexes do; and words that
//! the kernel tends when a process dies.

use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::deadline::Deadline;
use crate::error::{RequeueError, RobustError, WaitError, WakeError, errno};
use crate::segment::Segment;
use crate::sys;
use crate::uapi::{ROBUST_WAKE_ONLY, Requeue, Robust, WAITV_MAX, Wait, WaitWord, Waitv, Wake, WakeWait};

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

/// How a wait on several words ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "only the words themselves tell whether what was waited for has happened"]
pub enum WaitedAny {
    /// It slept, and was woken on the word of this index.
    Woken(usize),
    /// One of the words was not what was expected: it did not sleep.
    Changed,
    /// Nobody woke it until the deadline.
    TimedOut,
}

/// What the kernel does with a [robust word](Segment::add_robust) when who added it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Death {
    /// If the word holds the handle's [token](crate::Info::token), puts
    /// [`WORD_OWNER_DIED`](crate::uapi::WORD_OWNER_DIED) in its place, and keeps
    /// [`WORD_WAITERS`](crate::uapi::WORD_WAITERS); then wakes one who waits on it. For lock words.
    Mark,
    /// Only wakes one who waits on it. For words that are no locks, where a wake-up could be lost with the
    /// process that it was for.
    WakeOnly,
}

/// As many as a call can count.
fn countable(count: u32) -> u32 {
    count.min(i32::MAX as u32)
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
            count: countable(count),
            flags: 0,
        };
        sys::wake(self.as_fd(), &request)
            .map_err(|error| WakeError::new(format_args!("wake who waits on the word at {offset}"), error))
    }

    /// Sleeps if each of up to [`WAITV_MAX`] words, pairs of offset and what is expected there, is as expected,
    /// until one of them is woken. Else as [`wait`](Self::wait).
    ///
    /// Several may be woken at once: the one that is told took the wake-up, and no other was counted.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); [`Invalid`](crate::WaitErrorKind::Invalid) also for none, and for too many.
    pub fn wait_any(&self, words: &[(u64, u32)], deadline: Deadline) -> Result<WaitedAny, WaitError> {
        let failed = |error| WaitError::new(format_args!("wait on one of {} words", words.len()), error);
        if words.len() > WAITV_MAX {
            return Err(failed(Errno::EINVAL.into()));
        }
        let mut request = Waitv {
            deadline_ns: deadline.to_ns(),
            count: words.len() as u32,
            ..Waitv::default()
        };
        for (word, &(offset, expected)) in request.words.iter_mut().zip(words) {
            *word = WaitWord {
                offset,
                expected,
                flags: 0,
            };
        }
        loop {
            return match sys::waitv(self.as_fd(), &request) {
                Ok(index) => Ok(WaitedAny::Woken(index as usize)),
                Err(error) => match errno(&error) {
                    Errno::EINTR => continue,
                    Errno::EAGAIN => Ok(WaitedAny::Changed),
                    Errno::ETIMEDOUT => Ok(WaitedAny::TimedOut),
                    _ => Err(failed(error)),
                },
            };
        }
    }

    /// Wakes up to `count` of those who wait on the word at `wake`, and sleeps as [`wait`](Self::wait) on the
    /// one at `offset`, in one call: a request and the wait for its answer.
    ///
    /// The others are woken also if the word is not what is expected. A signal does not wake them twice.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait), with [`Denied`](crate::WaitErrorKind::Denied) also for a handle that is not open for
    /// writing, and [`Invalid`](crate::WaitErrorKind::Invalid) also when both are one word. Nobody was woken then,
    /// unless a signal came and what fails is going on with the wait.
    pub fn wake_and_wait(
        &self,
        wake: u64,
        count: u32,
        offset: u64,
        expected: u32,
        deadline: Deadline,
    ) -> Result<Waited, WaitError> {
        let request = WakeWait {
            wake: Wake {
                offset: wake,
                count: countable(count),
                flags: 0,
            },
            wait: Wait {
                offset,
                deadline_ns: deadline.to_ns(),
                expected,
                flags: 0,
            },
        };
        match sys::wake_wait(self.as_fd(), &request) {
            Ok(()) => Ok(Waited::Woken),
            Err(error) => match errno(&error) {
                Errno::EINTR => self.wait(offset, expected, deadline),
                Errno::EAGAIN => Ok(Waited::Changed),
                Errno::ETIMEDOUT => Ok(Waited::TimedOut),
                _ => Err(WaitError::new(
                    format_args!("wake who waits on the word at {wake} and wait on the one at {offset}"),
                    error,
                )),
            },
        }
    }

    /// If the word at `from` is `expected`, wakes up to `wake` of those who wait on it, and lets up to
    /// `requeue` of the others wait on the word at `to` instead, after those who do already. Returns how many
    /// that were together, or `None` if the word is something else.
    ///
    /// So that many who wait for one lock need not wake up to find out that only one of them can have it.
    ///
    /// # Errors
    ///
    /// [`Invalid`](crate::RequeueErrorKind::Invalid), also when both are one word;
    /// [`Denied`](crate::RequeueErrorKind::Denied), [`Unsupported`](crate::RequeueErrorKind::Unsupported).
    pub fn requeue(
        &self,
        from: u64,
        expected: u32,
        wake: u32,
        to: u64,
        requeue: u32,
    ) -> Result<Option<u32>, RequeueError> {
        let request = Requeue {
            from,
            to,
            expected,
            wake: countable(wake),
            requeue: countable(requeue),
            flags: 0,
        };
        match sys::requeue(self.as_fd(), &request) {
            Ok(count) => Ok(Some(count)),
            Err(error) if errno(&error) == Errno::EAGAIN => Ok(None),
            Err(error) => Err(RequeueError::new(
                format_args!("let who waits on the word at {from} wait on the one at {to}"),
                error,
            )),
        }
    }

    /// Has the kernel tend the word at `offset` when this process exits, however it does, or the handle goes.
    ///
    /// What is added several times must be [taken back](Self::remove_robust) as often. It belongs to the process
    /// that adds it: a child after `fork` adds its own, and with a handle of its own, for else it has the
    /// token of its parent.
    ///
    /// # Errors
    ///
    /// [`TooMany`](crate::RobustErrorKind::TooMany), [`Invalid`](crate::RobustErrorKind::Invalid),
    /// [`Denied`](crate::RobustErrorKind::Denied), [`NoMemory`](crate::RobustErrorKind::NoMemory),
    /// [`Unsupported`](crate::RobustErrorKind::Unsupported).
    pub fn add_robust(&self, offset: u64, death: Death) -> Result<(), RobustError> {
        sys::robust_add(self.as_fd(), &robust(offset, death))
            .map_err(|error| RobustError::new(format_args!("make the word at {offset} robust"), error))
    }

    /// Takes back one [`add_robust`](Self::add_robust) of this process.
    ///
    /// # Errors
    ///
    /// [`NotAdded`](crate::RobustErrorKind::NotAdded), [`Unsupported`](crate::RobustErrorKind::Unsupported).
    pub fn remove_robust(&self, offset: u64, death: Death) -> Result<(), RobustError> {
        sys::robust_del(self.as_fd(), &robust(offset, death)).map_err(|error| {
            RobustError::new(format_args!("let the word at {offset} be robust no more"), error)
        })
    }
}

fn robust(offset: u64, death: Death) -> Robust {
    Robust {
        offset,
        flags: match death {
            Death::Mark => 0,
            Death::WakeOnly => ROBUST_WAKE_ONLY,
        },
        reserved: 0,
    }
}
