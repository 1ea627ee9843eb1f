// SPDX-License-Identifier: MIT OR Apache-2.0

//! A lock around a value that many may read at a time, in a segment. The algorithm is that of `slots`.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use super::error::{LockError, told};
use super::header::{self, Kind, Layout};
use super::lock_word::{self, Found};
use super::mutex::max;
use super::seam::{CallError, SegmentWord, Word};
use super::slots::{self, Slots};
use super::value::{Copied, Place, Value};
use crate::area::{Area, Tended};
use crate::deadline::Deadline;
use crate::error::PlaceError;
use crate::uapi::WORD_TOKEN;
use crate::word::{Death, Waited, WaitedAny};

/// How many readers there can be at a time.
const SLOTS: usize = 32;

// Where things lie, from the start of the object.
const TURN: usize = header::SIZE;
const WRITER: usize = TURN + 4;
const FIRST_SLOT: usize = WRITER + 4;
const BEFORE: usize = FIRST_SLOT + 4 * SLOTS;

/// A value in a segment that one thread of one process at a time can change, or up to 32 can read.
///
/// As for [`Mutex`](super::Mutex), which see: it is found by its offset, guards work on copies and are
/// transactions, `T` is made of its bytes alone, there is no system call while nobody has to wait (a
/// process's first reader has the kernel tend his slot), threads must not lock twice, and a child of `fork`
/// opens a handle of its own and does not drop a guard that it inherited.
///
/// A writer who waits keeps new readers out, so writers do not starve; readers who wait and writers who wait
/// are in one queue, so neither do readers. A 33rd reader waits for one to leave, and while he does, others
/// queue behind him: also for them, [`try_read`](Self::try_read) is [`Busy`](LockError::Busy) then.
///
/// # Death
///
/// A reader that dies is no reader any more. After the death of a writer, also of one who was still waiting
/// for readers to leave, readers and writers get [`LockError::OwnerDied`] with their guard, until a writer
/// calls [`make_consistent`](WriteGuard::make_consistent). The value is as it was, unless the writer died
/// while his guard was dropped.
///
/// # Ordering
///
/// What a writer did to any memory is seen by those who read or write after him, and what they read was read
/// before the next writer writes.
///
/// ```no_run
/// use shmdev::sync::{LockError, RwLock};
/// use shmdev::{Area, Segment};
///
/// let area = Area::new(Segment::open("frames")?)?;
/// let size = RwLock::<[u32; 2]>::at(&area, 4096)?;
/// *size.write().map_err(LockError::without_guard)? = [640, 480];
/// let [width, height] = *size.read().map_err(LockError::without_guard)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RwLock<T> {
    words: Words,
    value: Place<T>,
    /// How many guards of this object are alive, or were forgotten.
    held: AtomicUsize,
}

/// The words of a lock, and which of them the kernel tends for this object.
struct Words {
    area: Area,
    offset: usize,
    /// A bit for each slot that is in `tended`.
    slots: AtomicU32,
    tended: std::sync::Mutex<Vec<Tended>>,
}

impl<T: Value> RwLock<T> {
    /// How many bytes it takes in the segment.
    pub const SIZE: usize = (Self::VALUE + size_of::<T>()).next_multiple_of(Self::ALIGN);
    /// What its offset must be a multiple of.
    pub const ALIGN: usize = max(header::ALIGN, align_of::<T>());
    /// How many can read at a time.
    pub const MAX_READERS: usize = SLOTS;

    const VALUE: usize = BEFORE.next_multiple_of(align_of::<T>());

    /// The lock at `offset`, in bytes. Where there was none, the first 8 bytes are zero; all are cleared, and
    /// the value is zero bytes.
    ///
    /// # Errors
    ///
    /// As [`Mutex::at`](super::Mutex::at).
    pub fn at(area: &Area, offset: usize) -> Result<Self, PlaceError> {
        Self::at_with(area, offset, T::new_zeroed)
    }

    /// As [`at`](Self::at), with the value that `init` makes where there was none.
    ///
    /// # Errors
    ///
    /// As [`Mutex::at`](super::Mutex::at).
    pub fn at_with(area: &Area, offset: usize, init: impl FnOnce() -> T) -> Result<Self, PlaceError> {
        let layout = Layout::around::<T>(Kind::RwLock, Self::SIZE, Self::ALIGN);
        header::place(area, offset, &layout, || {
            Place::new(area, offset + Self::VALUE).write(&init());
        })?;
        let tended = vec![
            header::tend(area, offset + TURN, Death::Mark)?,
            header::tend(area, offset + WRITER, Death::Mark)?,
        ];
        let words = Words {
            area: area.clone(),
            offset,
            slots: AtomicU32::new(0),
            tended: tended.into(),
        };
        Ok(Self {
            words,
            value: Place::new(area, offset + Self::VALUE),
            held: AtomicUsize::new(0),
        })
    }

    /// Waits until it can be read, however long that takes.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], which has the lock; [`LockError::Call`].
    pub fn read(&self) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        self.read_until(Deadline::Never)
    }

    /// Reads it if nobody writes or waits to, and fewer than 32 read.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::Busy`].
    pub fn try_read(&self) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        self.read_until(Deadline::Now)
    }

    /// Waits until it can be read, until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::TimedOut`], or [`LockError::Busy`] with [`Deadline::Now`].
    pub fn read_until(&self, deadline: Deadline) -> Result<ReadGuard<'_, T>, LockError<ReadGuard<'_, T>>> {
        let (slot, found) = slots::read(&self.words, deadline)?;
        self.held.fetch_add(1, Relaxed);
        let guard = ReadGuard {
            lock: self,
            slot,
            value: self.value.read(),
            here: PhantomData,
        };
        told(found, guard)
    }

    /// Waits until it can be written, however long that takes.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`], which has the lock; [`LockError::Call`].
    pub fn write(&self) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        self.write_until(Deadline::Never)
    }

    /// Writes it if nobody reads or writes.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::Busy`].
    pub fn try_write(&self) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        self.write_until(Deadline::Now)
    }

    /// Waits until it can be written, until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::TimedOut`], or [`LockError::Busy`] with [`Deadline::Now`].
    pub fn write_until(&self, deadline: Deadline) -> Result<WriteGuard<'_, T>, LockError<WriteGuard<'_, T>>> {
        let found = slots::write(&self.words, deadline)?;
        self.held.fetch_add(1, Relaxed);
        let guard = WriteGuard {
            lock: self,
            copy: Copied::of(&self.value),
            here: PhantomData,
        };
        told(found, guard)
    }
}

impl Words {
    fn word(&self, from_start: usize) -> SegmentWord<'_> {
        self.area.word(self.offset + from_start)
    }
}

impl Slots for Words {
    type Error = CallError;
    type Word<'a> = SegmentWord<'a>;

    fn token(&self) -> u32 {
        self.area.token()
    }

    fn turn(&self) -> SegmentWord<'_> {
        self.word(TURN)
    }

    fn writer(&self) -> SegmentWord<'_> {
        self.word(WRITER)
    }

    fn slot(&self, index: usize) -> SegmentWord<'_> {
        self.word(FIRST_SLOT + 4 * index)
    }

    fn count(&self) -> usize {
        SLOTS
    }

    /// Tokens are given out in order, so processes spread over the slots.
    fn first(&self) -> usize {
        self.token() as usize % SLOTS
    }

    fn tend(&self, index: usize) -> Result<(), CallError> {
        let bit = 1 << index;
        if self.slots.load(Acquire) & bit != 0 {
            return Ok(());
        }
        let mut tended = self.tended.lock().unwrap_or_else(PoisonError::into_inner);
        if self.slots.load(Acquire) & bit == 0 {
            let word = self.slot(index).offset as usize;
            tended.push(Tended::add(&self.area, word, Death::Mark)?);
            self.slots.fetch_or(bit, Release);
        }
        Ok(())
    }

    fn wait_slots(&self, seen: &[u32], deadline: Deadline) -> Result<Waited, CallError> {
        let words: Vec<_> = (seen.iter().enumerate())
            .map(|(index, &seen)| (self.slot(index).offset, seen))
            .collect();
        Ok(match self.area.segment().wait_any(&words, deadline)? {
            WaitedAny::Woken(_) => Waited::Woken,
            WaitedAny::Changed => Waited::Changed,
            WaitedAny::TimedOut => Waited::TimedOut,
        })
    }
}

impl<T> Drop for RwLock<T> {
    fn drop(&mut self) {
        // A guard was forgotten: what it holds is this process's until it ends, and the kernel is to know then.
        if *self.held.get_mut() != 0 {
            let tended = self
                .words
                .tended
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner);
            mem::forget(mem::take(tended));
        }
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reads = |index: &usize| self.words.word(FIRST_SLOT + 4 * index).load(Relaxed) & WORD_TOKEN != 0;
        f.debug_struct("RwLock")
            .field("offset", &self.words.offset)
            .field(
                "writer",
                &format_args!("{:#x}", self.words.word(WRITER).load(Relaxed)),
            )
            .field("readers", &(0..SLOTS).filter(reads).count())
            .finish_non_exhaustive()
    }
}

/// An [`RwLock`] that is locked for reading, and a copy of its value.
#[must_use = "a guard that is dropped at once lets the lock go"]
pub struct ReadGuard<'a, T: Value> {
    lock: &'a RwLock<T>,
    slot: usize,
    value: T,
    /// The thread that locks unlocks.
    here: PhantomData<*const ()>,
}

impl<T: Value> Deref for ReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Value> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.held.fetch_sub(1, Relaxed);
        // It fails when the handle was restricted since, and then nobody can be told.
        let _ = slots::end_read(&self.lock.words, self.slot);
    }
}

impl<T: Value + fmt::Debug> fmt::Debug for ReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// An [`RwLock`] that is locked for writing, and a copy of its value, written back when this is dropped if it
/// was borrowed mutably.
#[must_use = "a guard that is dropped at once lets the lock go"]
pub struct WriteGuard<'a, T: Value> {
    lock: &'a RwLock<T>,
    copy: Copied<T>,
    /// The thread that locks unlocks.
    here: PhantomData<*const ()>,
}

impl<T: Value> WriteGuard<'_, T> {
    /// Whether a writer died and nobody has called [`make_consistent`](Self::make_consistent) since.
    #[must_use]
    pub fn owner_died(&self) -> bool {
        Found::of(self.lock.words.word(WRITER).load(Relaxed)) == Found::OwnerDied
    }

    /// Says that the value, and whatever else the lock protects, is as it should be, though a writer died:
    /// the next one is told of no death. What this guard has changed is written back first.
    pub fn make_consistent(&mut self) {
        self.commit();
        lock_word::make_clean(&self.lock.words.word(WRITER));
    }

    /// Writes back what was changed, now: a panic later does not undo it.
    pub fn commit(&mut self) {
        self.copy.commit(&self.lock.value);
    }

    /// Forgets what was changed since the lock was taken, or since the last [`commit`](Self::commit).
    pub fn roll_back(&mut self) {
        self.copy.roll_back(&self.lock.value);
    }
}

impl<T: Value> Deref for WriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.copy.get()
    }
}

impl<T: Value> DerefMut for WriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.copy.get_mut()
    }
}

impl<T: Value> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        self.copy.end(&self.lock.value);
        self.lock.held.fetch_sub(1, Relaxed);
        // As for a reader.
        let _ = slots::end_write(&self.lock.words);
    }
}

impl<T: Value + fmt::Debug> fmt::Debug for WriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
