// SPDX-License-Identifier: MIT OR Apache-2.0

//! A number of permits that can be taken and given. Behind `Semaphore`, and behind an `Event` that one waiter
//! resets, which is a semaphore of at most one permit.
//!
//! The word is the number, and WAITERS when somebody may sleep. It is robust, so that a wake-up for one who
//! died goes to the next.
//!
//! Who gives takes WAITERS out and wakes as many as he gives. Others may sleep on, and then the next to give
//! does not know of them. So who was woken puts WAITERS in again, and if he leaves permits, he wakes one
//! more: as long as there are permits and sleepers, somebody is awake who will look at the word.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg(any(test, feature = "tokio"))]
use super::seam::mark;
use super::seam::{Stop, Word, sleep_marked};
use crate::deadline::Deadline;
use crate::uapi::WORD_WAITERS;

/// As many as the word can count.
pub(crate) const MAX: u32 = i32::MAX as u32;

/// How many permits there are.
pub(crate) fn count(word: u32) -> u32 {
    word & MAX
}

/// Takes a permit when there is one.
pub(crate) fn acquire<W: Word>(word: &W, deadline: Deadline) -> Result<(), Stop<W::Error>> {
    let mut waiters = 0;
    loop {
        let now = word.load(Relaxed);
        let permits = count(now);
        if permits == 0 {
            if sleep_marked(word, now, deadline)? {
                waiters = WORD_WAITERS;
            }
        } else if word
            .compare_exchange(now, (now - 1) | waiters, Acquire, Relaxed)
            .is_ok()
        {
            if waiters != 0 && permits > 1 {
                // It fails when the handle was restricted since, and then nobody can be told.
                let _ = word.wake(1);
            }
            return Ok(());
        }
    }
}

/// Takes a permit if there is one; if not, says in the word that somebody waits, and returns `false`.
///
/// Who waits so is nobody whom a wake-up is used up for, and looks after each: so unlike one who slept, he owes none to
/// others.
#[cfg(any(test, feature = "tokio"))]
pub(crate) fn acquire_or_announce<W: Word>(word: &W) -> bool {
    loop {
        let now = word.load(Relaxed);
        if count(now) == 0 {
            if mark(word, now) {
                return false;
            }
        } else if word.compare_exchange(now, now - 1, Acquire, Relaxed).is_ok() {
            return true;
        }
    }
}

/// Gives permits, so that there are at most `limit`; `false` if there would be more, and then gives none. Who
/// takes one that was there already sees what was done before, all the same.
pub(crate) fn release<W: Word>(word: &W, permits: u32, limit: u32) -> Result<bool, W::Error> {
    if permits == 0 {
        // Nobody would be woken, so WAITERS stays.
        return Ok(true);
    }
    let mut now = word.load(Relaxed);
    loop {
        let Some(sum) = count(now).checked_add(permits).filter(|&sum| sum <= limit) else {
            match word.compare_exchange(now, now, Release, Relaxed) {
                Ok(_) => return Ok(false),
                Err(seen) => now = seen,
            }
            continue;
        };
        match word.compare_exchange(now, sum, Release, Relaxed) {
            Ok(_) => break,
            Err(seen) => now = seen,
        }
    }
    if now & WORD_WAITERS != 0 {
        word.wake(permits)?;
    }
    Ok(true)
}
