// SPDX-License-Identifier: GPL-2.0

//! Eventfds to signal.

use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*, //
};

/// A reference to an eventfd, which may have been closed.
///
/// # Invariants
///
/// The pointer is a reference, owned by this value.
pub(crate) struct EventFd(NonNull<bindings::eventfd_ctx>);

// SAFETY: A reference may be used and given back by any thread.
unsafe impl Send for EventFd {}
// SAFETY: As above; the C side has a lock of its own.
unsafe impl Sync for EventFd {}

impl EventFd {
    /// That of a descriptor of the current task. Fails with `EBADF` if it is not open, and with
    /// `EINVAL` if it is something else.
    pub(crate) fn from_descriptor(fd: i32) -> Result<Self> {
        // SAFETY: Looks a number up in the current task's table.
        let context = from_err_ptr(unsafe { bindings::eventfd_ctx_fdget(fd) })?;
        // INVARIANT: The reference was just taken.
        Ok(Self(NonNull::new(context).ok_or(EINVAL)?))
    }

    /// Adds 1 to it, unless it is full. Never sleeps.
    pub(crate) fn signal(&self) {
        // SAFETY: It is valid by the type invariant.
        unsafe { bindings::eventfd_signal_mask(self.0.as_ptr(), 0) }
    }

    /// Whether both are the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the reference is ours to give back.
        unsafe { bindings::eventfd_ctx_put(self.0.as_ptr()) }
    }
}
