// SPDX-License-Identifier: MIT OR Apache-2.0

//! REQUEUE: who waits on a word is let wait on another one.

use super::refused;
use super::waiters::{asleep, nobody_sleeps, waiter, waiter_on, zeroed};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::{DEADLINE_NEVER, Errno, Handle, IOC_REQUEUE, Process, Requeue, SIZE, in_ms, signal};

tests![
    some_are_woken_and_others_moved,
    a_word_that_is_not_as_expected_moves_nobody,
    who_is_moved_comes_after_those_who_wait_there,
    who_was_moved_can_be_moved_on_and_back,
    #[slow]
    a_wait_that_was_moved_ends_by_deadline_signal_and_death,
    who_waits_on_many_words_can_be_moved_on_one,
    who_was_woken_elsewhere_takes_nobodys_place,
    real_time_tasks_are_moved_to_the_front,
    requeue_refuses_what_it_cannot_do,
];

fn some_are_woken_and_others_moved() {
    let handle = zeroed();
    let mut waiters: Vec<_> = (0..6).map(|_| waiter(0)).collect();
    assert_eq!(handle.requeue(0, 0, 0, 64, 0), Ok(0));
    assert_eq!(handle.requeue(0, 0, 1, 64, 3), Ok(4));
    waiters.remove(0).join();
    // The first ones were moved, and wait there in their order.
    for _ in 0..3 {
        assert_eq!(handle.wake(64, 1), Ok(1));
        waiters.remove(0).join();
    }
    assert_eq!(handle.wake(64, 1), Ok(0));
    assert_eq!(handle.wake(0, i32::MAX as u32), Ok(2));
    waiters.into_iter().for_each(Process::join);
    nobody_sleeps(&handle);
}

fn a_word_that_is_not_as_expected_moves_nobody() {
    let handle = zeroed();
    let process = waiter(0);
    refused(handle.requeue(0, 1, 1, 64, 1), Errno::EAGAIN);
    assert_eq!(handle.wake(64, 1), Ok(0));
    assert_eq!(handle.wake(0, 1), Ok(1));
    process.join();
}

fn who_is_moved_comes_after_those_who_wait_there() {
    let handle = zeroed();
    let [moved, there] = [0, 64].map(waiter);
    assert_eq!(handle.requeue(0, 0, 0, 64, 1), Ok(1));
    let last = waiter(64);
    for process in [there, moved, last] {
        assert_eq!(handle.wake(64, 1), Ok(1));
        process.join();
    }
}

fn who_was_moved_can_be_moved_on_and_back() {
    let handle = zeroed();
    let waiters: Vec<_> = (0..3).map(|_| waiter(0)).collect();
    // Some of so many words share a bucket.
    let mut at = 0;
    for to in (4..SIZE as u64).step_by(4096).chain([0]) {
        assert_eq!(handle.requeue(at, 0, 0, to, i32::MAX as u32), Ok(3));
        assert_eq!(handle.wake(at, 1), Ok(0));
        at = to;
    }
    for process in waiters {
        assert_eq!(handle.wake(0, 1), Ok(1));
        process.join();
    }
}

fn a_wait_that_was_moved_ends_by_deadline_signal_and_death() {
    let handle = zeroed();
    let move_one = || assert_eq!(handle.requeue(0, 0, 0, 64, 1), Ok(1));
    let gone = || assert_eq!((handle.wake(0, 1), handle.wake(64, 1)), (Ok(0), Ok(0)));
    let deadline = in_ms(300);
    let process = asleep(|| refused(Handle::rw().wait_on(0, 0, deadline), Errno::ETIMEDOUT));
    move_one();
    process.join();
    gone();
    signal::catch(libc::SIGUSR1, 0);
    let process = asleep(|| refused(Handle::rw().wait_on(0, 0, DEADLINE_NEVER), Errno::EINTR));
    move_one();
    process.signal(libc::SIGUSR1);
    process.join();
    gone();
    let process = waiter(0);
    move_one();
    process.kill();
    gone();
    // A call that is restarted waits on the word that it named.
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let process = waiter(0);
    move_one();
    process.signal(libc::SIGUSR1);
    until("it waits on its own word again", || handle.wake(0, 1) == Ok(1));
    process.join();
    nobody_sleeps(&handle);
}

fn who_waits_on_many_words_can_be_moved_on_one() {
    let handle = zeroed();
    for woken_by in [128, 64] {
        let process = waiter_on(&[0, 64], u32::from(woken_by == 64));
        assert_eq!(handle.requeue(0, 0, 0, 128, 1), Ok(1));
        assert_eq!(handle.wake(0, 1), Ok(0));
        assert_eq!(handle.wake(woken_by, 1), Ok(1));
        process.join();
        assert!([0, 64, 128].iter().all(|&offset| handle.wake(offset, 1) == Ok(0)));
    }
}

/// He has not run yet, and stands in both queues.
fn who_was_woken_elsewhere_takes_nobodys_place() {
    let handle = zeroed();
    signal::run_on_the_first_processor();
    for moves in [false, true] {
        let many = waiter_on(&[0, 64], 1);
        let other = waiter(0);
        signal::keep_the_processor(|| {
            assert_eq!(handle.wake(64, 1), Ok(1));
            if moves {
                assert_eq!(handle.requeue(0, 0, 0, 128, 1), Ok(1));
                assert_eq!(handle.wake(128, 1), Ok(1));
            } else {
                assert_eq!(handle.wake(0, 1), Ok(1));
            }
        });
        [many, other].into_iter().for_each(Process::join);
    }
}

fn real_time_tasks_are_moved_to_the_front() {
    let handle = zeroed();
    let ordinary = waiter(64);
    let urgent = asleep(|| {
        signal::become_real_time(10);
        Handle::rw().wait_on(0, 0, DEADLINE_NEVER).unwrap();
    });
    assert_eq!(handle.requeue(0, 0, 0, 64, 1), Ok(1));
    for process in [urgent, ordinary] {
        assert_eq!(handle.wake(64, 1), Ok(1));
        process.join();
    }
}

fn requeue_refuses_what_it_cannot_do() {
    let handle = zeroed();
    let process = waiter(0);
    for (from, to) in [
        (0, 0),
        (0, 2),
        (2, 0),
        (0, SIZE as u64),
        (SIZE as u64, 0),
        (0, u64::MAX - 3),
    ] {
        refused(handle.requeue(from, 0, 1, to, 1), Errno::EINVAL);
    }
    for (wake, most) in [(1 << 31, 0), (0, 1 << 31), (u32::MAX, u32::MAX)] {
        refused(handle.requeue(0, 0, wake, 64, most), Errno::EINVAL);
    }
    let mut flagged = Requeue {
        to: 64,
        wake: 1,
        flags: 1,
        ..Requeue::default()
    };
    refused(handle.count(IOC_REQUEUE, &mut flagged), Errno::EINVAL);
    assert!(process.sleeps_in(libc::SYS_ioctl));
    assert_eq!(handle.wake(0, 1), Ok(1));
    process.join();
}
