// SPDX-License-Identifier: GPL-2.0

//! Putting the current task to sleep until another one says so, a signal comes or a point in time
//! is reached.

use super::{
    ffi,
    gfp::GFP_MAY_FAIL, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
    task::Task,
    types::NotThreadSafe, //
};

/// Until when to sleep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deadline {
    /// For as long as it takes.
    Never,
    /// Until this time of the kernel's CLOCK_MONOTONIC, in nanoseconds.
    At(bindings::ktime_t),
}

impl Deadline {
    /// At this many nanoseconds of CLOCK_MONOTONIC as the current task sees it.
    pub(crate) fn monotonic(ns: i64) -> Self {
        // SAFETY: Looks at the current task's time namespace.
        Self::At(unsafe { ffi::shmdev_monotonic_to_host(ns) })
    }
}

/// How urgent the current task is: the smaller, the more. The same for all that are not real-time
/// tasks.
pub(crate) fn current_priority() -> u32 {
    // SAFETY: Looks at the current task alone.
    unsafe { ffi::shmdev_current_priority() }
}

/// Why [`Parking::park`] returned.
pub(crate) enum Wake {
    /// [`Unparker::unpark`] was called.
    Unparked,
    /// A signal is pending.
    Signal,
    /// The deadline was reached.
    Deadline,
}

/// The end that wakes: may be used by any task.
pub(crate) struct Unparker {
    task: ARef<Task>,
    unparked: Atomic<u32>,
}

impl Unparker {
    /// Wakes the task that parks, or keeps it from going to sleep. It stays so: a second call does
    /// nothing.
    pub(crate) fn unpark(&self) {
        self.unparked.store(1, Release);
        self.task.wake_up();
    }
}

/// The end that sleeps: stays with the task that made it.
pub(crate) struct Parking {
    unparker: Arc<Unparker>,
    /// Only the task that made this may use it: that is the task that [`Unparker`] wakes.
    _not_send: NotThreadSafe,
}

impl Parking {
    /// For the current task, to be used once.
    pub(crate) fn new() -> Result<Self> {
        let unparker = Unparker {
            task: ARef::from(&**kernel::current!()),
            unparked: Atomic::new(0),
        };
        Ok(Self {
            unparker: Arc::new(unparker, GFP_MAY_FAIL)?,
            _not_send: NotThreadSafe,
        })
    }

    /// The other end.
    pub(crate) fn unparker(&self) -> Arc<Unparker> {
        self.unparker.clone()
    }

    /// Sleeps, interruptibly.
    pub(crate) fn park(&self, deadline: Deadline) -> Wake {
        let mut time;
        let expires = match deadline {
            Deadline::Never => core::ptr::null_mut(),
            Deadline::At(at) => {
                time = at;
                &raw mut time
            }
        };
        let wake = loop {
            // SAFETY: The state is one that a task may sleep in. The state is set before the flag
            // is looked at, so an `unpark` after the look makes the task runnable again.
            unsafe { ffi::shmdev_set_current_state(bindings::TASK_INTERRUPTIBLE) };
            if self.unparker.unparked.load(Acquire) == 1 {
                break Wake::Unparked;
            }
            if kernel::current!().signal_pending() {
                break Wake::Signal;
            }
            // SAFETY: `expires` is null, which means to sleep without end, or valid for the call.
            if unsafe { ffi::shmdev_schedule_until(expires) } == 0 {
                break Wake::Deadline;
            }
        };
        // SAFETY: A running task may say that it runs.
        unsafe { ffi::shmdev_set_current_state(bindings::TASK_RUNNING) };
        wake
    }
}
