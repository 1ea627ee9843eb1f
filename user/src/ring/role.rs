// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the kernel does for one end of a ring when its process dies: it frees the role or the lock, and wakes somebody
//! else if a wake-up was for the one who died, or owed by it.

use std::{mem, process};

use crate::area::{Area, Tended};
use crate::error::RobustError;
use crate::word::Death;

/// One end's words that the kernel tends.
#[derive(Debug)]
pub(super) struct Role {
    /// `Some` until it is [kept](Self::keep).
    words: Option<Words>,
    /// The process that has the role. A child of `fork` has a copy, and not the role.
    process: u32,
}

#[derive(Debug)]
struct Words {
    _lock: Tended,
    _owed: Tended,
    _waited: Option<Tended>,
}

impl Role {
    /// Has the kernel tend the lock word of a side; the position that it moves, since it owes a wake-up to who waits for
    /// that between moving it and waking; and the one that it waits for itself, if others of the same side do.
    pub(super) fn tend(
        area: &Area,
        lock: usize,
        moves: usize,
        waits_for: usize,
        many: bool,
    ) -> Result<Self, RobustError> {
        let words = Words {
            _lock: Tended::add(area, lock, Death::Mark)?,
            _owed: Tended::add(area, moves, Death::WakeOnly)?,
            _waited: many
                .then(|| Tended::add(area, waits_for, Death::WakeOnly))
                .transpose()?,
        };
        Ok(Self {
            words: Some(words),
            process: process::id(),
        })
    }

    /// Whether this process has the role, and not its parent.
    pub(super) fn is_ours(&self) -> bool {
        process::id() == self.process
    }

    /// Has the kernel tend the words until the process ends.
    pub(super) fn keep(&mut self) {
        mem::forget(self.words.take());
    }
}
