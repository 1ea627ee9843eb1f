// SPDX-License-Identifier: MIT OR Apache-2.0

//! `io_uring`, one operation at a time.

use std::os::fd::{AsFd, AsRawFd};

use io_uring::{IoUring, opcode, types};

use super::{Addr, Errno, Region, Result};

/// An instance.
pub(crate) struct Uring(IoUring);

impl Uring {
    pub(crate) fn new() -> Uring {
        Uring(IoUring::new(4).expect("io_uring_setup"))
    }

    /// Asks for these events of a descriptor; [`Uring::finish`] tells which came.
    pub(crate) fn poll(&mut self, fd: impl AsFd, events: i16) {
        let fd = types::Fd(fd.as_fd().as_raw_fd());
        let entry = opcode::PollAdd::new(fd, events.unsigned_abs().into()).build();
        self.submit(&entry);
    }

    /// Reads eight bytes of a descriptor, waiting until they are there.
    pub(crate) fn read_u64(&mut self, fd: impl AsFd) -> Result<u64> {
        let mut value = 0_u64;
        let fd = types::Fd(fd.as_fd().as_raw_fd());
        let entry = opcode::Read::new(fd, (&raw mut value).cast(), 8).build();
        self.submit(&entry);
        // The operation is over when this returns, so nobody writes to `value` any more.
        assert_eq!(self.finish()?, 8);
        Ok(value)
    }

    /// Makes a region the one fixed buffer, which pins its pages.
    pub(crate) fn pin(&mut self, region: &Region) -> Result<()> {
        let buffer = libc::iovec {
            iov_base: region.at(0).ptr(),
            iov_len: region.len(),
        };
        // SAFETY: it is raw memory, and what is read and written later are the pages, mapped or not.
        let outcome = unsafe { self.0.submitter().register_buffers(&[buffer]) };
        outcome.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }

    /// Writes a part of the fixed buffer to a descriptor: `from` is where it was when it was pinned.
    pub(crate) fn write_fixed(&mut self, fd: impl AsFd, from: Addr, len: u32) -> Result<u32> {
        let fd = types::Fd(fd.as_fd().as_raw_fd());
        let entry = opcode::WriteFixed::new(fd, from.ptr::<u8>(), len, 0).build();
        self.submit(&entry);
        self.finish()
    }

    /// Reads from a descriptor into a part of the fixed buffer.
    pub(crate) fn read_fixed(&mut self, fd: impl AsFd, to: Addr, len: u32) -> Result<u32> {
        let fd = types::Fd(fd.as_fd().as_raw_fd());
        let entry = opcode::ReadFixed::new(fd, to.ptr::<u8>(), len, 0).build();
        self.submit(&entry);
        self.finish()
    }

    fn submit(&mut self, entry: &io_uring::squeue::Entry) {
        // SAFETY: what it points to outlives the operation: every caller that points to something waits for its end.
        unsafe { self.0.submission().push(entry) }.expect("one at a time fits");
        self.0.submit().expect("io_uring_enter");
    }

    /// Waits for the end of what was asked for last; what it returned.
    pub(crate) fn finish(&mut self) -> Result<u32> {
        self.0.submit_and_wait(1).expect("io_uring_enter");
        let result = self.0.completion().next().expect("one has ended").result();
        u32::try_from(result).map_err(|_| Errno::from_raw(-result))
    }
}
