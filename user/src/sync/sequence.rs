// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for a notification, of one or of all. Behind `Condvar`.
//!
//! Two words: a **sequence**, which each notification counts on, and on which waiters sleep; and how many
//! **waiters** there are, so that a notification that nobody waits for makes no system call. One who dies
//! while he waits stays counted, which costs a call now and then and nothing else. The sequence is robust for
//! who waits, so that a notification that was for one who died goes to the next.
//!
//! Both are read and counted relaxed: a waiter looks at the sequence, and is counted, before he unlocks the
//! mutex, and a notifier changes what is waited for under the mutex, and then notifies. The mutex orders
//! them.

use std::sync::atomic::Ordering::Relaxed;

use super::seam::{Stop, Word, sleep_once};
use crate::deadline::Deadline;

/// How often to look for a sequence that nobody else counts on meanwhile.
const ATTEMPTS: u32 = 100;

/// The two words.
#[derive(Clone, Copy)]
pub(crate) struct Sequence<W> {
    pub(crate) sequence: W,
    pub(crate) waiters: W,
}

impl<W: Word> Sequence<W> {
    /// The caller, who has the mutex, is going to wait. Returns what [`sleep`](Self::sleep) wants.
    pub(crate) fn prepare(&self) -> u32 {
        self.waiters.fetch_add(1, Relaxed);
        self.sequence.load(Relaxed)
    }

    /// Sleeps until a notification that came after [`prepare`](Self::prepare), for one who has unlocked the
    /// mutex since.
    ///
    /// However it ends, the caller may have been moved to the mutex's word, and takes the mutex with
    /// [`lock_for_others`](super::lock_word::lock_for_others).
    pub(crate) fn sleep(&self, prepared: u32, deadline: Deadline) -> Result<(), Stop<W::Error>> {
        let slept = sleep_once(&self.sequence, prepared, deadline);
        self.waiters.fetch_sub(1, Relaxed);
        slept.map(drop)
    }

    /// Wakes one.
    pub(crate) fn notify_one(&self) -> Result<(), W::Error> {
        if self.waiters.load(Relaxed) == 0 {
            return Ok(());
        }
        self.sequence.fetch_add(1, Relaxed);
        self.sequence.wake(1).map(drop)
    }

    /// Wakes one, and lets all others wait for the mutex, which `lock` is the word of. The one that is woken
    /// takes the mutex and wakes the next when he unlocks it, and so on.
    pub(crate) fn notify_all(&self, lock: &W) -> Result<(), W::Error> {
        if self.waiters.load(Relaxed) == 0 {
            return Ok(());
        }
        self.sequence.fetch_add(1, Relaxed);
        for _ in 0..ATTEMPTS {
            let now = self.sequence.load(Relaxed);
            // Somebody else may notify meanwhile, and then only one.
            if self.sequence.wake_one_requeue_all(now, lock)? {
                return Ok(());
            }
        }
        // Somebody counts on and on: then all of them at once.
        self.sequence.wake(u32::MAX).map(drop)
    }
}
