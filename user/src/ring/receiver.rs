// SPDX-License-Identifier: MIT OR Apache-2.0

//! Receiving: values, batches, and records that are read in place.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::AtomicU8;

use zerocopy::{FromBytes, IntoBytes};

use super::failure::RingError;
use super::kind::{Kind, Records};
use super::placed::Placed;
use super::reader::Reader;
use super::record::Span;
use super::role::Role;
use super::stats::Stats;
use crate::deadline::Deadline;
use crate::error::AccessError;
use crate::memory;

/// One who receives.
///
/// A process that dies is no receiver any more. A child after `fork` makes its own, in an [`Area`](crate::Area) of its
/// own; what it inherited, it can drop, and that changes nothing.
#[derive(Debug)]
pub struct Receiver<K: Kind> {
    pub(super) reader: Reader<Placed>,
    /// Before the role, which goes last.
    #[cfg(feature = "tokio")]
    pub(super) readiness: Option<crate::readiness::Readiness>,
    role: Role,
    kind: PhantomData<K>,
}

impl<K: Kind> Receiver<K> {
    pub(super) fn new(reader: Reader<Placed>, role: Role) -> Self {
        Self {
            reader,
            #[cfg(feature = "tokio")]
            readiness: None,
            role,
            kind: PhantomData,
        }
    }

    /// Receives a record, and waits for one.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](RingError::Corrupt), [`Call`](RingError::Call).
    #[inline]
    pub fn recv(&mut self) -> Result<K::Received, RingError> {
        self.recv_until(Deadline::Never)
    }

    /// Receives a record if there is one, and nobody else just receives.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), and [`WouldBlock`](RingError::WouldBlock).
    #[inline]
    pub fn try_recv(&mut self) -> Result<K::Received, RingError> {
        self.recv_until(Deadline::Now)
    }

    /// Receives a record, and waits for one until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv), [`TimedOut`](RingError::TimedOut), and [`WouldBlock`](RingError::WouldBlock) for
    /// [`Deadline::Now`].
    #[inline]
    pub fn recv_until(&mut self, deadline: Deadline) -> Result<K::Received, RingError> {
        let mut value;
        if K::SLOTS && self.reader.has_slot() {
            value = K::zeroed(0);
            self.reader.take_slot(K::bytes_mut(&mut value))?;
        } else {
            value = self.recv_slowly(deadline)?;
        }
        Ok(value)
    }

    #[inline(never)]
    fn recv_slowly(&mut self, deadline: Deadline) -> Result<K::Received, RingError> {
        Ok(self.reader.recv(deadline, K::zeroed, K::bytes_mut)?)
    }

    /// Waits for a record until `deadline`, then receives all that are there, but no more than `max`, to the end of
    /// `into`. Returns how many. Their room is given back at once, with one wake-up.
    ///
    /// # Errors
    ///
    /// As [`recv_until`](Self::recv_until). What is in `into` nevertheless was received.
    pub fn recv_many(
        &mut self,
        into: &mut Vec<K::Received>,
        max: usize,
        deadline: Deadline,
    ) -> Result<usize, RingError> {
        Ok(self
            .reader
            .recv_many(deadline, max, K::zeroed, K::bytes_mut, into)?)
    }

    /// The next record, to read it in place; waits for one until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`recv_until`](Self::recv_until).
    pub fn peek(&mut self, deadline: Deadline) -> Result<Peeked<'_, K>, RingError> {
        let span = self.reader.begin(deadline)?;
        Ok(Peeked { receiver: self, span })
    }

    /// What the ring tells of itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.reader.core)
    }
}

impl Receiver<Records> {
    /// As [`recv_until`](Self::recv_until), but to `into`, whose memory is used again: its contents are replaced.
    ///
    /// # Errors
    ///
    /// As [`recv_until`](Self::recv_until).
    pub fn recv_into(&mut self, into: &mut Vec<u8>, deadline: Deadline) -> Result<(), RingError> {
        loop {
            let record = self.peek(deadline)?;
            into.resize(record.len(), 0);
            record.copy_to(into);
            match record.release() {
                Err(RingError::Overwritten) if deadline == Deadline::Now => {
                    return Err(RingError::WouldBlock);
                }
                Err(RingError::Overwritten) if deadline.has_come() => return Err(RingError::TimedOut),
                Err(RingError::Overwritten) => (),
                other => return other,
            }
        }
    }
}

impl<K: Kind> Drop for Receiver<K> {
    fn drop(&mut self) {
        if !self.role.is_ours() {
            return;
        }
        if self.reader.is_inside() {
            // Forgotten while peeked at: the lock is this process's until it ends, and the kernel is to know then.
            self.role.keep();
        }
        // Nobody to tell, and nobody waits for a role.
        let _ = self.reader.resign();
    }
}

impl<K: Kind> AsFd for Receiver<K> {
    /// The handle's.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.core.memory.area.segment().as_fd()
    }
}

/// A record that is still in the ring.
///
/// [`release`](Self::release) takes it out; dropped before, it stays there. Where there are many receivers, others wait
/// meanwhile; if it is [forgotten](std::mem::forget), until the process ends. In a ring that overwrites, it may be overwritten while one reads it: what was read is the record if
/// [`release`](Self::release) says so.
pub struct Peeked<'a, K: Kind> {
    receiver: &'a mut Receiver<K>,
    span: Span,
}

impl<K: Kind> Peeked<'_, K> {
    /// Length of the record in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.span.len as usize
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.span.len == 0
    }

    /// Copies the bytes at `offset` in the record to `buf`.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    pub fn read_at(&self, buf: &mut [u8], offset: usize) -> Result<(), AccessError> {
        memory::copy_out(self.cells(offset, buf.len())?, buf);
        Ok(())
    }

    /// The value at `offset` in the record, whatever its alignment.
    ///
    /// # Errors
    ///
    /// [`AccessError::OutOfBounds`].
    pub fn get<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, AccessError> {
        let mut value = T::new_zeroed();
        self.read_at(value.as_mut_bytes(), offset)?;
        Ok(value)
    }

    /// Copies the record to a new vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.copy_to(&mut bytes);
        bytes
    }

    /// Takes the record out of the ring.
    ///
    /// # Errors
    ///
    /// [`Overwritten`](RingError::Overwritten), [`Corrupt`](RingError::Corrupt), [`Call`](RingError::Call).
    pub fn release(self) -> Result<(), RingError> {
        // Without the drop that leaves it there.
        let mut this = ManuallyDrop::new(self);
        let span = this.span;
        let reader = &mut this.receiver.reader;
        reader.read(span);
        if reader.end()? {
            Ok(())
        } else {
            Err(RingError::Overwritten)
        }
    }

    /// `to` is as long as the record.
    fn copy_to(&self, to: &mut [u8]) {
        memory::copy_out(self.all(), to);
    }

    fn all(&self) -> &[AtomicU8] {
        let core = &self.receiver.reader.core;
        core.memory.bytes(self.span.bytes_at(core), self.len())
    }

    fn cells(&self, offset: usize, len: usize) -> Result<&[AtomicU8], AccessError> {
        memory::part(self.all(), offset, len)
    }
}

impl<K: Kind> Drop for Peeked<'_, K> {
    fn drop(&mut self) {
        if !self.receiver.role.is_ours() {
            return;
        }
        // What fails is a wake-up: there is nobody to tell.
        let _ = self.receiver.reader.abandon();
    }
}

impl<K: Kind> fmt::Debug for Peeked<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peeked")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
