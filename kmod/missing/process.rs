// SPDX-License-Identifier: GPL-2.0

//! Processes, and being told when one exits.
//!
//! A file's `flush` and `release` tell of a process that exits with the file open and of the last
//! user of the file, but not of a process that closed its descriptor, or shares its descriptor
//! table, while the file lives on elsewhere. [`ExitWatch`] does: it waits where `poll` on a pidfd
//! waits.

use super::{
    ffi,
    gfp::GFP_MAY_FAIL, //
};
use kernel::{
    bindings,
    container_of,
    ffi::{
        c_int,
        c_uint,
        c_void, //
    },
    impl_has_work,
    new_work,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::Opaque,
    workqueue::{
        Queue,
        Work,
        WorkItem, //
    }, //
};

/// Names a process for as long as it lives, or an [`ExitWatch`] for it does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessKey(usize);

impl ProcessKey {
    /// No process has a smaller one, or this.
    pub(crate) const FIRST: Self = Self(0);

    /// Of the process that the current task belongs to.
    pub(crate) fn current() -> Self {
        // SAFETY: Looks at the current task alone. The pointer is not dereferenced.
        Self(unsafe { ffi::shmdev_current_process() }.addr())
    }

    /// As a number, which is not 0.
    pub(crate) fn bits(self) -> usize {
        self.0
    }
}

/// A reference to a process, which may have exited.
///
/// # Invariants
///
/// The pointer is a reference, owned by this value.
pub(crate) struct Process(*mut bindings::pid);

// SAFETY: A reference may be used and given back by any thread.
unsafe impl Send for Process {}
// SAFETY: As above.
unsafe impl Sync for Process {}

impl Process {
    /// The one that the current task belongs to.
    pub(crate) fn current() -> Self {
        // INVARIANT: The reference is taken here and given back in `drop`.
        // SAFETY: The current task's process is valid.
        Self(unsafe { ffi::shmdev_get_pid(ffi::shmdev_current_process()) })
    }

    /// Its number in the pid namespace of the current task; 0 if it is not there.
    pub(crate) fn number(&self) -> u32 {
        // SAFETY: The process is valid by the type invariant.
        u32::try_from(unsafe { ffi::shmdev_pid_number(self.0) }).unwrap_or(0)
    }

    /// Its key, while this value lives.
    fn key(&self) -> ProcessKey {
        ProcessKey(self.0.addr())
    }
}

impl Clone for Process {
    fn clone(&self) -> Self {
        // INVARIANT: The reference is taken here and given back in `drop`.
        // SAFETY: The process is valid by the type invariant.
        Self(unsafe { ffi::shmdev_get_pid(self.0) })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the reference is ours to give back.
        unsafe { bindings::put_pid(self.0) }
    }
}

/// The number of the current task's process in the initial pid namespace.
pub(crate) fn current_global_number() -> u32 {
    u32::try_from(kernel::current!().group_leader().pid()).unwrap_or(0)
}

/// Whether the process that the current task belongs to is exiting: this task and all others of it.
pub(crate) fn current_process_is_exiting() -> bool {
    // SAFETY: Looks at the current task and what its process shares.
    unsafe { ffi::shmdev_current_process_exiting() }
}

/// Whether the current task is being killed and will not return to user space.
pub(crate) fn current_is_being_killed() -> bool {
    // SAFETY: Looks at the current task alone.
    unsafe { ffi::shmdev_fatal_signal_pending() }
}

/// Where the news of exits is delivered: a workqueue of the module's own, so that unloading can
/// wait for it.
///
/// # Invariants
///
/// The pointer is that of a workqueue that belongs to this value.
pub(crate) struct ExitQueue(*mut bindings::workqueue_struct);

// SAFETY: A workqueue may be used from any thread.
unsafe impl Send for ExitQueue {}
// SAFETY: As above.
unsafe impl Sync for ExitQueue {}

impl ExitQueue {
    /// Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: May be called where one may sleep.
        let queue = unsafe { ffi::shmdev_alloc_workqueue() };
        if queue.is_null() {
            return Err(ENOMEM);
        }
        // INVARIANT: It was just allocated.
        Ok(Self(queue))
    }

    /// Waits until all news that is under way has been delivered.
    pub(crate) fn flush(&self) {
        // SAFETY: The workqueue is valid by the type invariant.
        unsafe { bindings::__flush_workqueue(self.0) }
    }
}

impl Drop for ExitQueue {
    fn drop(&mut self) {
        // SAFETY: The workqueue is valid by the type invariant and not used again.
        unsafe { bindings::destroy_workqueue(self.0) }
    }
}

/// Wants to be told when a process has exited.
pub(crate) trait ProcessExit: Send + Sync + 'static {
    /// The process, which an [`ExitWatch`] named, has exited. Called from a workqueue; may be
    /// called more than once.
    fn process_exited(this: &Arc<Self>, process: ProcessKey);
}

/// Tells `T` when a process exits, until dropped.
///
/// # Invariants
///
/// The entry of the inner value is on the queue of its process.
pub(crate) struct ExitWatch<T: ProcessExit>(Arc<Watch<T>>);

impl<T: ProcessExit> ExitWatch<T> {
    /// Watches the process that the current task belongs to.
    ///
    /// Fails with `ENOMEM`.
    pub(crate) fn current(target: Arc<T>, queue: Arc<ExitQueue>) -> Result<Self> {
        let watch = Arc::pin_init(Watch::new_current(target, queue), GFP_MAY_FAIL)?;
        // SAFETY: The entry was initialised, and is on no queue. The process is valid: the watch
        // has a reference. The entry stays valid until it is removed, since the value made below
        // holds the watch until then.
        unsafe { bindings::add_wait_queue(watch.exits(), watch.entry.get()) };
        // INVARIANT: It was just added.
        Ok(Self(watch))
    }

    /// The process that is watched.
    pub(crate) fn process(&self) -> ProcessKey {
        self.0.process()
    }
}

impl<T: ProcessExit> Drop for ExitWatch<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the entry is on that queue.
        unsafe { bindings::remove_wait_queue(self.0.exits(), self.0.entry.get()) }
    }
}

/// # Invariants
///
/// While `entry` is on a queue, an [`ExitWatch`] holds a reference to this value.
#[pin_data]
struct Watch<T: ProcessExit> {
    watched: Process,
    target: Arc<T>,
    queue: Arc<ExitQueue>,
    #[pin]
    entry: Opaque<bindings::wait_queue_entry>,
    #[pin]
    work: Work<Watch<T>>,
}

// SAFETY: An entry of a wait queue may be used by any thread, and the other fields are `Send`.
unsafe impl<T: ProcessExit> Send for Watch<T> {}
// SAFETY: As above.
unsafe impl<T: ProcessExit> Sync for Watch<T> {}

impl_has_work! {
    impl{T: ProcessExit} HasWork<Self> for Watch<T> { self.work }
}

impl<T: ProcessExit> Watch<T> {
    fn new_current(target: Arc<T>, queue: Arc<ExitQueue>) -> impl PinInit<Self> {
        pin_init!(Self {
            watched: Process::current(),
            target,
            queue,
            entry <- Opaque::ffi_init(|entry: *mut bindings::wait_queue_entry| {
                let value = bindings::wait_queue_entry {
                    func: Some(Self::woken),
                    ..pin_init::zeroed()
                };
                // SAFETY: `entry` is valid for writing.
                unsafe { entry.write(value) }
            }),
            work <- new_work!("shmdev::ExitWatch"),
        })
    }

    /// The queue that is woken when the process exits.
    fn exits(&self) -> *mut bindings::wait_queue_head {
        // SAFETY: The process is valid by the type invariant.
        unsafe { &raw mut (*self.watched.0).wait_pidfd }
    }

    fn process(&self) -> ProcessKey {
        self.watched.key()
    }

    /// # Safety
    ///
    /// `entry` must be that of a `Watch<T>`, and on a queue whose lock is held.
    unsafe extern "C" fn woken(
        entry: *mut bindings::wait_queue_entry,
        _mode: c_uint,
        _flags: c_int,
        _key: *mut c_void,
    ) -> c_int {
        // SAFETY: `entry` is that of a `Watch<T>`, and `Opaque<X>` is laid out as `X`.
        let watch: *const Self = unsafe { container_of!(Opaque::cast_from(entry), Self, entry) };
        // SAFETY: The entry is on a queue, so by the type invariant somebody else holds a
        // reference, and cannot give it back before removing the entry, for which the lock is
        // needed.
        let watch = unsafe { ArcBorrow::from_raw(watch) };
        // The queue is woken for threads, too.
        // SAFETY: The process is valid by the type invariant.
        if unsafe { ffi::shmdev_process_exited(watch.watched.0) } {
            // SAFETY: The workqueue is valid for as long as the value that owns it, to which
            // `watch` has a reference.
            let queue = unsafe { Queue::from_raw(watch.queue.0) };
            // If the work is on its way already, that will do. The reference given back then is not
            // the last one.
            let _ = queue.enqueue(Arc::from(watch));
        }
        0
    }
}

impl<T: ProcessExit> WorkItem for Watch<T> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        T::process_exited(&this.target, this.process());
    }
}
