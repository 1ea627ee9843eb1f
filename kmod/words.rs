// SPDX-License-Identifier: GPL-2.0

//! Words that tasks wait on, as on futexes: WAIT sleeps for as long as nobody wakes it, WAKE wakes.
//!
//! A word is four aligned bytes of a segment. Who waits is kept in a bucket, which follows from
//! segment and offset, so that what is done on one word seldom meets the lock of another.
//!
//! No wake-up is lost: the word is compared and the waiter added under the lock of the bucket, and
//! who wakes takes that lock after he has stored.
//!
//! # Locks
//!
//! `Bucket::waiters` is a leaf but for the locks of the scheduler.

use crate::{
    missing::{
        errno::ETIMEDOUT,
        gfp::GFP_MAY_FAIL,
        park::{
            current_priority,
            Deadline,
            Parking,
            Unparker,
            Wake, //
        },
        process::current_is_being_killed, //
    },
    segment::Segment, //
};
use kernel::{
    cpu,
    new_spinlock,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    }, //
};

/// Buckets for each processor.
const BUCKETS_PER_CPU: usize = 64;

/// A word of a segment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    /// Its address, which is its own for as long as anybody waits.
    segment: usize,
    offset: u64,
}

impl Word {
    fn new(segment: &Segment, offset: u64) -> Self {
        Self {
            segment: core::ptr::from_ref(segment).addr(),
            offset,
        }
    }

    /// Spreads words over the buckets (Fibonacci hashing: Knuth, The Art of Computer Programming,
    /// volume 3, section 6.4).
    fn hash(self) -> u64 {
        (self.segment as u64 ^ self.offset.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Where somebody stands who waits: real-time tasks in the order of their priority come first, all
/// others, and those of one priority, in the order of their arrival.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    word: Word,
    priority: u32,
    number: u64,
}

#[pin_data]
struct Bucket {
    #[pin]
    waiters: SpinLock<RBTree<Place, Arc<Unparker>>>,
}

/// Who waits on which word, of all segments.
pub(crate) struct Words {
    /// A power of two of them.
    buckets: KVec<Pin<KBox<Bucket>>>,
    /// How many bits of a hash do not say which.
    shift: u32,
    /// Of the next one to arrive.
    number: Atomic<u64>,
}

impl Words {
    /// Nobody waits.
    pub(crate) fn new() -> Result<Self> {
        let cpus = usize::try_from(cpu::nr_cpu_ids())?;
        let count = cpus
            .checked_mul(BUCKETS_PER_CPU)
            .and_then(usize::checked_next_power_of_two)
            .ok_or(ENOMEM)?;
        let mut buckets = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            let bucket = KBox::pin_init(
                pin_init!(Bucket {
                    waiters <- new_spinlock!(RBTree::new(), "shmdev::Bucket::waiters"),
                }),
                GFP_KERNEL,
            )?;
            buckets.push(bucket, GFP_KERNEL)?;
        }
        let bits = count.checked_ilog2().ok_or(ENOMEM)?;
        Ok(Self {
            buckets,
            shift: u64::BITS.saturating_sub(bits),
            number: Atomic::new(0),
        })
    }

    fn bucket(&self, word: Word) -> Result<&Bucket> {
        // CAST: Less than the number of buckets.
        let index = word.hash().checked_shr(self.shift).unwrap_or(0) as usize;
        Ok(self.buckets.get(index).ok_or(EINVAL)?)
    }

    /// Sleeps while nobody wakes who waits on the word, if that is `expected` when it begins. The
    /// word lies within the segment.
    ///
    /// Fails with `EAGAIN` if it is something else, with `EINVAL` if it is not within the segment
    /// any more, with `ETIMEDOUT`, `ERESTARTSYS` and `ENOMEM`.
    pub(crate) fn wait(
        &self,
        segment: &Segment,
        offset: u64,
        expected: u32,
        deadline: Deadline,
    ) -> Result {
        let memory = segment.in_use();
        if memory.load(offset).ok_or(EINVAL)? != expected {
            return Err(EAGAIN);
        }
        let parking = Parking::new()?;
        let node = RBTreeNodeReservation::new(GFP_MAY_FAIL)?;
        let word = Word::new(segment, offset);
        let place = Place {
            word,
            priority: current_priority(),
            number: self.number.fetch_add(1u64, Relaxed),
        };
        let bucket = self.bucket(word)?;
        let mut waiters = bucket.waiters.lock();
        if memory.load(offset).ok_or(EINVAL)? != expected {
            return Err(EAGAIN);
        }
        let _ = waiters.insert(node.into_node(place, parking.unparker()));
        drop(waiters);
        // Else the segment could not shrink while somebody waits.
        drop(memory);

        let ended = match parking.park(deadline) {
            // Whoever did that has taken it out.
            Wake::Unparked => None,
            Wake::Deadline => Some(ETIMEDOUT()),
            Wake::Signal => Some(ERESTARTSYS),
        };
        if let Some(error) = ended {
            let mut waiters = bucket.waiters.lock();
            let node = waiters.remove_node(&place);
            drop(waiters);
            if node.is_some() {
                return Err(error);
            }
        }
        if current_is_being_killed() {
            // It was woken to do something, and will not: another may.
            self.wake(segment, offset, 1);
        }
        Ok(())
    }

    /// Wakes up to `most` of those who wait on a word. Returns how many.
    pub(crate) fn wake(&self, segment: &Segment, offset: u64, most: u32) -> u32 {
        let word = Word::new(segment, offset);
        let first = Place {
            word,
            priority: 0,
            number: 0,
        };
        let Ok(bucket) = self.bucket(word) else {
            return 0;
        };
        let mut woken: RBTree<Place, Arc<Unparker>> = RBTree::new();
        let mut count: u32 = 0;
        let mut waiters = bucket.waiters.lock();
        while count < most {
            let Some(at) = waiters.cursor_lower_bound(&first) else {
                break;
            };
            let (&place, _) = at.current();
            if place.word != word {
                break;
            }
            if let Some(node) = waiters.remove_node(&place) {
                let _ = woken.insert(node);
            }
            count = count.saturating_add(1);
        }
        drop(waiters);
        // Not under the lock: there may be many, and they would meet it.
        woken.values().for_each(|unparker| unparker.unpark());
        count
    }
}
