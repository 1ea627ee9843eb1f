// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev::sync::Event` between processes, some of which die.

use std::time::Duration;

use shmdev::Deadline;
use shmdev::sync::{BlockedError, Event, Reset};

use super::areas::{area, cleared};
use crate::harness::tests;
use crate::sys::Process;
use crate::sys::process::until;

tests![
    one_that_is_reset_by_hand_ends_all_waits,
    one_that_resets_itself_ends_one_wait,
    #[slow] one_who_is_killed_takes_no_wake_up_with_him within 120,
    #[slow] two_processes_signal_each_other within 120,
    deadlines_past_and_now,
];

const OTHER: usize = 64;

fn event(reset: Reset) -> Event {
    Event::at(&area(), 0, reset).unwrap()
}

fn waiters(count: usize, reset: Reset) -> Vec<Process> {
    let waiters: Vec<_> = (0..count)
        .map(|_| Process::fork(|| event(reset).wait().unwrap()))
        .collect();
    until("they wait", || {
        waiters.iter().all(|waiter| waiter.sleeps_in(libc::SYS_ioctl))
    });
    waiters
}

fn one_that_is_reset_by_hand_ends_all_waits() {
    let _area = cleared();
    let event = event(Reset::Manual);
    for _ in 0..5 {
        let waiters = waiters(8, Reset::Manual);
        event.set().unwrap();
        waiters.into_iter().for_each(Process::join);
        event.set().unwrap();
        assert!(event.is_set());
        event.wait().unwrap();
        event.reset();
        event.reset();
        assert!(!event.is_set());
    }
}

fn one_that_resets_itself_ends_one_wait() {
    let _area = cleared();
    let event = event(Reset::Auto);
    // First come, first served.
    let queue: Vec<_> = (0..4).flat_map(|_| waiters(1, Reset::Auto)).collect();
    for waiter in queue {
        event.set().unwrap();
        waiter.join();
        assert!(!event.is_set());
    }
    event.set().unwrap();
    event.set().unwrap();
    assert!(event.is_set());
    event.wait().unwrap();
    assert!(matches!(event.try_wait(), Err(BlockedError::Busy)));
    event.set().unwrap();
    event.reset();
    event.reset();
    assert!(!event.is_set());
}

fn one_who_is_killed_takes_no_wake_up_with_him() {
    let _area = cleared();
    let event = event(Reset::Manual);
    for _ in 0..50 {
        let mut waiters = waiters(2, Reset::Manual);
        let (other, victim) = (waiters.pop().unwrap(), waiters.pop().unwrap());
        event.set().unwrap();
        victim.signal(libc::SIGKILL);
        victim.wait();
        other.join();
        event.reset();
    }
}

fn two_processes_signal_each_other() {
    let area_here = cleared();
    let there = Process::fork(|| {
        let area = area();
        let (ping, pong) = (
            Event::at(&area, 0, Reset::Auto).unwrap(),
            Event::at(&area, OTHER, Reset::Auto).unwrap(),
        );
        for _ in 0..2000 {
            ping.wait().unwrap();
            pong.set().unwrap();
        }
    });
    let (ping, pong) = (
        Event::at(&area_here, 0, Reset::Auto).unwrap(),
        Event::at(&area_here, OTHER, Reset::Auto).unwrap(),
    );
    for _ in 0..2000 {
        ping.set().unwrap();
        pong.wait().unwrap();
    }
    there.join();
}

fn deadlines_past_and_now() {
    let area = cleared();
    let events = [
        Event::at(&area, 0, Reset::Manual).unwrap(),
        Event::at(&area, OTHER, Reset::Auto).unwrap(),
    ];
    for event in events {
        assert!(matches!(event.try_wait(), Err(BlockedError::Busy)));
        for deadline in [
            Deadline::At(Duration::ZERO),
            Deadline::after(Duration::from_millis(3)),
        ] {
            assert!(matches!(event.wait_until(deadline), Err(BlockedError::TimedOut)));
        }
        event.set().unwrap();
        event
            .wait_until(Deadline::At(Duration::ZERO))
            .expect("what is set is seen however late it is");
    }
}
