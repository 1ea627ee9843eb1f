// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for one another, in a segment. The algorithm is that of `gathering`.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;

use nix::errno::Errno;

use super::error::BlockedError;
use super::gathering::{self, Gathering};
use super::header::{self, Kind, Layout};
use super::seam::{SegmentWord, Word};
use crate::area::{Area, Tended};
use crate::deadline::Deadline;
use crate::error::{PlaceError, PlaceErrorKind};
use crate::word::Death;

// Where things lie, from the start of the object.
const ARRIVALS: usize = header::SIZE;
const OWED: usize = ARRIVALS + 4;
const COUNT: usize = OWED + 4;
const SIZE: usize = COUNT + 8;

/// A point, in a segment, that as many threads as it was made for pass together, again and again.
///
/// What any of them did before to any memory is seen by all of them after it.
///
/// The dead are not noticed: one that died before it came is waited for, and one that died while it waited
/// had come. Use a deadline where that matters. When the last to come dies before it has woken the others,
/// they go on all the same.
///
/// ```no_run
/// use shmdev::sync::Barrier;
/// use shmdev::{Area, Segment};
///
/// let area = Area::new(Segment::open("frames")?)?;
/// let barrier = Barrier::at(&area, 3584, 4)?;
/// if barrier.wait()? {
///     println!("one of the four is told that it came last");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Barrier {
    area: Area,
    offset: usize,
    count: u32,
    _tended: Tended,
}

impl Barrier {
    /// How many bytes it takes in the segment.
    pub const SIZE: usize = SIZE;
    /// What its offset must be a multiple of.
    pub const ALIGN: usize = header::ALIGN;
    /// As many as a barrier can be for: 65535.
    pub const MAX: u32 = gathering::MAX;

    /// The barrier for `count` threads at `offset`, in bytes.
    ///
    /// # Errors
    ///
    /// As [`Mutex::at`](super::Mutex::at); one for another number is
    /// [`OtherLayout`](PlaceErrorKind::OtherLayout), none and more than [`MAX`](Self::MAX) are
    /// [`Invalid`](PlaceErrorKind::Invalid).
    pub fn at(area: &Area, offset: usize, count: u32) -> Result<Self, PlaceError> {
        let refused = |kind, errno| {
            let what = format!("place a barrier for {count} at {offset}");
            Err(PlaceError::refused(what, kind, errno))
        };
        if count == 0 || count > Self::MAX {
            return refused(PlaceErrorKind::Invalid, Errno::EINVAL);
        }
        header::place(area, offset, &Layout::plain(Kind::Barrier, SIZE), || {
            area.word(offset + COUNT).store(count, Relaxed);
        })?;
        if area.word(offset + COUNT).load(Relaxed) != count {
            return refused(PlaceErrorKind::OtherLayout, Errno::EEXIST);
        }
        Ok(Self {
            _tended: header::tend(area, offset + ARRIVALS, Death::WakeOnly)?,
            area: area.clone(),
            offset,
            count,
        })
    }

    /// Waits until all have come; `true` for the last one.
    ///
    /// # Errors
    ///
    /// [`BlockedError::Call`].
    pub fn wait(&self) -> Result<bool, BlockedError> {
        self.wait_until(Deadline::Never)
    }

    /// Waits until all have come, until `deadline` at most: then this one has not come. With
    /// [`Deadline::Now`], passes only if all others wait.
    ///
    /// # Errors
    ///
    /// [`BlockedError::TimedOut`], or [`BlockedError::Busy`] with [`Deadline::Now`]; [`BlockedError::Call`].
    pub fn wait_until(&self, deadline: Deadline) -> Result<bool, BlockedError> {
        Ok(self.words().arrive(deadline)?)
    }

    /// How many it is for.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    fn words(&self) -> Gathering<SegmentWord<'_>> {
        Gathering {
            arrivals: self.area.word(self.offset + ARRIVALS),
            owed: self.area.word(self.offset + OWED),
            count: self.count,
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("offset", &self.offset)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
