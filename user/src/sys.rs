// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ioctls of `/dev/shmdev`, as safe functions of a descriptor. Nothing else in the crate makes one.
//!
//! It returns what the kernel said and decides nothing: no retries, no defaults, no messages.

#![expect(unsafe_code, reason = "ioctl(2) takes a pointer")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::uapi::{self, Info, Stat, SyncRange};

/// The functions that `ioctl-sys` makes; their opcodes are compared with the ABI's below.
mod raw {
    #![allow(unreachable_pub, reason = "the macro writes `pub`")]

    use crate::uapi::{INFO_NR, IOC_TYPE, Info, STAT_NR, SYNC_NR, Stat, SyncRange};

    ioctl_sys::ioctl!(try read info with IOC_TYPE, INFO_NR; Info);
    ioctl_sys::ioctl!(try read stat with IOC_TYPE, STAT_NR; Stat);
    ioctl_sys::ioctl!(try readwrite sync with IOC_TYPE, SYNC_NR; SyncRange);
}

// The ABI writes its opcodes out for the kernel's generic layout. An architecture that has another one must
// fail here, not at run time with ENOTTY.
const _: () = {
    assert!(uapi::IOC_INFO == ioctl_sys::ior!(uapi::IOC_TYPE, uapi::INFO_NR, size_of::<Info>()));
    assert!(uapi::IOC_STAT == ioctl_sys::ior!(uapi::IOC_TYPE, uapi::STAT_NR, size_of::<Stat>()));
    assert!(uapi::IOC_SYNC == ioctl_sys::iorw!(uapi::IOC_TYPE, uapi::SYNC_NR, size_of::<SyncRange>()));
};

/// `INFO`. Does not attach the handle to a segment.
pub(crate) fn info(fd: BorrowedFd<'_>) -> io::Result<Info> {
    let mut info = Info::default();
    // SAFETY: `info` is what this opcode writes, and lives until the call returns.
    unsafe { raw::info(fd.as_raw_fd(), &raw mut info) }?;
    Ok(info)
}

/// `STAT`. The handle has then seen the generation that it returns.
pub(crate) fn stat(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    let mut stat = Stat::default();
    // SAFETY: `stat` is what this opcode writes, and lives until the call returns.
    unsafe { raw::stat(fd.as_raw_fd(), &raw mut stat) }?;
    Ok(stat)
}

/// `SYNC`. The results are in `range` when it succeeds.
pub(crate) fn sync(fd: BorrowedFd<'_>, range: &mut SyncRange) -> io::Result<()> {
    // SAFETY: `range` is what this opcode reads and writes, and nobody else has it.
    unsafe { raw::sync(fd.as_raw_fd(), range) }
}
