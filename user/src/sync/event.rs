// SPDX-License-Identifier: MIT OR Apache-2.0

//! Something, in a segment, that has happened or not. The algorithms are those of `flag` and `permits`.

use std::fmt;
use std::sync::atomic::Ordering::Acquire;

use super::error::BlockedError;
use super::header::{self, Kind, Layout};
use super::seam::{CallError, SegmentWord, Word};
use super::{flag, permits};
use crate::area::{Area, Tended};
use crate::deadline::Deadline;
use crate::error::PlaceError;
#[cfg(feature = "tokio")]
use crate::readiness;
use crate::word::Death;

/// Where the word lies, from the start of the object.
const WORD: usize = header::SIZE;
const SIZE: usize = WORD + 8;

/// Who resets an [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reset {
    /// Whoever calls [`Event::reset`]: all waits end as long as it is set.
    Manual,
    /// The wait that ends: setting it ends one wait.
    Auto,
}

/// Something, in a segment, that has happened (is set) or not, and that can be waited for.
///
/// What was done to any memory before it was set is seen by those whose waits end, and who see it set
/// (release and acquire). Waits for one that is set and reset at once may not end. When a process dies that
/// was to be woken, or had set it and was to wake others, the others are woken all the same.
///
/// ```no_run
/// use shmdev::sync::{Event, Reset};
/// use shmdev::{Area, Segment};
///
/// let area = Area::new(Segment::open("frames")?)?;
/// let ready = Event::at(&area, 3072, Reset::Manual)?;
/// // One process.
/// ready.set()?;
/// // Others.
/// ready.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Event {
    area: Area,
    offset: usize,
    reset: Reset,
    _tended: Tended,
}

impl Event {
    /// How many bytes it takes in the segment.
    pub const SIZE: usize = SIZE;
    /// What its offset must be a multiple of.
    pub const ALIGN: usize = header::ALIGN;

    /// The event at `offset`, in bytes; it is not set where there was none.
    ///
    /// # Errors
    ///
    /// As [`Mutex::at`](super::Mutex::at); the other [`Reset`] is
    /// [`OtherKind`](crate::PlaceErrorKind::OtherKind).
    pub fn at(area: &Area, offset: usize, reset: Reset) -> Result<Self, PlaceError> {
        let kind = match reset {
            Reset::Manual => Kind::Event,
            Reset::Auto => Kind::AutoEvent,
        };
        header::place(area, offset, &Layout::plain(kind, SIZE), || ())?;
        Ok(Self {
            _tended: header::tend(area, offset + WORD, Death::WakeOnly)?,
            area: area.clone(),
            offset,
            reset,
        })
    }

    /// Sets it, and ends the waits of all, or of one with [`Reset::Auto`]. Nothing more if it is set already.
    ///
    /// # Errors
    ///
    /// A call to the kernel failed. It is set; who sleeps may not know.
    pub fn set(&self) -> Result<(), CallError> {
        match self.reset {
            Reset::Manual => flag::set(&self.word()),
            Reset::Auto => permits::release(&self.word(), 1, 1).map(drop),
        }
    }

    /// Resets it. Does nothing if it is not set.
    pub fn reset(&self) {
        match self.reset {
            Reset::Manual => flag::reset(&self.word()),
            // Fails if it was not set.
            Reset::Auto => drop(permits::acquire(&self.word(), Deadline::Now)),
        }
    }

    /// Waits until it is set, however long that takes; with [`Reset::Auto`], resets it.
    ///
    /// # Errors
    ///
    /// [`BlockedError::Call`].
    pub fn wait(&self) -> Result<(), BlockedError> {
        self.wait_until(Deadline::Never)
    }

    /// As [`wait`](Self::wait), if it is set.
    ///
    /// # Errors
    ///
    /// [`BlockedError::Busy`] if it is not.
    pub fn try_wait(&self) -> Result<(), BlockedError> {
        self.wait_until(Deadline::Now)
    }

    /// As [`wait`](Self::wait), if it is set until `deadline`.
    ///
    /// # Errors
    ///
    /// [`BlockedError::TimedOut`], or [`BlockedError::Busy`] with [`Deadline::Now`]; [`BlockedError::Call`].
    pub fn wait_until(&self, deadline: Deadline) -> Result<(), BlockedError> {
        let waited = match self.reset {
            Reset::Manual => flag::wait(&self.word(), deadline),
            Reset::Auto => permits::acquire(&self.word(), deadline),
        };
        Ok(waited?)
    }

    /// As [`wait`](Self::wait), but without a thread that sleeps.
    ///
    /// It must be called in a tokio runtime that has I/O enabled. When the future is dropped, it has reset nothing, and
    /// kept nobody else from being woken. One that has to wait takes a descriptor and one of the handle's
    /// [eventfds](crate::Segment::add_eventfd) for as long.
    ///
    /// # Errors
    ///
    /// [`BlockedError::Call`]: there is no descriptor more to be had, or the handle or the segment has as many eventfds
    /// as it may.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, or in one without I/O.
    #[cfg(feature = "tokio")]
    pub async fn wait_async(&self) -> Result<(), BlockedError> {
        let look = || {
            let ended = match self.reset {
                Reset::Manual => flag::is_set_or_announce(&self.word()),
                Reset::Auto => permits::acquire_or_announce(&self.word()),
            };
            Ok(ended.then_some(()))
        };
        readiness::until(&self.area, self.offset + WORD, &mut None, look).await
    }

    /// Whether it is set at this moment.
    #[must_use]
    pub fn is_set(&self) -> bool {
        let now = self.word().load(Acquire);
        match self.reset {
            Reset::Manual => flag::is_set(now),
            Reset::Auto => permits::count(now) != 0,
        }
    }

    fn word(&self) -> SegmentWord<'_> {
        self.area.word(self.offset + WORD)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("offset", &self.offset)
            .field("reset", &self.reset)
            .field("is_set", &self.is_set())
            .finish_non_exhaustive()
    }
}
