// SPDX-License-Identifier: MIT OR Apache-2.0

//! What both sides of a ring do: read its two positions and sleep until they change, and take the lock of their side.

use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::atomic::compiler_fence;

use super::failure::Failure;
use super::layout::{self, Shape, Units};
use super::position::{WAITS, distance, position};
use super::seam::{Counters, Memory};
use crate::deadline::Deadline;
use crate::sync::lock_word::{self, Found};
use crate::sync::seam::Word;
use crate::word::Waited;

/// Why what lies in a ring's memory is no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt(pub(super) &'static str);

/// A ring.
#[derive(Debug)]
pub(super) struct Core<M> {
    pub(super) memory: M,
    pub(super) shape: Shape,
}

impl<M: Memory> Core<M> {
    #[inline]
    pub(super) fn tail(&self) -> M::Word<'_> {
        self.memory.word(layout::TAIL)
    }

    #[inline]
    pub(super) fn head(&self) -> M::Word<'_> {
        self.memory.word(layout::HEAD)
    }

    /// How many units lie between two positions, if the ring has so many.
    #[inline]
    pub(super) fn used(&self, head: u32, tail: u32) -> Result<u32, Corrupt> {
        let used = distance(head, tail);
        if used > self.shape.count() {
            return Err(Corrupt("more is written than there is room for"));
        }
        Ok(used)
    }

    /// How many to wake of those who wait for room, when there is room for so many records: where those have various
    /// lengths, it may not do for who waits first.
    #[inline]
    pub(super) fn wakes_for_room(&self, records: u32) -> u32 {
        match self.shape.units {
            Units::Records if self.shape.many_senders => u32::MAX,
            _ => records,
        }
    }

    /// Adds to a counter that only its caller writes.
    pub(super) fn count(&self, counter: usize, more: u64) {
        let old = self.memory.counters().get(counter);
        self.memory.counters().set(counter, old.wrapping_add(more));
    }
}

/// Notes in two counters that a record is about to be written or read: from that position on, with so many in all.
#[inline(always)]
pub(super) fn note(counters: &impl Counters, (from_at, to_at): (usize, usize), from: u32, total: u64) {
    counters.set(from_at, u64::from(from));
    // In this order, also for whoever looks after a death.
    compiler_fence(AcqRel);
    counters.set(to_at, total);
    compiler_fence(AcqRel);
}

/// Says in the word of a position that somebody waits for it to change; `false` when it is not `seen` any more.
pub(super) fn announce(word: &impl Word, seen: u32) -> bool {
    match word.compare_exchange(seen, seen | WAITS, AcqRel, Acquire) {
        Ok(_) => true,
        Err(found) => found == seen | WAITS,
    }
}

/// Sleeps until the position in `word` is not `seen` any more, or for no reason; `true` when it was woken.
#[cold]
pub(super) fn sleep<W: Word>(word: &W, seen: u32, deadline: Deadline) -> Result<bool, Failure<W::Error>> {
    if deadline == Deadline::Now {
        return Err(Failure::WouldBlock);
    }
    if announce(word, seen) {
        match word.wait(seen | WAITS, deadline).map_err(Failure::Call)? {
            Waited::Woken => return Ok(true),
            Waited::TimedOut => return Err(Failure::TimedOut),
            Waited::Changed => (),
        }
    }
    if deadline.has_come() {
        return Err(Failure::TimedOut);
    }
    Ok(false)
}

/// Takes the lock of a side if nobody living has it, and has `recover` put in order what one who died left.
pub(super) fn try_enter<W: Word>(word: &W, token: u32, recover: impl FnOnce()) -> bool {
    let found = lock_word::try_lock(word, token);
    if found == Some(Found::OwnerDied) {
        recover();
        lock_word::make_clean(word);
    }
    found.is_some()
}

/// So, too, but waits for it.
#[inline]
pub(super) fn enter<W: Word>(
    word: &W,
    token: u32,
    deadline: Deadline,
    recover: impl FnOnce(),
) -> Result<(), Failure<W::Error>> {
    if lock_word::lock(word, token, deadline)? == Found::OwnerDied {
        recover();
        lock_word::make_clean(word);
    }
    Ok(())
}

/// After having been woken where others may sleep on the same word: who woke has taken back what they said. Says
/// it again, and returns the position.
pub(super) fn announce_others(word: &impl Word) -> u32 {
    position(word.fetch_or(WAITS, AcqRel))
}
