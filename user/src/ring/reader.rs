// SPDX-License-Identifier: MIT OR Apache-2.0

//! The other end of a ring, that receives: takes the lock where there are several, waits for records, and wakes those
//! who wait for room. Which record is next is the consumer's business.

use std::mem::ManuallyDrop;

use super::consumer::{ATTEMPTS, Consumer, Released};
use super::core::{Core, announce_others, enter, sleep, try_enter};
#[cfg(feature = "tokio")]
use super::core::{Corrupt, announce};
use super::failure::Failure;
use super::layout::READERS;
use super::record::Span;
use super::seam::Memory;
use crate::deadline::Deadline;
use crate::sync::lock_word;
use crate::sync::seam::Word;

#[derive(Debug)]
pub(super) struct Reader<M: Memory> {
    pub(super) core: Core<M>,
    consumer: Consumer,
    token: u32,
    /// It was woken since it last woke another one, where there are others: they may sleep, and nobody would wake them.
    woken: bool,
    /// It has the lock, of those that many take.
    inside: bool,
    /// Nobody else moves the position up to which it has read.
    alone: bool,
}

impl<M: Memory> Reader<M> {
    /// Takes the role, if the ring has one receiver; `None` when somebody living has it. The word must be robust.
    pub(super) fn claim(core: Core<M>, token: u32) -> Result<Option<Self>, Failure<M::Error>> {
        let has_role = || try_enter(&core.memory.word(READERS), token, || Consumer::recover(&core));
        if !core.shape.many_receivers && !has_role() {
            return Ok(None);
        }
        let consumer = match Consumer::load(&core) {
            Ok(consumer) => consumer,
            // Who has the lock may be about to release, so this means nothing yet.
            Err(_) if core.shape.many_receivers => Consumer::default(),
            Err(corrupt) => {
                lock_word::unlock(&core.memory.word(READERS)).map_err(Failure::Call)?;
                return Err(corrupt.into());
            }
        };
        Ok(Some(Self {
            alone: !core.shape.many_receivers && !core.shape.overwrite,
            core,
            consumer,
            token,
            woken: false,
            inside: false,
        }))
    }

    /// Whether it has the lock of a ring of many: where nothing is being received, what was begun was forgotten.
    pub(super) fn is_inside(&self) -> bool {
        self.inside
    }

    /// Gives the role back.
    pub(super) fn resign(&self) -> Result<(), M::Error> {
        if self.core.shape.many_receivers {
            return Ok(());
        }
        lock_word::unlock(&self.core.memory.word(READERS))
    }

    /// Finds a record. Then the ring is the caller's until [`end`](Self::end).
    #[inline]
    pub(super) fn begin(&mut self, deadline: Deadline) -> Result<Span, Failure<M::Error>> {
        let begun = self.find(deadline);
        if begun.is_err() {
            self.pass_on()?;
        }
        begun
    }

    #[inline]
    fn find(&mut self, deadline: Deadline) -> Result<Span, Failure<M::Error>> {
        loop {
            self.enter(deadline)?;
            match self.consumer.next(&self.core) {
                Ok(Some(span)) => return Ok(span),
                Ok(None) => {
                    let seen = self.consumer.seen_tail();
                    self.leave()?;
                    let slept = sleep(&self.core.tail(), seen, deadline)?;
                    self.woken |= slept && self.core.shape.many_receivers;
                }
                Err(corrupt) => {
                    self.leave()?;
                    return Err(corrupt.into());
                }
            }
        }
    }

    /// The record was copied. It is given back by [`end`](Self::end).
    #[inline]
    pub(super) fn read(&mut self, span: Span) {
        self.consumer.read(span);
    }

    /// Gives back what was read, and leaves the ring to others. `false` when it was overwritten meanwhile.
    #[inline]
    pub(super) fn end(&mut self) -> Result<bool, Failure<M::Error>> {
        let released = self.consumer.release(&self.core);
        self.leave()?;
        let yours = match released? {
            Released::Overwritten => false,
            Released::Yours(0) => true,
            Released::Yours(count) => {
                let wakes = self.core.wakes_for_room(count);
                self.core.head().wake(wakes).map_err(Failure::Call)?;
                true
            }
        };
        self.pass_on()?;
        Ok(yours)
    }

    /// Leaves the ring to others, and what was read since `begin` to the next one.
    pub(super) fn abandon(&mut self) -> Result<(), Failure<M::Error>> {
        self.consumer.forget(&self.core);
        self.leave()?;
        self.pass_on()
    }

    /// Whether there is a slot that [`take_slot`](Self::take_slot) can have, in a few instructions; else
    /// [`recv`](Self::recv) is to be asked.
    #[inline(always)]
    pub(super) fn has_slot(&mut self) -> bool {
        self.alone && self.consumer.has_slot(&self.core)
    }

    /// Receives the record of the slot that there is.
    #[inline(always)]
    pub(super) fn take_slot(&mut self, to: &mut [u8]) -> Result<(), Failure<M::Error>> {
        match self.consumer.take_slot(&self.core, to) {
            Ok(()) => Ok(()),
            Err(old) => self.slot_released(old),
        }
    }

    #[cold]
    fn slot_released(&mut self, old: u32) -> Result<(), Failure<M::Error>> {
        self.consumer.judge(old)?;
        let wakes = self.core.wakes_for_room(1);
        self.core.head().wake(wakes).map_err(Failure::Call)?;
        Ok(())
    }

    /// Receives one record: `new` is told how many bytes it has, and makes what they are copied to.
    #[inline(never)]
    pub(super) fn recv<R>(
        &mut self,
        deadline: Deadline,
        new: impl Fn(usize) -> R,
        bytes: impl Fn(&mut R) -> &mut [u8],
    ) -> Result<R, Failure<M::Error>> {
        for attempt in 1_u64.. {
            let span = self.begin(deadline)?;
            let record = self.copy(span, &new, &bytes);
            if self.end()? {
                return Ok(record);
            }
            // Somebody overwrites faster than this one reads.
            if deadline == Deadline::Now && attempt > u64::from(ATTEMPTS) {
                break;
            }
            if deadline.has_come() && deadline != Deadline::Now {
                return Err(Failure::TimedOut);
            }
        }
        Err(Failure::WouldBlock)
    }

    /// Receives one record if there is one; else says that somebody waits, and returns `None`.
    #[cfg(feature = "tokio")]
    pub(super) fn recv_or_announce<R>(
        &mut self,
        new: impl Fn(usize) -> R,
        bytes: impl Fn(&mut R) -> &mut [u8],
    ) -> Result<Option<R>, Failure<M::Error>> {
        // Each turn, somebody has just sent. That is not so often without one record being there, unless somebody
        // changes the word who should not.
        for _ in 0..1 << 16 {
            self.enter(Deadline::Never)?;
            match self.consumer.next(&self.core) {
                Ok(Some(span)) => {
                    let record = self.copy(span, &new, &bytes);
                    if self.end()? {
                        return Ok(Some(record));
                    }
                }
                Ok(None) => {
                    let seen = self.consumer.seen_tail();
                    self.leave()?;
                    if announce(&self.core.tail(), seen) {
                        return Ok(None);
                    }
                }
                Err(corrupt) => {
                    self.leave()?;
                    return Err(corrupt.into());
                }
            }
        }
        Err(Corrupt("the position up to which records are written does not stand still").into())
    }

    /// Waits for a record, and receives it and those that are there, up to `max`, each into `take`.
    pub(super) fn recv_many<R>(
        &mut self,
        deadline: Deadline,
        max: usize,
        new: impl Fn(usize) -> R,
        bytes: impl Fn(&mut R) -> &mut [u8],
        into: &mut Vec<R>,
    ) -> Result<usize, Failure<M::Error>> {
        let mut count = 0;
        while count < max {
            // Only the first one is waited for.
            let deadline = if count == 0 { deadline } else { Deadline::Now };
            if self.core.shape.overwrite {
                match self.recv(deadline, &new, &bytes) {
                    Ok(record) => into.push(record),
                    Err(Failure::WouldBlock) if count > 0 => break,
                    Err(failure) => return Err(failure),
                }
                count += 1;
                continue;
            }
            let mut span = self.begin(deadline)?;
            let batch = Batch { reader: self };
            let copied = loop {
                into.push(batch.reader.copy(span, &new, &bytes));
                count += 1;
                // One that is not to be copied is not looked at: it would be noted as being read.
                if count == max {
                    break Ok(());
                }
                match batch.reader.consumer.next(&batch.reader.core) {
                    Ok(Some(next)) => span = next,
                    Ok(None) => break Ok(()),
                    Err(corrupt) => break Err(corrupt),
                }
            };
            batch.end()?;
            copied?;
            break;
        }
        Ok(count)
    }

    #[inline]
    fn copy<R>(&mut self, span: Span, new: impl Fn(usize) -> R, bytes: impl Fn(&mut R) -> &mut [u8]) -> R {
        let mut record = new(span.len as usize);
        self.core
            .memory
            .read(span.bytes_at(&self.core), bytes(&mut record));
        self.read(span);
        record
    }

    #[inline]
    fn enter(&mut self, deadline: Deadline) -> Result<(), Failure<M::Error>> {
        if !self.core.shape.many_receivers {
            return Ok(());
        }
        let word = self.core.memory.word(READERS);
        enter(&word, self.token, deadline, || Consumer::recover(&self.core))?;
        drop(word);
        self.inside = true;
        match Consumer::load(&self.core) {
            Ok(consumer) => {
                self.consumer = consumer;
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
        if !self.core.shape.many_receivers {
            return Ok(());
        }
        self.inside = false;
        lock_word::unlock(&self.core.memory.word(READERS)).map_err(Failure::Call)
    }

    /// Sees to it that others who wait for records are woken, if this one was in their place.
    #[inline]
    fn pass_on(&mut self) -> Result<(), Failure<M::Error>> {
        if !self.woken {
            return Ok(());
        }
        self.woken = false;
        let tail = announce_others(&self.core.tail());
        if Consumer::has_record(&self.core, tail) {
            self.core.tail().wake(1).map_err(Failure::Call)?;
        }
        Ok(())
    }
}

/// Several records that are given back together; what was read is also if something panics.
struct Batch<'a, M: Memory> {
    reader: &'a mut Reader<M>,
}

impl<M: Memory> Batch<'_, M> {
    fn end(self) -> Result<(), Failure<M::Error>> {
        // Without the drop that does the same.
        let mut this = ManuallyDrop::new(self);
        this.reader.end().map(drop)
    }
}

impl<M: Memory> Drop for Batch<'_, M> {
    fn drop(&mut self) {
        // Nobody to tell.
        let _ = self.reader.end();
    }
}
