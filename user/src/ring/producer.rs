// SPDX-License-Identifier: MIT OR Apache-2.0

//! The sending side: where there is room, and how what was written there is published. Whoever uses it has the
//! role, or the lock, of the sending side. It does not sleep, and calls nobody.
//!
//! What a sender has written is nobody's until the tail moves past it, and that is one store. A sender that dies
//! before leaves nothing behind but two notes, from which the next one learns what was lost.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::compiler_fence;

use super::core::{Core, Corrupt, note};
use super::layout::{LOST_SENDING, OVERWRITTEN, SENT, Units, WRITING_FROM, WRITING_TO};
use super::position::{WAITS, add, distance, position};
use super::record::{self, Span};
use super::seam::{Counters, Memory};
use crate::sync::seam::Word;

/// Where it is noted what is being written.
const WRITING: (usize, usize) = (WRITING_FROM, WRITING_TO);

/// What a sender knows of the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Producer {
    /// Up to where it has written.
    tail: u32,
    /// How many units of that it has not published.
    unpublished: u32,
    /// Up to where it last saw that was read. Never ahead of what the other side wrote, so there is at least the room
    /// that follows from it.
    head: u32,
    /// Records sent, as it is counted in the ring.
    sent: u64,
    /// Records written since.
    written: u32,
}

impl Producer {
    /// What there is to know after the role or the lock was taken.
    pub(super) fn load<M: Memory>(core: &Core<M>) -> Result<Self, Corrupt> {
        let tail = position(core.tail().load(Relaxed));
        let head = position(core.head().load(Acquire));
        core.used(head, tail)?;
        Ok(Self {
            tail,
            unpublished: 0,
            head,
            sent: core.memory.counters().get(SENT),
            written: 0,
        })
    }

    /// Puts right what the last one left that had the role or the lock, and died. What it had not published is lost
    /// and counted; what it had, is sent.
    pub(super) fn recover<M: Memory>(core: &Core<M>) {
        let memory = &core.memory;
        let (sent, to) = (memory.counters().get(SENT), memory.counters().get(WRITING_TO));
        // So many, unless somebody wrote nonsense there.
        let writing = to.wrapping_sub(sent);
        if writing > u64::from(core.shape.count()) {
            return;
        }
        let tail = position(core.tail().load(Acquire));
        if memory.counters().get(WRITING_FROM) == u64::from(tail) {
            // Who dies over it counts too few, and nothing twice.
            memory.counters().set(WRITING_TO, sent);
            compiler_fence(AcqRel);
            core.count(LOST_SENDING, writing);
        } else {
            memory.counters().set(SENT, to);
        }
    }

    /// Where a record of `len` bytes, at most the shape's [`max_len`](super::layout::Shape::max_len), can be written
    /// now; `None` when there is no room.
    #[inline]
    pub(super) fn reserve<M: Memory>(&mut self, core: &Core<M>, len: u32) -> Result<Option<Span>, Corrupt> {
        let units = record::units_of(core.shape.units, len);
        let contiguous = core.shape.contiguous(self.tail);
        let skip = if units <= contiguous { 0 } else { contiguous };
        if !self.make_room(core, skip + units)? {
            return Ok(None);
        }
        self.note(core);
        if skip > 0 {
            core.memory.set_cell(core.shape.offset(self.tail), record::WRAPS);
        }
        let at = add(self.tail, skip);
        if let Units::Records = core.shape.units {
            core.memory.set_cell(core.shape.offset(at), record::header(len));
        }
        Ok(Some(Span { at, units, len }))
    }

    /// Up to where it has published.
    #[inline]
    fn published(&self) -> u32 {
        distance(self.unpublished, self.tail)
    }

    /// Whether there are `units` units after the tail: nobody reads them, and nobody will.
    #[inline]
    fn make_room<M: Memory>(&mut self, core: &Core<M>, units: u32) -> Result<bool, Corrupt> {
        let count = core.shape.count();
        if count - distance(self.head, self.tail) >= units {
            return Ok(true);
        }
        let head = position(core.head().load(Acquire));
        let used = core.used(head, self.tail)?;
        self.head = head;
        if count - used >= units {
            return Ok(true);
        }
        // What was not published cannot be overwritten.
        if !core.shape.overwrite || self.unpublished.saturating_add(units) > count {
            return Ok(false);
        }
        self.drop_oldest(core, units)?;
        Ok(true)
    }

    /// Moves the head past the oldest records, until there are `units` units after the tail.
    ///
    /// Who reads at the same time moves it past what it has read: whoever comes second finds that it has moved. So
    /// the other side knows whether what it copied was overwritten meanwhile, and each record is either received or
    /// counted here.
    fn drop_oldest<M: Memory>(&mut self, core: &Core<M>, units: u32) -> Result<(), Corrupt> {
        let count = core.shape.count();
        let mut found = self.head;
        // Each turn moves the head, unless somebody changes the word who should not.
        for _ in 0..=count {
            if count - core.used(self.head, self.tail)? >= units {
                return Ok(());
            }
            let oldest = record::next(core, self.head, self.published())?;
            match core.head().compare_exchange(found, oldest.end(), AcqRel, Acquire) {
                Ok(_) => {
                    self.head = oldest.end();
                    found = self.head;
                    core.count(OVERWRITTEN, 1);
                }
                Err(now) => {
                    let published = self.published();
                    if distance(self.head, position(now)) > distance(self.head, published) {
                        return Err(Corrupt("more was read than was written"));
                    }
                    found = now;
                    self.head = position(now);
                }
            }
        }
        Err(Corrupt(
            "the position up to which records are read does not stand still",
        ))
    }

    /// Notes that one record more is about to be written.
    #[inline]
    fn note<M: Memory>(&self, core: &Core<M>) {
        let total = self.sent.wrapping_add(u64::from(self.written) + 1);
        note(&core.memory.counters(), WRITING, self.published(), total);
    }

    /// Whether there is a free slot, and nothing was written that is not published, which comes first: then
    /// [`put_slot`](Self::put_slot) can have it.
    #[inline(always)]
    pub(super) fn has_slot<M: Memory>(&self, core: &Core<M>) -> bool {
        self.written == 0 && !core.shape.is_full(distance(self.head, self.tail))
    }

    /// Writes a record to the slot that is free, and publishes it. Fails with what the position's word was, if that is
    /// not the position alone: somebody waits, or wrote there; [`judge`](Self::judge) knows.
    #[inline(always)]
    pub(super) fn put_slot<M: Memory>(&mut self, core: &Core<M>, bytes: &[u8]) -> Result<(), u32> {
        let (at, total) = (self.tail, self.sent.wrapping_add(1));
        let counters = core.memory.counters();
        note(&counters, WRITING, at, total);
        core.memory.write(core.shape.slot_offset(at, bytes.len()), bytes);
        let after = add(at, 1);
        let old = core.tail().swap(after, AcqRel);
        compiler_fence(AcqRel);
        counters.set(SENT, total);
        (self.tail, self.sent) = (after, total);
        if old == at { Ok(()) } else { Err(old) }
    }

    /// After a slot was published: whether `old` is what was published before, and that somebody waits.
    pub(super) fn judge(&self, old: u32) -> Result<(), Corrupt> {
        if add(position(old), 1) != self.tail {
            return Err(Corrupt("somebody else wrote"));
        }
        Ok(())
    }

    /// The record was written.
    #[inline]
    pub(super) fn wrote(&mut self, span: Span) {
        let end = span.end();
        self.unpublished = self.unpublished.wrapping_add(distance(self.tail, end));
        self.tail = end;
        self.written += 1;
    }

    /// Forgets what was written and not published.
    pub(super) fn forget<M: Memory>(&mut self, core: &Core<M>) {
        self.tail = self.published();
        (self.unpublished, self.written) = (0, 0);
        core.memory.counters().set(WRITING_TO, self.sent);
    }

    /// Publishes what was written. Returns how many of those who wait for records to wake.
    #[inline]
    pub(super) fn publish<M: Memory>(&mut self, core: &Core<M>) -> Result<u32, Corrupt> {
        let written = self.written;
        if written == 0 {
            return Ok(0);
        }
        let old = core.tail().swap(self.tail, AcqRel);
        compiler_fence(AcqRel);
        self.sent = self.sent.wrapping_add(u64::from(written));
        core.memory.counters().set(SENT, self.sent);
        self.written = 0;
        let published = self.published();
        self.unpublished = 0;
        if position(old) != published {
            return Err(Corrupt("somebody else wrote"));
        }
        Ok(if old & WAITS == 0 { 0 } else { written })
    }

    /// The position of the other side that [`reserve`](Self::reserve) found too far behind: to wait until it is another
    /// one.
    pub(super) fn seen_head(&self) -> u32 {
        self.head
    }

    /// Whether there is any room after `head`, for others who wait for it.
    pub(super) fn has_room<M: Memory>(core: &Core<M>, head: u32) -> bool {
        distance(head, position(core.tail().load(Acquire))) < core.shape.count()
    }
}
