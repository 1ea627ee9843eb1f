// SPDX-License-Identifier: GPL-2.0

//! One who waits on a word, and the queue in which he stands.

use crate::{
    missing::{
        clock,
        gfp::GFP_MAY_FAIL,
        park::{
            Priority,
            Sleeper, //
        }, //
    },
    segment::Segment, //
};
use core::num::NonZeroU32;
use kernel::{
    list::{
        impl_list_arc_safe,
        impl_list_item,
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
        Arc,
        ArcBorrow, //
    }, //
};

/// Names a word of a segment, for as long as anybody waits on it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word {
    /// The segment's address, which is its own until then.
    segment: usize,
    offset: u64,
}

impl Word {
    pub(crate) fn new(segment: &Segment, offset: u64) -> Self {
        Self {
            segment: core::ptr::from_ref(segment).addr(),
            offset,
        }
    }

    /// Spreads words (Fibonacci hashing: Knuth, The Art of Computer Programming, volume 3, section
    /// 6.4).
    pub(crate) fn hash(self) -> u64 {
        (self.segment as u64 ^ self.offset.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// A task's place in the queue of a word. A task that waits on several words has one for each.
#[pin_data]
pub(crate) struct Waiter {
    segment: usize,
    /// Changed while it stands in no queue.
    offset: Atomic<u64>,
    priority: Priority,
    /// Which of its words this is, from 1 on: the reason for which the sleeper is claimed here.
    index: NonZeroU32,
    /// That of the first of the task's words is the one that sleeps.
    sleeper: Sleeper,
    /// The first, in all others.
    first: Option<Arc<Waiter>>,
    /// The token of the handle through which it waits.
    pub(crate) token: u32,
    /// Since when: CLOCK_MONOTONIC, in nanoseconds.
    pub(crate) since_ns: i64,
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Waiter { untracked; }
}

impl_list_item! {
    impl ListItem<0> for Waiter { using ListLinks { self.links }; }
}

impl Waiter {
    /// The current task, on its word of that index, from 1 on; `first` is the one on the first, unless
    /// this is. Fails with `ENOMEM`.
    pub(crate) fn current(
        word: Word,
        index: NonZeroU32,
        first: Option<Arc<Self>>,
        token: u32,
    ) -> Result<ListArc<Self>> {
        ListArc::pin_init(
            try_pin_init!(Self {
                segment: word.segment,
                offset: Atomic::new(word.offset),
                priority: Priority::current(),
                index,
                sleeper: Sleeper::current(),
                first,
                token,
                since_ns: clock::monotonic_ns(),
                links <- ListLinks::new(),
            }? Error),
            GFP_MAY_FAIL,
        )
    }

    /// Where it stands, or is about to. Stays so for as long as the lock of that queue is held, if it
    /// stands there then.
    pub(crate) fn word(&self) -> Word {
        Word {
            segment: self.segment,
            offset: self.offset.load(Relaxed),
        }
    }

    /// Which of the task's words this is, from 1 on.
    pub(crate) fn index(&self) -> NonZeroU32 {
        self.index
    }

    /// What wakes the task.
    pub(crate) fn sleeper(&self) -> &Sleeper {
        let first = self.first.as_deref();
        &first.unwrap_or(self).sleeper
    }

    /// In bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset.load(Relaxed)
    }
}

/// Those who wait on the words of a bucket: real-time tasks in the order of their priority come
/// first, all others, and those of one priority, in the order of their arrival.
pub(crate) struct Queue(List<Waiter>);

/// What [`Queue::take`] took out of a queue. Nothing is woken, moved or freed while the queue is
/// locked.
pub(crate) struct Taken {
    /// Claimed, to be woken.
    woken: List<Waiter>,
    /// How many.
    pub(crate) count: u32,
    /// To be put in another queue.
    moving: List<Waiter>,
    /// They wait no more, and were about to go themselves.
    gone: List<Waiter>,
}

impl Taken {
    pub(crate) fn new() -> Self {
        Self {
            woken: List::new(),
            count: 0,
            moving: List::new(),
            gone: List::new(),
        }
    }

    /// Wakes those who are to be woken.
    pub(crate) fn wake(self) {
        for waiter in self.woken {
            waiter.sleeper().wake();
        }
    }
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self(List::new())
    }

    /// Adds one in its place.
    pub(crate) fn add(&mut self, waiter: ListArc<Waiter>) {
        let mut cursor = self.0.cursor_back();
        // Only those who wait with a real-time priority have to look for theirs.
        if cursor
            .peek_prev()
            .is_some_and(|last| last.priority > waiter.priority)
        {
            cursor = self.0.cursor_front();
            while cursor
                .peek_next()
                .is_some_and(|next| next.priority <= waiter.priority)
            {
                cursor.move_next();
            }
        }
        cursor.insert(waiter);
    }

    /// Takes out the first of those who wait on `word`: up to `wake` that are to be woken, then up
    /// to `most` that are to wait on the word of the same segment at `to` instead.
    pub(crate) fn take(&mut self, word: Word, wake: u32, to: u64, most: u32, taken: &mut Taken) {
        let mut moving: u32 = 0;
        let mut cursor = self.0.cursor_front();
        while taken.count < wake || moving < most {
            let Some(next) = cursor.peek_next() else {
                break;
            };
            if next.word() != word {
                cursor.move_next();
                continue;
            }
            let waiter = next.remove();
            if taken.count < wake {
                if waiter.sleeper().claim(waiter.index) {
                    taken.count = taken.count.saturating_add(1);
                    taken.woken.push_back(waiter);
                } else {
                    taken.gone.push_back(waiter);
                }
            } else {
                moving = moving.saturating_add(1);
                waiter.offset.store(to, Relaxed);
                taken.moving.push_back(waiter);
            }
        }
    }

    /// Adds those who were taken to be moved here, but for those who wait no more. Returns how many.
    // Whoever gives up is claimed before he looks for himself in the queue: so he finds himself, or
    // is not added.
    pub(crate) fn add_moving(&mut self, taken: &mut Taken) -> u32 {
        let mut count: u32 = 0;
        while let Some(waiter) = taken.moving.pop_front() {
            if waiter.sleeper().claimed().is_some() {
                taken.gone.push_back(waiter);
            } else {
                self.add(waiter);
                count = count.saturating_add(1);
            }
        }
        count
    }

    /// Takes one out, if it is there.
    pub(crate) fn remove(&mut self, waiter: &Waiter) -> Option<ListArc<Waiter>> {
        let mut cursor = self.0.cursor_front();
        while let Some(next) = cursor.peek_next() {
            if core::ptr::eq(&raw const *next, waiter) {
                return Some(next.remove());
            }
            cursor.move_next();
        }
        None
    }

    /// Those who wait on words of a segment.
    pub(crate) fn of(&self, segment: &Segment) -> impl Iterator<Item = ArcBorrow<'_, Waiter>> {
        let segment = core::ptr::from_ref(segment).addr();
        self.0
            .iter()
            .filter(move |waiter| waiter.segment == segment)
    }
}
