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

    /// Completes a write. Returns its number.
    pub(crate) fn advance(&self) -> u64 {
        self.0.fetch_add(1u64, Full).wrapping_add(1)
    }
}

/// What a handle has seen of its segment's generation.
pub(crate) struct Seen(Atomic<u64>);

impl Seen {
    pub(crate) fn new() -> Self {
        Self(Atomic::new(0))
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// The handle has seen this generation.
    pub(crate) fn set(&self, generation: u64) {
        self.0.store(generation, Relaxed);
    }

    /// The handle has itself made this generation: if it had seen the one before, it has seen this
    /// one, too.
    pub(crate) fn set_own(&self, generation: u64) {
        let _ = self
            .0
            .cmpxchg(generation.wrapping_sub(1), generation, Relaxed);
    }
}
