// SPDX-License-Identifier: MIT OR Apache-2.0

//! The receiving side: which record is next, and how it is given back. Whoever uses it has the role, or the lock, of
//! the receiving side. It does not sleep, and calls nobody.
//!
//! The head moves after a record was copied. So a receiver that dies while it copies leaves the record to the next
//! one, and no record is received twice: the copy died with who made it. What is lost is a record that was copied and
//! released by a receiver that died before it could return it; two notes tell the next one.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::compiler_fence;

use super::core::{Core, Corrupt};
use super::layout::{LOST_RECEIVING, READING_FROM, READING_TO, RECEIVED};
use super::position::{WAITS, add, distance, position};
use super::record::{self, Slot, Span};
use super::seam::Memory;
use crate::sync::seam::Word;

/// What a receiver knows of the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Consumer {
    /// Up to where it has read.
    head: u32,
    /// Up to where it has released.
    released: u32,
    /// Up to where it last saw that was written.
    tail: u32,
    /// Records received, as it is counted in the ring.
    received: u64,
    /// Records read since.
    read: u32,
}

/// What became of records that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Released {
    /// They are the caller's. So many who wait for room are to be woken.
    Yours(u32),
    /// They were overwritten meanwhile: what was copied is nothing.
    Overwritten,
}

/// How often to look again for a record that is not overwritten while one looks.
pub(super) const ATTEMPTS: u32 = 64;

impl Consumer {
    /// What there is to know after the role or the lock was taken.
    pub(super) fn load<M: Memory>(core: &Core<M>) -> Result<Self, Corrupt> {
        let mut this = Self {
            received: core.memory.counter(RECEIVED),
            ..Self::default()
        };
        this.look(core)?;
        Ok(this)
    }

    /// Reads both positions. Where records are overwritten the head may move between the two, and is read again.
    fn look<M: Memory>(&mut self, core: &Core<M>) -> Result<(), Corrupt> {
        let mut head = position(core.head().load(Acquire));
        for _ in 0..ATTEMPTS {
            let tail = position(core.tail().load(Acquire));
            let now = if core.shape.overwrite {
                position(core.head().load(Acquire))
            } else {
                head
            };
            if now == head {
                core.used(head, tail)?;
                (self.head, self.released, self.tail) = (head, head, tail);
                return Ok(());
            }
            head = now;
        }
        // There is something, but it is gone before one can look at it: as if there were nothing yet.
        (self.head, self.released, self.tail) = (head, head, head);
        Ok(())
    }

    /// Puts right what the last one left that had the role or the lock, and died.
    pub(super) fn recover<M: Memory>(core: &Core<M>) {
        let memory = &core.memory;
        let (received, to) = (memory.counter(RECEIVED), memory.counter(READING_TO));
        let reading = to.wrapping_sub(received);
        // Nonsense, or nothing.
        if core.shape.overwrite || reading > u64::from(core.shape.count()) {
            return;
        }
        let head = position(core.head().load(Acquire));
        if memory.counter(READING_FROM) == u64::from(head) {
            memory.set_counter(READING_TO, received);
        } else {
            // Who dies over it counts too few, and nothing twice.
            memory.set_counter(RECEIVED, to);
            compiler_fence(AcqRel);
            core.count(LOST_RECEIVING, reading);
        }
    }

    /// The next record; `None` when there is none.
    #[inline]
    pub(super) fn next<M: Memory>(&mut self, core: &Core<M>) -> Result<Option<Span>, Corrupt> {
        if core.shape.overwrite {
            return self.next_of_moving(core);
        }
        if self.head == self.tail {
            let tail = position(core.tail().load(Acquire));
            if core.used(self.released, tail)? < distance(self.released, self.head) {
                return Err(Corrupt("less is written than was read"));
            }
            self.tail = tail;
            if self.head == tail {
                return Ok(None);
            }
        }
        let span = record::next(core, self.head, self.tail)?;
        self.note(core);
        Ok(Some(span))
    }

    /// Where the next slot is, if there is one, nothing was read that is not released, and nothing is overwritten. To be
    /// released by [`release_slot`](Self::release_slot).
    #[inline(always)]
    pub(super) fn next_slot<M: Memory>(&mut self, core: &Core<M>) -> Option<Slot> {
        if self.read > 0 {
            return None;
        }
        let slot = Slot {
            position: self.head,
            total: self.received.wrapping_add(1),
        };
        if slot.position == self.tail {
            let tail = position(core.tail().load(Acquire));
            let used = distance(slot.position, tail);
            // What is odd about it is for `next` to say.
            if used.wrapping_sub(1) >= core.shape.count() {
                return None;
            }
            self.tail = tail;
        }
        self.note_from(core, slot.position, slot.total);
        Some(slot)
    }

    /// Gives the slot back. Fails with what the position's word was, if that is not the position alone: somebody waits,
    /// or wrote there; [`judge`](Self::judge) knows.
    #[inline(always)]
    pub(super) fn release_slot<M: Memory>(&mut self, core: &Core<M>, slot: Slot) -> Result<(), u32> {
        let after = add(slot.position, 1);
        let old = core.head().swap(after, AcqRel);
        compiler_fence(AcqRel);
        core.memory.set_counter(RECEIVED, slot.total);
        (self.head, self.released, self.received) = (after, after, slot.total);
        if old == slot.position { Ok(()) } else { Err(old) }
    }

    /// How many records there is room for now that somebody waits for, after one slot was released and the word was `old`.
    pub(super) fn judge(&self, old: u32) -> Result<u32, Corrupt> {
        if add(position(old), 1) != self.released {
            return Err(Corrupt("somebody else read"));
        }
        Ok(1)
    }

    /// As [`next`](Self::next), where the other side overwrites what it has not waited for.
    fn next_of_moving<M: Memory>(&mut self, core: &Core<M>) -> Result<Option<Span>, Corrupt> {
        for _ in 0..ATTEMPTS {
            self.look(core)?;
            if self.head == self.tail {
                return Ok(None);
            }
            let found = record::next(core, self.head, self.tail);
            // What is overwritten looks like anything. Only what still is there afterwards counts, and that must be a
            // step which the other side's next one comes after: a load could be old.
            if found.is_ok() || position(core.head().fetch_add(0, AcqRel)) == self.released {
                return found.map(Some);
            }
        }
        // As if there were nothing, but for who wants to sleep: the tail is not there.
        self.tail = self.released;
        Ok(None)
    }

    /// Notes that one record more is about to be read.
    #[inline]
    fn note<M: Memory>(&self, core: &Core<M>) {
        self.note_from(
            core,
            self.released,
            self.received.wrapping_add(u64::from(self.read) + 1),
        );
    }

    /// So, too: from that position on, with so many in all.
    #[inline(always)]
    fn note_from<M: Memory>(&self, core: &Core<M>, from: u32, total: u64) {
        core.memory.set_counter(READING_FROM, u64::from(from));
        // In this order, also for whoever looks after a death.
        compiler_fence(AcqRel);
        core.memory.set_counter(READING_TO, total);
        compiler_fence(AcqRel);
    }

    /// The record was copied.
    #[inline]
    pub(super) fn read(&mut self, span: Span) {
        self.head = span.end();
        self.read += 1;
    }

    /// Gives back what was read. Where records are overwritten, that is one record at most.
    #[inline]
    pub(super) fn release<M: Memory>(&mut self, core: &Core<M>) -> Result<Released, Corrupt> {
        let read = self.read;
        if read == 0 {
            return Ok(Released::Yours(0));
        }
        self.read = 0;
        if core.shape.overwrite && !self.release_unless_moved(core) {
            return Ok(Released::Overwritten);
        }
        let mut waits = 0;
        if !core.shape.overwrite {
            let old = core.head().swap(self.head, AcqRel);
            let released = std::mem::replace(&mut self.released, self.head);
            if position(old) != released {
                return Err(Corrupt("somebody else read"));
            }
            waits = old & WAITS;
        }
        compiler_fence(AcqRel);
        self.received = self.received.wrapping_add(u64::from(read));
        core.memory.set_counter(RECEIVED, self.received);
        self.released = self.head;
        Ok(Released::Yours(if waits == 0 { 0 } else { read }))
    }

    /// Moves the head past what was read, if it was not moved meanwhile: then what was copied is what was sent.
    fn release_unless_moved<M: Memory>(&mut self, core: &Core<M>) -> bool {
        // Nobody waits for this word to change, but somebody may have said so.
        let move_from = |word| core.head().compare_exchange(word, self.head, AcqRel, Relaxed);
        match move_from(self.released) {
            Ok(_) => true,
            Err(found) if found == self.released | WAITS => move_from(found).is_ok(),
            Err(_) => false,
        }
    }

    /// Forgets what was read and not released.
    pub(super) fn forget<M: Memory>(&mut self, core: &Core<M>) {
        self.head = self.released;
        self.read = 0;
        if !core.shape.overwrite {
            core.memory.set_counter(READING_TO, self.received);
        }
    }

    /// The position of the other side at which [`next`](Self::next) found nothing: to wait until it is another one.
    pub(super) fn seen_tail(&self) -> u32 {
        self.tail
    }

    /// Whether there is anything before `tail`, for others who wait for it.
    pub(super) fn has_record<M: Memory>(core: &Core<M>, tail: u32) -> bool {
        position(core.head().load(Acquire)) != tail
    }
}
