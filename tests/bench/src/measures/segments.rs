// SPDX-License-Identifier: MIT OR Apache-2.0

//! Segments of the device, as the measures make them.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use shmdev::{Map, Segment, SegmentOptions};

/// The ways in which segments are mapped.
pub const MAPS: [Map; 3] = [Map::Pfn, Map::Fault, Map::Huge];

/// As a way to map is called among the subjects of a measure.
pub fn subject_of(map: Map) -> String {
    format!("shmdev {map}")
}

/// Options that create a segment which is mapped in this way: all segments of which that matters are made with these.
pub fn mapped(map: Map, len: usize) -> SegmentOptions {
    let mut options = SegmentOptions::new();
    options.map(map).size(len as u64);
    options
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
