// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fault injection into the calls about words: each allocation and each copy fails once. Nobody is woken, moved, or left
//! waiting by a call that failed for want of memory.

use std::os::fd::AsRawFd;

use super::injection::{allowed, every, sweep};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::words::{drain, eventfd, wait, wake};
use crate::sys::{DEADLINE_NEVER, Errno, Handle, PAGE, Process, in_ms};

tests![
    waiting_survives_failures needs [FaultInjection] within 120,
    moving_survives_failures needs [FaultInjection] within 120,
    handing_over_survives_failures needs [FaultInjection] within 120,
    robust_words_survive_failures needs [FaultInjection] within 120,
    eventfds_survive_failures needs [FaultInjection] within 120,
];

const FAILED: &[Errno] = &[Errno::ENOMEM, Errno::EFAULT];

/// A handle of the default segment, whose first page is zero.
fn zeroed() -> Handle {
    let handle = Handle::rw();
    handle.pwrite(&[0; PAGE], 0).unwrap();
    handle
}

#[track_caller]
fn nobody_waits(handle: &Handle, offsets: &[u64]) {
    assert_eq!(handle.stat().unwrap().sleepers, 0);
    for &offset in offsets {
        assert_eq!(handle.wake(offset, 1), Ok(0));
    }
}

fn waiting_survives_failures() {
    let handle = zeroed();
    let timed_out = [Errno::ENOMEM, Errno::EFAULT, Errno::ETIMEDOUT];
    let mut failed = 0;
    sweep(
        every,
        || handle.wait_on(0, 0, in_ms(1)),
        |outcome| {
            failed += u32::from(outcome == Err(Errno::ENOMEM));
            allowed(outcome, &timed_out);
            nobody_waits(&handle, &[0]);
        },
    );
    assert!(failed > 0, "who waits needs memory");
    sweep(
        every,
        || handle.wait_on_any(&[(0, 0), (64, 0), (128, 0), (64, 0)], in_ms(1)),
        |outcome| {
            allowed(outcome, &timed_out);
            nobody_waits(&handle, &[0, 64, 128]);
        },
    );
}

fn moving_survives_failures() {
    let handle = zeroed();
    let process = Process::fork(|| Handle::rw().wait_on(0, 0, DEADLINE_NEVER).unwrap());
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    sweep(
        every,
        || handle.requeue(0, 0, 0, 64, 1),
        |outcome| {
            if allowed(outcome, FAILED).is_some() {
                assert_eq!(handle.requeue(64, 0, 0, 0, 1), Ok(1));
            }
        },
    );
    assert_eq!(handle.wake(0, 1), Ok(1));
    process.join();
}

fn handing_over_survives_failures() {
    let (handle, event) = (zeroed(), eventfd());
    handle.eventfd_add(Some(0), event.as_raw_fd()).unwrap();
    sweep(
        every,
        || handle.wake_wait(wake(0, 1), wait(64, 0, 0)),
        |outcome| {
            let refused = outcome != Err(Errno::ETIMEDOUT);
            allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT, Errno::ETIMEDOUT]);
            assert_eq!(
                drain(&event),
                u64::from(!refused),
                "whoever fails has woken nobody"
            );
            nobody_waits(&handle, &[64]);
            drain(&event);
        },
    );
}

fn robust_words_survive_failures() {
    let handle = zeroed();
    sweep(
        every,
        || handle.robust_add(64, 0),
        |outcome| {
            let added = allowed(outcome, FAILED).is_some();
            assert_eq!(handle.robust_del(64, 0).is_ok(), added);
        },
    );
    handle.robust_add(64, 0).unwrap();
    sweep(
        every,
        || handle.robust_del(64, 0),
        |outcome| {
            if allowed(outcome, FAILED).is_some() {
                handle.robust_add(64, 0).unwrap();
            }
        },
    );
    // The first of a handle.
    sweep(
        every,
        || {
            let handle = Handle::open(libc::O_RDWR)?;
            handle.robust_add(64, 0)
        },
        |outcome| {
            allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT, Errno::ENFILE]);
        },
    );
}

fn eventfds_survive_failures() {
    let (handle, event) = (zeroed(), eventfd());
    let fd = event.as_raw_fd();
    for word in [Some(64), None] {
        sweep(
            every,
            || handle.eventfd_add(word, fd),
            |outcome| {
                let added = allowed(outcome, FAILED).is_some();
                assert_eq!(handle.eventfd_del(word, fd).is_ok(), added);
            },
        );
    }
}
