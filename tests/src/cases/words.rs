// SPDX-License-Identifier: MIT OR Apache-2.0

//! WAIT and WAKE: who waits on a word, who is woken, and in which order.

use std::sync::atomic::Ordering;

use super::refused;
use crate::harness::tests;
use crate::sys::process::{End, until};
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Handle, PAGE, Process, SIZE, THIS, Wait, Wake, in_ms,
    now_ns, signal,
};

tests![
    a_word_that_is_not_as_expected_is_eagain,
    nobody_to_wake_is_nobody,
    as_many_are_woken_as_asked_for_in_the_order_of_arrival,
    real_time_tasks_are_woken_first,
    other_words_and_other_segments_are_left_alone,
    words_do_not_straddle_and_lie_within,
    flags_counts_and_deadlines_that_are_none_are_einval,
    a_deadline_ends_the_wait_and_not_before,
    a_signal_is_eintr_or_restarted,
    a_restarted_wait_looks_at_the_word_again,
    a_killed_waiter_is_gone,
    #[slow] who_is_killed_once_woken_passes_it_on,
    waiting_wants_the_right_to_read_and_waking_to_write,
    a_word_outside_of_the_window_is_eacces,
    #[slow] two_processes_take_turns_and_miss_nothing within 120,
    #[slow] two_hundred_and_fifty_six_are_woken_at_once within 120,
    a_word_that_a_resize_takes_away_is_einval,
];

/// A process that waits on the word while it is 0, and waits until it does.
fn waiter(offset: u64, then: impl FnOnce(crate::sys::Result<()>)) -> Process {
    let process = Process::fork(|| then(Handle::rw().wait_on(offset, 0, DEADLINE_NEVER)));
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    process
}

fn a_word_that_is_not_as_expected_is_eagain() {
    let handle = Handle::rw();
    let mapping = handle.window(0, PAGE);
    for (value, expected) in [(0, 1), (1, 0), (u32::MAX, u32::MAX - 1), (0x0100_0000, 1)] {
        mapping.u32(8).store(value, Ordering::SeqCst);
        refused(handle.wait_on(8, expected, DEADLINE_NEVER), Errno::EAGAIN);
        refused(handle.wait_on(8, expected, 0), Errno::EAGAIN);
        // As expected, it waits.
        refused(handle.wait_on(8, value, 0), Errno::ETIMEDOUT);
    }
    mapping.u32(8).store(0, Ordering::SeqCst);
}

fn nobody_to_wake_is_nobody() {
    let handle = Handle::rw();
    for offset in [0, 4, SIZE as u64 - 4] {
        for count in [0, 1, i32::MAX as u32] {
            assert_eq!(handle.wake(offset, count), Ok(0));
        }
    }
}

fn as_many_are_woken_as_asked_for_in_the_order_of_arrival() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 4], 16).unwrap();
    let mut waiters: Vec<_> = (0..6).map(|_| waiter(16, |outcome| outcome.unwrap())).collect();
    assert_eq!(handle.wake(16, 0), Ok(0));
    for count in [1, 2] {
        assert_eq!(handle.wake(16, count), Ok(count));
        waiters.drain(..count as usize).for_each(Process::join);
        assert!(waiters.iter().all(|waiter| waiter.sleeps_in(libc::SYS_ioctl)));
    }
    assert_eq!(handle.wake(16, i32::MAX as u32), Ok(3));
    waiters.into_iter().for_each(Process::join);
    assert_eq!(handle.wake(16, 1), Ok(0));
}

fn real_time_tasks_are_woken_first() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 4], 0).unwrap();
    let with_priority = |priority: i32| {
        let process = Process::fork(move || {
            if priority > 0 {
                signal::become_real_time(priority);
            }
            Handle::rw().wait_on(0, 0, DEADLINE_NEVER).unwrap();
        });
        until("it waits", || process.sleeps_in(libc::SYS_ioctl));
        process
    };
    let [first, low, second, high, low_again] = [0, 10, 0, 50, 10].map(with_priority);
    for process in [high, low, low_again, first, second] {
        assert_eq!(handle.wake(0, 1), Ok(1));
        process.join();
    }
}

fn other_words_and_other_segments_are_left_alone() {
    let other = Handle::creating("frames", PAGE as u64);
    let handle = Handle::rw();
    handle.pwrite(&[0; PAGE], 0).unwrap();
    let last = PAGE as u64 - 4;
    let process = waiter(last, |outcome| outcome.unwrap());
    // Some of so many share a bucket with it.
    for offset in (0..last).step_by(4) {
        assert_eq!(handle.wake(offset, 1), Ok(0));
    }
    assert_eq!(other.wake(last, 1), Ok(0));
    assert!(process.sleeps_in(libc::SYS_ioctl));
    assert_eq!(handle.wake(last, 1), Ok(1));
    process.join();
    remove("frames");
}

fn words_do_not_straddle_and_lie_within() {
    let handle = Handle::creating("frames", 5000);
    let mapped = 2 * PAGE as u64;
    let outside = [mapped, mapped + 4, 1 << 40, u64::MAX - 3, 1 << 63];
    for offset in [1, 2, 3, 4095, mapped - 1].into_iter().chain(outside) {
        refused(handle.wait_on(offset, 0, 0), Errno::EINVAL);
        refused(handle.wake(offset, 1), Errno::EINVAL);
    }
    // The rest of the last page can be mapped, so it can be waited on.
    for offset in [0, 4092, 4096, 5000, mapped - 4] {
        refused(handle.wait_on(offset, 0, 0), Errno::ETIMEDOUT);
        assert_eq!(handle.wake(offset, 1), Ok(0));
    }
    remove("frames");
}

fn flags_counts_and_deadlines_that_are_none_are_einval() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 4], 0).unwrap();
    for flags in [1, 1 << 31, u32::MAX] {
        let mut wait = Wait {
            flags,
            ..Wait::default()
        };
        refused(handle.call(&mut wait), Errno::EINVAL);
        let mut wake = Wake {
            flags,
            ..Wake::default()
        };
        refused(handle.call(&mut wake), Errno::EINVAL);
    }
    for count in [1 << 31, u32::MAX] {
        refused(handle.wake(0, count), Errno::EINVAL);
    }
    for deadline in [1 << 63, u64::MAX - 1] {
        refused(handle.wait_on(0, 0, deadline), Errno::EINVAL);
        refused(handle.wait_on(0, 1, deadline), Errno::EINVAL);
    }
}

fn a_deadline_ends_the_wait_and_not_before() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 4], 0).unwrap();
    for past in [0, 1, now_ns() - 1_000_000_000, now_ns()] {
        refused(handle.wait_on(0, 0, past), Errno::ETIMEDOUT);
    }
    for ms in [1, 5, 30] {
        let deadline = in_ms(ms);
        refused(handle.wait_on(0, 0, deadline), Errno::ETIMEDOUT);
        assert!(now_ns() >= deadline, "woken before the deadline");
    }
    assert_eq!(handle.wake(0, 1), Ok(0), "nobody is left there");
    for far in [in_ms(3_600_000), (1 << 63) - 1] {
        let process = Process::fork(|| Handle::rw().wait_on(0, 0, far).unwrap());
        until("it waits", || process.sleeps_in(libc::SYS_ioctl));
        assert_eq!(handle.wake(0, 1), Ok(1));
        process.join();
    }
}

fn a_signal_is_eintr_or_restarted() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 4], 0).unwrap();
    signal::catch(libc::SIGUSR1, 0);
    let process = waiter(0, |outcome| {
        refused(outcome, Errno::EINTR);
        assert_eq!(signal::caught(), 1);
    });
    process.signal(libc::SIGUSR1);
    process.join();
    assert_eq!(handle.wake(0, 1), Ok(0), "it waits no more");
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let process = waiter(0, |outcome| {
        outcome.unwrap();
        assert!(signal::caught() >= 1);
    });
    for _ in 0..5 {
        process.signal(libc::SIGUSR1);
        until("it waits again", || process.sleeps_in(libc::SYS_ioctl));
    }
    process.stop();
    process.signal(libc::SIGCONT);
    until("it is woken", || handle.wake(0, 1) == Ok(1));
    process.join();
}

/// Whatever was stored while it was away.
fn a_restarted_wait_looks_at_the_word_again() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 4], 0).unwrap();
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let process = waiter(0, |outcome| refused(outcome, Errno::EAGAIN));
    handle.pwrite(&[1; 4], 0).unwrap();
    assert!(process.sleeps_in(libc::SYS_ioctl), "nobody has woken it");
    process.signal(libc::SIGUSR1);
    process.join();
}

fn a_killed_waiter_is_gone() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 4], 0).unwrap();
    for _ in 0..20 {
        waiter(0, |_| panic!("the wait ended")).kill();
        assert_eq!(handle.wake(0, i32::MAX as u32), Ok(0));
    }
}

fn who_is_killed_once_woken_passes_it_on() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 4], 0).unwrap();
    signal::run_on_the_first_processor();
    for _ in 0..20 {
        let [first, second] = [(), ()].map(|()| waiter(0, |outcome| outcome.unwrap()));
        signal::keep_the_processor(|| {
            assert_eq!(handle.wake(0, 1), Ok(1));
            first.signal(libc::SIGKILL);
        });
        assert_eq!(first.wait(), End::Signal(libc::SIGKILL));
        second.join();
    }
}

fn waiting_wants_the_right_to_read_and_waking_to_write() {
    let (reader, writer, both) = (Handle::ro(), Handle::wo(), Handle::rw());
    both.pwrite(&[0; 4], 0).unwrap();
    refused(reader.wait_on(0, 0, 0), Errno::ETIMEDOUT);
    refused(reader.wake(0, 1), Errno::EACCES);
    refused(writer.wait_on(0, 0, 0), Errno::EACCES);
    assert_eq!(writer.wake(0, 1), Ok(0));
    both.restrict(0, u64::MAX, ACCESS_READ).unwrap();
    refused(both.wait_on(0, 0, 0), Errno::ETIMEDOUT);
    refused(both.wake(0, 1), Errno::EACCES);
}

fn a_word_outside_of_the_window_is_eacces() {
    let handle = Handle::rw();
    handle.pwrite(&[0; PAGE], 0).unwrap();
    handle.restrict(100, 10, ACCESS_READ | ACCESS_WRITE).unwrap();
    for offset in [0, 96, 108, 4096] {
        refused(handle.wait_on(offset, 0, 0), Errno::EACCES);
        refused(handle.wake(offset, 1), Errno::EACCES);
    }
    for offset in [100, 104] {
        refused(handle.wait_on(offset, 0, 0), Errno::ETIMEDOUT);
        assert_eq!(handle.wake(offset, 1), Ok(0));
    }
}

/// One stores and wakes, the other has looked and is about to sleep: whatever comes first, nobody sleeps on.
fn two_processes_take_turns_and_miss_nothing() {
    const ROUNDS: u32 = 5000;
    let mapping = Handle::rw().window(0, PAGE);
    let turn = mapping.u32(128);
    turn.store(0, Ordering::SeqCst);
    let play = |own: u32| {
        let handle = Handle::rw();
        while turn.load(Ordering::SeqCst) < ROUNDS {
            let now = turn.load(Ordering::SeqCst);
            if now % 2 == own {
                turn.store(now + 1, Ordering::SeqCst);
                handle.wake(128, 1).unwrap();
            } else {
                match handle.wait_on(128, now, DEADLINE_NEVER) {
                    Ok(()) | Err(Errno::EAGAIN) => (),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    let players = [0, 1].map(|own| Process::fork(|| play(own)));
    players.into_iter().for_each(Process::join);
    assert_eq!(turn.load(Ordering::SeqCst), ROUNDS);
}

fn two_hundred_and_fifty_six_are_woken_at_once() {
    const COUNT: u32 = 256;
    let handle = Handle::rw();
    let mapping = handle.window(0, PAGE);
    for _ in 0..3 {
        mapping.u32(0).store(0, Ordering::SeqCst);
        let waiters: Vec<_> = (0..COUNT)
            .map(|_| Process::fork(|| Handle::rw().wait_on(0, 0, DEADLINE_NEVER).unwrap()))
            .collect();
        // Moved to another word and back: so they are there.
        let mut there = 0;
        until("all wait", || {
            there += handle.requeue(0, 0, 0, 4, COUNT).unwrap();
            there == COUNT
        });
        assert_eq!(handle.requeue(4, 0, 0, 0, COUNT), Ok(COUNT));
        mapping.u32(0).store(1, Ordering::SeqCst);
        assert_eq!(handle.wake(0, i32::MAX as u32), Ok(COUNT));
        waiters.into_iter().for_each(Process::join);
    }
}

/// Who waits on it waits on; nobody can wake him but a signal, his deadline, or a segment that has grown again.
fn a_word_that_a_resize_takes_away_is_einval() {
    let owner = Handle::creating("frames", 2 * PAGE as u64);
    let offset = PAGE as u64;
    let process = Process::fork(|| {
        Handle::of("frames").wait_on(offset, 0, DEADLINE_NEVER).unwrap();
    });
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    owner.resize(THIS, PAGE as u64).unwrap();
    refused(owner.wake(offset, 1), Errno::EINVAL);
    refused(owner.wait_on(offset, 0, 0), Errno::EINVAL);
    owner.resize(THIS, 2 * PAGE as u64).unwrap();
    assert_eq!(owner.wake(offset, 1), Ok(1));
    process.join();
    remove("frames");
}
