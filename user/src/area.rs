// SPDX-License-Identifier: MIT OR Apache-2.0

//! A segment and all of it mapped: what everything that lies in a segment is made from. It finds words and
//! has the kernel tend them; what they mean is their owners' business.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::error::{AccessError, MapError, RobustError};
use crate::mapping::Mapping;
use crate::memory::Kept;
use crate::segment::Segment;
use crate::sync::seam::SegmentWord;
use crate::word::Death;

/// A segment, mapped whole for reading and writing, that synchronisation primitives and channels are placed in.
///
/// Cloning it is cheap: clones are the same handle and the same mapping. What is placed keeps both alive.
///
/// The handle's [token](crate::Info::token) is what a lock word names as its owner, and one process is one
/// owner: threads share an `Area`, but **a child after `fork` opens a handle of its own**. Two processes with
/// one handle would be one owner, and the death of one of them would free what the other one holds.
///
/// ```no_run
/// use shmdev::sync::{LockError, Mutex};
/// use shmdev::{Area, SegmentOptions};
///
/// let segment = SegmentOptions::new().create(true).size(4096).open("counters")?;
/// let area = Area::new(segment)?;
/// let hits = Mutex::<u64>::at(&area, 0)?;
/// *hits.lock().map_err(LockError::without_guard)? += 1;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Area {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    // Unmapped before the descriptor is closed.
    mapping: Mapping,
    segment: Segment,
}

impl Area {
    /// Maps all of `segment`.
    ///
    /// # Errors
    ///
    /// As [`Segment::map`].
    pub fn new(segment: Segment) -> Result<Self, MapError> {
        let mapping = segment.map()?;
        Ok(Self {
            inner: Arc::new(Inner { mapping, segment }),
        })
    }

    /// The handle.
    #[must_use]
    #[inline]
    pub fn segment(&self) -> &Segment {
        &self.inner.segment
    }

    /// All of the segment, as large as it was when this was made.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.inner.mapping
    }

    /// What a lock word holds when a thread of this process owns it.
    #[inline]
    pub(crate) fn token(&self) -> u32 {
        self.segment().info().token
    }

    /// Whether both are clones of one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The word at `offset`, if there is one.
    pub(crate) fn find_word(&self, offset: usize) -> Result<SegmentWord<'_>, AccessError> {
        Ok(SegmentWord {
            segment: self.segment(),
            offset: offset as u64,
            atomic: self.mapping().atomic::<AtomicU32>(offset)?,
        })
    }

    /// The word at `offset`, a multiple of 4 that lies in an object which
    /// [`place`](crate::sync::header::place) has found to lie in the area.
    pub(crate) fn word(&self, offset: usize) -> SegmentWord<'_> {
        self.find_word(offset).expect(PLACED)
    }
}

const PLACED: &str = "a part of an object that was placed here";

/// A word of an object that was placed, found once.
pub(crate) struct KeptWord {
    atomic: Kept<AtomicU32>,
    offset: u64,
}

impl KeptWord {
    /// As [`Area::word`].
    pub(crate) fn new(area: &Area, offset: usize) -> Self {
        Self {
            atomic: Kept::new(area, |mapping| mapping.atomic(offset)).expect(PLACED),
            offset: offset as u64,
        }
    }

    #[inline]
    pub(crate) fn area(&self) -> &Area {
        self.atomic.area()
    }

    #[inline]
    pub(crate) fn word(&self) -> SegmentWord<'_> {
        SegmentWord {
            segment: self.area().segment(),
            offset: self.offset,
            atomic: &self.atomic,
        }
    }
}

/// A word that the kernel tends for this process, until this is dropped.
#[derive(Debug)]
pub(crate) struct Tended {
    area: Area,
    offset: usize,
    death: Death,
}

impl Tended {
    pub(crate) fn add(area: &Area, offset: usize, death: Death) -> Result<Self, RobustError> {
        area.segment().add_robust(offset as u64, death)?;
        Ok(Self {
            area: area.clone(),
            offset,
            death,
        })
    }
}

impl Drop for Tended {
    fn drop(&mut self) {
        // It fails when a child of `fork` drops what its parent added, or when the handle was restricted:
        // either way there is nothing to take back.
        let _ = self.area.segment().remove_robust(self.offset as u64, self.death);
    }
}
