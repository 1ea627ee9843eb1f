// SPDX-License-Identifier: MIT OR Apache-2.0

//! What can go wrong with the primitives of this folder once they are placed.

use std::error::Error;
use std::{fmt, io};

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

impl<G> From<LockError<G>> for io::Error {
    /// [Without the guard](LockError::without_guard).
    fn from(error: LockError<G>) -> Self {
        let error = error.without_guard();
        let kind = match &error {
            LockError::OwnerDied(()) => io::ErrorKind::Other,
            LockError::Busy => io::ErrorKind::WouldBlock,
            LockError::TimedOut => io::ErrorKind::TimedOut,
            LockError::OtherMutex => io::ErrorKind::InvalidInput,
            LockError::Call(error) => error.io_kind(),
        };
        Self::new(kind, error)
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

impl From<BlockedError> for io::Error {
    fn from(error: BlockedError) -> Self {
        let kind = match &error {
            BlockedError::Busy => io::ErrorKind::WouldBlock,
            BlockedError::TimedOut => io::ErrorKind::TimedOut,
            BlockedError::Call(error) => error.io_kind(),
        };
        Self::new(kind, error)
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

impl From<ReleaseError> for io::Error {
    fn from(error: ReleaseError) -> Self {
        let kind = match &error {
            ReleaseError::TooMany => io::ErrorKind::InvalidInput,
            ReleaseError::Call(error) => error.io_kind(),
        };
        Self::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use nix::errno::Errno;

    use super::*;
    use crate::error::WaitError;
    use crate::ring::RingError;

    fn call() -> CallError {
        WaitError::new("wait on the word at 0", Errno::ENOMEM.into()).into()
    }

    #[test]
    fn io_errors_made_of_them_keep_kind_message_and_errno() {
        let message = "wait on the word at 0: no memory to wait with (ENOMEM)";
        let made: [io::Error; 5] = [
            call().into(),
            LockError::<()>::Call(call()).into(),
            BlockedError::Call(call()).into(),
            ReleaseError::Call(call()).into(),
            RingError::Call(call()).into(),
        ];
        for error in made {
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
            assert_eq!(error.to_string(), message);
            let source = error.source().and_then(|source| source.downcast_ref());
            assert_eq!(
                source.and_then(io::Error::raw_os_error),
                Some(Errno::ENOMEM as i32)
            );
        }
        assert_eq!(
            io::Error::from(BlockedError::Busy).kind(),
            io::ErrorKind::WouldBlock
        );
        assert_eq!(
            io::Error::from(ReleaseError::TooMany).kind(),
            io::ErrorKind::InvalidInput
        );
    }

    #[test]
    fn an_io_error_lets_the_lock_go() {
        let guard = Rc::new(());
        let error = io::Error::from(LockError::OwnerDied(Rc::clone(&guard)));
        assert_eq!(error.to_string(), "an owner of the lock died");
        assert_eq!(Rc::strong_count(&guard), 1);
    }
}
