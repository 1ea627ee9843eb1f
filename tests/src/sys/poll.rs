// SPDX-License-Identifier: MIT OR Apache-2.0

//! `poll`, `select` and `epoll`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use super::handle::owned;
use super::{Errno, Result};

/// How long a wait may take that is expected to end: no healthy system needs it.
pub(crate) const LONG_MS: i32 = 40_000;

/// `poll` for reading and writing; what is ready after at most this many milliseconds.
pub(crate) fn poll(fd: impl AsFd, timeout_ms: i32) -> i16 {
    poll_for(fd, libc::POLLIN | libc::POLLOUT, timeout_ms)
}

/// `poll` for these events.
pub(crate) fn poll_for(fd: impl AsFd, events: i16, timeout_ms: i32) -> i16 {
    try_poll(fd, events, timeout_ms).expect("poll")
}

/// As [`poll_for`], when failing is to be expected.
pub(crate) fn try_poll(fd: impl AsFd, events: i16, timeout_ms: i32) -> Result<i16> {
    let mut polled = libc::pollfd {
        fd: fd.as_fd().as_raw_fd(),
        events,
        revents: 0,
    };
    // SAFETY: one pollfd, which outlives the call.
    let result = unsafe { libc::poll(&raw mut polled, 1, timeout_ms) };
    Errno::result(result).map(|_| polled.revents)
}

/// Whether a handle is readable now.
pub(crate) fn is_readable(fd: impl AsFd) -> bool {
    poll_for(fd, libc::POLLIN, 0) & libc::POLLIN != 0
}

/// `select`; whether the descriptor is readable and writable after at most this many milliseconds.
pub(crate) fn select(fd: impl AsFd, timeout_ms: i32) -> (bool, bool) {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: all zero is an empty set.
    let (mut reads, mut writes): (libc::fd_set, libc::fd_set) = unsafe { std::mem::zeroed() };
    assert!((0..1024).contains(&fd), "select takes small descriptors only");
    // SAFETY: the descriptor fits in the set.
    unsafe { libc::FD_SET(fd, &raw mut reads) };
    // SAFETY: as above.
    unsafe { libc::FD_SET(fd, &raw mut writes) };
    let mut timeout = libc::timeval {
        tv_sec: (timeout_ms / 1000).into(),
        tv_usec: (timeout_ms % 1000 * 1000).into(),
    };
    let nobody = std::ptr::null_mut();
    // SAFETY: sets and time outlive the call.
    let result = unsafe { libc::select(fd + 1, &raw mut reads, &raw mut writes, nobody, &raw mut timeout) };
    Errno::result(result).expect("select");
    // SAFETY: the descriptor fits in the set.
    let readable = unsafe { libc::FD_ISSET(fd, &raw const reads) };
    // SAFETY: as above.
    let writable = unsafe { libc::FD_ISSET(fd, &raw const writes) };
    (readable, writable)
}

/// An epoll instance.
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    /// Watches one descriptor for these events.
    pub(crate) fn watching(fd: impl AsFd, events: i32) -> Epoll {
        // SAFETY: the call takes an integer.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let epoll = owned(Errno::result(epoll).expect("epoll_create1"));
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: 7,
        };
        let fd = fd.as_fd().as_raw_fd();
        // SAFETY: the event outlives the call.
        let result = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        assert_eq!(result, 0, "epoll_ctl: {}", Errno::last());
        Epoll(epoll)
    }

    /// The events after at most this many milliseconds; 0 for none.
    pub(crate) fn wait(&self, timeout_ms: i32) -> i32 {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: room for one event, which outlives the call.
        let result = unsafe { libc::epoll_wait(self.0.as_raw_fd(), &raw mut event, 1, timeout_ms) };
        Errno::result(result).expect("epoll_wait");
        if result == 1 { event.events as i32 } else { 0 }
    }
}
