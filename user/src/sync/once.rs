// SPDX-License-Identifier: MIT OR Apache-2.0

//! Something, in a segment, that is done once. The algorithm is that of `once_word`.

use std::fmt;
use std::sync::atomic::Ordering::Acquire;

use super::error::BlockedError;
use super::header::{self, Kind, Layout};
use super::once_word::{self, Claim, DONE};
use super::seam::{SegmentWord, Stop, Word};
use crate::area::{Area, Tended};
use crate::deadline::Deadline;
use crate::error::PlaceError;
use crate::word::Death;

/// Where the word lies, from the start of the object.
const WORD: usize = header::SIZE;
const SIZE: usize = WORD + 8;

/// Something, in a segment, that is done once by whoever comes first, while the others wait.
///
/// If the one who is at it dies, or panics, the next one to come, or to wait, does it; it is told that
/// somebody had begun. What was done to any memory is seen by all whose calls return (release and acquire).
///
/// ```no_run
/// use shmdev::sync::Once;
/// use shmdev::{Area, Segment};
///
/// let area = Area::new(Segment::open("frames")?)?;
/// let filled = Once::at(&area, 0)?;
/// let table = area.mapping();
/// filled.call_once(|_| table.fill(7, 1024, 1024).expect("it is large enough"))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Once {
    area: Area,
    offset: usize,
    _tended: Tended,
}

/// What is known to who does what is done once.
#[derive(Clone, Copy, Debug)]
pub struct OnceState {
    begun: bool,
}

impl OnceState {
    /// Whether somebody had begun it before, and died or panicked over it.
    #[must_use]
    pub fn owner_died(&self) -> bool {
        self.begun
    }
}

impl Once {
    /// How many bytes it takes in the segment.
    pub const SIZE: usize = SIZE;
    /// What its offset must be a multiple of.
    pub const ALIGN: usize = header::ALIGN;

    /// The `Once` at `offset`, in bytes.
    ///
    /// # Errors
    ///
    /// As [`Mutex::at`](super::Mutex::at).
    pub fn at(area: &Area, offset: usize) -> Result<Self, PlaceError> {
        header::place(area, offset, &Layout::plain(Kind::Once, SIZE), || ())?;
        Ok(Self {
            _tended: header::tend(area, offset + WORD, Death::Mark)?,
            area: area.clone(),
            offset,
        })
    }

    /// Calls `f` if nobody has done so, and waits while somebody does; `true` if it was this call. A call
    /// within `f` waits for ever.
    ///
    /// # Errors
    ///
    /// [`BlockedError::Call`].
    pub fn call_once(&self, f: impl FnOnce(&OnceState)) -> Result<bool, BlockedError> {
        self.call_once_until(Deadline::Never, f)
    }

    /// As [`call_once`](Self::call_once), if nobody is at it at this moment.
    ///
    /// # Errors
    ///
    /// [`BlockedError::Busy`] if somebody is.
    pub fn try_call_once(&self, f: impl FnOnce(&OnceState)) -> Result<bool, BlockedError> {
        self.call_once_until(Deadline::Now, f)
    }

    /// As [`call_once`](Self::call_once), but waits for others until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`BlockedError::TimedOut`], or [`BlockedError::Busy`] with [`Deadline::Now`]; [`BlockedError::Call`].
    pub fn call_once_until(
        &self,
        deadline: Deadline,
        f: impl FnOnce(&OnceState),
    ) -> Result<bool, BlockedError> {
        let word = self.word();
        match once_word::claim(&word, self.area.token(), deadline)? {
            Claim::Done => Ok(false),
            Claim::Ours { begun } => {
                let doing = once_word::Doing::new(&word);
                f(&OnceState { begun });
                doing.complete().map_err(Stop::Call)?;
                Ok(true)
            }
        }
    }

    /// Whether it has been done.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.word().load(Acquire) == DONE
    }

    fn word(&self) -> SegmentWord<'_> {
        self.area.word(self.offset + WORD)
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("offset", &self.offset)
            .field("is_completed", &self.is_completed())
            .finish_non_exhaustive()
    }
}
