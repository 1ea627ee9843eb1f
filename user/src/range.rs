// SPDX-License-Identifier: MIT OR Apache-2.0

//! Ranges: shared and exclusive access to bytes of a segment, among everybody who asks for it.

use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::os::fd::AsFd;

use nix::errno::Errno;

use crate::deadline::Deadline;
use crate::error::{BeginError, BeginErrorKind, EndError};
use crate::name::OWN;
use crate::segment::Segment;
use crate::sys;
use crate::uapi::{ACCESS_READ, ACCESS_WRITE, STATUS_OWNER_DIED, SYNC_BEGIN, SYNC_END, SyncRange};

/// What a range is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Shared with other readers.
    Read,
    /// Exclusive. Ending it completes a write: the generation grows by one.
    Write,
}

impl Access {
    fn to_abi(self) -> u32 {
        match self {
            Self::Read => ACCESS_READ,
            Self::Write => ACCESS_WRITE,
        }
    }
}

/// A range and what it is held for: enough to [end](Segment::end) it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HeldRange {
    /// First byte.
    pub offset: u64,
    /// Length in bytes.
    pub len: u64,
    /// What it is held for.
    pub access: Access,
}

impl fmt::Display for HeldRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.access {
            Access::Read => " shared",
            Access::Write => "",
        };
        write!(f, "{}:{}{how}", self.offset, self.len)
    }
}

impl HeldRange {
    fn request(self, op: u32, deadline_ns: u64) -> SyncRange {
        SyncRange {
            offset: self.offset,
            len: self.len,
            deadline_ns,
            op,
            access: self.access.to_abi(),
            ..SyncRange::default()
        }
    }
}

impl Segment {
    /// Waits until `range` is free for `access`, and holds it until the guard goes.
    ///
    /// Ranges are counted in bytes of the segment; without an end they reach to the end of its last page, and
    /// the handle has then seen the generation, as by [`stat`](Self::stat), even if this fails. They are
    /// **advisory**: they keep out those who ask, not those who just write. They belong to the handle: threads
    /// that share a `Segment` do not exclude one another but get [`Deadlock`](BeginErrorKind::Deadlock), so
    /// open it once for each. First come, first served: a reader that comes after a waiting writer waits
    /// behind it.
    ///
    /// A signal does not end the wait: it goes on, to the same deadline, at the end of the queue. See
    /// [`begin_interruptible`](Self::begin_interruptible).
    ///
    /// # Errors
    ///
    /// [`Busy`](BeginErrorKind::Busy) (`EAGAIN`) or [`TimedOut`](BeginErrorKind::TimedOut) by the deadline,
    /// [`Deadlock`](BeginErrorKind::Deadlock), [`Denied`](BeginErrorKind::Denied),
    /// [`Invalid`](BeginErrorKind::Invalid), [`TooMany`](BeginErrorKind::TooMany),
    /// [`NoMemory`](BeginErrorKind::NoMemory).
    pub fn begin(
        &self,
        range: impl RangeBounds<u64>,
        access: Access,
        deadline: Deadline,
    ) -> Result<SyncGuard<'_>, BeginError> {
        let range = self.resolve(range, access)?;
        loop {
            match self.begin_once(range, deadline) {
                Err(error) if error.kind() == BeginErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// [`begin`](Self::begin) for reading: shared with other readers.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    pub fn begin_read(
        &self,
        range: impl RangeBounds<u64>,
        deadline: Deadline,
    ) -> Result<SyncGuard<'_>, BeginError> {
        self.begin(range, Access::Read, deadline)
    }

    /// [`begin`](Self::begin) for writing: exclusive.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    pub fn begin_write(
        &self,
        range: impl RangeBounds<u64>,
        deadline: Deadline,
    ) -> Result<SyncGuard<'_>, BeginError> {
        self.begin(range, Access::Write, deadline)
    }

    /// As [`begin`](Self::begin), but a signal whose handler was installed without `SA_RESTART` ends the
    /// wait.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin), and [`Interrupted`](BeginErrorKind::Interrupted).
    pub fn begin_interruptible(
        &self,
        range: impl RangeBounds<u64>,
        access: Access,
        deadline: Deadline,
    ) -> Result<SyncGuard<'_>, BeginError> {
        let range = self.resolve(range, access)?;
        self.begin_once(range, deadline)
    }

    /// Ends a range that [`SyncGuard::into_range`] left open, and returns the segment's generation: for a
    /// WRITE range the one that it made. Any process that has the handle may do it.
    ///
    /// # Errors
    ///
    /// [`NotHeld`](crate::EndErrorKind::NotHeld), [`Invalid`](crate::EndErrorKind::Invalid).
    pub fn end(&self, range: HeldRange) -> Result<u64, EndError> {
        let mut request = range.request(SYNC_END, 0);
        match sys::sync(self.as_fd(), &mut request) {
            Ok(()) => Ok(request.generation),
            Err(error) => Err(EndError::new(format_args!("unlock {range}"), error)),
        }
    }

    #[inline]
    fn begin_once(&self, range: HeldRange, deadline: Deadline) -> Result<SyncGuard<'_>, BeginError> {
        let mut request = range.request(SYNC_BEGIN, deadline.to_ns());
        sys::sync(self.as_fd(), &mut request)
            .map_err(|error| BeginError::new(format_args!("lock {range}"), error))?;
        Ok(SyncGuard {
            segment: self,
            range,
            generation: request.generation,
            owner_died: request.status & STATUS_OWNER_DIED != 0,
        })
    }

    fn resolve(&self, range: impl RangeBounds<u64>, access: Access) -> Result<HeldRange, BeginError> {
        let end_of_segment = || {
            let stat =
                sys::stat(self.as_fd(), OWN).map_err(|error| BeginError::new("lock to the end", error))?;
            Ok(stat.mapped_size)
        };
        resolve(range, access, end_of_segment)
    }
}

/// `range` as offset and length. Whether it lies within the segment is for the kernel to say.
fn resolve(
    range: impl RangeBounds<u64>,
    access: Access,
    end_of_segment: impl FnOnce() -> Result<u64, BeginError>,
) -> Result<HeldRange, BeginError> {
    let start = match range.start_bound() {
        Bound::Included(&start) => Some(start),
        Bound::Excluded(&before) => before.checked_add(1),
        Bound::Unbounded => Some(0),
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.checked_add(1),
        Bound::Excluded(&end) => Some(end),
        Bound::Unbounded => Some(end_of_segment()?),
    };
    match (start, end) {
        (Some(offset), Some(end)) if offset < end => Ok(HeldRange {
            offset,
            len: end - offset,
            access,
        }),
        _ => {
            let show = |bound: Option<u64>| bound.map_or("2^64".to_owned(), |bound| bound.to_string());
            let operation = format!("lock {}..{}", show(start), show(end));
            Err(BeginError::refused(
                operation,
                BeginErrorKind::Invalid,
                Errno::EINVAL,
            ))
        }
    }
}

/// A range that is held. Dropping the guard ends it.
///
/// Ending a WRITE range completes the write, and that includes a guard that is dropped by a panic. A
/// program that could leave bytes half written that way should abort on panic: when a process goes with a
/// WRITE range open, the next one to take any of those bytes is [told](Self::owner_died).
///
/// A guard that is forgotten keeps the range until the process exits or the handle goes; the handle itself
/// cannot take it again (`EDEADLK`). Nothing worse comes of it, because ranges are advisory. After `fork`
/// the child has a copy of the guard that belongs to the same handle: dropping it there ends the range for
/// both.
#[must_use = "the range is given back when the guard is dropped"]
#[derive(Debug)]
pub struct SyncGuard<'segment> {
    segment: &'segment Segment,
    range: HeldRange,
    generation: u64,
    owner_died: bool,
}

impl SyncGuard<'_> {
    /// What is held.
    #[must_use]
    pub fn range(&self) -> HeldRange {
        self.range
    }

    /// The segment's generation when the range was taken.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether somebody died while writing bytes of this range: they may be half written.
    ///
    /// It is told again and again until a WRITE range over those bytes is ended.
    #[must_use]
    pub fn owner_died(&self) -> bool {
        self.owner_died
    }

    /// Gives the range back and returns the segment's generation: for a WRITE range the one that it made.
    ///
    /// # Errors
    ///
    /// [`NotHeld`](crate::EndErrorKind::NotHeld) when somebody else who has the handle ended it.
    pub fn end(self) -> Result<u64, EndError> {
        let segment = self.segment;
        segment.end(self.into_range())
    }

    /// Keeps the range held and leaves ending it to [`Segment::end`], perhaps in another place that has the
    /// handle.
    pub fn into_range(self) -> HeldRange {
        let range = self.range;
        std::mem::forget(self);
        range
    }
}

impl Drop for SyncGuard<'_> {
    fn drop(&mut self) {
        // The one failure is that somebody else has ended it, and there is nobody to tell; `end` tells.
        let _ = self.segment.end(self.range);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offset_and_len(range: impl RangeBounds<u64>) -> Option<(u64, u64)> {
        let resolved = resolve(range, Access::Read, || Ok(8192)).ok()?;
        Some((resolved.offset, resolved.len))
    }

    #[test]
    fn ranges_become_offset_and_length() {
        assert_eq!(offset_and_len(..), Some((0, 8192)));
        assert_eq!(offset_and_len(100..), Some((100, 8092)));
        assert_eq!(offset_and_len(0..4096), Some((0, 4096)));
        assert_eq!(offset_and_len(5..=5), Some((5, 1)));
        assert_eq!(offset_and_len(..=9), Some((0, 10)));
        assert_eq!(
            offset_and_len((Bound::Excluded(1), Bound::Included(2))),
            Some((2, 1))
        );
        assert_eq!(offset_and_len(0..u64::MAX), Some((0, u64::MAX)));
    }

    #[test]
    fn empty_reversed_and_overflowing_ranges_are_refused() {
        assert_eq!(offset_and_len(7..7), None);
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is tested")]
        let reversed = 7..3;
        assert_eq!(offset_and_len(reversed), None);
        assert_eq!(offset_and_len(9000..), None);
        assert_eq!(offset_and_len(0..=u64::MAX), None);
        assert_eq!(
            offset_and_len((Bound::Excluded(u64::MAX), Bound::Unbounded)),
            None
        );
    }

    #[test]
    fn a_refused_range_is_named_as_it_was_asked_for() {
        let message = |range: (Bound<u64>, Bound<u64>)| {
            resolve(range, Access::Write, || Ok(8192))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message((Bound::Included(7), Bound::Excluded(3))),
            "lock 7..3: the range is empty or does not lie within the segment (EINVAL)"
        );
        assert!(message((Bound::Included(0), Bound::Included(u64::MAX))).starts_with("lock 0..2^64: "));
        assert!(message((Bound::Included(9000), Bound::Unbounded)).starts_with("lock 9000..8192: "));
    }

    #[test]
    fn a_request_is_what_the_abi_says() {
        let range = HeldRange {
            offset: 4096,
            len: 64,
            access: Access::Write,
        };
        let expected = SyncRange {
            offset: 4096,
            len: 64,
            deadline_ns: u64::MAX,
            generation: 0,
            op: 1,
            access: 2,
            flags: 0,
            status: 0,
        };
        assert_eq!(range.request(SYNC_BEGIN, Deadline::Never.to_ns()), expected);
        assert_eq!(range.to_string(), "4096:64");
        assert_eq!(
            HeldRange {
                access: Access::Read,
                ..range
            }
            .to_string(),
            "4096:64 shared"
        );
    }

    #[test]
    fn guards_and_segments_go_to_other_threads() {
        fn goes<T: Send + Sync>() {}
        goes::<SyncGuard<'static>>();
        goes::<Segment>();
        goes::<crate::Mapping>();
        goes::<BeginError>();
    }
}
