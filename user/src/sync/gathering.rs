// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting until as many have come as were asked for, again and again. Behind `Barrier`.
//!
//! Two words. **Arrivals**: how many have come (the lower half), and how often all had (the upper half).
//! **Owed**: not zero as long as the last to come has yet to wake the others; who finds it so when he wakes
//! up, since the last one died, wakes them in his stead. Arrivals are robust, so that one wakes up then.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::seam::{Stop, Word, sleep};
use crate::deadline::Deadline;

/// As many as can be waited for.
pub(crate) const MAX: u32 = ROUND - 1;

const ROUND: u32 = 1 << 16;

/// The two words.
#[derive(Clone, Copy)]
pub(crate) struct Gathering<W> {
    pub(crate) arrivals: W,
    pub(crate) owed: W,
    /// How many come together, 1 to [`MAX`].
    pub(crate) count: u32,
}

impl<W: Word> Gathering<W> {
    /// Comes, and waits for the others; `true` for the last to come. Who does not wait until then has not come.
    pub(crate) fn arrive(&self, deadline: Deadline) -> Result<bool, Stop<W::Error>> {
        let mut now = self.arrivals.load(Relaxed);
        loop {
            let last = now % ROUND + 1 >= self.count;
            let next = match last {
                true => (now - now % ROUND).wrapping_add(ROUND),
                false => now + 1,
            };
            if last {
                self.owed.store(owed(next), Relaxed);
            }
            match self.arrivals.compare_exchange(now, next, AcqRel, Relaxed) {
                Ok(_) if last => return self.wake_all(next).map(|()| true).map_err(Stop::Call),
                Ok(_) => return self.wait(next / ROUND, deadline).map(|()| false),
                Err(seen) => now = seen,
            }
        }
    }

    fn wait(&self, round: u32, deadline: Deadline) -> Result<(), Stop<W::Error>> {
        let mut slept = false;
        loop {
            let now = self.arrivals.load(Acquire);
            if now / ROUND != round {
                if slept && self.owed.load(Relaxed) != 0 {
                    self.arrivals.wake(u32::MAX).map_err(Stop::Call)?;
                }
                return Ok(());
            }
            match sleep(&self.arrivals, now, deadline) {
                Ok(woken) => slept |= woken,
                Err(stop) => {
                    if self.leave(round) {
                        return Err(stop);
                    }
                }
            }
        }
    }

    /// Has not come after all; `false` if all had come before that.
    fn leave(&self, round: u32) -> bool {
        let mut now = self.arrivals.load(Relaxed);
        while now / ROUND == round && now % ROUND != 0 {
            match self.arrivals.compare_exchange(now, now - 1, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(seen) => now = seen,
            }
        }
        // If nobody has come, whatever became of this one, there is nothing to take back.
        now / ROUND == round
    }

    fn wake_all(&self, next: u32) -> Result<(), W::Error> {
        let woken = match self.count {
            1 => Ok(0),
            _ => self.arrivals.wake(u32::MAX),
        };
        // If it is something else, that is of a later round.
        let _ = self.owed.compare_exchange(owed(next), 0, Relaxed, Relaxed);
        woken.map(drop)
    }
}

/// What is owed to those of the round before `next`: never 0.
fn owed(next: u32) -> u32 {
    next | 1
}
