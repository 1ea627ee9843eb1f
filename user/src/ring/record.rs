// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where a record lies in a ring, and the header with which records of various lengths begin. What a header says is
//! whatever somebody wrote there, and believed only within bounds.

use super::core::{Core, Corrupt};
use super::layout::Units;
use super::position::{add, distance};
use super::seam::Memory;

/// Bytes of a unit of a ring of records, and of a record's header.
pub(super) const UNIT: usize = 8;

/// Upper half of the header of a record; the lower half is its length in bytes.
const RECORD: u32 = 0x5265_636f;
/// Upper half of a header that stands for no record: go on where the ring begins.
const WRAP: u32 = 0x5772_6170;

/// The header that has who reads go on where the ring begins.
pub(super) const WRAPS: u64 = (WRAP as u64) << 32;

/// The header of a record of `len` bytes.
#[inline]
pub(super) fn header(len: u32) -> u64 {
    u64::from(RECORD) << 32 | u64::from(len)
}

/// How many units a record of `len` bytes takes.
#[inline]
pub(super) fn units_of(units: Units, len: u32) -> u32 {
    match units {
        Units::Slots(_) => 1,
        Units::Records => 1 + len.div_ceil(UNIT as u32),
    }
}

/// A record in a ring.
///
/// # Invariant
///
/// It lies within the ring, does not wrap, and its bytes within its units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Position of its first unit.
    pub(super) at: u32,
    pub(super) units: u32,
    /// Bytes without the header.
    pub(super) len: u32,
}

impl Span {
    /// The position after it.
    #[inline]
    pub(super) fn end(&self) -> u32 {
        add(self.at, self.units)
    }

    /// Where its bytes begin, counted from the first unit of the ring.
    #[inline]
    pub(super) fn bytes_at<M: Memory>(&self, core: &Core<M>) -> usize {
        let start = core.shape.offset(self.at);
        match core.shape.units {
            Units::Slots(_) => start,
            Units::Records => start + UNIT,
        }
    }
}

/// The record that begins at `head`, or after what is skipped there. `head` is not `tail`, and no more units lie
/// between them than the ring has.
#[inline]
pub(super) fn next<M: Memory>(core: &Core<M>, head: u32, tail: u32) -> Result<Span, Corrupt> {
    if let Units::Slots(len) = core.shape.units {
        return Ok(Span {
            at: head,
            units: 1,
            len,
        });
    }
    let written = distance(head, tail);
    let contiguous = core.shape.contiguous(head);
    let found = core.memory.cell(core.shape.offset(head));
    if found != WRAPS {
        return check(head, found, contiguous.min(written));
    }
    if contiguous >= written {
        return Err(Corrupt(
            "what is skipped where it wraps reaches past what was written",
        ));
    }
    let start = add(head, contiguous);
    let found = core.memory.cell(core.shape.offset(start));
    check(start, found, written - contiguous)
}

/// The record whose header was `found` at `at`, where it can have `room` units, at least 1.
#[inline]
fn check(at: u32, found: u64, room: u32) -> Result<Span, Corrupt> {
    let (tag, len) = ((found >> 32) as u32, found as u32);
    if tag != RECORD {
        return Err(Corrupt("there is no record where one should begin"));
    }
    // In 64 bits, so that no length wraps.
    let units = 1 + u64::from(len).div_ceil(UNIT as u64);
    if units > u64::from(room) {
        return Err(Corrupt("a record is longer than what was written"));
    }
    Ok(Span {
        at,
        units: units as u32,
        len,
    })
}
