// SPDX-License-Identifier: GPL-2.0

//! A wait queue for `poll`, for an object that outlives every file that polls it.
//!
//! `kernel::sync::poll::PollCondVar` has to wait for an RCU grace period when it is dropped,
//! because it may go while somebody polls it. [`PollQueue`] needs no such wait: see
//! [`PollQueue::register`].

use super::ffi;
use core::ptr;
use kernel::{
    bindings,
    prelude::*,
    sync::LockClassKey,
    types::Opaque, //
};

/// A wait queue of callers of `poll`.
#[pin_data]
pub(crate) struct PollQueue {
    #[pin]
    head: Opaque<bindings::wait_queue_head>,
}

// SAFETY: A `struct wait_queue_head` may be used from any thread.
unsafe impl Send for PollQueue {}
// SAFETY: It has a lock of its own.
unsafe impl Sync for PollQueue {}

impl PollQueue {
    /// An empty queue.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `slot` is valid, the name and the key live for ever.
            head <- Opaque::ffi_init(|slot| unsafe {
                bindings::__init_waitqueue_head(slot, name.as_char_ptr(), key.as_ptr())
            }),
        })
    }

    /// Wakes everybody who polls, exclusive waiters included: they may wait for different files.
    pub(crate) fn notify_readable(&self) {
        let events = bindings::POLLIN | bindings::POLLRDNORM;
        let key = ptr::without_provenance_mut(events as usize);
        // Who comes later looks, after that, at what has just become so: see `register`.
        // SAFETY: The queue was initialised by `new`. The barrier is in this function.
        if unsafe { !ffi::shmdev_has_sleeper(self.head.get()) } {
            return;
        }
        // SAFETY: As above. The key is a set of events, not a pointer to anything.
        unsafe { bindings::__wake_up(self.head.get(), bindings::TASK_NORMAL, 0, key) };
    }
}

impl PollQueue {
    /// Adds the caller of `poll` to the queue; after that, the caller must look at the state that
    /// the queue tells of.
    ///
    /// # Safety
    ///
    /// The pointers must be those that the `poll` operation was called with. The queue must live
    /// for as long as that file, `release` included.
    // The kernel removes what `poll` and `select` added while they hold the file, and what epoll
    // added before it calls `release`: a queue that lives longer needs no other protection.
    pub(super) unsafe fn register(
        &self,
        file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) {
        // SAFETY: By the caller's promise.
        unsafe { bindings::poll_wait(file, self.head.get(), table) }
    }
}

/// What a file polls: its queue is told when what `poll` would say may have changed.
pub(crate) trait Polled: Send + Sync + 'static {
    /// The queue.
    fn poll_queue(&self) -> &PollQueue;
}
