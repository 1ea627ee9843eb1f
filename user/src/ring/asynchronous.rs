// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sending and receiving without a thread that sleeps, under tokio. The two ends say that they wait as those that sleep
//! do, so the other side calls WAKE.

use super::failure::RingError;
use super::kind::Kind;
use super::layout::{HEAD, TAIL};
use super::receiver::Receiver;
use super::sender::Sender;
use crate::readiness;

impl<K: Kind> Receiver<K> {
    /// As [`recv`](Self::recv), but without a thread that sleeps.
    ///
    /// It must be called in a tokio runtime that has I/O enabled, and from then on always in the same one. When the future
    /// is dropped, no record was taken out. Where there are many receivers, it waits for the lock as others do, which is
    /// had for as long as it takes to copy records; so whoever [peeks](Self::peek) must not await meanwhile.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); [`Call`](RingError::Call) also when there is no descriptor more to be had, and when the
    /// handle or the segment has as many [eventfds](crate::Segment::add_eventfd) as it may.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, or in one without I/O.
    pub async fn recv_async(&mut self) -> Result<K::Received, RingError> {
        let memory = &self.reader.core.memory;
        let (area, word) = (memory.area.clone(), memory.offset + TAIL);
        let reader = &mut self.reader;
        let look = || Ok(reader.recv_or_announce(K::zeroed, K::bytes_mut)?);
        readiness::until(&area, word, &mut self.readiness, look).await
    }
}

impl<K: Kind> Sender<K> {
    /// As [`send`](Self::send), but without a thread that sleeps.
    ///
    /// It must be called in a tokio runtime that has I/O enabled, and from then on always in the same one. When the future
    /// is dropped, the record was not sent. Where there are many senders, it waits for the lock as others do, which is had
    /// for as long as it takes to copy a record; so whoever has a [`Reservation`](super::Reservation) must not await
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and as [`Receiver::recv_async`].
    ///
    /// # Panics
    ///
    /// Outside of a runtime, or in one without I/O.
    pub async fn send_async(&mut self, record: &K::Sent) -> Result<(), RingError> {
        let memory = &self.writer.core.memory;
        let (area, word) = (memory.area.clone(), memory.offset + HEAD);
        let writer = &mut self.writer;
        let look = || Ok(writer.send_or_announce(K::bytes(record))?.then_some(()));
        readiness::until(&area, word, &mut self.readiness, look).await
    }
}
