// SPDX-License-Identifier: MIT OR Apache-2.0

//! One end of a ring, that sends: takes the lock where there are several, waits for room, and wakes those who wait for
//! records. What it writes, and where, is the producer's business.

use super::core::{Core, announce_others, enter, sleep, try_enter};
#[cfg(feature = "tokio")]
use super::core::{Corrupt, announce};
use super::failure::Failure;
use super::layout::WRITERS;
use super::producer::Producer;
use super::record::Span;
use super::seam::Memory;
use crate::deadline::Deadline;
use crate::sync::lock_word;
use crate::sync::seam::Word;

#[derive(Debug)]
pub(super) struct Writer<M: Memory> {
    pub(super) core: Core<M>,
    producer: Producer,
    token: u32,
    /// It was woken since it last woke another one, where there are others: they may sleep, and nobody would wake them.
    woken: bool,
    /// So many are to be woken that wait for records.
    to_wake: u32,
    /// It has the lock, of those that many take.
    inside: bool,
}

impl<M: Memory> Writer<M> {
    /// Takes the role, if the ring has one sender; `None` when somebody living has it. The word must be robust.
    pub(super) fn claim(core: Core<M>, token: u32) -> Result<Option<Self>, Failure<M::Error>> {
        let has_role = || try_enter(&core.memory.word(WRITERS), token, || Producer::recover(&core));
        if !core.shape.many_senders && !has_role() {
            return Ok(None);
        }
        let producer = match Producer::load(&core) {
            Ok(producer) => producer,
            // Who has the lock may be about to publish, so this means nothing yet.
            Err(_) if core.shape.many_senders => Producer::default(),
            Err(corrupt) => {
                lock_word::unlock(&core.memory.word(WRITERS)).map_err(Failure::Call)?;
                return Err(corrupt.into());
            }
        };
        Ok(Some(Self {
            core,
            producer,
            token,
            woken: false,
            to_wake: 0,
            inside: false,
        }))
    }

    /// Whether it has the lock of a ring of many: where nothing is being sent, what was begun was forgotten.
    pub(super) fn is_inside(&self) -> bool {
        self.inside
    }

    /// Gives the role back.
    pub(super) fn resign(&self) -> Result<(), M::Error> {
        if self.core.shape.many_senders {
            return Ok(());
        }
        lock_word::unlock(&self.core.memory.word(WRITERS))
    }

    /// Finds room for a record of `len` bytes. Then the ring is the caller's until [`end`](Self::end).
    #[inline]
    pub(super) fn begin(&mut self, len: usize, deadline: Deadline) -> Result<Span, Failure<M::Error>> {
        self.check_len(len)?;
        let begun = self
            .enter(deadline)
            .and_then(|()| self.room(len as u32, deadline));
        if begun.is_err() {
            self.pass_on()?;
        }
        begun
    }

    #[inline]
    fn check_len(&self, len: usize) -> Result<(), Failure<M::Error>> {
        let max = self.core.shape.max_len();
        if len > max {
            return Err(Failure::TooLong { len, max });
        }
        Ok(())
    }

    /// With the ring entered; left again when it fails.
    #[inline]
    fn room(&mut self, len: u32, deadline: Deadline) -> Result<Span, Failure<M::Error>> {
        match self.producer.reserve(&self.core, len) {
            Ok(Some(span)) => Ok(span),
            Ok(None) => self.wait_for_room(len, deadline),
            Err(corrupt) => {
                self.leave()?;
                Err(corrupt.into())
            }
        }
    }

    #[cold]
    fn wait_for_room(&mut self, len: u32, deadline: Deadline) -> Result<Span, Failure<M::Error>> {
        loop {
            // Others can make room only of what they can read.
            let published = self.producer.publish(&self.core);
            let seen = self.producer.seen_head();
            self.leave()?;
            self.to_wake = published?;
            self.wake()?;
            if !self.core.shape.overwrite {
                let slept = sleep(&self.core.head(), seen, deadline)?;
                self.woken |= slept && self.core.shape.many_senders;
            }
            self.enter(deadline)?;
            match self.producer.reserve(&self.core, len) {
                Ok(Some(span)) => return Ok(span),
                Ok(None) => (),
                Err(corrupt) => {
                    self.leave()?;
                    return Err(corrupt.into());
                }
            }
        }
    }

    /// The record was written there. It is published by [`end`](Self::end).
    #[inline]
    pub(super) fn wrote(&mut self, span: Span) {
        self.producer.wrote(span);
    }

    /// Publishes what was written, and leaves the ring to others.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Failure<M::Error>> {
        let published = self.producer.publish(&self.core);
        self.leave()?;
        self.to_wake = published?;
        self.wake()?;
        self.pass_on()
    }

    /// Leaves the ring to others, and what was written since `begin` is nothing.
    pub(super) fn abandon(&mut self) -> Result<(), Failure<M::Error>> {
        self.producer.forget(&self.core);
        self.leave()?;
        self.pass_on()
    }

    /// Sends one record through a slot, if nothing stands in the way; else returns `false`, and
    /// [`send_slowly`](Self::send_slowly) is to be asked. It does what that would do, in a few instructions.
    #[inline(always)]
    pub(super) fn send_slot(&mut self, bytes: &[u8]) -> Result<bool, Failure<M::Error>> {
        if self.core.shape.many_senders || !self.producer.has_slot(&self.core) {
            return Ok(false);
        }
        match self.producer.put_slot(&self.core, bytes) {
            Ok(()) => Ok(true),
            Err(old) => self.slot_published(old).map(|()| true),
        }
    }

    #[cold]
    fn slot_published(&mut self, old: u32) -> Result<(), Failure<M::Error>> {
        self.producer.judge(old)?;
        self.to_wake = 1;
        self.wake()
    }

    /// Sends one record, as any ring can.
    #[inline(never)]
    pub(super) fn send_slowly(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), Failure<M::Error>> {
        let span = self.begin(bytes.len(), deadline)?;
        self.core.memory.write(span.bytes_at(&self.core), bytes);
        self.wrote(span);
        self.end()
    }

    /// Sends one record if there is room; else says that somebody waits, and returns `false`.
    #[cfg(feature = "tokio")]
    pub(super) fn send_or_announce(&mut self, bytes: &[u8]) -> Result<bool, Failure<M::Error>> {
        self.check_len(bytes.len())?;
        // Each turn, somebody has just received. That is not so often without there being room, unless somebody changes
        // the word who should not.
        for _ in 0..1 << 16 {
            self.enter(Deadline::Never)?;
            match self.producer.reserve(&self.core, bytes.len() as u32) {
                Ok(Some(span)) => {
                    self.core.memory.write(span.bytes_at(&self.core), bytes);
                    self.wrote(span);
                    self.end()?;
                    return Ok(true);
                }
                Ok(None) => {
                    let seen = self.producer.seen_head();
                    self.leave()?;
                    if announce(&self.core.head(), seen) {
                        return Ok(false);
                    }
                }
                Err(corrupt) => {
                    self.leave()?;
                    return Err(corrupt.into());
                }
            }
        }
        Err(Corrupt("the position up to which records are read does not stand still").into())
    }

    /// Sends records, with as few wake-ups as can be, and returns how many it was until the deadline came.
    pub(super) fn send_all<R>(
        &mut self,
        records: impl Iterator<Item = R>,
        bytes: impl Fn(&R) -> &[u8],
        deadline: Deadline,
    ) -> Result<usize, Failure<M::Error>> {
        let mut sent = 0;
        let mut batch = Batch {
            writer: self,
            entered: false,
        };
        for record in records {
            let bytes = bytes(&record);
            match batch.room(bytes.len(), deadline) {
                Ok(span) => {
                    let core = &batch.writer.core;
                    core.memory.write(span.bytes_at(core), bytes);
                    batch.writer.wrote(span);
                    sent += 1;
                }
                Err(Failure::WouldBlock | Failure::TimedOut) => break,
                Err(failure) => return Err(failure),
            }
        }
        batch.end()?;
        Ok(sent)
    }

    #[inline]
    fn wake(&mut self) -> Result<(), Failure<M::Error>> {
        if self.to_wake > 0 {
            let count = std::mem::take(&mut self.to_wake);
            self.core.tail().wake(count).map_err(Failure::Call)?;
        }
        Ok(())
    }

    #[inline]
    fn enter(&mut self, deadline: Deadline) -> Result<(), Failure<M::Error>> {
        if !self.core.shape.many_senders {
            return Ok(());
        }
        let word = self.core.memory.word(WRITERS);
        enter(&word, self.token, deadline, || Producer::recover(&self.core))?;
        drop(word);
        self.inside = true;
        match Producer::load(&self.core) {
            Ok(producer) => {
                self.producer = producer;
                Ok(())
            }
            Err(corrupt) => {
                self.leave()?;
                Err(corrupt.into())
            }
        }
    }

    #[inline]
    fn leave(&mut self) -> Result<(), Failure<M::Error>> {
        if !self.core.shape.many_senders {
            return Ok(());
        }
        self.inside = false;
        lock_word::unlock(&self.core.memory.word(WRITERS)).map_err(Failure::Call)
    }

    /// Sees to it that others who wait for room are woken, if this one was in their place.
    #[inline]
    fn pass_on(&mut self) -> Result<(), Failure<M::Error>> {
        if !self.woken {
            return Ok(());
        }
        self.woken = false;
        let head = announce_others(&self.core.head());
        if Producer::has_room(&self.core, head) {
            let wakes = self.core.wakes_for_room(1);
            self.core.head().wake(wakes).map_err(Failure::Call)?;
        }
        Ok(())
    }
}

/// Several records that are published together; what was written is also if something panics.
struct Batch<'a, M: Memory> {
    writer: &'a mut Writer<M>,
    /// The ring is ours.
    entered: bool,
}

impl<M: Memory> Batch<'_, M> {
    fn room(&mut self, len: usize, deadline: Deadline) -> Result<Span, Failure<M::Error>> {
        if !self.entered {
            let span = self.writer.begin(len, deadline)?;
            self.entered = true;
            return Ok(span);
        }
        self.writer.check_len(len)?;
        let room = self.writer.room(len as u32, deadline);
        // Who waits leaves the ring.
        self.entered = room.is_ok();
        room
    }

    fn end(mut self) -> Result<(), Failure<M::Error>> {
        self.leave()
    }

    fn leave(&mut self) -> Result<(), Failure<M::Error>> {
        if std::mem::take(&mut self.entered) {
            return self.writer.end();
        }
        self.writer.pass_on()
    }
}

impl<M: Memory> Drop for Batch<'_, M> {
    fn drop(&mut self) {
        // Nobody to tell.
        let _ = self.leave();
    }
}
