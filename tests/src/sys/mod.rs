// SPDX-License-Identifier: MIT OR Apache-2.0

//! The system calls that the tests make, wrapped thinly: every error is the kernel's errno, nothing is retried, and
//! nothing is hidden. All `unsafe` code of the program is in this folder.
//!
//! Addresses that go to the kernel are [`Addr`]: they come from a [`Region`] of raw pages that the process owns, or
//! point nowhere on purpose, so a call can be given a bad buffer without anything being at stake.

pub(crate) mod argument;
pub(crate) mod cgroup;
pub(crate) mod compat;
pub(crate) mod file;
pub(crate) mod handle;
pub(crate) mod hostile;
pub(crate) mod identity;
pub(crate) mod limits;
pub(crate) mod mode;
pub(crate) mod module;
pub(crate) mod namespace;
pub(crate) mod poll;
pub(crate) mod process;
pub(crate) mod region;
pub(crate) mod segments;
pub(crate) mod signal;
pub(crate) mod terminal;
pub(crate) mod tracing;
pub(crate) mod uring;
pub(crate) mod words;

pub(crate) use handle::Handle;
pub(crate) use mode::mode;
pub(crate) use nix::Result;
pub(crate) use nix::errno::Errno;
pub(crate) use process::{Gate, Process};
pub(crate) use region::{Addr, Region};
pub(crate) use segments::{THIS, by_id, by_name, creation, usage};
pub(crate) use shmdev::uapi::*;

/// The page size of x86-64 and of every kernel these tests run on.
pub(crate) const PAGE: usize = 4096;
/// Size of the default segment, where a test does not load the module with another: room for an entry of 2 MiB, and for
/// small ones behind it.
pub(crate) const SIZE: usize = (2 << 20) + (64 << 10);

/// Now, as deadlines count.
pub(crate) fn now_ns() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// Now, as STAT tells times.
pub(crate) fn realtime_ns() -> u64 {
    clock(libc::CLOCK_REALTIME)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a whole timespec that outlives the call.
    let result = unsafe { libc::clock_gettime(id, &raw mut time) };
    assert_eq!(result, 0, "both clocks are always there");
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// A deadline this many milliseconds ahead.
pub(crate) fn in_ms(ms: u64) -> u64 {
    now_ns() + ms * 1_000_000
}

/// The count that a call returned, or its errno.
fn count(result: isize) -> Result<usize> {
    Errno::result(result).map(isize::unsigned_abs)
}
