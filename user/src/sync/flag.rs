// SPDX-License-Identifier: MIT OR Apache-2.0

//! A flag that many wait for, and that stays set until somebody resets it. Behind `Event`.
//!
//! The word is bit 0, whether it is set; bits 1 to 30, how often it was set; and WAITERS when somebody may
//! sleep. It is robust, so that one is woken when one who set it dies before he has woken all: that one sees
//! WAITERS in a flag that is set, and wakes the others. Who has woken all takes WAITERS out, if the flag is
//! as he set it; the count tells.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

#[cfg(any(test, feature = "tokio"))]
use super::seam::mark;
use super::seam::{Stop, Word, sleep_marked};
use crate::deadline::Deadline;
use crate::uapi::WORD_WAITERS;

const SET: u32 = 1;
const COUNT_ONE: u32 = 1 << 1;
const COUNT: u32 = !(SET | WORD_WAITERS);

pub(crate) fn is_set(word: u32) -> bool {
    word & SET != 0
}

/// Sets it, and wakes all.
pub(crate) fn set<W: Word>(word: &W) -> Result<(), W::Error> {
    let mut now = word.load(Relaxed);
    let set = loop {
        // Also where it is set already: who sees it set sees what every setter did before.
        let count = if is_set(now) {
            now
        } else {
            now.wrapping_add(COUNT_ONE)
        };
        let set = count & COUNT | now & WORD_WAITERS | SET;
        match word.compare_exchange(now, set, Release, Relaxed) {
            Ok(_) => break set,
            Err(seen) => now = seen,
        }
    };
    wake_all(word, set)
}

/// Resets it: waits that have not ended go on. What was done before it was set is seen.
pub(crate) fn reset<W: Word>(word: &W) {
    word.fetch_and(!SET, Acquire);
}

/// Waits until it is set.
pub(crate) fn wait<W: Word>(word: &W, deadline: Deadline) -> Result<(), Stop<W::Error>> {
    let mut slept = false;
    loop {
        let now = word.load(Acquire);
        if !is_set(now) {
            slept |= sleep_marked(word, now, deadline)?;
        } else if slept {
            return wake_all(word, now).map_err(Stop::Call);
        } else {
            return Ok(());
        }
    }
}

/// Whether it is set; if not, says in the word that somebody waits.
#[cfg(any(test, feature = "tokio"))]
pub(crate) fn is_set_or_announce<W: Word>(word: &W) -> bool {
    loop {
        let now = word.load(Acquire);
        if is_set(now) {
            return true;
        }
        if mark(word, now) {
            return false;
        }
    }
}

/// Wakes all if the flag, as it was `set`, says that there may be some.
fn wake_all<W: Word>(word: &W, set: u32) -> Result<(), W::Error> {
    if set & WORD_WAITERS != 0 {
        word.wake(u32::MAX)?;
        // If it is something else, somebody else answers for the waiters.
        let _ = word.compare_exchange(set, set & !WORD_WAITERS, Relaxed, Relaxed);
    }
    Ok(())
}
