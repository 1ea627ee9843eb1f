// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ioctls of `/dev/shmdev`, as safe functions of a descriptor, and private mappings. Nothing else in the crate makes
//! one.
//!
//! It returns what the kernel said and decides nothing: no retries, no defaults, no messages.

#![expect(
    unsafe_code,
    reason = "ioctl(2) takes a pointer, and memmap2 offers references to private mappings"
)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use memmap2::{MmapOptions, MmapRaw};

use crate::uapi::{
    self, Create, Eventfd, Info, List, Open, Remove, Requeue, Resize, Restrict, Robust, Set, Stat, SyncRange,
    Target, Wait, Waitv, Wake, WakeWait,
};

/// Maps a private copy.
pub(crate) fn map_copy(options: &MmapOptions, file: &File) -> io::Result<MmapRaw> {
    // SAFETY: Others may write to pages that were not copied yet. Nobody is given a reference to them: an `MmapRaw` has
    // none.
    Ok(unsafe { options.map_copy(file) }?.into())
}

/// The functions that `ioctl-sys` makes; their opcodes are compared with the ABI's below.
mod raw {
    #![allow(unreachable_pub, reason = "the macro writes `pub`")]

    use crate::uapi::*;

    ioctl_sys::ioctl!(try read info with IOC_TYPE, INFO_NR; Info);
    ioctl_sys::ioctl!(try readwrite stat with IOC_TYPE, STAT_NR; Stat);
    ioctl_sys::ioctl!(try readwrite sync with IOC_TYPE, SYNC_NR; SyncRange);
    ioctl_sys::ioctl!(try write wait with IOC_TYPE, WAIT_NR; Wait);
    // Those without `try` return a number.
    ioctl_sys::ioctl!(write wake with IOC_TYPE, WAKE_NR; Wake);
    ioctl_sys::ioctl!(write waitv with IOC_TYPE, WAITV_NR; Waitv);
    ioctl_sys::ioctl!(write requeue with IOC_TYPE, REQUEUE_NR; Requeue);
    ioctl_sys::ioctl!(try write wake_wait with IOC_TYPE, WAKE_WAIT_NR; WakeWait);
    ioctl_sys::ioctl!(try write robust_add with IOC_TYPE, ROBUST_ADD_NR; Robust);
    ioctl_sys::ioctl!(try write robust_del with IOC_TYPE, ROBUST_DEL_NR; Robust);
    ioctl_sys::ioctl!(try write eventfd_add with IOC_TYPE, EVENTFD_ADD_NR; Eventfd);
    ioctl_sys::ioctl!(try write eventfd_del with IOC_TYPE, EVENTFD_DEL_NR; Eventfd);
    ioctl_sys::ioctl!(try readwrite create with IOC_TYPE, CREATE_NR; Create);
    ioctl_sys::ioctl!(try readwrite open with IOC_TYPE, OPEN_NR; Open);
    ioctl_sys::ioctl!(try write set with IOC_TYPE, SET_NR; Set);
    ioctl_sys::ioctl!(try write resize with IOC_TYPE, RESIZE_NR; Resize);
    ioctl_sys::ioctl!(try write remove with IOC_TYPE, REMOVE_NR; Remove);
    ioctl_sys::ioctl!(try readwrite list with IOC_TYPE, LIST_NR; List);
    ioctl_sys::ioctl!(try write restrict with IOC_TYPE, RESTRICT_NR; Restrict);
}

// The ABI writes its opcodes out for the kernel's generic layout. An architecture that has another one must
// fail here, not at run time with ENOTTY.
macro_rules! check_opcodes {
    ($($opcode:ident $macro:ident $nr:ident $type:ty;)*) => {
        const _: () = {
            $( assert!(uapi::$opcode == ioctl_sys::$macro!(uapi::IOC_TYPE, uapi::$nr, size_of::<$type>())); )*
        };
    };
}

check_opcodes! {
    IOC_INFO ior INFO_NR Info;
    IOC_STAT iorw STAT_NR Stat;
    IOC_SYNC iorw SYNC_NR SyncRange;
    IOC_WAIT iow WAIT_NR Wait;
    IOC_WAKE iow WAKE_NR Wake;
    IOC_WAITV iow WAITV_NR Waitv;
    IOC_REQUEUE iow REQUEUE_NR Requeue;
    IOC_WAKE_WAIT iow WAKE_WAIT_NR WakeWait;
    IOC_ROBUST_ADD iow ROBUST_ADD_NR Robust;
    IOC_ROBUST_DEL iow ROBUST_DEL_NR Robust;
    IOC_EVENTFD_ADD iow EVENTFD_ADD_NR Eventfd;
    IOC_EVENTFD_DEL iow EVENTFD_DEL_NR Eventfd;
    IOC_CREATE iorw CREATE_NR Create;
    IOC_OPEN iorw OPEN_NR Open;
    IOC_SET iow SET_NR Set;
    IOC_RESIZE iow RESIZE_NR Resize;
    IOC_REMOVE iow REMOVE_NR Remove;
    IOC_LIST iorw LIST_NR List;
    IOC_RESTRICT iow RESTRICT_NR Restrict;
}

/// `INFO`. Does not attach the handle to a segment.
pub(crate) fn info(fd: BorrowedFd<'_>) -> io::Result<Info> {
    let mut info = Info::default();
    // SAFETY: `info` is what this opcode writes, and lives until the call returns.
    unsafe { raw::info(fd.as_raw_fd(), &raw mut info) }?;
    Ok(info)
}

/// `STAT`. By handle, the handle has then seen the generation that it returns, and is attached to the
/// default segment if it was to none.
pub(crate) fn stat(fd: BorrowedFd<'_>, target: Target) -> io::Result<Stat> {
    let mut stat = Stat {
        target,
        ..Stat::default()
    };
    // SAFETY: `stat` is what this opcode reads and writes, and lives until the call returns.
    unsafe { raw::stat(fd.as_raw_fd(), &raw mut stat) }?;
    Ok(stat)
}

/// `SYNC`. The results are in `range` when it succeeds.
#[inline]
pub(crate) fn sync(fd: BorrowedFd<'_>, range: &mut SyncRange) -> io::Result<()> {
    // SAFETY: `range` is what this opcode reads and writes, and nobody else has it.
    unsafe { raw::sync(fd.as_raw_fd(), range) }
}

/// `WAIT`.
pub(crate) fn wait(fd: BorrowedFd<'_>, wait: &Wait) -> io::Result<()> {
    // SAFETY: `wait` is what this opcode reads, and lives until the call returns.
    unsafe { raw::wait(fd.as_raw_fd(), wait) }
}

/// `WAKE`. Returns how many were woken.
pub(crate) fn wake(fd: BorrowedFd<'_>, wake: &Wake) -> io::Result<u32> {
    // SAFETY: `wake` is what this opcode reads, and lives until the call returns.
    count(unsafe { raw::wake(fd.as_raw_fd(), wake) })
}

/// `WAITV`. Returns the index of the word that was woken.
pub(crate) fn waitv(fd: BorrowedFd<'_>, waitv: &Waitv) -> io::Result<u32> {
    // SAFETY: `waitv` is what this opcode reads, and lives until the call returns.
    count(unsafe { raw::waitv(fd.as_raw_fd(), waitv) })
}

/// `REQUEUE`. Returns how many were woken or moved.
pub(crate) fn requeue(fd: BorrowedFd<'_>, requeue: &Requeue) -> io::Result<u32> {
    // SAFETY: `requeue` is what this opcode reads, and lives until the call returns.
    count(unsafe { raw::requeue(fd.as_raw_fd(), requeue) })
}

/// `WAKE_WAIT`.
pub(crate) fn wake_wait(fd: BorrowedFd<'_>, wake_wait: &WakeWait) -> io::Result<()> {
    // SAFETY: `wake_wait` is what this opcode reads, and lives until the call returns.
    unsafe { raw::wake_wait(fd.as_raw_fd(), wake_wait) }
}

/// `ROBUST_ADD`.
pub(crate) fn robust_add(fd: BorrowedFd<'_>, robust: &Robust) -> io::Result<()> {
    // SAFETY: `robust` is what this opcode reads, and lives until the call returns.
    unsafe { raw::robust_add(fd.as_raw_fd(), robust) }
}

/// `ROBUST_DEL`.
pub(crate) fn robust_del(fd: BorrowedFd<'_>, robust: &Robust) -> io::Result<()> {
    // SAFETY: `robust` is what this opcode reads, and lives until the call returns.
    unsafe { raw::robust_del(fd.as_raw_fd(), robust) }
}

/// `EVENTFD_ADD`.
pub(crate) fn eventfd_add(fd: BorrowedFd<'_>, eventfd: &Eventfd) -> io::Result<()> {
    // SAFETY: `eventfd` is what this opcode reads, and lives until the call returns.
    unsafe { raw::eventfd_add(fd.as_raw_fd(), eventfd) }
}

/// `EVENTFD_DEL`.
pub(crate) fn eventfd_del(fd: BorrowedFd<'_>, eventfd: &Eventfd) -> io::Result<()> {
    // SAFETY: `eventfd` is what this opcode reads, and lives until the call returns.
    unsafe { raw::eventfd_del(fd.as_raw_fd(), eventfd) }
}

/// The number that a call returned, or its errno.
fn count(result: i32) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// `CREATE`. The results are in `create` when it succeeds.
pub(crate) fn create(fd: BorrowedFd<'_>, create: &mut Create) -> io::Result<()> {
    // SAFETY: `create` is what this opcode reads and writes, and nobody else has it.
    unsafe { raw::create(fd.as_raw_fd(), create) }
}

/// `OPEN`. The results are in `open` when it succeeds.
pub(crate) fn open(fd: BorrowedFd<'_>, open: &mut Open) -> io::Result<()> {
    // SAFETY: `open` is what this opcode reads and writes, and nobody else has it.
    unsafe { raw::open(fd.as_raw_fd(), open) }
}

/// `SET`.
pub(crate) fn set(fd: BorrowedFd<'_>, set: &Set) -> io::Result<()> {
    // SAFETY: `set` is what this opcode reads, and lives until the call returns.
    unsafe { raw::set(fd.as_raw_fd(), set) }
}

/// `RESIZE`.
pub(crate) fn resize(fd: BorrowedFd<'_>, resize: &Resize) -> io::Result<()> {
    // SAFETY: `resize` is what this opcode reads, and lives until the call returns.
    unsafe { raw::resize(fd.as_raw_fd(), resize) }
}

/// `REMOVE`.
pub(crate) fn remove(fd: BorrowedFd<'_>, remove: &Remove) -> io::Result<()> {
    // SAFETY: `remove` is what this opcode reads, and lives until the call returns.
    unsafe { raw::remove(fd.as_raw_fd(), remove) }
}

/// `LIST`. The results are in `list` when it succeeds.
pub(crate) fn list(fd: BorrowedFd<'_>, list: &mut List) -> io::Result<()> {
    // SAFETY: `list` is what this opcode reads and writes, and nobody else has it.
    unsafe { raw::list(fd.as_raw_fd(), list) }
}

/// `RESTRICT`.
pub(crate) fn restrict(fd: BorrowedFd<'_>, restrict: &Restrict) -> io::Result<()> {
    // SAFETY: `restrict` is what this opcode reads, and lives until the call returns.
    unsafe { raw::restrict(fd.as_raw_fd(), restrict) }
}
