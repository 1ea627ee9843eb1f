// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev::sync::Condvar` between processes, some of which die.

use std::time::Duration;

use shmdev::Deadline;
use shmdev::sync::{Condvar, LockError, Mutex};

use super::areas::{area, cleared, told};
use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::{Gate, Process};

tests![
    #[slow] two_processes_take_turns within 120,
    what_is_put_is_taken_by_one_each within 120,
    #[slow] all_are_notified_and_get_the_mutex_one_by_one,
    all_are_notified_while_somebody_has_the_mutex,
    a_deadline_ends_a_wait_and_the_mutex_is_had_again,
    #[slow] a_waiter_who_is_killed_takes_no_notification_with_him within 120,
    the_death_of_one_who_has_the_mutex_is_told,
    a_second_mutex_is_refused,
    what_the_guard_changed_is_seen_while_it_waits,
];

const CONDVAR: usize = 512;
const OTHER_CONDVAR: usize = 1024;

type Items = Mutex<u64>;

fn placed() -> (Items, Condvar) {
    let area = area();
    (Items::at(&area, 0).unwrap(), Condvar::at(&area, CONDVAR).unwrap())
}

fn two_processes_take_turns() {
    const TURNS: u64 = 2000;
    let _area = cleared();
    let play = |own: u64| {
        let (turn, changed) = placed();
        let mut guard = turn.lock().unwrap();
        while *guard < TURNS {
            if *guard % 2 == own {
                *guard += 1;
                changed.notify_one().unwrap();
            }
            guard = changed
                .wait_while(guard, |turn| *turn % 2 != own && *turn < TURNS)
                .unwrap();
        }
        changed.notify_one().unwrap();
    };
    let players = [0, 1].map(|own| Process::fork(|| play(own)));
    players.into_iter().for_each(Process::join);
    assert_eq!(*placed().0.lock().unwrap(), TURNS);
}

fn what_is_put_is_taken_by_one_each() {
    const EACH: u64 = 500;
    let _area = cleared();
    let takers = [(); 3].map(|()| {
        Process::fork(|| {
            let (items, put) = placed();
            for _ in 0..EACH {
                let mut guard = put
                    .wait_while(items.lock().unwrap(), |items| *items == 0)
                    .unwrap();
                *guard -= 1;
            }
        })
    });
    let (items, put) = placed();
    for _ in 0..3 * EACH {
        *items.lock().unwrap() += 1;
        put.notify_one().unwrap();
    }
    takers.into_iter().for_each(Process::join);
    assert_eq!(*items.lock().unwrap(), 0);
}

/// Processes that wait until there are items, and then count one more.
fn waiters(count: usize) -> Vec<Process> {
    let waiters: Vec<_> = (0..count)
        .map(|_| {
            Process::fork(|| {
                let (items, put) = placed();
                let guard = items.lock();
                let (guard, _) = told(guard);
                let (mut guard, _) = told(put.wait_while(guard, |items| *items == 0));
                *guard += 1;
            })
        })
        .collect();
    until("they wait", || {
        waiters.iter().all(|waiter| waiter.sleeps_in(libc::SYS_ioctl))
    });
    waiters
}

fn all_are_notified_and_get_the_mutex_one_by_one() {
    let _area = cleared();
    let (items, put) = placed();
    for _ in 0..5 {
        *items.lock().unwrap() = 0;
        let waiters = waiters(8);
        *items.lock().unwrap() = 1;
        put.notify_all().unwrap();
        waiters.into_iter().for_each(Process::join);
        assert_eq!(*items.lock().unwrap(), 9);
    }
}

fn all_are_notified_while_somebody_has_the_mutex() {
    let _area = cleared();
    let (items, put) = placed();
    let waiters = waiters(8);
    let mut guard = items.lock().unwrap();
    *guard = 1;
    put.notify_all().unwrap();
    drop(guard);
    waiters.into_iter().for_each(Process::join);
    assert_eq!(*items.lock().unwrap(), 9);
}

fn a_deadline_ends_a_wait_and_the_mutex_is_had_again() {
    let _area = cleared();
    let (items, put) = placed();
    for deadline in [
        Deadline::Now,
        Deadline::At(Duration::ZERO),
        Deadline::after(Duration::from_millis(3)),
    ] {
        let guard = items.lock().unwrap();
        let (guard, timed_out) = put.wait_until(guard, deadline).unwrap();
        assert!(timed_out && items.is_locked());
        let (_guard, holds) = put
            .wait_while_until(guard, |items| *items == 0, deadline)
            .unwrap();
        assert!(holds);
    }
    assert!(!items.is_locked());
}

/// One of two is woken and killed; the other goes on, unless the one had done so before.
fn a_waiter_who_is_killed_takes_no_notification_with_him() {
    let _area = cleared();
    let (items, put) = placed();
    for _ in 0..50 {
        let (mut guard, _) = told(items.lock());
        *guard = 0;
        guard.make_consistent();
        drop(guard);
        let mut waiters = waiters(2);
        let (other, victim) = (waiters.pop().unwrap(), waiters.pop().unwrap());
        *items.lock().unwrap() = 1;
        put.notify_one().unwrap();
        victim.signal(libc::SIGKILL);
        victim.wait();
        let (guard, _) = told(items.lock());
        let went_on = *guard > 1;
        drop(guard);
        if went_on {
            put.notify_one().unwrap();
        }
        other.join();
    }
}

fn the_death_of_one_who_has_the_mutex_is_told() {
    let _area = cleared();
    let waiter = Process::fork(|| {
        let (items, put) = placed();
        let waited = put.wait_while(items.lock().unwrap(), |items| *items == 0);
        let (guard, died) = told(waited);
        assert!(died);
        drop(guard);
    });
    until("it waits", || waiter.sleeps_in(libc::SYS_ioctl));
    let held = Gate::new();
    let holder = Process::fork(|| {
        let (items, put) = placed();
        let _guard = items.lock().unwrap();
        put.notify_all().unwrap();
        held.open();
        park();
    });
    held.pass();
    holder.kill();
    waiter.join();
}

fn a_second_mutex_is_refused() {
    let area_here = cleared();
    let (items, put) = placed();
    let waiter = waiters(1);
    // Made from another handle than the condition variable, and another mutex.
    let elsewhere = Condvar::at(&area_here, CONDVAR).unwrap();
    assert!(matches!(
        elsewhere.wait(items.lock().unwrap()),
        Err(LockError::OtherMutex)
    ));
    let second = Items::at(&area_here, OTHER_CONDVAR).unwrap();
    assert!(matches!(
        elsewhere.wait(second.lock().unwrap()),
        Err(LockError::OtherMutex)
    ));
    assert!(!second.is_locked());
    *items.lock().unwrap() = 1;
    put.notify_all().unwrap();
    waiter.into_iter().for_each(Process::join);
}

fn what_the_guard_changed_is_seen_while_it_waits() {
    let _area = cleared();
    let (items, put) = placed();
    let waiter = Process::fork(|| {
        let (items, put) = placed();
        let mut guard = items.lock().unwrap();
        *guard = 5;
        let guard = put.wait_while(guard, |items| *items == 5).unwrap();
        assert_eq!(*guard, 6);
    });
    until("it waits", || waiter.sleeps_in(libc::SYS_ioctl));
    let mut guard = items.lock().unwrap();
    assert_eq!(*guard, 5);
    *guard = 6;
    drop(guard);
    put.notify_one().unwrap();
    waiter.join();
}
