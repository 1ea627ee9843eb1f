// SPDX-License-Identifier: MIT OR Apache-2.0

//! The sending side: where there is room, and how what was written there is published. Whoever uses it has the
//! role, or the lock, of the sending side. It does not sleep, and calls nobody.
//!
//! What a sender has written is nobody's until the tail moves past it, and that is one store. A sender that dies
//! before leaves nothing behind but two notes, from which the next one learns what was lost.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::compiler_fence;

use super::core::{Core, Corrupt};
use super::layout::{LOST_SENDING, OVERWRITTEN, SENT, Units, WRITING_FROM, WRITING_TO};
use super::position::{WAITS, add, distance, position};
use super::record::{self, Slot, Span};
use super::seam::Memory;
use crate::sync::seam::Word;

/// What a sender knows of the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Producer {
    /// Up to where it has written.
    tail: u32,
    /// Up to where it has published.
    published: u32,
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
            published: tail,
            head,
            sent: core.memory.counter(SENT),
            written: 0,
        })
    }

    /// Puts right what the last one left that had the role or the lock, and died. What it had not published is lost
    /// and counted; what it had, is sent.
    pub(super) fn recover<M: Memory>(core: &Core<M>) {
        let memory = &core.memory;
        let (sent, to) = (memory.counter(SENT), memory.counter(WRITING_TO));
        // So many, unless somebody wrote nonsense there.
        let writing = to.wrapping_sub(sent);
        if writing > u64::from(core.shape.count()) {
            return;
        }
        let tail = position(core.tail().load(Acquire));
        if memory.counter(WRITING_FROM) == u64::from(tail) {
            // Who dies over it counts too few, and nothing twice.
            memory.set_counter(WRITING_TO, sent);
            compiler_fence(AcqRel);
            core.count(LOST_SENDING, writing);
        } else {
            memory.set_counter(SENT, to);
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
        if !core.shape.overwrite || distance(self.published, self.tail) + units > count {
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
            let oldest = record::next(core, self.head, self.published)?;
            match core.head().compare_exchange(found, oldest.end(), AcqRel, Acquire) {
                Ok(_) => {
                    self.head = oldest.end();
                    found = self.head;
                    core.count(OVERWRITTEN, 1);
                }
                Err(now) => {
                    if distance(self.head, position(now)) > distance(self.head, self.published) {
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
        self.note_from(
            core,
            self.published,
            self.sent.wrapping_add(u64::from(self.written) + 1),
        );
    }

    /// So, too: from that position on, with so many in all.
    #[inline(always)]
    fn note_from<M: Memory>(&self, core: &Core<M>, from: u32, total: u64) {
        core.memory.set_counter(WRITING_FROM, u64::from(from));
        // In this order, also for whoever looks after a death.
        compiler_fence(AcqRel);
        core.memory.set_counter(WRITING_TO, total);
        compiler_fence(AcqRel);
    }

    /// Where a slot can be written now, if that is to be seen at once, and nothing was written that is not published. To be
    /// published by [`publish_slot`](Self::publish_slot).
    #[inline(always)]
    pub(super) fn free_slot<M: Memory>(&self, core: &Core<M>) -> Option<Slot> {
        let slot = Slot {
            position: self.tail,
            total: self.sent.wrapping_add(1),
        };
        // What could not be published is first.
        let free = self.written == 0 && distance(self.head, slot.position) < core.shape.count();
        free.then(|| {
            self.note_from(core, slot.position, slot.total);
            slot
        })
    }

    /// Publishes the slot. Fails with what the position's word was, if that is not the position alone: somebody waits, or
    /// wrote there; [`judge`](Self::judge) knows.
    #[inline(always)]
    pub(super) fn publish_slot<M: Memory>(&mut self, core: &Core<M>, slot: Slot) -> Result<(), u32> {
        let after = add(slot.position, 1);
        let old = core.tail().swap(after, AcqRel);
        compiler_fence(AcqRel);
        core.memory.set_counter(SENT, slot.total);
        (self.tail, self.published, self.sent) = (after, after, slot.total);
        if old == slot.position { Ok(()) } else { Err(old) }
    }

    /// How many to wake of those who wait for records, after one slot was published and the word was `old`.
    pub(super) fn judge(&self, old: u32) -> Result<u32, Corrupt> {
        if add(position(old), 1) != self.published {
            return Err(Corrupt("somebody else wrote"));
        }
        Ok(1)
    }

    /// The record was written.
    #[inline]
    pub(super) fn wrote(&mut self, span: Span) {
        self.tail = span.end();
        self.written += 1;
    }

    /// Forgets what was written and not published.
    pub(super) fn forget<M: Memory>(&mut self, core: &Core<M>) {
        self.tail = self.published;
        self.written = 0;
        core.memory.set_counter(WRITING_TO, self.sent);
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
        core.memory.set_counter(SENT, self.sent);
        self.written = 0;
        let published = std::mem::replace(&mut self.published, self.tail);
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
