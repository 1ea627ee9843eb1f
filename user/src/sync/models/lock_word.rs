// SPDX-License-Identifier: MIT OR Apache-2.0

//! One owner at a time, nobody left asleep, deaths told.

use std::sync::atomic::Ordering::Relaxed;

use super::{Kernel, Process, SOON, check, check_deaths, spawn};
use crate::deadline::Deadline;
use crate::sync::lock_word::{Found, lock, make_clean, try_lock, unlock};
use crate::sync::seam::{Stop, Word};
use crate::uapi::{WORD_TOKEN, WORD_WAITERS};
use crate::word::Death;

const LOCK: usize = 0;
/// Counted up without an atomic operation: only exclusion makes it come out right.
const COUNT: usize = 1;
const ROBUST: [(usize, Death); 1] = [(LOCK, Death::Mark)];

fn count_up(process: &Process) {
    let count = process.word(COUNT);
    let now = count.load(Relaxed);
    count.store(now + 1, Relaxed);
}

fn lock_and_count(process: &Process) -> Found {
    let word = process.word(LOCK);
    let found = lock(&word, process.token, Deadline::Never).unwrap();
    count_up(process);
    make_clean(&word);
    unlock(&word).unwrap();
    found
}

fn exclusion(processes: u32) {
    let kernel = Kernel::new(&[0, 0]);
    let others: Vec<_> = (2..=processes)
        .map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || lock_and_count(&process))
        })
        .collect();
    let own = Process::new(&kernel, 1);
    assert_eq!(lock_and_count(&own), Found::Clean);
    for other in others {
        assert_eq!(other.join().unwrap(), Found::Clean);
    }
    assert_eq!(own.word(COUNT).load(Relaxed), processes);
    assert_eq!(own.word(LOCK).load(Relaxed), 0);
}

#[test]
fn two_exclude_each_other_and_none_sleeps_on() {
    check("lock, 2 processes", None, || exclusion(2));
}

#[test]
fn three_exclude_each_other_and_none_sleeps_on() {
    check("lock, 3 processes", Some(3), || exclusion(3));
}

/// One dies at any point of locking and unlocking; `others` go on, and one of them is told if he held it.
fn death(at: usize, others: u32) {
    let kernel = Kernel::new(&[0, 0]);
    let victim = Process::mortal(&kernel, 1, Some(at));
    let victim = spawn(move || victim.live(&ROBUST, || lock_and_count(&victim)));
    let others: Vec<_> = (2..=others)
        .map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || lock_and_count(&process))
        })
        .collect();
    let own = Process::new(&kernel, 100);
    let mut told = usize::from(lock_and_count(&own) == Found::OwnerDied);
    for other in others {
        told += usize::from(other.join().unwrap() == Found::OwnerDied);
    }
    if let Some(held) = victim.join().unwrap() {
        // Nobody may have come after the death.
        let left = Found::of(own.word(LOCK).load(Relaxed)) == Found::OwnerDied;
        assert_eq!(told + usize::from(left), held, "one is told of each death");
    }
    assert_eq!(own.word(LOCK).load(Relaxed) & WORD_TOKEN, 0);
}

#[test]
fn a_death_is_told_once_and_the_lock_is_free() {
    check_deaths("lock, 1 of 2 dies", None, |at| death(at, 1));
}

#[test]
fn who_dies_takes_no_wake_up_with_him() {
    check_deaths("lock, 1 of 3 dies", Some(2), |at| death(at, 2));
}

#[test]
fn a_death_stays_told_until_somebody_says_that_all_is_well() {
    check("lock, death not made good", None, || {
        let kernel = Kernel::new(&[0x4000_0000]);
        let lock_only = |process: &Process| {
            let word = process.word(LOCK);
            let found = lock(&word, process.token, Deadline::Never).unwrap();
            unlock(&word).unwrap();
            found
        };
        let other = Process::new(&kernel, 2);
        let other = spawn(move || lock_only(&other));
        assert_eq!(lock_only(&Process::new(&kernel, 1)), Found::OwnerDied);
        assert_eq!(other.join().unwrap(), Found::OwnerDied);
    });
}

#[test]
fn a_deadline_takes_no_wake_up_with_it() {
    check("lock, a deadline", Some(3), || {
        let kernel = Kernel::new(&[0, 0]);
        let own = Process::new(&kernel, 1);
        let word = own.word(LOCK);
        assert_eq!(try_lock(&word, 1), Some(Found::Clean));
        let hurried = Process::new(&kernel, 2);
        let hurried = spawn(move || {
            let word = hurried.word(LOCK);
            match lock(&word, 2, SOON) {
                Ok(_) => unlock(&word).unwrap(),
                Err(stop) => assert_eq!(stop, Stop::TimedOut),
            }
        });
        let patient = Process::new(&kernel, 3);
        let patient = spawn(move || lock_and_count(&patient));
        unlock(&word).unwrap();
        kernel.expire();
        hurried.join().unwrap();
        let _ = patient.join().unwrap();
        assert_eq!(word.load(Relaxed) & !WORD_WAITERS, 0);
    });
}

#[test]
fn at_once_is_at_once() {
    check("lock, at once", None, || {
        let kernel = Kernel::new(&[0]);
        let process = Process::new(&kernel, 1);
        let word = process.word(LOCK);
        assert_eq!(try_lock(&word, 1), Some(Found::Clean));
        assert_eq!(lock(&word, 1, Deadline::Now), Err(Stop::Busy));
        unlock(&word).unwrap();
        assert_eq!(word.load(Relaxed), 0, "it left no trace");
    });
}
