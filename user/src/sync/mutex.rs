// SPDX-License-Identifier: MIT OR Apache-2.0

//! A lock around a value, in a segment. The algorithm is `lock_word`'s.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::error::{LockError, told};
use super::header::{self, Kind, Layout};
use super::lock_word::{self, Found};
use super::seam::{CallError, SegmentWord, Word};
use super::value::{Copied, Place, Value};
use crate::area::{Area, KeptWord, Tended};
use crate::deadline::Deadline;
use crate::error::PlaceError;
use crate::uapi::WORD_TOKEN;
use crate::word::Death;

/// Where the lock word lies, from the start of the object.
const WORD: usize = header::SIZE;
/// What comes before the value.
const BEFORE: usize = WORD + 8;

/// A value in a segment that one thread of one process at a time can use.
///
/// Every process finds it by its offset: [`at`](Self::at) makes it where there is none (in bytes whose first 8
/// are zero) and takes the one that is there otherwise. Locking and unlocking are no system calls while nobody
/// waits. There is no order among those who wait that could be relied upon; none waits for ever unless others
/// always come first.
///
/// # The guard works on a copy
///
/// Other programs can write the memory whatever the lock says, so there are no references to it. The guard
/// holds a copy of the value, taken when the lock was taken. It is written back when the guard is dropped, if
/// it was borrowed mutably since; so who only reads writes nothing, and a guard is a transaction: **if the
/// thread panics while it holds the guard, the value stays as it was**, the lock is let go, and nobody is
/// told. Large values cost two copies; for those use a `Mutex<()>` and let it protect other bytes of the
/// [`Mapping`](crate::Mapping).
///
/// # Death
///
/// When a process dies that holds the lock, however, the kernel frees it and the next one to take it gets
/// [`LockError::OwnerDied`] with a guard. Every further one does, until one calls
/// [`make_consistent`](MutexGuard::make_consistent). The value is as it was, unless the owner died while his
/// guard was dropped: then it may be half written.
///
/// # Ordering
///
/// What one owner did to any memory before he let go is seen by the next (release and acquire).
///
/// # What to avoid
///
/// - Locking twice in one thread waits for ever, or until the deadline.
/// - A guard that is forgotten ([`std::mem::forget`]) leaves the lock taken until the process ends, which
///   then counts as the death of the owner.
/// - A child of `fork` must open a handle of its own; see [`Area`]. It must not drop a guard that it inherited,
///   which would let go of its parent's lock: let it end with [`std::process::exit`], or
///   [`forget`](std::mem::forget) the guard.
///
/// ```no_run
/// use std::time::Duration;
/// use shmdev::sync::{LockError, Mutex};
/// use shmdev::{Area, Deadline, Segment};
///
/// let area = Area::new(Segment::open("frames")?)?;
/// let count = Mutex::<u64>::at(&area, 0)?;
/// *count.lock().map_err(LockError::without_guard)? += 1;
/// match count.lock_until(Deadline::after(Duration::from_secs(1))) {
///     Ok(guard) => println!("{}", *guard),
///     Err(LockError::TimedOut) => println!("somebody holds it"),
///     Err(error) => return Err(error.without_guard().into()),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mutex<T> {
    word: KeptWord,
    value: Place<T>,
    /// Whether a guard of this object is alive, or was forgotten.
    held: AtomicBool,
    /// `Some` until it is dropped.
    tended: Option<Tended>,
}

impl<T: Value> Mutex<T> {
    /// How many bytes it takes in the segment.
    pub const SIZE: usize = (Self::VALUE + size_of::<T>()).next_multiple_of(Self::ALIGN);
    /// What its offset must be a multiple of.
    pub const ALIGN: usize = max(header::ALIGN, align_of::<T>());

    const VALUE: usize = BEFORE.next_multiple_of(align_of::<T>());

    /// The mutex at `offset`, in bytes. Where there was none, the first 8 bytes are zero; all are cleared, and
    /// the value is zero bytes.
    ///
    /// # Errors
    ///
    /// Those of a place: [`Unaligned`](crate::PlaceErrorKind::Unaligned),
    /// [`OutOfBounds`](crate::PlaceErrorKind::OutOfBounds); something else is there:
    /// [`NotAnObject`](crate::PlaceErrorKind::NotAnObject), [`OtherKind`](crate::PlaceErrorKind::OtherKind),
    /// [`OtherVersion`](crate::PlaceErrorKind::OtherVersion),
    /// [`OtherLayout`](crate::PlaceErrorKind::OtherLayout), [`TimedOut`](crate::PlaceErrorKind::TimedOut);
    /// the kernel will not tend it: [`TooMany`](crate::PlaceErrorKind::TooMany),
    /// [`Denied`](crate::PlaceErrorKind::Denied), [`NoMemory`](crate::PlaceErrorKind::NoMemory),
    /// [`Unsupported`](crate::PlaceErrorKind::Unsupported).
    pub fn at(area: &Area, offset: usize) -> Result<Self, PlaceError> {
        Self::at_with(area, offset, T::new_zeroed)
    }

    /// As [`at`](Self::at), with the value that `init` makes where there was none. If `init` panics, or the
    /// process dies meanwhile, the next one to come initialises it.
    ///
    /// # Errors
    ///
    /// As [`at`](Self::at).
    pub fn at_with(area: &Area, offset: usize, init: impl FnOnce() -> T) -> Result<Self, PlaceError> {
        let layout = Layout::around::<T>(Kind::Mutex, Self::SIZE, Self::ALIGN);
        header::place(area, offset, &layout, || {
            Place::new(area, offset + Self::VALUE).write(&init());
        })?;
        Ok(Self {
            tended: Some(header::tend(area, offset + WORD, Death::Mark)?),
            word: KeptWord::new(area, offset + WORD),
            value: Place::new(area, offset + Self::VALUE),
            held: AtomicBool::new(false),
        })
    }

    /// Takes the lock, however long that takes.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], which has the lock; [`LockError::Call`].
    #[inline]
    pub fn lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.lock_until(Deadline::Never)
    }

    /// Takes the lock if nobody holds it.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::Busy`].
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.lock_until(Deadline::Now)
    }

    /// Takes the lock if that can be done until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock), and [`LockError::TimedOut`], or [`LockError::Busy`] with [`Deadline::Now`].
    #[inline]
    pub fn lock_until(&self, deadline: Deadline) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        let found = lock_word::lock(&self.word(), self.area().token(), deadline)?;
        self.guard(found)
    }

    /// As [`lock`](Self::lock), for one who was woken and others with him.
    pub(crate) fn lock_for_others(&self) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        let found = lock_word::lock_for_others(&self.word(), self.area().token(), Deadline::Never)?;
        self.guard(found)
    }

    #[inline]
    fn guard(&self, found: Found) -> Result<MutexGuard<'_, T>, LockError<MutexGuard<'_, T>>> {
        self.held.store(true, Relaxed);
        let guard = MutexGuard {
            mutex: self,
            copy: Copied::of(&self.value),
            here: PhantomData,
        };
        told(found, guard)
    }

    /// Whether somebody holds the lock at this moment.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.word().load(Relaxed) & WORD_TOKEN != 0
    }
}

impl<T> Mutex<T> {
    #[inline]
    pub(crate) fn area(&self) -> &Area {
        self.word.area()
    }

    #[inline]
    pub(crate) fn word(&self) -> SegmentWord<'_> {
        self.word.word()
    }
}

pub(crate) const fn max(one: usize, other: usize) -> usize {
    if one > other { one } else { other }
}

impl<T> Drop for Mutex<T> {
    fn drop(&mut self) {
        // A guard was forgotten: the lock is this process's until it ends, and the kernel is to know then.
        if *self.held.get_mut() {
            mem::forget(self.tended.take());
        }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex")
            .field("offset", &(self.word().offset as usize - WORD))
            .field("word", &format_args!("{:#x}", self.word().load(Relaxed)))
            .finish_non_exhaustive()
    }
}

/// A [`Mutex`] that is locked, and a copy of its value, written back when this is dropped if it was borrowed
/// mutably.
#[must_use = "a guard that is dropped at once lets the lock go"]
pub struct MutexGuard<'a, T: Value> {
    mutex: &'a Mutex<T>,
    copy: Copied<T>,
    /// The thread that locks unlocks.
    here: PhantomData<*const ()>,
}

impl<'a, T: Value> MutexGuard<'a, T> {
    /// Whether an owner died and nobody has called [`make_consistent`](Self::make_consistent) since.
    #[must_use]
    pub fn owner_died(&self) -> bool {
        Found::of(self.mutex.word().load(Relaxed)) == Found::OwnerDied
    }

    /// Says that the value, and whatever else the lock protects, is as it should be, though an owner died:
    /// the next one is told of no death. What this guard has changed is written back first.
    pub fn make_consistent(&mut self) {
        self.commit();
        lock_word::make_clean(&self.mutex.word());
    }

    /// Writes back what was changed, now: a panic later does not undo it.
    pub fn commit(&mut self) {
        self.copy.commit(&self.mutex.value);
    }

    /// Forgets what was changed since the lock was taken, or since the last [`commit`](Self::commit).
    pub fn roll_back(&mut self) {
        self.copy.roll_back(&self.mutex.value);
    }

    pub(crate) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }

    /// Lets the lock go, and tells whether those who wait know.
    pub(crate) fn unlock(mut self) -> Result<(), CallError> {
        let unlocked = self.release();
        mem::forget(self);
        unlocked
    }

    #[inline]
    fn release(&mut self) -> Result<(), CallError> {
        self.copy.end(&self.mutex.value);
        self.mutex.held.store(false, Relaxed);
        lock_word::unlock(&self.mutex.word())
    }
}

impl<T: Value> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.copy.get()
    }
}

impl<T: Value> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.copy.get_mut()
    }
}

impl<T: Value> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // It fails when the handle was restricted since, and then nobody can be told.
        let _ = self.release();
    }
}

impl<T: Value + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
