// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waiting for a change without a thread that sleeps, under tokio.

use std::os::fd::AsFd;

use tokio::io::unix::AsyncFd;
use tokio::io::{Interest, Ready};

use crate::deadline::Deadline;
use crate::error::PollError;
use crate::segment::Segment;

impl Segment {
    /// As [`wait_change`](Self::wait_change), for as long as it takes, but without a thread that sleeps.
    ///
    /// It must be called in a tokio runtime that has I/O enabled. When the future is dropped, nothing was missed.
    ///
    /// # Errors
    ///
    /// As [`wait_change`](Self::wait_change), and when there is no descriptor more to be had.
    ///
    /// # Panics
    ///
    /// Outside of a runtime, or in one without I/O.
    #[allow(
        deprecated,
        reason = "what comes instead is unsafe, and this descriptor is owned by what is registered"
    )]
    pub async fn changed(&self) -> Result<(), PollError> {
        let failed = |error| PollError::new("wait for a change", error);
        // A descriptor of its own for each call: one can be registered once at a time. A new registration is told what
        // has happened before.
        let fd = self.as_fd().try_clone_to_owned().map_err(failed)?;
        let fd = AsyncFd::with_interest(fd, Interest::READABLE).map_err(failed)?;
        // First of all also for its refusals.
        while !self.wait_change(Deadline::Now)? {
            let mut ready = fd.readable().await.map_err(failed)?;
            ready.clear_ready_matching(Ready::READABLE);
        }
        Ok(())
    }
}
