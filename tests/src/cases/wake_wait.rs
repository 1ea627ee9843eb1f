// SPDX-License-Identifier: MIT OR Apache-2.0

//! WAKE_WAIT, and what all waits on words have in common: how they end, and which rights they want.

use std::sync::atomic::Ordering;

use super::refused;
use super::waiters::{asleep, nobody_sleeps, waiter, waiter_on, zeroed};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::words::{wait, wake};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Errno, Handle, PAGE, Process, Result, SIZE, THIS, WakeWait,
    signal,
};

tests![
    #[slow]
    a_request_and_its_answer_are_two_calls,
    who_is_to_be_woken_is_woken_although_the_word_has_changed,
    a_signal_ends_a_wait_after_waking_and_wakes_nobody_twice,
    a_wait_that_is_refused_wakes_nobody,
    stopping_ends_no_wait_that_can_be_restarted,
    every_kind_of_wait_ends_by_sigkill,
    all_of_these_want_their_rights,
];

fn a_request_and_its_answer_are_two_calls() {
    const ROUNDS: u32 = 3000;
    let handle = zeroed();
    let mapping = handle.window(0, PAGE);
    let words = [mapping.u32(0), mapping.u32(64)];
    // Each waits on a word of its own, for the number of the next round.
    let play = |own: usize| {
        let handle = Handle::rw();
        for round in 1..=ROUNDS {
            if own == 0 {
                words[1].store(round, Ordering::SeqCst);
            }
            let answered = |handle: &Handle| {
                let wake = wake(if own == 0 { 64 } else { 0 }, 1);
                match handle.wake_wait(wake, wait(own as u64 * 64, round - 1, DEADLINE_NEVER)) {
                    Ok(()) | Err(Errno::EAGAIN) => (),
                    Err(error) => panic!("{error}"),
                }
            };
            while words[own].load(Ordering::SeqCst) < round {
                answered(&handle);
            }
            if own == 1 {
                words[0].store(round, Ordering::SeqCst);
            }
        }
        handle.wake(if own == 0 { 64 } else { 0 }, 1).unwrap();
    };
    let players = [0, 1].map(|own| Process::fork(|| play(own)));
    players.into_iter().for_each(Process::join);
    assert_eq!(words.map(|word| word.load(Ordering::SeqCst)), [ROUNDS; 2]);
}

fn who_is_to_be_woken_is_woken_although_the_word_has_changed() {
    let handle = zeroed();
    let process = waiter(0);
    refused(
        handle.wake_wait(wake(0, 1), wait(64, 1, DEADLINE_NEVER)),
        Errno::EAGAIN,
    );
    process.join();
    let process = waiter(0);
    refused(handle.wake_wait(wake(0, 1), wait(64, 0, 0)), Errno::ETIMEDOUT);
    process.join();
    // Several, or nobody.
    let two = [waiter(0), waiter(0)];
    refused(handle.wake_wait(wake(0, 0), wait(64, 0, 0)), Errno::ETIMEDOUT);
    assert!(two.iter().all(|process| process.sleeps_in(libc::SYS_ioctl)));
    refused(handle.wake_wait(wake(0, 2), wait(64, 0, 0)), Errno::ETIMEDOUT);
    two.into_iter().for_each(Process::join);
    assert_eq!(handle.wake(64, 1), Ok(0));
}

fn a_signal_ends_a_wait_after_waking_and_wakes_nobody_twice() {
    let handle = zeroed();
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let waiters = [waiter(0), waiter(0)];
    let process = asleep(|| {
        refused(
            Handle::rw().wake_wait(wake(0, 1), wait(64, 0, DEADLINE_NEVER)),
            Errno::EINTR,
        );
    });
    let [first, second] = waiters;
    first.join();
    process.signal(libc::SIGUSR1);
    process.join();
    assert!(second.sleeps_in(libc::SYS_ioctl));
    assert_eq!(handle.wake(0, 2), Ok(1));
    second.join();
}

fn a_wait_that_is_refused_wakes_nobody() {
    let handle = zeroed();
    let process = waiter(0);
    let end = SIZE as u64;
    for (at, waits) in [
        (0, wait(0, 0, 0)),
        (0, wait(66, 0, 0)),
        (0, wait(end, 0, 0)),
        (0, wait(64, 0, 1 << 63)),
        (2, wait(64, 0, 0)),
        (end, wait(64, 0, 0)),
    ] {
        refused(handle.wake_wait(wake(at, 1), waits), Errno::EINVAL);
    }
    refused(handle.wake_wait(wake(0, 1 << 31), wait(64, 0, 0)), Errno::EINVAL);
    for (wake_flags, wait_flags) in [(1, 0), (0, 1)] {
        let mut flagged = WakeWait {
            wake: wake(0, 1),
            wait: wait(64, 0, 0),
        };
        (flagged.wake.flags, flagged.wait.flags) = (wake_flags, wait_flags);
        refused(handle.call(&mut flagged), Errno::EINVAL);
    }
    assert!(process.sleeps_in(libc::SYS_ioctl));
    assert_eq!(handle.wake(0, 1), Ok(1));
    process.join();
}

/// Without a handler: SIGSTOP and SIGCONT alone.
fn stopping_ends_no_wait_that_can_be_restarted() {
    let handle = zeroed();
    let kinds: [fn() -> Process; 2] = [|| waiter(0), || waiter_on(&[64, 0], 1)];
    for start in kinds {
        let process = start();
        for _ in 0..3 {
            process.stop();
            process.signal(libc::SIGCONT);
            until("it waits again", || process.sleeps_in(libc::SYS_ioctl));
        }
        until("it is woken", || handle.wake(0, 1) == Ok(1));
        process.join();
    }
    // As said of it, this one would wake others again.
    let process = asleep(|| {
        let outcome = Handle::rw().wake_wait(wake(64, 1), wait(0, 0, DEADLINE_NEVER));
        refused(outcome, Errno::EINTR);
    });
    process.stop();
    process.signal(libc::SIGCONT);
    process.join();
}

fn every_kind_of_wait_ends_by_sigkill() {
    let handle = zeroed();
    let kinds: [fn(&Handle) -> Result<()>; 3] = [
        |handle| handle.wait_on(0, 0, DEADLINE_NEVER),
        |handle| handle.wait_on_any(&[(64, 0), (0, 0)], DEADLINE_NEVER).map(drop),
        |handle| handle.wake_wait(wake(64, 1), wait(0, 0, DEADLINE_NEVER)),
    ];
    for wait in kinds {
        let process = asleep(|| {
            let _ = wait(&Handle::rw());
            panic!("the wait ended");
        });
        process.kill();
        assert_eq!((handle.wake(0, 1), handle.wake(64, 1)), (Ok(0), Ok(0)));
    }
    nobody_sleeps(&handle);
}

fn all_of_these_want_their_rights() {
    let (reader, writer, both) = (Handle::ro(), Handle::wo(), zeroed());
    refused(reader.wait_on_any(&[(0, 0)], 0), Errno::ETIMEDOUT);
    refused(writer.wait_on_any(&[(0, 0)], 0), Errno::EACCES);
    for lesser in [&reader, &writer] {
        refused(lesser.requeue(0, 0, 1, 64, 1), Errno::EACCES);
        refused(lesser.wake_wait(wake(0, 1), wait(64, 0, 0)), Errno::EACCES);
    }
    assert_eq!(both.requeue(0, 0, 1, 64, 1), Ok(0));
    both.restrict(64, 64, ACCESS_READ | ACCESS_WRITE).unwrap();
    for (inside, outside) in [(64, 60), (124, 128)] {
        refused(both.wait_on_any(&[(inside, 0), (outside, 0)], 0), Errno::EACCES);
        refused(both.requeue(inside, 0, 1, outside, 1), Errno::EACCES);
        refused(both.requeue(outside, 0, 1, inside, 1), Errno::EACCES);
        refused(
            both.wake_wait(wake(inside, 1), wait(outside, 0, 0)),
            Errno::EACCES,
        );
        refused(
            both.wake_wait(wake(outside, 1), wait(inside, 0, 0)),
            Errno::EACCES,
        );
    }
    refused(both.wait_on_any(&[(64, 0), (124, 0)], 0), Errno::ETIMEDOUT);
    // And a word that was taken away.
    let owner = Handle::creating("frames", 2 * PAGE as u64);
    owner.resize(THIS, PAGE as u64).unwrap();
    let far = PAGE as u64;
    refused(owner.wait_on_any(&[(0, 0), (far, 0)], 0), Errno::EINVAL);
    refused(owner.requeue(0, 0, 1, far, 1), Errno::EINVAL);
    refused(owner.wake_wait(wake(0, 1), wait(far, 0, 0)), Errno::EINVAL);
    remove("frames");
}
