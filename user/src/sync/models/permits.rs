// SPDX-License-Identifier: MIT OR Apache-2.0

//! No more permits are taken than were given, and nobody sleeps while there is one.

use std::sync::atomic::Ordering::Relaxed;

use super::{Kernel, Process, SOON, check, check_deaths, spawn};
use crate::deadline::Deadline;
use crate::sync::permits::{MAX, acquire, count, release};
use crate::sync::seam::{Stop, Word};
use crate::word::Death;

const PERMITS: usize = 0;
/// Written before a permit is given, read after one was taken.
const GOODS: usize = 1;
const ROBUST: [(usize, Death); 1] = [(PERMITS, Death::WakeOnly)];

fn take(process: &Process) {
    acquire(&process.word(PERMITS), Deadline::Never).unwrap();
    assert_eq!(process.word(GOODS).load(Relaxed), 7);
}

fn give(process: &Process, permits: u32) {
    process.word(GOODS).store(7, Relaxed);
    assert_eq!(release(&process.word(PERMITS), permits, MAX), Ok(true));
}

/// `takers` take one each while they are given piecemeal.
fn trade(takers: u32, pieces: &[u32]) {
    let kernel = Kernel::new(&[0, 0]);
    let takers: Vec<_> = (2..2 + takers)
        .map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || take(&process))
        })
        .collect();
    let own = Process::new(&kernel, 1);
    for &piece in pieces {
        give(&own, piece);
    }
    let rest = pieces.iter().sum::<u32>() - takers.len() as u32;
    for taker in takers {
        taker.join().unwrap();
    }
    assert_eq!(count(own.word(PERMITS).load(Relaxed)), rest);
}

#[test]
fn what_is_given_is_taken_and_what_was_done_before_is_seen() {
    check("permits, 1 taker", None, || trade(1, &[1, 1]));
}

#[test]
fn two_are_woken_by_two_that_are_given_at_once() {
    check("permits, 2 takers, 2 at once", Some(2), || trade(2, &[2]));
}

#[test]
fn two_are_woken_by_two_that_are_given_one_by_one() {
    check("permits, 2 takers, 1 and 1", Some(2), || trade(2, &[1, 1]));
}

#[test]
fn who_dies_takes_no_wake_up_with_him() {
    check_deaths("permits, 1 of 2 takers dies", Some(1), |at| {
        let kernel = Kernel::new(&[0, 0]);
        let victim = Process::mortal(&kernel, 2, Some(at));
        let victim = spawn(move || victim.live(&ROBUST, || take(&victim)));
        let taker = Process::new(&kernel, 3);
        let taker = spawn(move || take(&taker));
        let own = Process::new(&kernel, 1);
        give(&own, 1);
        give(&own, 1);
        victim.join().unwrap();
        taker.join().unwrap();
    });
}

#[test]
fn a_giver_who_dies_before_he_has_woken_leaves_nobody_asleep() {
    check_deaths("permits, the giver dies", None, |at| {
        let kernel = Kernel::new(&[0, 0]);
        let taker = Process::new(&kernel, 3);
        let taker = spawn(move || take(&taker));
        let giver = Process::mortal(&kernel, 2, Some(at));
        giver.live(&ROBUST, || give(&giver, 1));
        if giver.exchanges.get() == 0 {
            give(&Process::new(&kernel, 1), 1);
        }
        taker.join().unwrap();
    });
}

#[test]
fn a_deadline_takes_no_permit_with_it() {
    check("permits, a deadline", Some(2), || {
        let kernel = Kernel::new(&[0, 0]);
        let hurried = Process::new(&kernel, 2);
        let hurried = spawn(move || match acquire(&hurried.word(PERMITS), SOON) {
            Ok(()) => release(&hurried.word(PERMITS), 1, MAX).map(drop).unwrap(),
            Err(stop) => assert_eq!(stop, Stop::TimedOut),
        });
        let patient = Process::new(&kernel, 3);
        let patient = spawn(move || acquire(&patient.word(PERMITS), Deadline::Never).unwrap());
        let own = Process::new(&kernel, 1);
        give(&own, 1);
        kernel.expire();
        hurried.join().unwrap();
        patient.join().unwrap();
    });
}

#[test]
fn there_are_never_more_than_the_limit() {
    check("permits, limit", None, || {
        let kernel = Kernel::new(&[MAX - 1]);
        let process = Process::new(&kernel, 1);
        let word = process.word(PERMITS);
        assert_eq!(release(&word, 2, MAX), Ok(false));
        assert_eq!(release(&word, 1, MAX), Ok(true));
        assert_eq!(release(&word, u32::MAX, MAX), Ok(false));
        assert_eq!(count(word.load(Relaxed)), MAX);
    });
}

#[test]
fn who_gives_none_leaves_those_who_wait_to_who_gives_some() {
    check("permits, none given", Some(2), || {
        let kernel = Kernel::new(&[0, 0]);
        let taker = Process::new(&kernel, 2);
        let taker = spawn(move || take(&taker));
        let own = Process::new(&kernel, 1);
        give(&own, 0);
        give(&own, 1);
        taker.join().unwrap();
    });
}

#[test]
fn what_was_done_before_giving_at_the_limit_is_seen_by_who_takes() {
    check("permits, given at the limit", None, || {
        let kernel = Kernel::new(&[1, 0]);
        let giver = Process::new(&kernel, 2);
        let giver = spawn(move || {
            giver.word(GOODS).store(7, Relaxed);
            release(&giver.word(PERMITS), 1, 1).unwrap()
        });
        let own = Process::new(&kernel, 1);
        acquire(&own.word(PERMITS), Deadline::Never).unwrap();
        let seen = own.word(GOODS).load(Relaxed);
        let given = giver.join().unwrap();
        assert!(given || seen == 7, "it was taken for one given before");
    });
}

#[test]
fn who_gives_up_while_the_number_changes_leaves_nobody_asleep() {
    check("permits, a deadline and changes", Some(3), || {
        let kernel = Kernel::new(&[0, 0]);
        let hurried = Process::new(&kernel, 2);
        let hurried = spawn(move || match acquire(&hurried.word(PERMITS), SOON) {
            Ok(()) => give(&hurried, 1),
            Err(stop) => assert_eq!(stop, Stop::TimedOut),
        });
        let patient = Process::new(&kernel, 3);
        let patient = spawn(move || take(&patient));
        let own = Process::new(&kernel, 1);
        give(&own, 1);
        if acquire(&own.word(PERMITS), Deadline::Now).is_ok() {
            give(&own, 1);
        }
        kernel.expire();
        hurried.join().unwrap();
        patient.join().unwrap();
    });
}
