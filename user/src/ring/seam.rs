// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the algorithms of a ring are written upon: its words, its counters and its bytes. In use these lie in a
//! segment; model checkers bring their own.

use crate::sync::seam::Word;

/// The counters of a ring. Only who has the role or the lock of a side writes those of that side, so they order
/// nothing.
pub(crate) trait Counters {
    /// The counter at this offset, one of `layout`'s.
    fn get(&self, at: usize) -> u64;
    fn set(&self, at: usize, value: u64);
}

/// The memory of a ring. Others change it at any time, to anything.
pub(crate) trait Memory {
    /// Why a call to the kernel failed.
    type Error;

    type Word<'a>: Word<Error = Self::Error>
    where
        Self: 'a;

    type Counters<'a>: Counters
    where
        Self: 'a;

    /// The word at this offset, one of `layout`'s.
    fn word(&self, at: usize) -> Self::Word<'_>;

    fn counters(&self) -> Self::Counters<'_>;

    /// The eight bytes at `at`, a multiple of 8, counted from the first unit. This and what follows order nothing.
    fn cell(&self, at: usize) -> u64;
    fn set_cell(&self, at: usize, value: u64);

    /// Copies the bytes at `at`, a multiple of 8, to `to`. There are that many.
    fn read(&self, at: usize, to: &mut [u8]);

    /// Copies `from` to the bytes at `at`, a multiple of 8, and may change bytes up to the next multiple. There are
    /// that many.
    fn write(&self, at: usize, from: &[u8]);
}
