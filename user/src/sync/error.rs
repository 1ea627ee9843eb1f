// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong with the primitives of this folder once they are placed.

use std::error::Error;
use std::fmt;

use super::lock_word::Found;
use super::seam::{CallError, Stop};

/// A lock could not be taken, or was taken over from one who died.
///
/// `G` is the guard: [`OwnerDied`](Self::OwnerDied) **has** the lock.
///
/// ```no_run
/// # use shmdev::{Area, Segment};
/// # use shmdev::sync::{LockError, Mutex};
/// # let area = Area::new(Segment::open_default()?)?;
/// let mutex = Mutex::<[u64; 2]>::at(&area, 0)?;
/// let mut guard = match mutex.lock() {
///     Ok(guard) => guard,
///     Err(LockError::OwnerDied(mut guard)) => {
///         *guard = [0; 2];                // whatever makes it right again
///         guard.make_consistent();
///         guard
///     }
///     Err(error) => return Err(error.without_guard().into()),
/// };
/// guard[0] += 1;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
pub enum LockError<G> {
    /// An owner died holding the lock, and nobody since has said that what it protects is consistent. The
    /// lock is held now, by this guard.
    OwnerDied(G),
    /// Somebody else holds it, and the deadline was [`Deadline::Now`](crate::Deadline::Now).
    Busy,
    /// Somebody else held it until the deadline.
    TimedOut,
    /// A `Condvar` that is used with another mutex.
    OtherMutex,
    /// A call to the kernel failed.
    Call(CallError),
}

impl<G> LockError<G> {
    /// The guard, if the lock is held.
    pub fn into_guard(self) -> Option<G> {
        match self {
            Self::OwnerDied(guard) => Some(guard),
            _ => None,
        }
    }

    /// The same without the guard: if there was one, the lock is let go, and the next one is told of the
    /// death, too.
    #[must_use]
    pub fn without_guard(self) -> LockError<()> {
        match self {
            Self::OwnerDied(_) => LockError::OwnerDied(()),
            Self::Busy => LockError::Busy,
            Self::TimedOut => LockError::TimedOut,
            Self::OtherMutex => LockError::OtherMutex,
            Self::Call(error) => LockError::Call(error),
        }
    }
}

/// A guard of a lock that was found so.
pub(super) fn told<G>(found: Found, guard: G) -> Result<G, LockError<G>> {
    match found {
        Found::Clean => Ok(guard),
        Found::OwnerDied => Err(LockError::OwnerDied(guard)),
    }
}

impl<G> From<Stop<CallError>> for LockError<G> {
    fn from(stop: Stop<CallError>) -> Self {
        match stop {
            Stop::Busy => Self::Busy,
            Stop::TimedOut => Self::TimedOut,
            Stop::Call(error) => Self::Call(error),
        }
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("OwnerDied(..)"),
            Self::Busy => f.write_str("Busy"),
            Self::TimedOut => f.write_str("TimedOut"),
            Self::OtherMutex => f.write_str("OtherMutex"),
            Self::Call(error) => f.debug_tuple("Call").field(error).finish(),
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OwnerDied(_) => f.write_str("an owner of the lock died"),
            Self::Busy => f.write_str("somebody else holds the lock"),
            Self::TimedOut => f.write_str("timed out"),
            Self::OtherMutex => f.write_str("the condition variable is used with another mutex"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl<G> Error for LockError<G> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Call(error) => error.source(),
            _ => None,
        }
    }
}

/// What was waited for has not come.
#[derive(Debug)]
#[non_exhaustive]
pub enum BlockedError {
    /// It was not there, and the deadline was [`Deadline::Now`](crate::Deadline::Now).
    Busy,
    /// It did not come until the deadline.
    TimedOut,
    /// A call to the kernel failed.
    Call(CallError),
}

impl From<CallError> for BlockedError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<Stop<CallError>> for BlockedError {
    fn from(stop: Stop<CallError>) -> Self {
        match stop {
            Stop::Busy => Self::Busy,
            Stop::TimedOut => Self::TimedOut,
            Stop::Call(error) => Self::Call(error),
        }
    }
}

impl fmt::Display for BlockedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("not at once"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl Error for BlockedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Call(error) => error.source(),
            _ => None,
        }
    }
}

/// Permits could not be given back.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReleaseError {
    /// There would be more than [`Semaphore::MAX`](crate::sync::Semaphore::MAX). None was given.
    TooMany,
    /// A call to the kernel failed. The permits were given; who sleeps may not know.
    Call(CallError),
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => f.write_str("a semaphore has at most 2147483647 permits"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl Error for ReleaseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::TooMany => None,
            Self::Call(error) => error.source(),
        }
    }
}
