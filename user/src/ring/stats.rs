// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a ring tells of itself.

use std::sync::atomic::Ordering::Acquire;

use super::core::Core;
use super::layout::{LOST_RECEIVING, LOST_SENDING, OVERWRITTEN, RECEIVED, SENT};
use super::position::{distance, position};
use super::seam::{Counters, Memory};
use crate::sync::seam::Word;

/// What a ring tells of itself. The figures are read one after the other while others change them; when nobody does,
/// what was sent was received, overwritten, or is there, unless somebody died.
///
/// The role of one that died is put in order by the next one that has it: until then what it did last may not be
/// counted. Nor ever is one record that was received by a receiver that died, of a ring that overwrites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Records sent.
    pub sent: u64,
    /// Records received, those that a receiver died with included.
    pub received: u64,
    /// Records overwritten before anybody received them. What a sender overwrote that died may be missing.
    pub overwritten: u64,
    /// Records that were not sent, because their sender died while it wrote them.
    pub lost_sending: u64,
    /// Records that a receiver had taken out when it died, and that nobody was given.
    pub lost_receiving: u64,
    /// Bytes for records: slots, or records with headers of eight bytes.
    pub capacity: usize,
    /// Bytes of them that hold records.
    pub used: usize,
}

impl Stats {
    /// Records that were lost to a death.
    #[must_use]
    pub fn lost_in_flight(&self) -> u64 {
        self.lost_sending.saturating_add(self.lost_receiving)
    }

    pub(super) fn of<M: Memory>(core: &Core<M>) -> Self {
        let head = position(core.head().load(Acquire));
        let tail = position(core.tail().load(Acquire));
        let used = distance(head, tail).min(core.shape.count());
        let counter = |at| core.memory.counters().get(at);
        Self {
            sent: counter(SENT),
            received: counter(RECEIVED),
            overwritten: counter(OVERWRITTEN),
            lost_sending: counter(LOST_SENDING),
            lost_receiving: counter(LOST_RECEIVING),
            capacity: core.shape.bytes(),
            used: core.shape.bytes_of(used),
        }
    }
}
