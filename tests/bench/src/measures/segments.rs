// SPDX-License-Identifier: MIT OR Apache-2.0

//! Segments of the device, as the measures make them.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};
use shmdev::{Segment, SegmentOptions};

/// How a segment's pages get into page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// All of them by `mmap`, a page at a time.
    Pfn,
    /// Each when it is touched first.
    Fault,
    /// All of them by `mmap`, 2 MiB at a time.
    Huge,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Pfn, Self::Fault, Self::Huge];

    /// As it is called among the subjects of a measure.
    pub fn subject(self) -> &'static str {
        match self {
            Self::Pfn => "shmdev pfn",
            Self::Fault => "shmdev fault",
            Self::Huge => "shmdev huge",
        }
    }

    /// Options that create a segment in this mode: all segments of which the mode matters are made with these.
    pub fn options(self) -> Result<SegmentOptions> {
        match self {
            Self::Pfn => Ok(SegmentOptions::new()),
            Self::Fault | Self::Huge => bail!("this version of the module maps pfn only"),
        }
    }
}

/// A name that no other segment has.
pub fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("bench-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A segment that others open by its name; removed when dropped.
#[derive(Debug)]
pub struct Named {
    segment: Segment,
    name: String,
}

impl Named {
    /// Creates one.
    pub fn create(size: usize) -> Result<Self> {
        let name = fresh_name();
        Ok(Self {
            segment: Segment::create(&name, size as u64)?,
            name,
        })
    }

    /// Another handle of it.
    pub fn open(&self) -> Result<Segment> {
        Ok(Segment::open(self.name.as_str())?)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = self.segment.remove();
    }
}
