// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the algorithms of this folder and of `ring` are written upon: atomic words that can be waited on. In
//! use these are words of a segment, and the waiting is the kernel's; model checkers bring their own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::{fmt, io};

use crate::deadline::Deadline;
use crate::error::{EventfdError, RequeueError, RobustError, WaitError, WakeError};
use crate::segment::Segment;
use crate::uapi::WORD_WAITERS;
use crate::word::Waited;

/// An aligned 32-bit word in shared memory.
///
/// Anybody may change it at any time, to anything.
pub(crate) trait Word {
    /// Why a call to the kernel failed.
    type Error;

    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
    fn swap(&self, value: u32, order: Ordering) -> u32;
    fn fetch_add(&self, value: u32, order: Ordering) -> u32;
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32;
    fn fetch_and(&self, value: u32, order: Ordering) -> u32;
    #[allow(dead_code, reason = "not every algorithm needs every operation")]
    fn fetch_or(&self, value: u32, order: Ordering) -> u32;
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32>;

    /// Sleeps if the word is `expected`, until woken. May return for no reason.
    fn wait(&self, expected: u32, deadline: Deadline) -> Result<Waited, Self::Error>;

    /// Wakes up to `count` of those who wait.
    fn wake(&self, count: u32) -> Result<u32, Self::Error>;

    /// If the word is `expected`, wakes one of those who wait, and lets all others wait on `to`; `false` if it
    /// is something else.
    fn wake_one_requeue_all(&self, expected: u32, to: &Self) -> Result<bool, Self::Error>;
}

/// Why waiting ended without what was waited for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stop<E> {
    /// The deadline was [`Deadline::Now`].
    Busy,
    /// The deadline came.
    TimedOut,
    /// A call to the kernel failed.
    Call(E),
}

/// Sleeps while the word is `seen`, with WAITERS in it so that whoever changes it knows; `false` if it had
/// changed before that. Either way the word is to be looked at again.
///
/// WAITERS stays there when the sleep ends, for whatever reason: others may sleep, too. Who was woken before and
/// could not put WAITERS in again when the deadline came has woken another one, who will.
pub(crate) fn sleep_marked<W: Word>(word: &W, seen: u32, deadline: Deadline) -> Result<bool, Stop<W::Error>> {
    if deadline == Deadline::Now {
        return Err(Stop::Busy);
    }
    if !mark(word, seen) {
        if deadline.has_come() {
            // One who was woken may owe the mark to others who sleep. It fails when the handle was restricted
            // since, and then nobody can be told.
            let _ = word.wake(1);
            return Err(Stop::TimedOut);
        }
        return Ok(false);
    }
    sleep(word, seen | WORD_WAITERS, deadline)
}

/// Puts WAITERS in the word, so that whoever changes it knows that somebody waits; `false` if it is not `seen` any more.
pub(crate) fn mark<W: Word>(word: &W, seen: u32) -> bool {
    let (marked, relaxed) = (seen | WORD_WAITERS, Ordering::Relaxed);
    marked == seen || word.compare_exchange(seen, marked, relaxed, relaxed).is_ok()
}

/// Sleeps while the word is `seen`; `false` if it had changed before that. Fails then, too, if the deadline has come:
/// a word may change as often as one looks.
pub(crate) fn sleep<W: Word>(word: &W, seen: u32, deadline: Deadline) -> Result<bool, Stop<W::Error>> {
    match sleep_once(word, seen, deadline)? {
        false if deadline == Deadline::Now => Err(Stop::Busy),
        false if deadline.has_come() => Err(Stop::TimedOut),
        woken => Ok(woken),
    }
}

/// Sleeps while the word is `seen`; `false` if it had changed before that, whatever the deadline.
pub(crate) fn sleep_once<W: Word>(word: &W, seen: u32, deadline: Deadline) -> Result<bool, Stop<W::Error>> {
    match word.wait(seen, deadline) {
        Ok(Waited::Woken) => Ok(true),
        Ok(Waited::Changed) => Ok(false),
        Ok(Waited::TimedOut) if deadline == Deadline::Now => Err(Stop::Busy),
        Ok(Waited::TimedOut) => Err(Stop::TimedOut),
        Err(error) => Err(Stop::Call(error)),
    }
}

/// A call to the kernel, of a primitive that lies in a segment, failed.
///
/// That is rare: there was no memory to wait with, or the handle was restricted since.
#[derive(Debug)]
pub struct CallError {
    source: Box<dyn std::error::Error + Send + Sync>,
    errno: Option<i32>,
}

impl CallError {
    /// The errno. Always `Some`.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.errno
    }

    /// That of the errno.
    pub(crate) fn io_kind(&self) -> io::ErrorKind {
        self.errno.map_or(io::ErrorKind::Other, |errno| {
            io::Error::from_raw_os_error(errno).kind()
        })
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

impl From<CallError> for io::Error {
    /// Keeps the message; the errno is then found in the [`source`](std::error::Error::source).
    fn from(error: CallError) -> Self {
        Self::new(error.io_kind(), error)
    }
}

macro_rules! from {
    ($($error:ty)*) => { $(
        impl From<$error> for CallError {
            fn from(error: $error) -> Self {
                Self {
                    errno: error.raw_os_error(),
                    source: Box::new(error),
                }
            }
        }
    )* };
}

from! { EventfdError WaitError WakeError RequeueError RobustError }

/// A word of a segment.
#[derive(Clone, Copy)]
pub(crate) struct SegmentWord<'a> {
    pub(crate) segment: &'a Segment,
    /// In bytes from the start of the segment.
    pub(crate) offset: u64,
    /// The same word, mapped.
    pub(crate) atomic: &'a AtomicU32,
}

impl Word for SegmentWord<'_> {
    type Error = CallError;

    #[inline]
    fn load(&self, order: Ordering) -> u32 {
        self.atomic.load(order)
    }

    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        self.atomic.store(value, order);
    }

    #[inline]
    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.atomic.swap(value, order)
    }

    #[inline]
    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.atomic.fetch_add(value, order)
    }

    #[inline]
    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.atomic.fetch_sub(value, order)
    }

    #[inline]
    fn fetch_and(&self, value: u32, order: Ordering) -> u32 {
        self.atomic.fetch_and(value, order)
    }

    #[inline]
    fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
        self.atomic.fetch_or(value, order)
    }

    #[inline]
    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.atomic.compare_exchange(current, new, success, failure)
    }

    fn wait(&self, expected: u32, deadline: Deadline) -> Result<Waited, CallError> {
        Ok(self.segment.wait(self.offset, expected, deadline)?)
    }

    fn wake(&self, count: u32) -> Result<u32, CallError> {
        Ok(self.segment.wake(self.offset, count)?)
    }

    fn wake_one_requeue_all(&self, expected: u32, to: &Self) -> Result<bool, CallError> {
        let moved = self
            .segment
            .requeue(self.offset, expected, 1, to.offset, u32::MAX)?;
        Ok(moved.is_some())
    }
}
