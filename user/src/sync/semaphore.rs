// SPDX-License-Identifier: MIT OR Apache-2.0

//! A counting semaphore in a segment. The algorithm is that of `permits`.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use nix::errno::Errno;

use super::error::{BlockedError, ReleaseError};
use super::header::{self, Kind, Layout};
use super::permits;
use super::seam::{SegmentWord, Word};
use crate::area::{Area, Tended};
use crate::deadline::Deadline;
use crate::error::{PlaceError, PlaceErrorKind};
#[cfg(feature = "tokio")]
use crate::readiness;
use crate::word::Death;

/// Where the word lies, from the start of the object.
const WORD: usize = header::SIZE;
const SIZE: usize = WORD + 8;

/// A number of permits, in a segment, that processes take and give.
///
/// Who gives need not be who took: permits are nobody's. So **those of a process that dies are not given
/// back**; where that matters, use a [`Mutex<()>`](super::Mutex) for each permit. A permit that was given for
/// somebody who waited and then died is not lost: the next one gets it.
///
/// What was done to any memory before a permit was given is seen by who takes it (release and acquire).
///
/// ```no_run
/// use shmdev::sync::Semaphore;
/// use shmdev::{Area, Segment};
///
/// let area = Area::new(Segment::open("frames")?)?;
/// let free = Semaphore::at(&area, 2048, 8)?;
/// free.acquire()?;
/// // ... one of eight at most ...
/// free.release(1)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Semaphore {
    area: Area,
    offset: usize,
    _tended: Tended,
}

impl Semaphore {
    /// How many bytes it takes in the segment.
    pub const SIZE: usize = SIZE;
    /// What its offset must be a multiple of.
    pub const ALIGN: usize = header::ALIGN;
    /// As many permits as there can be: 2^31 - 1.
    pub const MAX: u32 = permits::MAX;

    /// The semaphore at `offset`, in bytes, with so many permits if there was none there.
    ///
    /// # Errors
    ///
    /// As [`Mutex::at`](super::Mutex::at), and [`Invalid`](PlaceErrorKind::Invalid) for more than
    /// [`MAX`](Self::MAX) permits.
    pub fn at(area: &Area, offset: usize, permits: u32) -> Result<Self, PlaceError> {
        if permits > Self::MAX {
            let what = format!("place a semaphore of {permits} permits");
            return Err(PlaceError::refused(what, PlaceErrorKind::Invalid, Errno::EINVAL));
        }
        header::place(area, offset, &Layout::plain(Kind::Semaphore, SIZE), || {
            area.word(offset + WORD).store(permits, Relaxed);
        })?;
        Ok(Self {
            _tended: header::tend(area, offset + WORD, Death::WakeOnly)?,
            area: area.clone(),
            offset,
        })
    }

    /// Takes a permit, however long that takes (P).
    ///
    /// # Errors
    ///
    /// [`BlockedError::Call`].
    pub fn acquire(&self) -> Result<(), BlockedError> {
        self.acquire_until(Deadline::Never)
    }

    /// Takes a permit if there is one.
    ///
    /// # Errors
    ///
    /// [`BlockedError::Busy`] if there is none.
    pub fn try_acquire(&self) -> Result<(), BlockedError> {
        self.acquire_until(Deadline::Now)
    }

    /// Takes a permit if there is one until `deadline`.
    ///
    /// # Errors
    ///
    /// [`BlockedError::TimedOut`], or [`BlockedError::Busy`] with [`Deadline::Now`]; [`BlockedError::Call`].
    pub fn acquire_until(&self, deadline: Deadline) -> Result<(), BlockedError> {
        Ok(permits::acquire(&self.word(), deadline)?)
    }

    /// As [`acquire`](Self::acquire), but without a thread that sleeps.
    ///
    /// As [`Event::wait_async`](super::Event::wait_async) in all else: when the future is dropped, it has taken nothing.
    ///
    /// # Errors
    ///
    /// # Panics
    ///
    /// As [`Event::wait_async`](super::Event::wait_async).
    #[cfg(feature = "tokio")]
    pub async fn acquire_async(&self) -> Result<(), BlockedError> {
        let look = || Ok(permits::acquire_or_announce(&self.word()).then_some(()));
        readiness::until(&self.area, self.offset + WORD, &mut None, look).await
    }

    /// Gives `permits` (V), and wakes as many of those who wait.
    ///
    /// # Errors
    ///
    /// [`ReleaseError`].
    pub fn release(&self, permits: u32) -> Result<(), ReleaseError> {
        match permits::release(&self.word(), permits, Self::MAX) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReleaseError::TooMany),
            Err(error) => Err(ReleaseError::Call(error)),
        }
    }

    /// How many permits there are at this moment.
    #[must_use]
    pub fn available(&self) -> u32 {
        permits::count(self.word().load(Acquire))
    }

    fn word(&self) -> SegmentWord<'_> {
        self.area.word(self.offset + WORD)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("offset", &self.offset)
            .field("available", &self.available())
            .finish_non_exhaustive()
    }
}
