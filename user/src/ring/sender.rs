// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sending: values, batches, and records that are written in place.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicU8;

use zerocopy::{Immutable, IntoBytes};

use super::failure::RingError;
use super::kind::{Kind, Records, Slots};
use super::placed::Placed;
use super::record::Span;
use super::role::Role;
use super::stats::Stats;
use super::writer::Writer;
use crate::deadline::Deadline;
use crate::error::AccessError;
use crate::memory;

/// One who sends.
///
/// A process that dies is no sender any more. A child after `fork` makes its own, in an [`Area`](crate::Area) of its own;
/// what it inherited, it can drop, and that changes nothing.
#[derive(Debug)]
pub struct Sender<K: Kind> {
    pub(super) writer: Writer<Placed>,
    /// Before the role, which goes last.
    #[cfg(feature = "tokio")]
    pub(super) readiness: Option<crate::readiness::Readiness>,
    role: Role,
    kind: PhantomData<K>,
}

impl<K: Kind> Sender<K> {
    pub(super) fn new(writer: Writer<Placed>, role: Role) -> Self {
        Self {
            writer,
            #[cfg(feature = "tokio")]
            readiness: None,
            role,
            kind: PhantomData,
        }
    }

    /// Sends a record, and waits for room.
    ///
    /// # Errors
    ///
    /// [`TooLong`](RingError::TooLong), [`Corrupt`](RingError::Corrupt), [`Call`](RingError::Call).
    #[inline]
    pub fn send(&mut self, record: &K::Sent) -> Result<(), RingError> {
        self.send_until(record, Deadline::Never)
    }

    /// Sends a record if there is room, and nobody else just sends.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`WouldBlock`](RingError::WouldBlock).
    #[inline]
    pub fn try_send(&mut self, record: &K::Sent) -> Result<(), RingError> {
        self.send_until(record, Deadline::Now)
    }

    /// Sends a record, and waits for room until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), [`TimedOut`](RingError::TimedOut), and [`WouldBlock`](RingError::WouldBlock) for
    /// [`Deadline::Now`].
    #[inline]
    pub fn send_until(&mut self, record: &K::Sent, deadline: Deadline) -> Result<(), RingError> {
        if !K::SLOTS || !self.writer.send_slot(K::bytes(record))? {
            self.writer.send_slowly(K::bytes(record), deadline)?;
        }
        Ok(())
    }

    /// Sends all records, with as few wake-ups as can be, and waits for room. Returns how many those were.
    ///
    /// They are published together, as far as there is room. Where there are many senders, others wait meanwhile: also
    /// for `records` to say what comes next.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). What was sent until then is sent.
    pub fn send_all<R>(&mut self, records: impl IntoIterator<Item = R>) -> Result<usize, RingError>
    where
        R: Borrow<K::Sent>,
    {
        self.send_all_until(records, Deadline::Never)
    }

    /// As [`send_all`](Self::send_all), until `deadline`: then it returns how many were sent, and the next one, which was
    /// taken from `records`, is not. With [`Deadline::Now`], as many as there is room for.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_all_until<R>(
        &mut self,
        records: impl IntoIterator<Item = R>,
        deadline: Deadline,
    ) -> Result<usize, RingError>
    where
        R: Borrow<K::Sent>,
    {
        let records = records.into_iter();
        let sent = self
            .writer
            .send_all(records, |record| K::bytes(record.borrow()), deadline)?;
        Ok(sent)
    }

    /// What the ring tells of itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.writer.core)
    }

    fn reservation(&mut self, len: usize, deadline: Deadline) -> Result<Reservation<'_, K>, RingError> {
        let span = self.writer.begin(len, deadline)?;
        Ok(Reservation { sender: self, span })
    }
}

impl Sender<Records> {
    /// Room for a record of `len` bytes, to write it in place; waits for that until `deadline`. What is there is not
    /// zero, but what was there.
    ///
    /// # Errors
    ///
    /// As [`send_until`](Self::send_until).
    pub fn reserve(&mut self, len: usize, deadline: Deadline) -> Result<Reservation<'_, Records>, RingError> {
        self.reservation(len, deadline)
    }
}

impl<T> Sender<Slots<T>>
where
    Slots<T>: Kind,
{
    /// Room for a value, to write it in place; waits for that until `deadline`. What is there is not zero, but what was
    /// there.
    ///
    /// # Errors
    ///
    /// As [`send_until`](Self::send_until).
    pub fn reserve(&mut self, deadline: Deadline) -> Result<Reservation<'_, Slots<T>>, RingError> {
        self.reservation(size_of::<T>(), deadline)
    }
}

impl<K: Kind> Drop for Sender<K> {
    fn drop(&mut self) {
        if !self.role.is_ours() {
            return;
        }
        if self.writer.is_inside() {
            // A reservation was forgotten: the lock is this process's until it ends, and the kernel is to know then.
            self.role.keep();
        }
        // Nobody to tell, and nobody waits for a role.
        let _ = self.writer.resign();
    }
}

impl<K: Kind> AsFd for Sender<K> {
    /// The handle's.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.writer.core.memory.area.segment().as_fd()
    }
}

/// Room in a ring for a record that is not sent yet.
///
/// [`commit`](Self::commit) sends it; dropped before, nothing was sent. Where there are many senders, others wait
/// meanwhile; if it is [forgotten](std::mem::forget), until the process ends.
pub struct Reservation<'a, K: Kind> {
    sender: &'a mut Sender<K>,
    span: Span,
}

impl<K: Kind> Reservation<'_, K> {
    /// Length of the record in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "as long as it was asked for")]
    pub fn len(&self) -> usize {
        self.span.len as usize
    }

    /// Copies `bytes` to `offset` in the record. Neighbouring bytes of the record stay as they are.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    pub fn write_at(&mut self, bytes: &[u8], offset: usize) -> Result<(), AccessError> {
        memory::copy_in(bytes, self.cells(offset, bytes.len())?);
        Ok(())
    }

    /// Puts `value` at `offset` in the record, whatever its alignment.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    pub fn set<T: IntoBytes + Immutable>(&mut self, offset: usize, value: &T) -> Result<(), AccessError> {
        self.write_at(value.as_bytes(), offset)
    }

    /// Sets `len` bytes at `offset` in the record to `byte`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    pub fn fill(&mut self, byte: u8, offset: usize, len: usize) -> Result<(), AccessError> {
        memory::fill(self.cells(offset, len)?, byte);
        Ok(())
    }

    /// The bytes of the record as a slice that can be written.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody else reads or writes these bytes, in whatever process. Those who use the ring as
    /// this crate does read nothing that was not sent, and one who overwrites is the one who sends; but whoever can
    /// write the segment could.
    #[expect(unsafe_code, reason = "the caller promises what cannot be checked")]
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: a ring's mapping is writable, and the caller promises the rest of what `as_mut_slice` asks for.
        unsafe { memory::as_mut_slice(self.all()) }
    }

    /// Sends the record.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](RingError::Corrupt), [`Call`](RingError::Call).
    pub fn commit(self) -> Result<(), RingError> {
        // Without the drop that takes it back.
        let mut this = ManuallyDrop::new(self);
        let span = this.span;
        let writer = &mut this.sender.writer;
        writer.wrote(span);
        writer.end()?;
        Ok(())
    }

    fn all(&self) -> &[AtomicU8] {
        let core = &self.sender.writer.core;
        core.memory.bytes(self.span.bytes_at(core), self.len())
    }

    fn cells(&self, offset: usize, len: usize) -> Result<&[AtomicU8], AccessError> {
        memory::part(self.all(), offset, len)
    }
}

impl<K: Kind> Drop for Reservation<'_, K> {
    fn drop(&mut self) {
        if !self.sender.role.is_ours() {
            return;
        }
        // What fails is a wake-up: there is nobody to tell.
        let _ = self.sender.writer.abandon();
    }
}

impl<K: Kind> fmt::Debug for Reservation<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
