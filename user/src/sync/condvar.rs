// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting, in a segment, until what a mutex protects has changed. The algorithm is `sequence`'s.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::error::LockError;
use super::header::{self, Kind, Layout};
use super::mutex::{Mutex, MutexGuard};
use super::seam::{CallError, SegmentWord, Stop};
use super::sequence::Sequence;
use super::value::Value;
use crate::area::{Area, Tended};
use crate::deadline::Deadline;
use crate::error::PlaceError;
use crate::word::Death;

// Where things lie, from the start of the object.
const SEQUENCE: usize = header::SIZE;
const WAITERS: usize = SEQUENCE + 4;
/// Offset of the word of the mutex that waiters hold; 0 until the first has waited.
const MUTEX: usize = WAITERS + 4;
const SIZE: usize = MUTEX + 8;

/// What a wait returns: the guard again.
pub type Waiting<'a, T> = Result<MutexGuard<'a, T>, LockError<MutexGuard<'a, T>>>;

/// A place in a segment to wait until others have changed what a [`Mutex`] protects.
///
/// Change the value under the mutex, unlock, then notify. Notifications that nobody waits for are lost and
/// cost no system call. Waits may end without one: look at the value again, or use
/// [`wait_while`](Self::wait_while). Those who wait share one mutex: the first that was waited with is the
/// condition variable's for ever. Both are made from one [`Area`] (or its clones) in each process.
///
/// # The guard is a transaction
///
/// [`wait`](Self::wait) writes back what the guard has changed, unlocks, and takes a new copy once it has the
/// lock again.
///
/// # Death
///
/// A notification for one of several waiters goes to another when that one dies before he has done anything
/// with it. Of two notifications that one process took, one is passed on when it dies: have each consumer
/// notify on while there is more. The death of one who has the mutex is reported by the waits as by
/// [`Mutex::lock`].
///
/// ```no_run
/// use shmdev::sync::{Condvar, LockError, Mutex};
/// use shmdev::{Area, Segment};
///
/// let area = Area::new(Segment::open("frames")?)?;
/// let pending = Mutex::<u64>::at(&area, 0)?;
/// let changed = Condvar::at(&area, 1024)?;
///
/// // One process.
/// *pending.lock().map_err(LockError::without_guard)? += 1;
/// changed.notify_one()?;
///
/// // Another.
/// let guard = pending.lock().map_err(LockError::without_guard)?;
/// let waited = changed.wait_while(guard, |pending| *pending == 0);
/// let mut pending = waited.map_err(LockError::without_guard)?;
/// *pending -= 1;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Condvar {
    area: Area,
    offset: usize,
    _tended: Tended,
}

impl Condvar {
    /// How many bytes it takes in the segment.
    pub const SIZE: usize = SIZE;
    /// What its offset must be a multiple of.
    pub const ALIGN: usize = header::ALIGN;

    /// The condition variable at `offset`, in bytes.
    ///
    /// # Errors
    ///
    /// As [`Mutex::at`].
    pub fn at(area: &Area, offset: usize) -> Result<Self, PlaceError> {
        header::place(area, offset, &Layout::plain(Kind::Condvar, SIZE), || ())?;
        Ok(Self {
            _tended: header::tend(area, offset + SEQUENCE, Death::WakeOnly)?,
            area: area.clone(),
            offset,
        })
    }

    /// Unlocks the mutex, waits for a notification, and locks it again.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], which has the lock; [`LockError::OtherMutex`] when others wait with another
    /// mutex: then it has not waited, and the lock is let go, as it is with [`LockError::Call`].
    pub fn wait<'a, T: Value>(&self, guard: MutexGuard<'a, T>) -> Waiting<'a, T> {
        self.wait_until(guard, Deadline::Never).map(|(guard, _)| guard)
    }

    /// As [`wait`](Self::wait), until `deadline` at most; `true` when it came first. To lock the mutex again
    /// may take longer.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_until<'a, T: Value>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Deadline,
    ) -> Result<(MutexGuard<'a, T>, bool), LockError<MutexGuard<'a, T>>> {
        let mutex = guard.mutex();
        if !self.belongs_to(mutex) {
            return Err(LockError::OtherMutex);
        }
        let words = self.words();
        let prepared = words.prepare();
        // Those who wait for the mutex have been counted on it: if they cannot be woken, neither can this one
        // be.
        let unlocked = guard.unlock();
        let slept = words.sleep(prepared, if unlocked.is_ok() { deadline } else { Deadline::Now });
        unlocked.map_err(LockError::Call)?;
        let timed_out = match slept {
            Ok(()) => false,
            Err(Stop::Busy | Stop::TimedOut) => true,
            Err(Stop::Call(error)) => return Err(LockError::Call(error)),
        };
        Ok((mutex.lock_for_others()?, timed_out))
    }

    /// Waits as long as `condition` holds.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_while<'a, T: Value>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&T) -> bool,
    ) -> Waiting<'a, T> {
        while condition(&guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits as long as `condition` holds, until `deadline` at most; `true` when it still held then.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_while_until<'a, T: Value>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&T) -> bool,
        deadline: Deadline,
    ) -> Result<(MutexGuard<'a, T>, bool), LockError<MutexGuard<'a, T>>> {
        while condition(&guard) {
            let timed_out;
            (guard, timed_out) = self.wait_until(guard, deadline)?;
            if timed_out {
                let holds = condition(&guard);
                return Ok((guard, holds));
            }
        }
        Ok((guard, false))
    }

    /// Ends the wait of one, if anybody waits.
    ///
    /// # Errors
    ///
    /// A call to the kernel failed: then nobody was woken.
    pub fn notify_one(&self) -> Result<(), CallError> {
        self.words().notify_one()
    }

    /// Ends the waits of all. One of them gets the mutex; the others are not woken before they can have it.
    ///
    /// # Errors
    ///
    /// As [`notify_one`](Self::notify_one).
    pub fn notify_all(&self) -> Result<(), CallError> {
        match self.mutex().load(Relaxed) {
            // Nobody has ever waited.
            0 => Ok(()),
            mutex => match self.area.find_word(usize::try_from(mutex).unwrap_or(usize::MAX)) {
                Ok(word) => self.words().notify_all(&word),
                // Somebody has written over it: there is no mutex to let them wait for.
                Err(_) => self.words().notify_one(),
            },
        }
    }

    /// Whether those who wait hold this mutex; they do if none has waited before.
    fn belongs_to<T>(&self, mutex: &Mutex<T>) -> bool {
        let word = mutex.word().offset;
        self.area.is(mutex.area())
            && match self.mutex().compare_exchange(0, word, Relaxed, Relaxed) {
                Ok(_) => true,
                Err(before) => before == word,
            }
    }

    fn mutex(&self) -> &AtomicU64 {
        let word = self.area.mapping().atomic(self.offset + MUTEX);
        word.expect("a word of an object that was placed here")
    }

    fn words(&self) -> Sequence<SegmentWord<'_>> {
        Sequence {
            sequence: self.area.word(self.offset + SEQUENCE),
            waiters: self.area.word(self.offset + WAITERS),
        }
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.words();
        f.debug_struct("Condvar")
            .field("offset", &self.offset)
            .field("sequence", &words.sequence.atomic.load(Relaxed))
            .field("waiters", &words.waiters.atomic.load(Relaxed))
            .finish_non_exhaustive()
    }
}
