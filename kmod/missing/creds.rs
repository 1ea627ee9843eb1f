// SPDX-License-Identifier: GPL-2.0

//! Users and groups: who the current task acts as, and what it may do in a user namespace.

use super::ffi;
use core::ptr::NonNull;
use kernel::bindings;

/// As `DEFAULT_OVERFLOWUID`.
const NOBODY: u32 = 65534;

macro_rules! kernel_id {
    ($(#[$doc:meta])* $name:ident, $make:ident, $from:ident, $effective:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) struct $name(u32);

        impl $name {
            /// The effective one of the current task.
            pub(crate) fn current_effective() -> Self {
                // SAFETY: Looks at the current task alone.
                Self(unsafe { ffi::$effective() })
            }

            /// What the current task calls by this number, if its user namespace has it.
            pub(crate) fn from_current(id: u32) -> Option<Self> {
                // SAFETY: A null pointer stands for the current task's user namespace.
                let id = unsafe { ffi::$make(core::ptr::null(), id) };
                (id != u32::MAX).then_some(Self(id))
            }

            /// The number 0 of a user namespace, or "nobody" if it has none.
            pub(crate) fn root_of(namespace: &UserNamespace) -> Self {
                // SAFETY: The namespace is valid by its type invariant.
                let id = unsafe { ffi::$make(namespace.0.as_ptr(), 0) };
                Self(if id == u32::MAX { NOBODY } else { id })
            }

            /// What the current task calls it; that of "nobody" if its user namespace has it not.
            pub(crate) fn to_current(self) -> u32 {
                // SAFETY: Looks at the current task's user namespace.
                unsafe { ffi::$from(self.0) }
            }

            /// What the initial user namespace calls it.
            pub(crate) fn global(self) -> u32 {
                self.0
            }
        }
    };
}

kernel_id!(
    /// A user, whatever user namespaces call it.
    Kuid,
    shmdev_make_kuid,
    shmdev_from_kuid,
    shmdev_current_euid
);
kernel_id!(
    /// A group, whatever user namespaces call it.
    Kgid,
    shmdev_make_kgid,
    shmdev_from_kgid,
    shmdev_current_egid
);

impl Kgid {
    /// Whether the current task acts as a member of it.
    pub(crate) fn has_current(self) -> bool {
        // SAFETY: Looks at the current task alone.
        unsafe { ffi::shmdev_in_group(self.0) }
    }
}

/// What the current task may be allowed to do beyond what its ids allow.
#[derive(Clone, Copy)]
pub(crate) enum Capability {
    /// `CAP_IPC_OWNER`.
    IpcOwner,
    /// `CAP_SYS_ADMIN`.
    SysAdmin,
}

/// A reference to a user namespace.
///
/// # Invariants
///
/// The pointer is a reference, owned by this value.
pub(crate) struct UserNamespace(NonNull<bindings::user_namespace>);

// SAFETY: A reference may be used and given back by any thread.
unsafe impl Send for UserNamespace {}
// SAFETY: As above.
unsafe impl Sync for UserNamespace {}

impl UserNamespace {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The pointer must be a reference that the caller owns, and gives up.
    pub(super) unsafe fn from_raw(namespace: NonNull<bindings::user_namespace>) -> Self {
        // INVARIANT: By the caller's promise.
        Self(namespace)
    }

    /// Whether the current task has the capability in this namespace.
    pub(crate) fn grants(&self, capability: Capability) -> bool {
        let number = match capability {
            Capability::IpcOwner => bindings::CAP_IPC_OWNER,
            Capability::SysAdmin => bindings::CAP_SYS_ADMIN,
        };
        // SAFETY: The namespace is valid by the type invariant, and the number is that of a
        // capability.
        unsafe { bindings::ns_capable(self.0.as_ptr(), number as kernel::ffi::c_int) }
    }
}

impl Drop for UserNamespace {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, the reference is ours to give back.
        unsafe { ffi::shmdev_put_user_ns(self.0.as_ptr()) }
    }
}
