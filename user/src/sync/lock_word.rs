// SPDX-License-Identifier: MIT OR Apache-2.0

//! A word that one owner holds at a time, and that tells the next one when an owner died. Behind `Mutex` and
//! `RwLock`.
//!
//! | word | meaning |
//! |---|---|
//! | token | who holds it; 0: nobody |
//! | WAITERS | somebody may sleep: who lets go wakes one |
//! | OWNER_DIED | an owner died, and none since has said that all is well |
//!
//! The kernel takes the token of one who dies out of the word and puts OWNER_DIED in. It must be robust for
//! everybody who uses it: then the kernel also passes on a wake-up that was for one who died, or that he
//! owed.
//!
//! Whoever gets it after having slept leaves WAITERS in it, since the wake-up took it out and others may
//! sleep on. With that, no wake-up is ever owed by anybody but who holds it or is about to look at it.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::seam::{Stop, Word, sleep_marked};
use crate::deadline::Deadline;
use crate::uapi::{WORD_OWNER_DIED, WORD_TOKEN, WORD_WAITERS};

/// How a lock was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an owner's death is to be told"]
pub(crate) enum Found {
    /// As it should be.
    Clean,
    /// An owner died, and none since has called [`make_clean`].
    OwnerDied,
}

impl Found {
    #[inline]
    pub(crate) fn of(word: u32) -> Self {
        match word & WORD_OWNER_DIED {
            0 => Self::Clean,
            _ => Self::OwnerDied,
        }
    }
}

/// Takes the lock if nobody holds it.
#[inline]
pub(crate) fn try_lock<W: Word>(word: &W, token: u32) -> Option<Found> {
    // A guess that is right where it matters, and saves a load.
    let mut now = 0;
    while now & WORD_TOKEN == 0 {
        match word.compare_exchange(now, now | token, Acquire, Relaxed) {
            Ok(_) => return Some(Found::of(now)),
            Err(seen) => now = seen,
        }
    }
    None
}

/// Takes the lock when nobody holds it.
#[inline]
pub(crate) fn lock<W: Word>(word: &W, token: u32, deadline: Deadline) -> Result<Found, Stop<W::Error>> {
    match try_lock(word, token) {
        Some(found) => Ok(found),
        None => lock_slowly(word, token, deadline, 0),
    }
}

/// As [`lock`], for one who was woken on the word, or who knows that others sleep on it that nobody would wake.
pub(crate) fn lock_for_others<W: Word>(
    word: &W,
    token: u32,
    deadline: Deadline,
) -> Result<Found, Stop<W::Error>> {
    lock_slowly(word, token, deadline, WORD_WAITERS)
}

#[cold]
fn lock_slowly<W: Word>(
    word: &W,
    token: u32,
    deadline: Deadline,
    mut waiters: u32,
) -> Result<Found, Stop<W::Error>> {
    loop {
        let now = word.load(Relaxed);
        if now & WORD_TOKEN == 0 {
            let ours = now | token | waiters;
            if word.compare_exchange(now, ours, Acquire, Relaxed).is_ok() {
                return Ok(Found::of(now));
            }
        } else if sleep_marked(word, now, deadline)? {
            waiters = WORD_WAITERS;
        }
    }
}

/// Lets go of the lock. What [`lock`] found stays so for the next one, unless it was [made clean](make_clean).
#[inline]
pub(crate) fn unlock<W: Word>(word: &W) -> Result<(), W::Error> {
    if word.fetch_and(WORD_OWNER_DIED, Release) & WORD_WAITERS != 0 {
        word.wake(1)?;
    }
    Ok(())
}

/// Says that what the lock protects is as it should be, though an owner died. Only who holds it may.
pub(crate) fn make_clean<W: Word>(word: &W) {
    word.fetch_and(!WORD_OWNER_DIED, Relaxed);
}
