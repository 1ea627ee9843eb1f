// SPDX-License-Identifier: MIT OR Apache-2.0

//! Deadlines in a time namespace, where CLOCK_MONOTONIC is ahead of the kernel's own or behind it: they count on the
//! clock that the caller sees.

use super::death::complete;
use super::refused;
use crate::harness::tests;
use crate::sys::process::{unshare, until};
use crate::sys::{ACCESS_WRITE, DEADLINE_NEVER, Errno, Handle, Process, in_ms, now_ns};

tests![
    a_deadline_ends_the_wait_and_not_before needs [TimeNamespace],
    a_past_deadline_times_out_at_once needs [TimeNamespace],
    a_far_deadline_or_none_waits_for_the_range needs [TimeNamespace],
];

const SECOND: u64 = 1_000_000_000;

/// How many seconds the clock of a namespace is ahead or behind: far, and as far as the clock's zero allows.
fn offsets() -> [i64; 2] {
    until("the clock is some way from its zero", || now_ns() >= 3 * SECOND);
    [10_000, -((now_ns() / SECOND) as i64)]
}

/// Runs the closure in a process whose clock is ahead by this many seconds.
fn ahead(seconds: i64, body: impl FnOnce()) -> Process {
    let start = now_ns();
    Process::fork(|| {
        unshare(libc::CLONE_NEWTIME).expect("a time namespace");
        std::fs::write("/proc/self/timens_offsets", format!("monotonic {seconds} 0")).unwrap();
        Process::fork(|| {
            let least = start.checked_add_signed(seconds * SECOND as i64);
            assert!(now_ns() >= least.unwrap(), "the clock is not that far ahead");
            body();
        })
        .join();
    })
}

/// A handle that holds a WRITE of byte 0.
fn holder() -> Handle {
    let handle = Handle::rw();
    handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    handle
}

fn a_deadline_ends_the_wait_and_not_before() {
    let holder = holder();
    for seconds in offsets() {
        ahead(seconds, || {
            let handle = Handle::rw();
            for ms in [1, 30] {
                let deadline = in_ms(ms);
                refused(handle.begin(ACCESS_WRITE, 0, 1, deadline), Errno::ETIMEDOUT);
                assert!(now_ns() >= deadline, "woken before the deadline");
            }
        })
        .join();
    }
    assert_eq!(holder.stat().unwrap().waiters, 0);
}

fn a_past_deadline_times_out_at_once() {
    let holder = holder();
    for seconds in offsets() {
        ahead(seconds, || {
            let handle = Handle::rw();
            for deadline in [1, now_ns() / 2, now_ns()] {
                refused(handle.begin(ACCESS_WRITE, 0, 1, deadline), Errno::ETIMEDOUT);
            }
        })
        .join();
    }
    assert_eq!(holder.stat().unwrap().waiters, 0);
}

fn a_far_deadline_or_none_waits_for_the_range() {
    let holder = holder();
    for seconds in offsets() {
        let hour: fn() -> u64 = || in_ms(3_600_000);
        for deadline in [hour, || (1 << 63) - 1, || DEADLINE_NEVER] {
            let process = ahead(seconds, || {
                let handle = Handle::rw();
                handle.begin(ACCESS_WRITE, 0, 1, deadline()).unwrap();
                handle.end(ACCESS_WRITE, 0, 1).unwrap();
            });
            until("it waits", || holder.stat().unwrap().waiters == 1);
            holder.end(ACCESS_WRITE, 0, 1).unwrap();
            process.join();
            complete(&holder, 0, 1);
            holder.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
        }
    }
}
