// SPDX-License-Identifier: MIT OR Apache-2.0

//! Everybody who waits for a change under a mutex learns of it, whichever way he is notified.

use std::sync::atomic::Ordering::Relaxed;

use super::{Kernel, ModelWord, Process, SOON, check, check_deaths, spawn};
use crate::deadline::Deadline;
use crate::sync::lock_word::{lock, lock_for_others, make_clean, unlock};
use crate::sync::seam::{Stop, Word};
use crate::sync::sequence::Sequence;
use crate::word::Death;

const LOCK: usize = 0;
const SEQUENCE: usize = 1;
const WAITERS: usize = 2;
/// What the mutex protects.
const ITEMS: usize = 3;
const ROBUST: [(usize, Death); 2] = [(LOCK, Death::Mark), (SEQUENCE, Death::WakeOnly)];

fn kernel() -> std::sync::Arc<Kernel> {
    Kernel::new(&[0; 4])
}

fn words(process: &Process) -> Sequence<ModelWord> {
    Sequence {
        sequence: process.word(SEQUENCE),
        waiters: process.word(WAITERS),
    }
}

fn locked(process: &Process, body: impl FnOnce()) {
    let word = process.word(LOCK);
    let _ = lock(&word, process.token, Deadline::Never).unwrap();
    make_clean(&word);
    body();
    unlock(&word).unwrap();
}

/// Takes an item when there is one; with `leave`, only sees it. `false` when the deadline came first.
fn take(process: &Process, leave: bool, deadline: Deadline) -> bool {
    let (word, items, condvar) = (process.word(LOCK), process.word(ITEMS), words(process));
    let _ = lock(&word, process.token, Deadline::Never).unwrap();
    let mut came = true;
    while came && items.load(Relaxed) == 0 {
        let prepared = condvar.prepare();
        unlock(&word).unwrap();
        match condvar.sleep(prepared, deadline) {
            Ok(()) => (),
            Err(stop) => {
                assert_eq!(stop, Stop::TimedOut);
                came = false;
            }
        }
        let _ = lock_for_others(&word, process.token, Deadline::Never).unwrap();
        make_clean(&word);
    }
    if came && !leave {
        items.store(items.load(Relaxed) - 1, Relaxed);
    }
    unlock(&word).unwrap();
    came
}

fn put(process: &Process, count: u32) {
    locked(process, || {
        let items = process.word(ITEMS);
        items.store(items.load(Relaxed) + count, Relaxed);
    });
}

#[test]
fn one_learns_of_it() {
    check("condvar, 1 waiter, notify_one", None, || {
        let kernel = kernel();
        let waiter = Process::new(&kernel, 2);
        let waiter = spawn(move || take(&waiter, false, Deadline::Never));
        let own = Process::new(&kernel, 1);
        put(&own, 1);
        words(&own).notify_one().unwrap();
        waiter.join().unwrap();
        assert_eq!(own.word(WAITERS).load(Relaxed), 0);
    });
}

#[test]
fn each_of_two_that_are_notified_gets_one() {
    check("condvar, 2 waiters, notify_one twice", Some(2), || {
        let kernel = kernel();
        let waiters = [2, 3].map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || take(&process, false, Deadline::Never))
        });
        let own = Process::new(&kernel, 1);
        for _ in 0..2 {
            put(&own, 1);
            words(&own).notify_one().unwrap();
        }
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn all_learn_of_it() {
    check("condvar, 2 waiters, notify_all", Some(2), || {
        let kernel = kernel();
        let waiters = [2, 3].map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || take(&process, true, Deadline::Never))
        });
        let own = Process::new(&kernel, 1);
        put(&own, 1);
        words(&own).notify_all(&own.word(LOCK)).unwrap();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn all_learn_of_it_that_are_notified_under_the_mutex() {
    check("condvar, 2 waiters, notify_all under the mutex", Some(2), || {
        let kernel = kernel();
        let waiters = [2, 3].map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || take(&process, true, Deadline::Never))
        });
        let own = Process::new(&kernel, 1);
        locked(&own, || {
            own.word(ITEMS).store(1, Relaxed);
            words(&own).notify_all(&own.word(LOCK)).unwrap();
        });
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn one_who_dies_takes_no_notification_with_him() {
    check_deaths("condvar, 1 of 2 waiters dies", Some(2), |at| {
        let kernel = kernel();
        let victim = Process::mortal(&kernel, 2, Some(at));
        let victim = spawn(move || victim.live(&ROBUST, || take(&victim, true, Deadline::Never)));
        let waiter = Process::new(&kernel, 3);
        let waiter = spawn(move || take(&waiter, true, Deadline::Never));
        let own = Process::new(&kernel, 1);
        put(&own, 1);
        words(&own).notify_all(&own.word(LOCK)).unwrap();
        victim.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn one_who_dies_takes_no_single_notification_with_him() {
    check_deaths("condvar, 1 of 2 waiters dies, notify_one", Some(2), |at| {
        let kernel = kernel();
        let see_and_pass_on = |process: &Process| {
            take(process, true, Deadline::Never);
            words(process).notify_one().unwrap();
        };
        let victim = Process::mortal(&kernel, 2, Some(at));
        let victim = spawn(move || victim.live(&ROBUST, || see_and_pass_on(&victim)));
        let waiter = Process::new(&kernel, 3);
        let waiter = spawn(move || see_and_pass_on(&waiter));
        let own = Process::new(&kernel, 1);
        put(&own, 1);
        words(&own).notify_one().unwrap();
        victim.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn a_deadline_takes_no_notification_with_it() {
    check("condvar, a deadline, notify_all", Some(2), || {
        let kernel = kernel();
        let hurried = Process::new(&kernel, 2);
        let hurried = spawn(move || take(&hurried, true, SOON));
        let patient = Process::new(&kernel, 3);
        let patient = spawn(move || take(&patient, true, Deadline::Never));
        let own = Process::new(&kernel, 1);
        put(&own, 1);
        words(&own).notify_all(&own.word(LOCK)).unwrap();
        kernel.expire();
        hurried.join().unwrap();
        assert!(patient.join().unwrap());
    });
}
