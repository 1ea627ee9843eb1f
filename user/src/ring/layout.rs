// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where what lies in a ring, and which shapes a ring can have. Numbers only.
//!
//! ```text
//!   0  the header of what lies in a segment, which says what shape it has
//!  64  TAIL, what its writers alone change: how far is written
//! 128  HEAD, what its readers change (and writers that overwrite): how far is read
//! 192  WRITERS, the lock word of the sending side, and its counters
//! 256  READERS, the lock word of the receiving side, and its counters
//! 320  the units: slots, or the eight-byte units of records
//! ```
//!
//! Each line of 64 bytes is written by one side, so that no processor waits for a line that it does not need.

use super::record::UNIT;
use crate::sync::header;

const _: () = assert!(SHAPE + 12 <= TAIL);

/// Three words: what [`Shape::words`] says. Behind the header.
pub(super) const SHAPE: usize = header::SIZE;

/// Word: the position up to which records are written.
pub(super) const TAIL: usize = 64;
/// Word: the position up to which records are read, or were given up.
pub(super) const HEAD: usize = 128;
/// Lock word of who sends.
pub(super) const WRITERS: usize = 192;
/// Lock word of who receives.
pub(super) const READERS: usize = 256;

/// Counter: records sent.
pub(super) const SENT: usize = 200;
/// Counter: records overwritten before somebody read them.
pub(super) const OVERWRITTEN: usize = 208;
/// Counter: records that their sender died of sending.
pub(super) const LOST_SENDING: usize = 216;
/// The tail at which a sender began to write.
pub(super) const WRITING_FROM: usize = 224;
/// What `SENT` will be once that is published.
pub(super) const WRITING_TO: usize = 232;

/// Counter: records received.
pub(super) const RECEIVED: usize = 264;
/// Counter: records whose receiver died with them.
pub(super) const LOST_RECEIVING: usize = 272;
/// The head at which a receiver began to read.
pub(super) const READING_FROM: usize = 280;
/// What `RECEIVED` will be once that is released.
pub(super) const READING_TO: usize = 288;

/// Bytes before the units.
pub(super) const UNITS: usize = 320;
/// What a ring's offset in its segment must be a multiple of.
pub(super) const ALIGN: usize = 64;

/// The most bytes a ring's units may have together. A unit has 8 or more, so positions of 31 bits can be told from one
/// another.
pub(super) const BYTES_MAX: usize = 1 << 30;
/// The fewest bytes of a ring of records: then a record can have 24.
pub(super) const RECORDS_MIN: usize = 64;

/// What each unit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// A value of so many bytes.
    Slots(u32),
    /// Eight bytes of a record, which begins with its length.
    Records,
}

/// What a ring's users agree upon. Checked when it is made; nothing of it is read from shared memory later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// How many units there are, a power of two, less one.
    mask: u32,
    /// Bytes of a unit, a multiple of 8.
    unit: u32,
    pub(super) units: Units,
    /// Who sends overwrites what nobody read, instead of waiting.
    pub(super) overwrite: bool,
    /// Senders take a lock for each operation, instead of one having the role for itself.
    pub(super) many_senders: bool,
    /// So do receivers.
    pub(super) many_receivers: bool,
}

impl Shape {
    /// `count` slots for values of `len` bytes; `None` where a ring cannot be so.
    pub(super) fn slots(count: usize, len: usize) -> Option<Self> {
        let unit = len.max(1).checked_next_multiple_of(UNIT)?;
        let bytes = unit.checked_mul(count)?;
        let fits = count.is_power_of_two() && bytes <= BYTES_MAX;
        fits.then(|| Self::new(count as u32, unit as u32, Units::Slots(len as u32)))
    }

    /// Records in `bytes` bytes; `None` where a ring cannot be so.
    pub(super) fn records(bytes: usize) -> Option<Self> {
        let fits = bytes.is_power_of_two() && (RECORDS_MIN..=BYTES_MAX).contains(&bytes);
        fits.then(|| Self::new((bytes / UNIT) as u32, UNIT as u32, Units::Records))
    }

    fn new(count: u32, unit: u32, units: Units) -> Self {
        Self {
            mask: count - 1,
            unit,
            units,
            overwrite: false,
            many_senders: false,
            many_receivers: false,
        }
    }

    /// The same units, used in this way.
    pub(super) fn used_by(self, many_senders: bool, many_receivers: bool, overwrite: bool) -> Self {
        Self {
            overwrite,
            many_senders,
            many_receivers,
            ..self
        }
    }

    #[inline]
    pub(super) fn count(&self) -> u32 {
        self.mask + 1
    }

    /// Whether that is all there are, or more.
    #[inline]
    pub(super) fn is_full(&self, used: u32) -> bool {
        used > self.mask
    }

    /// Bytes of all units.
    pub(super) fn bytes(&self) -> usize {
        self.count() as usize * self.unit as usize
    }

    /// Bytes of so many units.
    pub(super) fn bytes_of(&self, units: u32) -> usize {
        units as usize * self.unit as usize
    }

    /// How many units there are from `position` to where the ring wraps.
    #[inline]
    pub(super) fn contiguous(&self, position: u32) -> u32 {
        self.count() - (position & self.mask)
    }

    /// Bytes from the first unit to that of `position`.
    #[inline]
    pub(super) fn offset(&self, position: u32) -> usize {
        (position & self.mask) as usize * self.unit as usize
    }

    /// So, too, in a ring of slots for values of `len` bytes: the compiler knows how many those are.
    #[inline]
    pub(super) fn slot_offset(&self, position: u32, len: usize) -> usize {
        let unit = len.max(1).next_multiple_of(UNIT);
        debug_assert_eq!(unit, self.unit as usize);
        (position & self.mask) as usize * unit
    }

    /// The most bytes that a record can have: with its header half of the ring, so that there is room for it in an
    /// empty one wherever that wraps.
    pub(super) fn max_len(&self) -> usize {
        match self.units {
            Units::Slots(len) => len as usize,
            Units::Records => (self.count() as usize / 2 - 1) * UNIT,
        }
    }

    /// As it is compared with what the ring in memory was made as.
    pub(super) fn words(&self) -> [u32; 3] {
        let len = match self.units {
            Units::Slots(len) => len,
            Units::Records => u32::MAX,
        };
        let flags = u32::from(self.overwrite)
            | u32::from(self.many_senders) << 1
            | u32::from(self.many_receivers) << 2;
        [self.count(), len, flags]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_powers_of_two_and_bytes_bounded() {
        assert_eq!(Shape::slots(8, 12).map(|shape| shape.bytes()), Some(8 * 16));
        assert_eq!(Shape::slots(1, 0).map(|shape| shape.bytes()), Some(8));
        for (count, len) in [
            (0, 8),
            (3, 8),
            (1 << 30, 8),
            (1 << 31, 1),
            (2, usize::MAX),
            (2, 1 << 30),
        ] {
            assert_eq!(Shape::slots(count, len), None, "{count} {len}");
        }
        assert_eq!(Shape::records(64).map(|shape| shape.max_len()), Some(24));
        for bytes in [0, 8, 32, 96, 1 << 31] {
            assert_eq!(Shape::records(bytes), None, "{bytes}");
        }
    }

    #[test]
    fn a_shape_is_told_from_every_other() {
        let slots = Shape::slots(16, 8).unwrap();
        let mut all = vec![
            slots,
            Shape::slots(16, 7).unwrap(),
            Shape::slots(32, 8).unwrap(),
            Shape::records(128).unwrap(),
        ];
        all.extend([
            slots.used_by(false, false, true),
            slots.used_by(true, false, false),
            slots.used_by(false, true, false),
        ]);
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(one.words(), other.words(), "{one:?} {other:?}");
            }
        }
    }
}
