// SPDX-License-Identifier: GPL-2.0

//! One who waits on a word, and the queue in which he stands.

use crate::{
    missing::{
        clock,
        park::{
            Priority,
            Sleeper, //
        },
        queue::{
            Entry,
            Queue, //
        }, //
    },
    segment::Segment, //
};
use core::{
    cell::Cell,
    num::NonZeroU32, //
};
use kernel::{
    list::{
        List,
        ListArc, //
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
    /// The segment's, which nobody else has.
    key: u64,
    offset: u64,
}

impl Word {
    pub(crate) fn new(segment: &Segment, offset: u64) -> Self {
        Self {
            key: segment.key(),
            offset,
        }
    }

    /// In bytes.
    pub(crate) fn offset(self) -> u64 {
        self.offset
    }

    /// Spreads words (Fibonacci hashing: Knuth, The Art of Computer Programming, volume 3, section
    /// 6.4).
    pub(crate) fn hash(self) -> u64 {
        (self.key ^ self.offset.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// A task's place in the queue of a word. A task that waits on several words has one for each.
pub(crate) struct Waiter {
    /// That of the segment.
    key: u64,
    /// Changed while it stands in no queue.
    offset: Atomic<u64>,
    priority: Priority,
    /// Which of its words this is, from 1 on: the reason for which the sleeper is claimed here.
    index: NonZeroU32,
    /// That of the first of the task's words is the one that sleeps.
    sleeper: Sleeper,
    /// The first, in all others.
    first: Option<Arc<Entry<Self>>>,
    /// The token of the handle through which it waits.
    pub(crate) token: u32,
    /// Since when, in [`clock::ticks`].
    pub(crate) since: u64,
}

impl Waiter {
    /// The current task, on its word of that index, from 1 on; `first` is the one on the first, unless
    /// this is. Fails with `ENOMEM`.
    pub(crate) fn current(
        word: Word,
        index: NonZeroU32,
        first: Option<Arc<Entry<Self>>>,
        token: u32,
    ) -> Result<ListArc<Entry<Self>>> {
        Entry::new(Self {
            key: word.key,
            offset: Atomic::new(word.offset),
            priority: Priority::current(),
            index,
            sleeper: Sleeper::current(),
            first,
            token,
            since: clock::ticks(),
        })
    }

    /// Where it stands, or is about to. Stays so for as long as the lock of that queue is held, if it
    /// stands there then.
    pub(crate) fn word(&self) -> Word {
        Word {
            key: self.key,
            offset: self.offset.load(Relaxed),
        }
    }

    /// Which of the task's words this is, from 1 on.
    pub(crate) fn index(&self) -> NonZeroU32 {
        self.index
    }

    /// What wakes the task.
    pub(crate) fn sleeper(&self) -> &Sleeper {
        match &self.first {
            Some(first) => &first.sleeper,
            None => &self.sleeper,
        }
    }

    /// In bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset.load(Relaxed)
    }
}

/// What [`Waiters::take`] took out of a queue. Nothing is woken, moved or freed while the queue is
/// locked.
pub(crate) struct Taken {
    /// Claimed, to be woken.
    woken: List<Entry<Waiter>>,
    /// How many.
    pub(crate) count: u32,
    /// To be put in another queue.
    moving: List<Entry<Waiter>>,
    /// They wait no more, and were about to go themselves.
    gone: List<Entry<Waiter>>,
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

/// Those who wait on the words of a bucket: real-time tasks in the order of their priority come
/// first, all others, and those of one priority, in the order of their arrival.
pub(crate) struct Waiters(Queue<Waiter>);

impl Waiters {
    pub(crate) fn new() -> Self {
        Self(Queue::new())
    }

    /// Adds one in its place.
    pub(crate) fn add(&mut self, waiter: ListArc<Entry<Waiter>>) {
        let priority = waiter.priority;
        self.0.insert(waiter, |other| other.priority > priority);
    }

    /// Takes out the first of those who wait on `word`: up to `wake` that are to be woken, then up
    /// to `most` that are to wait on the word of the same segment at `to` instead. Returns how many are
    /// in the queue no more.
    pub(crate) fn take(
        &mut self,
        word: Word,
        wake: u32,
        to: u64,
        most: u32,
        taken: &mut Taken,
    ) -> u32 {
        let mut out = 0_u32;
        let (woken, moving) = (Cell::new(0_u32), Cell::new(0_u32));
        let takes = |waiter: &Waiter| {
            let more = woken.get() < wake || moving.get() < most;
            more.then(|| waiter.word() == word)
        };
        self.0.take(takes, |waiter| {
            out = out.saturating_add(1);
            if waiter.sleeper().claimed().is_some() {
                taken.gone.push_back(waiter);
            } else if woken.get() >= wake {
                waiter.offset.store(to, Relaxed);
                taken.moving.push_back(waiter);
                moving.set(moving.get().saturating_add(1));
            } else if waiter.sleeper().claim(waiter.index) {
                taken.woken.push_back(waiter);
                woken.set(woken.get().saturating_add(1));
            } else {
                taken.gone.push_back(waiter);
            }
        });
        taken.count = woken.get();
        out
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
    pub(crate) fn remove(&mut self, waiter: &Entry<Waiter>) -> Option<ListArc<Entry<Waiter>>> {
        self.0.remove(waiter)
    }

    /// Those who wait on words of a segment.
    pub(crate) fn of(
        &self,
        segment: &Segment,
    ) -> impl Iterator<Item = ArcBorrow<'_, Entry<Waiter>>> {
        let key = segment.key();
        self.0.iter().filter(move |waiter| waiter.key == key)
    }
}
