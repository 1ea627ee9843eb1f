// SPDX-License-Identifier: MIT OR Apache-2.0

//! The structures that ioctls take, each with its command, and their bytes in raw pages.

use super::handle::Handle;
use super::{
    Addr, Create, Eventfd, IOC_CREATE, IOC_EVENTFD_ADD, IOC_EVENTFD_DEL, IOC_INFO, IOC_LIST, IOC_OPEN,
    IOC_REMOVE, IOC_REQUEUE, IOC_RESIZE, IOC_RESTRICT, IOC_ROBUST_ADD, IOC_ROBUST_DEL, IOC_SET, IOC_STAT,
    IOC_SYNC, IOC_WAIT, IOC_WAITV, IOC_WAKE, IOC_WAKE_WAIT, Info, List, Open, Region, Remove, Requeue,
    Resize, Restrict, Result, Robust, Set, Stat, SyncRange, Wait, Waitv, Wake, WakeWait,
};

/// A structure of the ABI.
///
/// # Safety
///
/// `COMMAND` reads and writes one `Self` and no more; `Self` has no padding, and every bit pattern is one.
pub(crate) unsafe trait Argument: Copy {
    /// The command that takes it.
    const COMMAND: u32;
}

macro_rules! arguments {
    ($($structure:ident: $command:ident $(or $other:ident)?,)+) => {
        $(
            // SAFETY: the size is part of the opcode, which names this structure; the ABI's structures are made of
            // integers at their natural alignment, with explicit padding.
            unsafe impl Argument for $structure {
                const COMMAND: u32 = $command;
            }
        )+

        /// Every command, and how large its structure is.
        pub(crate) const COMMANDS: &[(u32, usize)] = &[
            $(($command, size_of::<$structure>()), $(($other, size_of::<$structure>()),)?)+
        ];
    };
}

arguments! {
    Info: IOC_INFO,
    Stat: IOC_STAT,
    SyncRange: IOC_SYNC,
    Create: IOC_CREATE,
    Open: IOC_OPEN,
    Set: IOC_SET,
    Resize: IOC_RESIZE,
    Remove: IOC_REMOVE,
    List: IOC_LIST,
    Restrict: IOC_RESTRICT,
    Wait: IOC_WAIT,
    Wake: IOC_WAKE,
    Waitv: IOC_WAITV,
    Requeue: IOC_REQUEUE,
    WakeWait: IOC_WAKE_WAIT,
    Robust: IOC_ROBUST_ADD or IOC_ROBUST_DEL,
    Eventfd: IOC_EVENTFD_ADD or IOC_EVENTFD_DEL,
}

/// The bytes of a structure.
fn bytes<T: Argument>(argument: &T) -> &[u8] {
    // SAFETY: it has no padding, so all its bytes are there.
    unsafe { std::slice::from_raw_parts((&raw const *argument).cast(), size_of::<T>()) }
}

impl Handle {
    /// The command of this structure.
    pub(crate) fn call<T: Argument>(&self, argument: &mut T) -> Result<()> {
        self.count(T::COMMAND, argument).map(drop)
    }

    /// This command, which takes such a structure; the number that it returned.
    pub(crate) fn count<T: Argument>(&self, command: u32, argument: &mut T) -> Result<u32> {
        let address = Addr((&raw mut *argument).expose_provenance());
        self.ioctl_number(command, address)
    }
}

impl Region {
    /// Puts a structure into the pages, for a call by address.
    pub(crate) fn place<T: Argument>(&self, offset: usize, argument: &T) {
        self.write(offset, bytes(argument));
    }

    /// The structure that lies there.
    pub(crate) fn fetch<T: Argument>(&self, offset: usize) -> T {
        let bytes = self.read(offset, size_of::<T>());
        // SAFETY: as many bytes as the structure has, and every bit pattern is one.
        unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
    }
}
