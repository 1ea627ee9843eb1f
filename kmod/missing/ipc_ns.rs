// SPDX-License-Identifier: GPL-2.0

//! IPC namespaces, and being told when one goes.
//!
//! The kernel tells no module of that. But each IPC namespace has a file system of its own, that of
//! POSIX message queues, which is unmounted when the namespace is freed: a mark on its root, of the
//! kind that inotify makes, is destroyed then, and its group is told.

use super::{
    creds::UserNamespace,
    ffi, //
};
use core::ptr::NonNull;
use kernel::{
    error::from_err_ptr,
    ffi::c_void,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    types::ForeignOwnable, //
};

/// Names an IPC namespace; the number is never used for another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IpcId(u64);

impl IpcId {
    /// Not larger than any.
    pub(crate) const FIRST: Self = Self(0);

    /// The next larger one, whether it names anything or not.
    pub(crate) fn next(self) -> Option<Self> {
        Some(Self(self.0.checked_add(1)?))
    }

    /// Of the namespace that the system was booted with.
    pub(crate) fn initial() -> Self {
        // SAFETY: Reads a constant.
        Self(unsafe { ffi::shmdev_initial_ipc_id() })
    }

    /// Of the current task's namespace. Fails with `ESRCH` if the task is past having one.
    pub(crate) fn current() -> Result<Self> {
        // SAFETY: Looks at the current task alone.
        match unsafe { ffi::shmdev_current_ipc_id() } {
            0 => Err(ESRCH),
            id => Ok(Self(id)),
        }
    }
}

/// The inode number of the initial IPC namespace.
pub(crate) fn initial_inode() -> u32 {
    // SAFETY: Reads a constant.
    unsafe { ffi::shmdev_initial_ipc_inode() }
}

/// The inode number of the current task's IPC namespace, as `/proc/PID/ns/ipc` shows it; 0 if the
/// task is past having one. Another namespace may get it later.
pub(crate) fn current_inode() -> u32 {
    // SAFETY: Looks at the current task alone.
    unsafe { ffi::shmdev_current_ipc_inode() }
}

/// The user namespace that owns the initial IPC namespace.
pub(crate) fn initial_owner() -> Result<UserNamespace> {
    // SAFETY: The initial namespace is always there. What comes back is a reference for us.
    owner(unsafe { ffi::shmdev_initial_ipc_owner() })
}

/// The user namespace that owns the current task's IPC namespace.
pub(crate) fn current_owner() -> Result<UserNamespace> {
    // SAFETY: Looks at the current task alone. What comes back is null or a reference for us.
    owner(unsafe { ffi::shmdev_current_ipc_owner() })
}

fn owner(namespace: *mut kernel::bindings::user_namespace) -> Result<UserNamespace> {
    let namespace = NonNull::new(namespace).ok_or(ESRCH)?;
    // SAFETY: The callers pass a reference on.
    Ok(unsafe { UserNamespace::from_raw(namespace) })
}

/// Wants to be told when an IPC namespace has gone.
pub(crate) trait IpcGone: Send + Sync + 'static {
    /// The namespace has gone, or the [`IpcWatch`] was dropped. May sleep.
    fn gone(this: ArcBorrow<'_, Self>);
}

/// What all [`IpcWatch`]es share.
///
/// # Invariants
///
/// The pointer is a group that belongs to this value.
pub(crate) struct IpcWatcher(NonNull<c_void>);

// SAFETY: A group may be used by any thread.
unsafe impl Send for IpcWatcher {}
// SAFETY: As above.
unsafe impl Sync for IpcWatcher {}

impl IpcWatcher {
    /// Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // SAFETY: May be called where one may sleep.
        let group = unsafe { ffi::shmdev_ipc_group_new() };
        // INVARIANT: It was just made.
        Ok(Self(NonNull::new(group).ok_or(ENOMEM)?))
    }

    /// Has `target` told when the current task's namespace goes. Fails with `ENOMEM`, and with
    /// `ESRCH` if the task is past having a namespace.
    pub(crate) fn watch_current<T: IpcGone>(&self, target: Arc<T>) -> Result<IpcWatch> {
        let target = target.into_foreign();
        // SAFETY: The group is valid by the type invariant. The functions are those that go with
        // `target`: the second is called, once, when neither will be again, and if the call fails
        // neither is called.
        let watch = from_err_ptr(unsafe {
            ffi::shmdev_ipc_watch_current(
                self.0.as_ptr(),
                target,
                Self::gone::<T>,
                Self::forget::<T>,
            )
        });
        match watch {
            // INVARIANT: It was just made.
            Ok(watch) => Ok(IpcWatch(NonNull::new(watch).ok_or(ENOMEM)?)),
            Err(error) => {
                // SAFETY: The call failed, so the reference is still ours.
                drop(unsafe { Arc::<T>::from_foreign(target) });
                Err(error)
            }
        }
    }

    /// # Safety
    ///
    /// `target` must be a foreign `Arc<T>`.
    unsafe extern "C" fn gone<T: IpcGone>(target: *mut c_void) {
        // SAFETY: By the caller's promise.
        T::gone(unsafe { Arc::<T>::borrow(target) });
    }

    /// # Safety
    ///
    /// `target` must be a foreign `Arc<T>` that is not used any more.
    unsafe extern "C" fn forget<T: IpcGone>(target: *mut c_void) {
        // SAFETY: By the caller's promise.
        drop(unsafe { Arc::<T>::from_foreign(target) });
    }

    /// Waits until every watch is forgotten. All must have been dropped, and none may be made
    /// meanwhile.
    pub(crate) fn flush(&self) {
        // SAFETY: May be called where one may sleep.
        unsafe { ffi::shmdev_ipc_flush() }
    }
}

impl Drop for IpcWatcher {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the group is ours to give back.
        unsafe { ffi::shmdev_ipc_group_put(self.0.as_ptr()) }
    }
}

/// Watches an IPC namespace until dropped, which may be before or after the namespace has gone.
///
/// # Invariants
///
/// The pointer is a reference to a watch, owned by this value.
pub(crate) struct IpcWatch(NonNull<c_void>);

// SAFETY: The reference may be given back by any thread.
unsafe impl Send for IpcWatch {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for IpcWatch {}

impl Drop for IpcWatch {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { ffi::shmdev_ipc_watch_drop(self.0.as_ptr()) }
    }
}
