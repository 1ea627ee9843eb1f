// SPDX-License-Identifier: GPL-2.0

//! Words that tasks wait on, as on futexes: WAIT sleeps for as long as nobody wakes it, WAKE wakes.
//!
//! A word is four aligned bytes of a segment. Who waits stands in the queue of a bucket, which
//! follows from segment and offset, so that what is done on one word seldom meets the lock of
//! another.
//!
//! No wake-up is lost: who waits is counted, then the word compared and the waiter added under the lock
//! of the bucket; who wakes looks at the count after he has stored, and takes that lock unless it is 0.
//! Who wakes a task, and whether it gave up before, is
//! decided by who claims it first.
//!
//! # Locks
//!
//! `Bucket::arrivals`, then `Bucket::queue` of the same or another bucket, which is a leaf but for the
//! locks of the scheduler. Nobody holds two locks of one kind.

use crate::{
    eventfds::Event,
    missing::{
        barrier::full_barrier,
        errno::ETIMEDOUT,
        gfp::GFP_MAY_FAIL,
        park::{
            Deadline,
            Wake, //
        },
        process::current_is_being_killed,
        queue::Entry,
        trace, //
    },
    segment::Segment,
    uapi::WaitWord,
    waiter::{
        Taken,
        Waiter,
        Waiters,
        Word, //
    }, //
};
use core::num::NonZeroU32;
use kernel::{
    cpu,
    list::List,
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        lock::{
            spinlock::SpinLockBackend,
            Guard, //
        },
        Arc,
        SpinLock, //
    }, //
};

/// Buckets for each processor: as futexes have.
const BUCKETS_PER_CPU: usize = 256;

/// Why a sleeper is claimed that was not woken: no index of a word.
const GAVE_UP: NonZeroU32 = NonZeroU32::MAX;

#[pin_data]
struct Bucket {
    #[pin]
    queue: SpinLock<Waiters>,
    /// Held while waiters who were taken out of a queue are on their way to this one.
    #[pin]
    arrivals: SpinLock<()>,
    /// 1 while there are some.
    arriving: Atomic<u32>,
    /// How many are in the queue, or are about to compare and to be added; and one for each who moves
    /// waiters here.
    busy: Atomic<u32>,
}

/// Who waits on which word, of all segments.
pub(crate) struct Words {
    /// A power of two of them.
    buckets: KVVec<Pin<KBox<Bucket>>>,
    /// How many bits of a hash do not say which.
    shift: u32,
}

impl Words {
    /// Nobody waits.
    pub(crate) fn new() -> Result<Self> {
        let cpus = usize::try_from(cpu::nr_cpu_ids())?;
        let count = cpus
            .checked_mul(BUCKETS_PER_CPU)
            .and_then(usize::checked_next_power_of_two)
            .ok_or(ENOMEM)?;
        let mut buckets = KVVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            let bucket = KBox::pin_init(
                pin_init!(Bucket {
                    queue <- new_spinlock!(Waiters::new(), "shmdev::Bucket::queue"),
                    arrivals <- new_spinlock!((), "shmdev::Bucket::arrivals"),
                    arriving: Atomic::new(0),
                    busy: Atomic::new(0),
                }),
                GFP_KERNEL,
            )?;
            buckets.push(bucket, GFP_KERNEL)?;
        }
        let bits = count.checked_ilog2().ok_or(ENOMEM)?;
        Ok(Self {
            buckets,
            shift: u64::BITS.saturating_sub(bits),
        })
    }

    #[inline]
    fn bucket(&self, word: Word) -> Result<&Bucket> {
        // CAST: Less than the number of buckets.
        let index = word.hash().checked_shr(self.shift).unwrap_or(0) as usize;
        Ok(self.buckets.get(index).ok_or(EINVAL)?)
    }

    /// Sleeps while nobody wakes who waits on one of the words, at least one, if all of them are as
    /// expected when it begins. They lie within the segment. `then` is called when no wake-up would be
    /// missed any more, also if it will not sleep. Returns the index of the word that was woken.
    ///
    /// Fails with `EAGAIN` if one is something else, with `ETIMEDOUT` and `ERESTARTSYS`; and, without
    /// calling `then`, with `EINVAL` if one is not within the segment any more, and with `ENOMEM`.
    pub(crate) fn wait(
        &self,
        segment: &Segment,
        token: u32,
        words: &[WaitWord],
        deadline: Deadline,
        then: impl FnOnce(),
    ) -> Result<u32> {
        let mut waiters = List::new();
        let waiting = Waiting::new(self, segment, token, words, &mut waiters)?;
        let joined = waiting.join(words, waiters);
        if joined != Err(EINVAL) {
            then();
        }
        let woken = waiting.sleep(joined, deadline);
        waiting.trace(token, woken);
        let index = woken?;
        if current_is_being_killed() {
            // It was woken to do something, and will not: another may.
            if let Some(waiter) = waiting.waiters().nth(index) {
                self.wake(segment, waiter.offset(), 1);
            }
        }
        Ok(u32::try_from(index)?)
    }

    /// Wakes up to `most` of those who wait on a word. Returns how many.
    #[inline]
    pub(crate) fn wake(&self, segment: &Segment, offset: u64, most: u32) -> u32 {
        // Either this sees who waits, or he sees what was stored before this.
        full_barrier();
        let word = Word::new(segment, offset);
        let taken = match self.bucket(word) {
            Ok(bucket) if !bucket.is_deserted() => Some(bucket.take_woken(word, most)),
            _ => None,
        };
        let count = taken.as_ref().map_or(0, |taken| taken.count);
        if most > 0 {
            segment.eventfds().signal(Event::Wake(offset));
            trace::wake(segment.id(), offset, count, 0);
        }
        if let Some(taken) = taken {
            taken.wake();
        }
        count
    }

    /// If the word at `from` is `expected`, wakes up to `wake` of those who wait on it, and lets up to
    /// `most` of the others wait on the word at `to` instead. Returns how many that are together.
    ///
    /// Fails with `EAGAIN` if it is something else, and with `EINVAL` if it is not within the segment
    /// any more.
    // Between the two queues, those who are moved stand in none. Whoever comes to wake them meanwhile,
    // at the one word and then at the other, must find them at the other: so he waits for them there.
    pub(crate) fn requeue(
        &self,
        segment: &Segment,
        from: u64,
        expected: u32,
        wake: u32,
        to: u64,
        most: u32,
    ) -> Result<u32> {
        let word = Word::new(segment, from);
        let source = self.bucket(word)?;
        let target = self.bucket(Word::new(segment, to))?;
        let memory = segment.in_use();
        let mut taken = Taken::new();
        drop(source.await_arrivals());
        let arriving = target.announce_arrivals();
        let mut queue = source.queue.lock();
        if memory.word(from).ok_or(EINVAL)?.load(Relaxed) != expected {
            return Err(EAGAIN);
        }
        source.take(&mut queue, word, wake, to, most, &mut taken);
        drop(queue);
        let moved = target.add_moving(&mut taken);
        drop((arriving, memory));
        trace::wake(segment.id(), from, taken.count, moved);
        if wake > 0 {
            full_barrier();
            segment.eventfds().signal(Event::Wake(from));
        }
        let count = taken.count.saturating_add(moved);
        taken.wake();
        Ok(count)
    }

    /// Calls `show` for each who waits on a word of the segment, until it returns `false`.
    pub(crate) fn for_each_of(&self, segment: &Segment, mut show: impl FnMut(&Waiter) -> bool) {
        if segment.sleepers() == 0 {
            return;
        }
        for bucket in self.buckets.iter() {
            let queue = bucket.queue.lock();
            if !queue.of(segment).all(|waiter| show(&waiter)) {
                return;
            }
        }
    }
}

impl Bucket {
    /// Whether there is nobody to be woken, nor about to be moved here. There must have been a full barrier
    /// since whatever was stored that those who wait look at.
    #[inline]
    fn is_deserted(&self) -> bool {
        self.busy.load(Relaxed) == 0
    }

    /// As [`Waiters::take`], of this queue.
    fn take(
        &self,
        queue: &mut Waiters,
        word: Word,
        wake: u32,
        to: u64,
        most: u32,
        taken: &mut Taken,
    ) {
        let count = queue.take(word, wake, to, most, taken);
        self.busy.fetch_sub(count, Release);
    }

    /// Takes up to `most` of those who wait on a word, to be woken.
    #[inline(never)]
    fn take_woken(&self, word: Word, most: u32) -> Taken {
        let mut taken = Taken::new();
        let arrivals = self.await_arrivals();
        self.take(
            &mut self.queue.lock(),
            word,
            most,
            word.offset(),
            0,
            &mut taken,
        );
        drop(arrivals);
        taken
    }

    /// As [`Waiters::add_moving`].
    fn add_moving(&self, taken: &mut Taken) -> u32 {
        let mut queue = self.queue.lock();
        let count = queue.add_moving(taken);
        self.busy.add(count, Relaxed);
        count
    }

    /// Who is about to be moved here has arrived, for as long as this is held.
    fn await_arrivals(&self) -> Option<Guard<'_, (), SpinLockBackend>> {
        (self.arriving.load(Acquire) != 0).then(|| self.arrivals.lock())
    }

    /// Somebody will take waiters out of another queue, after this, and add them here, before the
    /// returned value is dropped.
    fn announce_arrivals(&self) -> Arrivals<'_> {
        let lock = self.arrivals.lock();
        self.arriving.store(1, Relaxed);
        // Seen by whoever misses those who are taken out of the other queue after this.
        self.busy.add(1u32, Relaxed);
        Arrivals {
            bucket: self,
            _lock: lock,
        }
    }
}

/// See [`Bucket::announce_arrivals`].
struct Arrivals<'a> {
    bucket: &'a Bucket,
    _lock: Guard<'a, (), SpinLockBackend>,
}

impl Drop for Arrivals<'_> {
    fn drop(&mut self) {
        self.bucket.arriving.store(0, Release);
        // They are counted by now.
        self.bucket.busy.fetch_sub(1u32, Release);
    }
}

/// The current task in the queues of the words that it waits on, until dropped.
struct Waiting<'a> {
    words: &'a Words,
    segment: &'a Segment,
    first: Arc<Entry<Waiter>>,
    others: KVec<Arc<Entry<Waiter>>>,
}

impl<'a> Waiting<'a> {
    /// In no queue yet. Puts into `waiters` what [`Waiting::join`] wants. Fails with `ENOMEM`.
    fn new(
        table: &'a Words,
        segment: &'a Segment,
        token: u32,
        words: &[WaitWord],
        waiters: &mut List<Entry<Waiter>>,
    ) -> Result<Self> {
        let (one, more) = words.split_first().ok_or(EINVAL)?;
        let new = |word: &WaitWord, index, first| {
            Waiter::current(Word::new(segment, word.offset), index, first, token)
        };
        let waiter = new(one, NonZeroU32::MIN, None)?;
        let first = waiter.clone_arc();
        waiters.push_back(waiter);
        let mut others = KVec::new();
        for (index, word) in (2..).zip(more) {
            let index = NonZeroU32::new(index).ok_or(EINVAL)?;
            let waiter = new(word, index, Some(first.clone()))?;
            others.push(waiter.clone_arc(), GFP_MAY_FAIL)?;
            waiters.push_back(waiter);
        }
        Ok(Self {
            words: table,
            segment,
            first,
            others,
        })
    }

    fn waiters(&self) -> impl Iterator<Item = &Arc<Entry<Waiter>>> {
        Iterator::chain(core::iter::once(&self.first), self.others.iter())
    }

    /// Takes its places, if all words are as expected. Fails with `EAGAIN` and `EINVAL` as
    /// [`Words::wait`] does.
    fn join(&self, words: &[WaitWord], waiters: List<Entry<Waiter>>) -> Result {
        // Else it could be resized between this and adding the waiter. It is not kept while the task
        // sleeps, for then it could not shrink.
        let memory = self.segment.in_use();
        for (word, waiter) in words.iter().zip(waiters) {
            let bucket = self.words.bucket(waiter.word())?;
            // Before the word is looked at, see `Words::wake`.
            bucket.busy.fetch_add(1u32, Full);
            let mut queue = bucket.queue.lock();
            let value = memory.word(word.offset).map(|word| word.load(Relaxed));
            if value != Some(word.expected) {
                bucket.busy.fetch_sub(1u32, Relaxed);
                return Err(value.map_or(EINVAL, |_| EAGAIN));
            }
            queue.add(waiter);
        }
        Ok(())
    }

    /// Returns the index of the word that was woken: also if a deadline, a signal or a word that is not
    /// as expected came only after that.
    fn sleep(&self, joined: Result, deadline: Deadline) -> Result<usize> {
        let sleeper = self.first.sleeper();
        let sleep = || {
            // Only now: whoever sees that somebody waits can wake him.
            self.segment.sleeper_came();
            let wake = sleeper.sleep(deadline);
            self.segment.sleeper_went();
            wake
        };
        let error = match joined.map(|()| sleep()) {
            Ok(Wake::Claimed) => None,
            Ok(Wake::Deadline) => Some(ETIMEDOUT()),
            Ok(Wake::Signal) => Some(ERESTARTSYS),
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            if sleeper.claim(GAVE_UP) {
                return Err(error);
            }
        }
        let index = sleeper.claimed().ok_or(EINTR)?.get();
        Ok(usize::try_from(index.saturating_sub(1))?)
    }

    /// With the word that was woken, or the first.
    fn trace(&self, token: u32, woken: Result<usize>) {
        let waiter = self.waiters().nth(woken.unwrap_or(0));
        let offset = waiter.unwrap_or(&self.first).offset();
        trace::wait(self.segment.id(), token, offset, woken.map(drop));
    }

    /// Takes a waiter out of its queue, if it is in one.
    fn leave(&self, waiter: &Entry<Waiter>) {
        loop {
            let word = waiter.word();
            let Ok(bucket) = self.words.bucket(word) else {
                return;
            };
            let mut queue = bucket.queue.lock();
            // Else it was moved meanwhile.
            if waiter.word() == word {
                let waiter = queue.remove(waiter);
                if waiter.is_some() {
                    bucket.busy.fetch_sub(1u32, Relaxed);
                }
                drop(queue);
                drop(waiter);
                return;
            }
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // Whoever was woken was taken out by that.
        let woken = self.first.sleeper().claimed();
        // So that nobody adds them to a queue any more, see `Queue::add_moving`.
        self.first.sleeper().claim(GAVE_UP);
        self.waiters()
            .filter(|waiter| woken != Some(waiter.index()))
            .for_each(|waiter| self.leave(waiter));
    }
}
