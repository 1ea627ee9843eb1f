// SPDX-License-Identifier: MIT OR Apache-2.0

//! Receiving without a thread that sleeps, under tokio: an eventfd that the kernel signals with each wake-up of who waits
//! for records. The receiver says that it waits as one that sleeps does, so senders call WAKE.

use std::io;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::failure::RingError;
use super::kind::Kind;
use super::layout::TAIL;
use super::receiver::Receiver;
use crate::area::Area;
use crate::error::EventfdError;
use crate::eventfd::Signal;

/// An eventfd on the word that says how far is written.
#[derive(Debug)]
pub(super) struct Readiness {
    area: Area,
    signal: Signal,
    eventfd: AsyncFd<EventFd>,
}

impl Readiness {
    #[allow(
        deprecated,
        reason = "what comes instead is unsafe, and this descriptor is owned by what is registered"
    )]
    fn new(area: &Area, signal: Signal) -> Result<Self, EventfdError> {
        let failed = |error: io::Error| EventfdError::new("make an eventfd", error);
        let eventfd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map_err(|errno| failed(errno.into()))?;
        let eventfd = AsyncFd::with_interest(eventfd, Interest::READABLE).map_err(failed)?;
        area.segment().add_eventfd(signal, eventfd.get_ref())?;
        Ok(Self {
            area: area.clone(),
            signal,
            eventfd,
        })
    }

    /// Waits for a wake-up since the last time.
    async fn signalled(&self) -> Result<(), EventfdError> {
        let read = |eventfd: &EventFd| Ok(eventfd.read()?);
        self.eventfd
            .async_io(Interest::READABLE, read)
            .await
            .map_err(|error| EventfdError::new("read an eventfd", error))?;
        Ok(())
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        // It fails when the handle was restricted: then it goes with the handle.
        let _ = self
            .area
            .segment()
            .remove_eventfd(self.signal, self.eventfd.get_ref());
    }
}

impl<K: Kind> Receiver<K> {
    /// As [`recv`](Self::recv), but without a thread that sleeps.
    ///
    /// It must be called in a tokio runtime that has I/O enabled, and from then on always in the same one. When the future
    /// is dropped, no record was taken out. Where there are many receivers, it waits for the lock as others do, which is
    /// had for as long as it takes to copy records.
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
        loop {
            if let Some(record) = self.reader.recv_or_announce(K::zeroed, K::bytes_mut)? {
                return Ok(record);
            }
            match &self.readiness {
                Some(readiness) => readiness.signalled().await.map_err(call)?,
                None => {
                    let core = &self.reader.core;
                    let word = Signal::Word((core.memory.offset + TAIL) as u64);
                    // Then it looks again: what was woken before was not signalled.
                    self.readiness = Some(Readiness::new(&core.memory.area, word).map_err(call)?);
                }
            }
        }
    }
}

fn call(error: EventfdError) -> RingError {
    RingError::Call(error.into())
}
