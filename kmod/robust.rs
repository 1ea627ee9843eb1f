// SPDX-License-Identifier: GPL-2.0

//! Robust words of a handle: which words the kernel tends when a process dies.
//!
//! # Locks
//!
//! `RobustWords::table` is a leaf. Under it nothing is allocated.

use crate::{
    missing::{
        gfp::GFP_MAY_FAIL,
        process::ProcessKey, //
    },
    segment::Segment, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::SpinLock, //
};

/// What to do with which word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RobustWord {
    pub(crate) offset: u64,
    /// Whether to wake somebody alone, and leave the word as it is.
    pub(crate) wake_only: bool,
}

/// For whose death.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    process: ProcessKey,
    word: RobustWord,
}

struct Table {
    /// With how often each was added, at least once.
    entries: RBTree<Entry, u32>,
    /// How many there are.
    len: u32,
}

/// The robust words of a handle.
#[pin_data]
pub(crate) struct RobustWords {
    #[pin]
    table: SpinLock<Table>,
}

impl RobustWords {
    /// None.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            table <- new_spinlock!(
                Table {
                    entries: RBTree::new(),
                    len: 0,
                },
                "shmdev::RobustWords::table"
            ),
        })
    }

    /// Adds one for the current process. Fails with `ENOSPC` if the handle has `limit` of them, or the
    /// segment as many as it may have, and with `ENOMEM`.
    pub(crate) fn add(&self, segment: &Segment, word: RobustWord, limit: u32) -> Result {
        let process = ProcessKey::current();
        let entry = Entry { process, word };
        let reservation = RBTreeNodeReservation::new(GFP_MAY_FAIL)?;
        let mut table = self.table.lock();
        if let Some(count) = table.entries.get_mut(&entry) {
            *count = count.checked_add(1).ok_or(ENOSPC)?;
            return Ok(());
        }
        if table.len >= limit || !segment.count_robust_word() {
            return Err(ENOSPC);
        }
        table.len = table.len.saturating_add(1);
        table.entries.insert(reservation.into_node(entry, 1));
        Ok(())
    }

    /// Takes back one addition by the current process. Fails with `ENOENT`.
    pub(crate) fn remove(&self, segment: &Segment, word: RobustWord) -> Result {
        let process = ProcessKey::current();
        let entry = Entry { process, word };
        let mut table = self.table.lock();
        let count = table.entries.get_mut(&entry).ok_or(ENOENT)?;
        *count = count.saturating_sub(1);
        if *count == 0 {
            table.remove(&entry, segment);
        }
        Ok(())
    }

    /// Takes one out that was added by that process, or by any.
    pub(crate) fn take(
        &self,
        segment: &Segment,
        process: Option<ProcessKey>,
    ) -> Option<RobustWord> {
        let first = Entry {
            process: process.unwrap_or(ProcessKey::FIRST),
            word: RobustWord {
                offset: 0,
                wake_only: false,
            },
        };
        let mut table = self.table.lock();
        let &entry = table.entries.cursor_lower_bound(&first)?.current().0;
        if process.is_some_and(|process| process != entry.process) {
            return None;
        }
        table.remove(&entry, segment);
        Some(entry.word)
    }
}

impl Table {
    fn remove(&mut self, entry: &Entry, segment: &Segment) {
        if self.entries.remove(entry).is_some() {
            self.len = self.len.saturating_sub(1);
            segment.uncount_robust_word();
        }
    }
}
