// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is done once by whoever comes first, and by the next one if he dies over it. Behind `Once`, and the
//! header of every object.
//!
//! The word is 0 when nobody has begun, holds a token (and WAITERS) as long as somebody is at it, OWNER_DIED
//! (and WAITERS) when he died or gave up, and [`DONE`] at last. It must be robust for everybody who calls
//! [`claim`].

use std::mem;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::seam::{Stop, Word, sleep_marked};
use crate::deadline::Deadline;
use crate::uapi::{WORD_OWNER_DIED, WORD_TOKEN, WORD_WAITERS};

/// It is done. WAITERS alone: while somebody is at it the word has a token, and what the kernel leaves of one
/// who died has OWNER_DIED, so nothing else ever is this value; and it has no token that the kernel could
/// take for a dead one's.
pub(crate) const DONE: u32 = WORD_WAITERS;

/// What [`claim`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is done, and what was done is seen.
    Done,
    /// The caller does it, and then says so to [`Doing`].
    Ours {
        /// Somebody had begun before, and died or gave up.
        begun: bool,
    },
}

/// Waits while somebody else is at it.
pub(crate) fn claim<W: Word>(word: &W, token: u32, deadline: Deadline) -> Result<Claim, Stop<W::Error>> {
    // Who was woken may have been the only one: if he takes over, others may sleep on.
    let mut waiters = 0;
    loop {
        let now = word.load(Acquire);
        if now == DONE {
            if waiters != 0 {
                // Who completed it may have died before he woke all.
                let _ = word.wake(1);
            }
            return Ok(Claim::Done);
        }
        if now & WORD_TOKEN == 0 {
            let ours = token | now & WORD_WAITERS | waiters;
            if word.compare_exchange(now, ours, Acquire, Relaxed).is_ok() {
                return Ok(Claim::Ours {
                    begun: now & WORD_OWNER_DIED != 0,
                });
            }
        } else if sleep_marked(word, now, deadline)? {
            waiters = WORD_WAITERS;
        }
    }
}

/// Doing what was claimed. Dropped without being [completed](Self::complete), by a panic, it is left to the
/// next one as if the caller had died.
pub(crate) struct Doing<'a, W: Word>(&'a W);

impl<'a, W: Word> Doing<'a, W> {
    /// The caller has claimed the word.
    pub(crate) fn new(word: &'a W) -> Self {
        Self(word)
    }

    /// What was claimed is done.
    pub(crate) fn complete(self) -> Result<(), W::Error> {
        let word = self.0;
        mem::forget(self);
        if word.swap(DONE, Release) & WORD_WAITERS != 0 {
            word.wake(u32::MAX)?;
        }
        Ok(())
    }
}

impl<W: Word> Drop for Doing<'_, W> {
    fn drop(&mut self) {
        let word = self.0;
        let mut now = word.load(Relaxed);
        loop {
            let left = now & WORD_WAITERS | WORD_OWNER_DIED;
            match word.compare_exchange(now, left, Release, Relaxed) {
                Ok(_) => break,
                Err(seen) => now = seen,
            }
        }
        if now & WORD_WAITERS != 0 {
            // It fails when the handle was restricted since, and then nobody can be told.
            let _ = word.wake(1);
        }
    }
}
