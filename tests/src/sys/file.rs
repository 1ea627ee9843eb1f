// SPDX-License-Identifier: MIT OR Apache-2.0

//! Pipes, sockets and the calls that move bytes and descriptors between files.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::handle::owned;
use super::{Addr, Errno, Result, count};

/// A pipe: where to read, and where to write.
pub(crate) fn pipe() -> (File, File) {
    let mut fds = [0; 2];
    // SAFETY: the array has room for two descriptors.
    let result = unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) };
    Errno::result(result).expect("pipe2");
    (owned(fds[0]).into(), owned(fds[1]).into())
}

/// A disk that is memory, for direct I/O, which takes pages as they are.
pub(crate) fn ram_disk() -> File {
    File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_DIRECT)
        .open("/dev/ram0")
        .expect("/dev/ram0")
}

/// `sendfile` from `offset` (from the file's position without one).
pub(crate) fn sendfile(to: impl AsFd, from: impl AsFd, offset: Option<i64>, len: usize) -> Result<usize> {
    let mut place = offset.unwrap_or(0);
    let place = if offset.is_some() {
        &raw mut place
    } else {
        std::ptr::null_mut()
    };
    // SAFETY: `place` is null or outlives the call.
    count(unsafe { libc::sendfile(to.as_fd().as_raw_fd(), from.as_fd().as_raw_fd(), place, len) })
}

/// `splice`; one of the two is a pipe, which has no offset.
pub(crate) fn splice(
    from: impl AsFd,
    from_offset: Option<i64>,
    to: impl AsFd,
    to_offset: Option<i64>,
    len: usize,
) -> Result<usize> {
    let (mut source, mut target) = (from_offset.unwrap_or(0), to_offset.unwrap_or(0));
    let source = if from_offset.is_some() {
        &raw mut source
    } else {
        std::ptr::null_mut()
    };
    let target = if to_offset.is_some() {
        &raw mut target
    } else {
        std::ptr::null_mut()
    };
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    // SAFETY: both offsets are null or outlive the call.
    count(unsafe { libc::splice(from, source, to, target, len, 0) })
}

/// `vmsplice` of raw pages into a pipe, which pins them.
pub(crate) fn vmsplice(pipe: impl AsFd, pages: Addr, len: usize) -> Result<usize> {
    let vector = libc::iovec {
        iov_base: pages.ptr(),
        iov_len: len,
    };
    // SAFETY: the kernel checks the address; the vector outlives the call.
    count(unsafe { libc::vmsplice(pipe.as_fd().as_raw_fd(), &raw const vector, 1, 0) })
}

/// `write` of raw pages.
pub(crate) fn write_pages(to: impl AsFd, pages: Addr, len: usize) -> Result<usize> {
    // SAFETY: the kernel checks the address.
    count(unsafe { libc::write(to.as_fd().as_raw_fd(), pages.ptr(), len) })
}

/// `read` into raw pages.
pub(crate) fn read_pages(from: impl AsFd, pages: Addr, len: usize) -> Result<usize> {
    // SAFETY: the kernel checks the address; it belongs to a region of raw pages.
    count(unsafe { libc::read(from.as_fd().as_raw_fd(), pages.ptr(), len) })
}

/// A pair of connected Unix sockets.
pub(crate) fn sockets() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: the array has room for two descriptors.
    let result = unsafe {
        libc::socketpair(
            libc::AF_UNIX,
            libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
            0,
            fds.as_mut_ptr(),
        )
    };
    assert_eq!(result, 0, "socketpair");
    (owned(fds[0]), owned(fds[1]))
}

/// A POSIX message queue that is new in this IPC namespace.
pub(crate) fn message_queue(name: &CStr) -> OwnedFd {
    let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_CLOEXEC;
    let nothing: *mut libc::mq_attr = std::ptr::null_mut();
    // SAFETY: a C string, a mode, and no attributes.
    let queue = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600, nothing) };
    assert!(queue >= 0, "mq_open: {}", Errno::last());
    owned(queue)
}

/// Room for one descriptor in a control message, aligned as its header must be.
#[repr(C, align(8))]
struct Control([u8; 24]);

/// Calls `body` with a message of one byte and room for one descriptor.
fn with_message<T>(byte: &mut u8, control: &mut Control, body: impl FnOnce(&mut libc::msghdr) -> T) -> T {
    let mut vector = libc::iovec {
        iov_base: (&raw mut *byte).cast(),
        iov_len: 1,
    };
    // SAFETY: all zero is a valid (empty) msghdr.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut vector;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len();
    body(&mut message)
}

/// Sends a descriptor over a socket.
pub(crate) fn send_fd(socket: &OwnedFd, fd: impl AsFd) {
    try_send_fd(socket, fd, 0).expect("sendmsg");
}

/// As [`send_fd`], with these `MSG_` flags, when failing is to be expected.
pub(crate) fn try_send_fd(socket: &OwnedFd, fd: impl AsFd, flags: i32) -> Result<()> {
    let (mut byte, mut control) = (1, Control([0; 24]));
    let header = libc::cmsghdr {
        cmsg_len: 20,
        cmsg_level: libc::SOL_SOCKET,
        cmsg_type: libc::SCM_RIGHTS,
    };
    control.0[..8].copy_from_slice(&header.cmsg_len.to_ne_bytes());
    control.0[8..12].copy_from_slice(&header.cmsg_level.to_ne_bytes());
    control.0[12..16].copy_from_slice(&header.cmsg_type.to_ne_bytes());
    control.0[16..20].copy_from_slice(&fd.as_fd().as_raw_fd().to_ne_bytes());
    let sent = with_message(&mut byte, &mut control, |message| {
        // SAFETY: everything the message points to outlives the call.
        Errno::result(unsafe { libc::sendmsg(socket.as_raw_fd(), message, flags) })
    });
    sent.map(|count| assert_eq!(count, 1, "sendmsg"))
}

/// Receives a descriptor from a socket.
pub(crate) fn receive_fd(socket: &OwnedFd) -> OwnedFd {
    try_receive_fd(socket, 0).expect("recvmsg")
}

/// As [`receive_fd`], with these `MSG_` flags, when failing is to be expected.
pub(crate) fn try_receive_fd(socket: &OwnedFd, flags: i32) -> Result<OwnedFd> {
    let (mut byte, mut control) = (0, Control([0; 24]));
    let received = with_message(&mut byte, &mut control, |message| {
        let flags = libc::MSG_CMSG_CLOEXEC | flags;
        // SAFETY: everything the message points to outlives the call.
        Errno::result(unsafe { libc::recvmsg(socket.as_raw_fd(), message, flags) })
    });
    assert_eq!(received?, 1, "recvmsg");
    let [a, b, c, d] = [16, 17, 18, 19].map(|index| control.0[index]);
    Ok(owned(i32::from_ne_bytes([a, b, c, d])))
}
