// SPDX-License-Identifier: MIT OR Apache-2.0

//! The receiving side: which record is next, and how it is given back. Whoever uses it has the role, or the lock, of
//! the receiving side. It does not sleep, and calls nobody.
//!
//! The head moves after a record was copied. So a receiver that dies while it copies leaves the record to the next
//! one, and no record is received twice: the copy died with who made it. What is lost is a record that was copied and
//! released by a receiver that died before it could return it; two notes tell the next one.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::compiler_fence;

use super::core::{Core, Corrupt, note};
use super::layout::{LOST_RECEIVING, READING_FROM, READING_TO, RECEIVED};
use super::position::{WAITS, add, distance, position};
use super::record::{self, Span};
use super::seam::{Counters, Memory};
use crate::sync::seam::Word;

/// Where it is noted what is being read.
const READING: (usize, usize) = (READING_FROM, READING_TO);

/// What a receiver knows of the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Consumer {
    /// Up to where it has read.
    head: u32,
    /// How many units of that it has not released.
    unreleased: u32,
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
            received: core.memory.counters().get(RECEIVED),
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
                (self.head, self.unreleased, self.tail) = (head, 0, tail);
                return Ok(());
            }
            head = now;
        }
        // There is something, but it is gone before one can look at it: as if there were nothing yet.
        (self.head, self.unreleased, self.tail) = (head, 0, head);
        Ok(())
    }

    /// Puts right what the last one left that had the role or the lock, and died.
    pub(super) fn recover<M: Memory>(core: &Core<M>) {
        let memory = &core.memory;
        let (received, to) = (memory.counters().get(RECEIVED), memory.counters().get(READING_TO));
        let reading = to.wrapping_sub(received);
        // Nonsense, or nothing.
        if core.shape.overwrite || reading > u64::from(core.shape.count()) {
            return;
        }
        let head = position(core.head().load(Acquire));
        if memory.counters().get(READING_FROM) == u64::from(head) {
            memory.counters().set(READING_TO, received);
        } else {
            // Who dies over it counts too few, and nothing twice.
            memory.counters().set(RECEIVED, to);
            compiler_fence(AcqRel);
            core.count(LOST_RECEIVING, reading);
        }
    }

    /// Up to where it has released.
    #[inline]
    fn released(&self) -> u32 {
        distance(self.unreleased, self.head)
    }

    /// The next record; `None` when there is none.
    #[inline]
    pub(super) fn next<M: Memory>(&mut self, core: &Core<M>) -> Result<Option<Span>, Corrupt> {
        if core.shape.overwrite {
            return self.next_of_moving(core);
        }
        if self.head == self.tail {
            let tail = position(core.tail().load(Acquire));
            if core.used(self.released(), tail)? < self.unreleased {
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

    /// Whether there is a slot to be read, and nothing was read that is not released: then
    /// [`take_slot`](Self::take_slot) can have it. Not where records are overwritten.
    #[inline(always)]
    pub(super) fn has_slot<M: Memory>(&mut self, core: &Core<M>) -> bool {
        if self.read > 0 {
            return false;
        }
        if self.head == self.tail {
            let tail = position(core.tail().load(Acquire));
            // What is odd about it is for `next` to say.
            if core.shape.is_full(distance(self.head, tail).wrapping_sub(1)) {
                return false;
            }
            self.tail = tail;
        }
        true
    }

    /// Copies the record of the slot that there is, and gives the slot back. Fails with what the position's word was, if
    /// that is not the position alone: somebody waits, or wrote there; [`judge`](Self::judge) knows.
    #[inline(always)]
    pub(super) fn take_slot<M: Memory>(&mut self, core: &Core<M>, to: &mut [u8]) -> Result<(), u32> {
        let (at, total) = (self.head, self.received.wrapping_add(1));
        let counters = core.memory.counters();
        note(&counters, READING, at, total);
        core.memory.read(core.shape.slot_offset(at, to.len()), to);
        let after = add(at, 1);
        let old = core.head().swap(after, AcqRel);
        compiler_fence(AcqRel);
        counters.set(RECEIVED, total);
        (self.head, self.received) = (after, total);
        if old == at { Ok(()) } else { Err(old) }
    }

    /// After a slot was given back: whether `old` is what was released before, and that somebody waits.
    pub(super) fn judge(&self, old: u32) -> Result<(), Corrupt> {
        if add(position(old), 1) != self.head {
            return Err(Corrupt("somebody else read"));
        }
        Ok(())
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
            if found.is_ok() || position(core.head().fetch_add(0, AcqRel)) == self.released() {
                return found.map(Some);
            }
        }
        // As if there were nothing, but for who wants to sleep: the tail is not there.
        self.tail = self.released();
        Ok(None)
    }

    /// Notes that one record more is about to be read.
    #[inline]
    fn note<M: Memory>(&self, core: &Core<M>) {
        let total = self.received.wrapping_add(u64::from(self.read) + 1);
        note(&core.memory.counters(), READING, self.released(), total);
    }

    /// The record was copied.
    #[inline]
    pub(super) fn read(&mut self, span: Span) {
        let end = span.end();
        self.unreleased = self.unreleased.wrapping_add(distance(self.head, end));
        self.head = end;
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
            let released = self.released();
            self.unreleased = 0;
            if position(old) != released {
                return Err(Corrupt("somebody else read"));
            }
            waits = old & WAITS;
        }
        compiler_fence(AcqRel);
        self.received = self.received.wrapping_add(u64::from(read));
        core.memory.counters().set(RECEIVED, self.received);
        self.unreleased = 0;
        Ok(Released::Yours(if waits == 0 { 0 } else { read }))
    }

    /// Moves the head past what was read, if it was not moved meanwhile: then what was copied is what was sent.
    fn release_unless_moved<M: Memory>(&mut self, core: &Core<M>) -> bool {
        // Nobody waits for this word to change, but somebody may have said so.
        let move_from = |word| core.head().compare_exchange(word, self.head, AcqRel, Relaxed);
        let released = self.released();
        match move_from(released) {
            Ok(_) => true,
            Err(found) if found == released | WAITS => move_from(found).is_ok(),
            Err(_) => false,
        }
    }

    /// Forgets what was read and not released.
    pub(super) fn forget<M: Memory>(&mut self, core: &Core<M>) {
        self.head = self.released();
        (self.unreleased, self.read) = (0, 0);
        if !core.shape.overwrite {
            core.memory.counters().set(READING_TO, self.received);
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
