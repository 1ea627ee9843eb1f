// SPDX-License-Identifier: GPL-2.0

//! Putting the current task to sleep until another one says so, a signal comes or a point in time
//! is reached.

use super::ffi;
use core::num::NonZeroU32;
use kernel::{
    bindings,
    ffi::c_uint,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Full, //
        }, //
    },
    task::Task, //
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

/// How urgent a task is: the smaller, the more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority(u32);

impl Priority {
    /// Of the current task. The same for all that are not real-time tasks.
    pub(crate) fn current() -> Self {
        // SAFETY: Looks at the current task alone.
        Self(unsafe { ffi::shmdev_current_priority() })
    }
}

/// Why [`Sleeper::sleep`] returned.
pub(crate) enum Wake {
    /// It was claimed.
    Claimed,
    /// A signal is pending.
    Signal,
    /// The deadline was reached.
    Deadline,
}

/// Signals end the sleep. To suspend the machine does not.
const SLEEPING: c_uint = bindings::TASK_INTERRUPTIBLE | bindings::TASK_FREEZABLE;

/// A task that sleeps, or is about to, until it is claimed: once, by whoever comes first.
pub(crate) struct Sleeper {
    task: ARef<Task>,
    /// 0 until it is claimed.
    reason: Atomic<u32>,
}

impl Sleeper {
    /// The current task, which alone may [`sleep`](Sleeper::sleep) on this.
    pub(crate) fn current() -> Self {
        Self {
            task: ARef::from(&**kernel::current!()),
            reason: Atomic::new(0),
        }
    }

    /// Says that it need not sleep any more. Returns whether the caller was the first to say so; then
    /// it owes a [`wake`](Sleeper::wake), unless it is the task itself.
    pub(crate) fn claim(&self, reason: NonZeroU32) -> bool {
        self.reason.cmpxchg(0, reason.get(), Full).is_ok()
    }

    /// The reason for which it was claimed, if it was.
    pub(crate) fn claimed(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.reason.load(Acquire))
    }

    /// Has the task look whether it was claimed.
    pub(crate) fn wake(&self) {
        self.task.wake_up();
    }

    /// The task's number in the initial pid namespace.
    pub(crate) fn pid(&self) -> u32 {
        u32::try_from(self.task.pid()).unwrap_or(0)
    }

    /// Sleeps, interruptibly, until it is claimed.
    pub(crate) fn sleep(&self, deadline: Deadline) -> Wake {
        let mut time;
        let expires = match deadline {
            Deadline::Never => core::ptr::null_mut(),
            Deadline::At(at) => {
                time = at;
                &raw mut time
            }
        };
        let wake = loop {
            // SAFETY: The state is one that a task may sleep in. The state is set before the claim
            // is looked at, so a `wake` after the look makes the task runnable again.
            unsafe { ffi::shmdev_set_current_state(SLEEPING) };
            if self.claimed().is_some() {
                break Wake::Claimed;
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
