// SPDX-License-Identifier: GPL-2.0

//! A list out of which an item is taken at once, wherever it is in it.
//!
//! `kernel::list::List` can do that, too, but has to be told by the caller that the item is in no other
//! list. A [`Queue`] knows.

use super::gfp::GFP_MAY_FAIL;
use core::ops::Deref;
use kernel::{
    list::{
        impl_list_arc_safe,
        impl_list_item,
        Cursor,
        List,
        ListArc,
        ListLinks, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        ArcBorrow, //
    }, //
};

/// What a [`Queue`] holds.
#[pin_data]
pub(crate) struct Entry<T> {
    /// The number of the queue that it is in; 0 for none.
    queue: Atomic<u64>,
    #[pin]
    links: ListLinks,
    value: T,
}

impl_list_arc_safe! {
    impl{T} ListArcSafe<0> for Entry<T> { untracked; }
}

impl_list_item! {
    impl{T} ListItem<0> for Entry<T> { using ListLinks { self.links }; }
}

impl<T> Entry<T> {
    /// In no queue. Fails with `ENOMEM`.
    pub(crate) fn new(value: T) -> Result<ListArc<Self>> {
        ListArc::pin_init(
            try_pin_init!(Self {
                queue: Atomic::new(0),
                links <- ListLinks::new(),
                value,
            }? Error),
            GFP_MAY_FAIL,
        )
    }
}

impl<T> Deref for Entry<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// The number of the next queue.
static NEXT: Atomic<u64> = Atomic::new(1);

/// Entries in an order of the caller's.
///
/// # Invariants
///
/// An entry is in `entries` if, and only if, its `queue` is `number`, which no other queue has.
pub(crate) struct Queue<T> {
    number: u64,
    entries: List<Entry<T>>,
}

impl<T> Queue<T> {
    /// Without entries.
    pub(crate) fn new() -> Self {
        // INVARIANT: The numbers do not run out.
        Self {
            number: NEXT.fetch_add(1u64, Relaxed),
            entries: List::new(),
        }
    }

    /// Adds an entry before the first one of those at the end for which `comes_after` holds.
    pub(crate) fn insert(&mut self, entry: ListArc<Entry<T>>, comes_after: impl Fn(&T) -> bool) {
        // INVARIANT: It is added below. Nobody else adds it: there is only one `ListArc` of it.
        entry.queue.store(self.number, Relaxed);
        let mut cursor = self.entries.cursor_back();
        // Mostly there are none of those.
        if cursor.peek_prev().is_some_and(|last| comes_after(&last)) {
            cursor = self.entries.cursor_front();
            while cursor.peek_next().is_some_and(|next| !comes_after(&next)) {
                cursor.move_next();
            }
        }
        cursor.insert(entry);
    }

    /// Takes out those for which `takes` returns `Some(true)`, one after the other, until it returns
    /// `None`; calls `taken` with each.
    pub(crate) fn take(
        &mut self,
        mut takes: impl FnMut(&T) -> Option<bool>,
        mut taken: impl FnMut(ListArc<Entry<T>>),
    ) {
        let mut cursor: Cursor<'_, Entry<T>> = self.entries.cursor_front();
        while let Some(next) = cursor.peek_next() {
            match takes(&next) {
                None => break,
                Some(false) => {
                    cursor.move_next();
                }
                Some(true) => {
                    // INVARIANT: It is taken out.
                    next.queue.store(0, Relaxed);
                    taken(next.remove());
                }
            }
        }
    }

    /// Takes one out, if it is in this queue.
    pub(crate) fn remove(&mut self, entry: &Entry<T>) -> Option<ListArc<Entry<T>>> {
        // Whoever changes this to or from that number has the queue borrowed mutably.
        if entry.queue.load(Relaxed) != self.number {
            return None;
        }
        // INVARIANT: It is taken out.
        entry.queue.store(0, Relaxed);
        // SAFETY: By the type invariant it is in this list, so in no other.
        unsafe { self.entries.remove(entry) }
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ArcBorrow<'_, Entry<T>>> {
        self.entries.iter()
    }
}

impl<T> Drop for Queue<T> {
    fn drop(&mut self) {
        // INVARIANT: None of them is in it after this.
        self.entries
            .iter()
            .for_each(|entry| entry.queue.store(0, Relaxed));
    }
}
