// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring's memory, in a segment.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::layout::{Shape, UNITS};
use super::record::UNIT;
use super::seam::{Counters, Memory};
use crate::area::Area;
use crate::error::AccessError;
use crate::mapping::Mapping;
use crate::memory::{self, Kept, bulk};
use crate::sync::CallError;
use crate::sync::seam::SegmentWord;

/// A ring that lies in an area.
pub(super) struct Placed {
    pub(super) area: Area,
    /// In bytes from the start of the area.
    pub(super) offset: usize,
    words: Kept<[AtomicU32; UNITS / 4]>,
    counters: Kept<[AtomicU64; UNITS / 8]>,
    cells: Kept<[AtomicU64]>,
}

impl Placed {
    /// Finds the parts of a ring of this shape.
    pub(super) fn new(area: &Area, offset: usize, shape: &Shape) -> Result<Self, AccessError> {
        let cells = shape.bytes() / UNIT;
        Ok(Self {
            area: area.clone(),
            offset,
            words: Kept::new(area, |mapping| words(mapping, offset))?,
            counters: Kept::new(area, |mapping| counters(mapping, offset))?,
            cells: Kept::new(area, |mapping| mapping.atomics(offset + UNITS, cells))?,
        })
    }

    /// The `len` bytes at `at`, a multiple of 8, counted from the first unit.
    pub(super) fn bytes(&self, at: usize, len: usize) -> &[AtomicU8] {
        &memory::bytes(self.cells(at, len))[..len]
    }

    /// The cells in which `len` bytes at `at` lie.
    #[inline]
    fn cells(&self, at: usize, len: usize) -> &[AtomicU64] {
        let start = at / UNIT;
        &self.cells[start..start + len.div_ceil(UNIT)]
    }
}

fn words(mapping: &Mapping, offset: usize) -> Result<&[AtomicU32; UNITS / 4], AccessError> {
    let words = mapping.atomics(offset, UNITS / 4)?;
    Ok(words.try_into().expect("that many were asked for"))
}

fn counters(mapping: &Mapping, offset: usize) -> Result<&[AtomicU64; UNITS / 8], AccessError> {
    let counters = mapping.atomics(offset, UNITS / 8)?;
    Ok(counters.try_into().expect("that many were asked for"))
}

impl Memory for Placed {
    type Error = CallError;
    type Word<'a> = SegmentWord<'a>;
    type Counters<'a> = &'a [AtomicU64; UNITS / 8];

    #[inline]
    fn word(&self, at: usize) -> SegmentWord<'_> {
        SegmentWord {
            segment: self.area.segment(),
            offset: (self.offset + at) as u64,
            atomic: &self.words[at / 4],
        }
    }

    #[inline]
    fn counters(&self) -> &[AtomicU64; UNITS / 8] {
        &self.counters
    }

    #[inline]
    fn cell(&self, at: usize) -> u64 {
        self.cells[at / UNIT].load(Relaxed)
    }

    #[inline]
    fn set_cell(&self, at: usize, value: u64) {
        self.cells[at / UNIT].store(value, Relaxed);
    }

    #[inline]
    fn read(&self, at: usize, to: &mut [u8]) {
        copy_out(self.cells(at, to.len()), to);
    }

    #[inline]
    fn write(&self, at: usize, from: &[u8]) {
        copy_in(from, self.cells(at, from.len()));
    }
}

impl Counters for &[AtomicU64; UNITS / 8] {
    #[inline]
    fn get(&self, at: usize) -> u64 {
        self[at / 8].load(Relaxed)
    }

    #[inline]
    fn set(&self, at: usize, value: u64) {
        self[at / 8].store(value, Relaxed);
    }
}

/// Copies the first bytes of the cells, which are as many as `to` needs.
#[inline]
pub(super) fn copy_out(cells: &[AtomicU64], to: &mut [u8]) {
    let done = bulk::copy_out(memory::bytes(cells), to);
    let mut chunks = to[done..].chunks_exact_mut(UNIT);
    let mut cells = cells[done / UNIT..].iter();
    for (to, cell) in chunks.by_ref().zip(cells.by_ref()) {
        to.copy_from_slice(&cell.load(Relaxed).to_ne_bytes());
    }
    let rest = chunks.into_remainder();
    if let (false, Some(cell)) = (rest.is_empty(), cells.next()) {
        rest.copy_from_slice(&cell.load(Relaxed).to_ne_bytes()[..rest.len()]);
    }
}

/// Copies `from` to the cells, which are as many as it needs; what is left of the last one becomes zero.
#[inline]
pub(super) fn copy_in(from: &[u8], cells: &[AtomicU64]) {
    let done = bulk::copy_in(from, memory::bytes(cells));
    let chunks = from[done..].chunks_exact(UNIT);
    let rest = chunks.remainder();
    let mut cells = cells[done / UNIT..].iter();
    for (from, cell) in chunks.zip(cells.by_ref()) {
        cell.store(whole(from), Relaxed);
    }
    if let (false, Some(cell)) = (rest.is_empty(), cells.next()) {
        cell.store(whole(rest), Relaxed);
    }
}

/// Up to eight bytes as a cell.
#[inline]
fn whole(bytes: &[u8]) -> u64 {
    let mut cell = [0; UNIT];
    cell[..bytes.len()].copy_from_slice(bytes);
    u64::from_ne_bytes(cell)
}

impl fmt::Debug for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Placed")
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
