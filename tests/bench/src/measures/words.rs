// SPDX-License-Identifier: MIT OR Apache-2.0

//! Words that one waits on and another wakes: ours, and futexes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use shmdev::{Deadline, Mapping, Segment};

use super::segments::Named;
use crate::sys::ipc::{futex_wait, futex_wake};
use crate::sys::memory::Region;

/// Bytes that the words lie in.
const LEN: usize = 64 << 10;

/// Words in memory that processes share, by their index.
pub trait Words: Sized + Sync {
    /// The same words, for another process to use.
    fn for_another(&self) -> Result<Self>;
    /// The word itself.
    fn word(&self, index: usize) -> &AtomicU32;
    /// Sleeps if the word is `expected`.
    fn wait(&self, index: usize, expected: u32) -> Result<()>;
    /// Wakes so many who sleep; how many those were.
    fn wake(&self, index: usize, count: u32) -> Result<u32>;

    /// Changes the word and wakes one who waits for that.
    fn signal(&self, index: usize) -> Result<()> {
        self.word(index).fetch_add(1, Ordering::Release);
        self.wake(index, 1)?;
        Ok(())
    }

    /// Waits until the word is not `seen`; what it is then.
    fn await_signal(&self, index: usize, seen: u32) -> Result<u32> {
        loop {
            let now = self.word(index).load(Ordering::Acquire);
            if now != seen {
                return Ok(now);
            }
            self.wait(index, seen)?;
        }
    }
}

/// Words of a segment of ours.
#[derive(Debug)]
pub struct Ours {
    mapping: Mapping,
    segment: Segment,
    named: Arc<Named>,
}

impl Ours {
    pub fn new() -> Result<Self> {
        Self::of(Arc::new(Named::create(LEN)?))
    }

    fn of(named: Arc<Named>) -> Result<Self> {
        let segment = named.open()?;
        Ok(Self {
            mapping: segment.map()?,
            segment,
            named,
        })
    }

    /// As [`signal`](Words::signal) and [`await_signal`](Words::await_signal), by one call.
    pub fn signal_and_await(&self, index: usize, other: usize, seen: u32) -> Result<u32> {
        self.word(index).fetch_add(1, Ordering::Release);
        let (wake, wait) = (offset(index), offset(other));
        let _ = self.segment.wake_and_wait(wake, 1, wait, seen, Deadline::Never)?;
        self.await_signal(other, seen)
    }
}

fn offset(index: usize) -> u64 {
    4 * index as u64
}

impl Words for Ours {
    fn for_another(&self) -> Result<Self> {
        Self::of(Arc::clone(&self.named))
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        self.mapping
            .atomic(4 * index)
            .expect("the index is one of the segment's")
    }

    fn wait(&self, index: usize, expected: u32) -> Result<()> {
        let _ = self.segment.wait(offset(index), expected, Deadline::Never)?;
        Ok(())
    }

    fn wake(&self, index: usize, count: u32) -> Result<u32> {
        Ok(self.segment.wake(offset(index), count)?)
    }
}

/// Shared futexes.
#[derive(Debug)]
pub struct Futexes(Arc<Region>);

impl Futexes {
    pub fn new() -> Result<Self> {
        Ok(Self(Arc::new(Region::inherited(LEN)?)))
    }
}

impl Words for Futexes {
    fn for_another(&self) -> Result<Self> {
        Ok(Self(Arc::clone(&self.0)))
    }

    fn word(&self, index: usize) -> &AtomicU32 {
        self.0.word(index)
    }

    fn wait(&self, index: usize, expected: u32) -> Result<()> {
        futex_wait(self.word(index), expected)
    }

    fn wake(&self, index: usize, count: u32) -> Result<u32> {
        futex_wake(self.word(index), count as i32)
    }
}
