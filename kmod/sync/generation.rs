// SPDX-License-Identifier: GPL-2.0

//! The generation: how many writes of a segment were completed, and which of them a handle has
//! seen.

use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full,
    Relaxed, //
};

/// A segment's counter of completed writes.
pub(crate) struct Generation(Atomic<u64>);

impl Generation {
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// The number of the write that was completed last.
    pub(crate) fn current(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Completes a write by a handle. Returns its number.
    pub(crate) fn advance(&self, by: &Seen) -> u64 {
        // Before it is part of the generation: nobody can take it for another's.
        by.own.add(1u64, Relaxed);
        self.0.fetch_add(1u64, Full).wrapping_add(1)
    }
}

/// What a handle has seen of its segment's generation. Its own writes are no news to it.
pub(crate) struct Seen {
    /// How many writes of others it has seen.
    others: Atomic<u64>,
    /// How many writes of its own there are, or are about to be.
    own: Atomic<u64>,
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self {
            others: Atomic::new(0),
            own: Atomic::new(0),
        }
    }

    /// How many writes of others are part of a generation. Those of its own are looked at after it:
    /// there may be more of these by now, which only makes an older generation of it, until whoever
    /// writes tells all who poll.
    fn others_in(&self, generation: u64) -> u64 {
        generation.saturating_sub(self.own.load(Relaxed))
    }

    /// How many writes of others are part of this generation that the handle has not seen.
    pub(crate) fn unseen_in(&self, generation: u64) -> u64 {
        self.others_in(generation)
            .saturating_sub(self.others.load(Relaxed))
    }

    /// The handle has seen this generation, and those before.
    pub(crate) fn saw(&self, generation: u64) {
        let others = self.others_in(generation);
        let mut before = self.others.load(Relaxed);
        while others > before {
            match self.others.cmpxchg(before, others, Relaxed) {
                Ok(_) => return,
                Err(now) => before = now,
            }
        }
    }
}
