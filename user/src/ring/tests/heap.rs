// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring's memory in the heap. Whoever sleeps on its words is woken at once, for no reason, which is allowed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::deadline::Deadline;
use crate::ring::core::Core;
use crate::ring::layout::{Shape, UNITS};
use crate::ring::placed::{copy_in, copy_out};
use crate::ring::reader::Reader;
use crate::ring::record::UNIT;
use crate::ring::seam::{Counters, Memory};
use crate::ring::writer::Writer;
use crate::sync::seam::Word;
use crate::uapi::{WORD_OWNER_DIED, WORD_TOKEN, WORD_WAITERS};
use crate::word::Waited;

#[derive(Clone, Debug)]
pub(super) struct Heap(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    words: Vec<AtomicU32>,
    counters: Vec<AtomicU64>,
    cells: Vec<AtomicU64>,
    wakes: AtomicU32,
    /// How many counters can still be written, before who writes them dies.
    left: AtomicU32,
}

fn zeroes<T: Default>(count: usize) -> Vec<T> {
    (0..count).map(|_| T::default()).collect()
}

impl Heap {
    pub(super) fn new(shape: &Shape) -> Self {
        Self(Arc::new(Parts {
            words: zeroes(UNITS / 4),
            counters: zeroes(UNITS / 8),
            cells: zeroes(shape.bytes() / UNIT),
            wakes: AtomicU32::new(0),
            left: AtomicU32::new(u32::MAX),
        }))
    }

    /// How many calls of WAKE there were.
    pub(super) fn wakes(&self) -> u32 {
        self.0.wakes.load(SeqCst)
    }

    /// Runs what dies once it has written so many counters.
    pub(super) fn die_after(&self, counters: u32, run: impl FnOnce()) {
        self.0.left.store(counters, SeqCst);
        run();
        self.0.left.store(u32::MAX, SeqCst);
    }

    pub(super) fn set_word(&self, at: usize, value: u32) {
        self.0.words[at / 4].store(value, SeqCst);
    }

    pub(super) fn core(&self, shape: Shape) -> Core<Self> {
        Core {
            memory: self.clone(),
            shape,
        }
    }

    pub(super) fn writer(&self, shape: Shape, token: u32) -> Writer<Self> {
        Writer::claim(self.core(shape), token)
            .unwrap()
            .expect("it is free")
    }

    pub(super) fn reader(&self, shape: Shape, token: u32) -> Reader<Self> {
        Reader::claim(self.core(shape), token)
            .unwrap()
            .expect("it is free")
    }

    /// What the kernel does with a lock word when a handle goes.
    pub(super) fn die(&self, lock: usize, token: u32) {
        let word = &self.0.words[lock / 4];
        let _ = word.fetch_update(SeqCst, SeqCst, |word| {
            (word & WORD_TOKEN == token).then_some(word & WORD_WAITERS | WORD_OWNER_DIED)
        });
    }
}

/// Everything but a wait.
pub(super) struct HeapWord<'a>(&'a AtomicU32, &'a AtomicU32);

impl Memory for Heap {
    type Error = Infallible;
    type Word<'a> = HeapWord<'a>;
    type Counters<'a> = &'a Self;

    fn word(&self, at: usize) -> HeapWord<'_> {
        HeapWord(&self.0.words[at / 4], &self.0.wakes)
    }

    fn counters(&self) -> &Self {
        self
    }

    fn cell(&self, at: usize) -> u64 {
        self.0.cells[at / UNIT].load(Relaxed)
    }

    fn set_cell(&self, at: usize, value: u64) {
        self.0.cells[at / UNIT].store(value, Relaxed);
    }

    fn read(&self, at: usize, to: &mut [u8]) {
        copy_out(&self.0.cells[at / UNIT..][..to.len().div_ceil(UNIT)], to);
    }

    fn write(&self, at: usize, from: &[u8]) {
        copy_in(from, &self.0.cells[at / UNIT..][..from.len().div_ceil(UNIT)]);
    }
}

impl Counters for &Heap {
    fn get(&self, at: usize) -> u64 {
        self.0.counters[at / 8].load(Relaxed)
    }

    fn set(&self, at: usize, value: u64) {
        let left = |left: u32| left.checked_sub(1);
        if self.0.left.fetch_update(SeqCst, SeqCst, left).is_ok() {
            self.0.counters[at / 8].store(value, Relaxed);
        }
    }
}

impl Word for HeapWord<'_> {
    type Error = Infallible;

    fn load(&self, order: Ordering) -> u32 {
        self.0.load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.0.store(value, order);
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.0.swap(value, order)
    }

    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_add(value, order)
    }

    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_sub(value, order)
    }

    fn fetch_and(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_and(value, order)
    }

    fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
        self.0.fetch_or(value, order)
    }

    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        self.0.compare_exchange(current, new, success, failure)
    }

    fn wait(&self, expected: u32, deadline: Deadline) -> Result<Waited, Infallible> {
        if self.0.load(SeqCst) != expected {
            return Ok(Waited::Changed);
        }
        if deadline.has_come() {
            return Ok(Waited::TimedOut);
        }
        std::thread::yield_now();
        Ok(Waited::Woken)
    }

    fn wake(&self, _count: u32) -> Result<u32, Infallible> {
        self.1.fetch_add(1, SeqCst);
        Ok(0)
    }

    fn wake_one_requeue_all(&self, _expected: u32, _to: &Self) -> Result<bool, Infallible> {
        Ok(true)
    }
}
