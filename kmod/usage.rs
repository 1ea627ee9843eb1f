// SPDX-License-Identifier: GPL-2.0

//! How much of the limits is used up, and by whom.
//!
//! # Locks
//!
//! `Usage::counts` is a leaf.

use crate::missing::{
    creds::Kuid,
    gfp::GFP_MAY_FAIL,
    parameters::Limits, //
};
use core::mem;
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::{
        Arc,
        SpinLock, //
    }, //
};

/// What all segments that count use, together and by who created them.
#[pin_data]
pub(crate) struct Usage {
    #[pin]
    counts: SpinLock<Counts>,
}

struct Counts {
    segments: u64,
    bytes: u64,
    /// Bytes of each user, who has at least one.
    users: RBTree<Kuid, u64>,
    /// Memory for another user, left by one who has nothing any more.
    spare: Option<RBTreeNodeReservation<Kuid, u64>>,
}

/// What is used.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) segments: u64,
    pub(crate) bytes: u64,
    /// By the user who was asked for.
    pub(crate) user_bytes: u64,
}

impl Usage {
    /// Nothing is used.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let counts = Counts {
            segments: 0,
            bytes: 0,
            users: RBTree::new(),
            spare: None,
        };
        Arc::pin_init(
            pin_init!(Self {
                counts <- new_spinlock!(counts, "shmdev::Usage::counts"),
            }),
            GFP_KERNEL,
        )
    }

    /// How many segments and bytes are used now.
    pub(crate) fn total(&self) -> (u64, u64) {
        let counts = self.counts.lock();
        (counts.segments, counts.bytes)
    }

    /// What is used now, and by that user.
    pub(crate) fn look(&self, user: Kuid) -> Used {
        let counts = self.counts.lock();
        Used {
            segments: counts.segments,
            bytes: counts.bytes,
            user_bytes: counts.users.get(&user).copied().unwrap_or(0),
        }
    }

    /// Calls `show` for each user who uses something, with how many bytes. It is called with a
    /// spinlock held.
    pub(crate) fn for_each_user(&self, mut show: impl FnMut(Kuid, u64)) {
        for (&user, &bytes) in self.counts.lock().users.iter() {
            show(user, bytes);
        }
    }
}

/// Who something counts for, and in what.
#[derive(Clone)]
pub(crate) struct Account {
    pub(crate) usage: Arc<Usage>,
    pub(crate) user: Kuid,
}

/// A number of segments and bytes that count against the limits, until dropped.
pub(crate) struct Charge {
    account: Account,
    segments: u64,
    bytes: u64,
}

impl Account {
    /// Counts so many segments and bytes.
    ///
    /// Fails with `ENOSPC` if that would exceed a limit, and with `ENOMEM`.
    pub(crate) fn charge(self, segments: u64, bytes: u64) -> Result<Charge> {
        let limits = Limits::now();
        let within = |used: u64, more: u64, limit: u64| {
            let sum = used.checked_add(more)?;
            // Whoever adds nothing is not hindered by what is there.
            (more == 0 || sum <= limit).then_some(sum)
        };

        let mut spare = None;
        loop {
            let mut guard = self.usage.counts.lock();
            let counts = &mut *guard;
            let of_user = counts.users.get(&self.user).copied().unwrap_or(0);
            let all_segments = within(counts.segments, segments, limits.segments).ok_or(ENOSPC)?;
            let all_bytes = within(counts.bytes, bytes, limits.total_bytes).ok_or(ENOSPC)?;
            let of_user = within(of_user, bytes, limits.user_bytes).ok_or(ENOSPC)?;
            if let Some(there) = counts.users.get_mut(&self.user) {
                *there = of_user;
            } else if let Some(memory) = spare.take().or_else(|| counts.spare.take()) {
                let _ = counts.users.insert(memory.into_node(self.user, of_user));
            } else {
                drop(guard);
                spare = Some(RBTreeNodeReservation::new(GFP_MAY_FAIL)?);
                continue;
            }
            counts.segments = all_segments;
            counts.bytes = all_bytes;
            break;
        }
        Ok(Charge {
            account: self,
            segments,
            bytes,
        })
    }
}

impl Charge {
    /// Who it counts for.
    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// Takes over what another one counts for the same user.
    pub(crate) fn absorb(&mut self, mut other: Self) {
        self.bytes = self.bytes.saturating_add(mem::take(&mut other.bytes));
        self.segments = self.segments.saturating_add(mem::take(&mut other.segments));
    }

    /// Parts with so many of its bytes.
    pub(crate) fn split_off(&mut self, bytes: u64) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes = self.bytes.saturating_sub(bytes);
        Self {
            account: self.account.clone(),
            segments: 0,
            bytes,
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        // What was parted with or taken over is dropped under other locks, too.
        if self.segments == 0 && self.bytes == 0 {
            return;
        }
        let Account { usage, user } = &self.account;
        let mut counts = usage.counts.lock();
        counts.segments = counts.segments.saturating_sub(self.segments);
        counts.bytes = counts.bytes.saturating_sub(self.bytes);
        let mut nobody = false;
        if let Some(bytes) = counts.users.get_mut(user) {
            *bytes = bytes.saturating_sub(self.bytes);
            nobody = *bytes == 0;
        }
        if nobody {
            let left = counts
                .users
                .remove_node(user)
                .map(RBTreeNode::into_reservation);
            let unneeded = mem::replace(&mut counts.spare, left);
            drop(counts);
            drop(unneeded);
        }
    }
}
