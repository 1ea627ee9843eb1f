// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting on a word without a thread that sleeps, under tokio: an eventfd that the kernel signals with each wake-up on
//! the word. What the word means is its owners' business.
//!
//! Who waits so says in the word that he waits, as one who sleeps does, so that others call WAKE. He takes no wake-up
//! from those who sleep: the kernel wakes as many of them as if there were no eventfd, and signals each eventfd. So one
//! who is dropped, signalled or not, owes nothing to anybody.

use std::io;

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::area::Area;
use crate::error::EventfdError;
use crate::eventfd::Signal;
use crate::sync::CallError;

/// An eventfd on a word, handed back when this is dropped.
#[derive(Debug)]
pub(crate) struct Readiness {
    area: Area,
    signal: Signal,
    eventfd: AsyncFd<EventFd>,
}

impl Readiness {
    #[allow(
        deprecated,
        reason = "what comes instead is unsafe, and this descriptor is owned by what is registered"
    )]
    fn new(area: &Area, offset: usize) -> Result<Self, EventfdError> {
        let failed = |error: io::Error| EventfdError::new("make an eventfd", error);
        let eventfd = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)
            .map_err(|errno| failed(errno.into()))?;
        let eventfd = AsyncFd::with_interest(eventfd, Interest::READABLE).map_err(failed)?;
        let signal = Signal::Word(offset as u64);
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

/// Looks until `look` has found something: at once, and after each wake-up on the word at `offset`. If it finds nothing,
/// it has said in the word that somebody waits. `kept` is for the next time.
///
/// What was found is returned in the very poll that found it: a future that is dropped has taken nothing.
pub(crate) async fn until<T, E: From<CallError>>(
    area: &Area,
    offset: usize,
    kept: &mut Option<Readiness>,
    mut look: impl FnMut() -> Result<Option<T>, E>,
) -> Result<T, E> {
    let call = |error: EventfdError| E::from(error.into());
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        match kept {
            Some(readiness) => readiness.signalled().await.map_err(call)?,
            // Then it looks again: what was woken before was not signalled.
            None => *kept = Some(Readiness::new(area, offset).map_err(call)?),
        }
    }
}
