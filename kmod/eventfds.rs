// SPDX-License-Identifier: GPL-2.0

//! The eventfds that a segment signals: for each wake-up on a word, or each new generation.
//!
//! # Locks
//!
//! `Eventfds::table` is a leaf but for the locks of the eventfds. Under it nothing is allocated and no
//! last reference dropped.

use crate::{
    missing::{
        eventfd::EventFd,
        gfp::GFP_MAY_FAIL, //
    },
    uapi, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        SpinLock, //
    }, //
};

/// How many a segment has at most, of all handles.
const SEGMENT_MAX: usize = 1024;

/// What an eventfd is signalled for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A wake-up on the word at this offset.
    Wake(u64),
    /// A new generation.
    Generation,
}

/// The place of an eventfd: what it is signalled for, through which handle it was added, and a number
/// that makes that unique.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    event: Event,
    token: u32,
    number: u64,
}

struct Table {
    eventfds: RBTree<Place, EventFd>,
    /// Of the next one.
    number: u64,
}

/// The eventfds of a segment.
#[pin_data]
pub(crate) struct Eventfds {
    #[pin]
    table: SpinLock<Table>,
    /// How many there are, to be looked at without the lock.
    count: Atomic<u32>,
}

impl Eventfds {
    /// None.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            table <- new_spinlock!(
                Table {
                    eventfds: RBTree::new(),
                    number: 0,
                },
                "shmdev::Eventfds::table"
            ),
            count: Atomic::new(0),
        })
    }

    /// Adds one. Fails with `ENOSPC` if the handle or the segment has too many, and with `ENOMEM`.
    pub(crate) fn add(&self, event: Event, token: u32, eventfd: EventFd) -> Result {
        let reservation = RBTreeNodeReservation::new(GFP_MAY_FAIL)?;
        let mut table = self.table.lock();
        let mut all: usize = 0;
        let mut own: usize = 0;
        for place in table.eventfds.keys() {
            all = all.saturating_add(1);
            own = own.saturating_add(usize::from(place.token == token));
        }
        if own >= uapi::EVENTFDS_MAX || all >= SEGMENT_MAX {
            return Err(ENOSPC);
        }
        let number = table.number;
        table.number = number.wrapping_add(1);
        let place = Place {
            event,
            token,
            number,
        };
        table.eventfds.insert(reservation.into_node(place, eventfd));
        // Under the lock: whoever is counted is there, and whoever is there is counted. Before the
        // caller looks at the word, see `signal`.
        self.count.fetch_add(1u32, Full);
        Ok(())
    }

    /// Removes one that was added so. Fails with `ENOENT`.
    pub(crate) fn remove(&self, event: Event, token: u32, eventfd: &EventFd) -> Result {
        self.remove_first(|place, added| {
            place.event == event && place.token == token && added.is(eventfd)
        })
        .map(drop)
        .ok_or(ENOENT)
    }

    /// Removes all of a handle.
    pub(crate) fn handle_released(&self, token: u32) {
        if self.count.load(Relaxed) == 0 {
            return;
        }
        while self.remove_first(|place, _| place.token == token).is_some() {}
    }

    /// Returned, so that it is dropped without the lock.
    fn remove_first(
        &self,
        is_it: impl Fn(&Place, &EventFd) -> bool,
    ) -> Option<RBTreeNode<Place, EventFd>> {
        let mut table = self.table.lock();
        let (&place, _) = table
            .eventfds
            .iter()
            .find(|(place, eventfd)| is_it(place, eventfd))?;
        let node = table.eventfds.remove_node(&place);
        self.count.fetch_sub(1u32, Relaxed);
        node
    }

    /// Signals those that were added for it, which has just come about. Before that there must have been a
    /// full barrier.
    // Either this sees the eventfd, or who added it sees what was stored before the barrier.
    #[inline]
    pub(crate) fn signal(&self, event: Event) {
        if self.count.load(Relaxed) != 0 {
            self.signal_all(event);
        }
    }

    fn signal_all(&self, event: Event) {
        let mut next = Place {
            event,
            token: 0,
            number: 0,
        };
        let mut end = None;
        loop {
            // One at a time, for there may be many who wait for it.
            let table = self.table.lock();
            // Those that were added since need no signal.
            let end = *end.get_or_insert(table.number);
            let Some(cursor) = table.eventfds.cursor_lower_bound(&next) else {
                break;
            };
            let (&place, eventfd) = cursor.current();
            if place.event != event {
                break;
            }
            if place.number < end {
                eventfd.signal();
            }
            next = place;
            next.number = place.number.saturating_add(1);
        }
    }
}
