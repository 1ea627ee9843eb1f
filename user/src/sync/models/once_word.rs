// SPDX-License-Identifier: MIT OR Apache-2.0

//! Done once, by the next one if one dies over it, and seen by all.

use std::sync::atomic::Ordering::Relaxed;

use super::{Kernel, Process, check, check_deaths, spawn};
use crate::deadline::Deadline;
use crate::sync::once_word::{Claim, DONE, Doing, claim};
use crate::sync::seam::{Stop, Word};
use crate::word::Death;

const ONCE: usize = 0;
/// What is done: it is set to 7, which nobody may see otherwise afterwards.
const MADE: usize = 1;
const ROBUST: [(usize, Death); 1] = [(ONCE, Death::Mark)];

/// Whether this one did it.
fn make(process: &Process) -> bool {
    let word = process.word(ONCE);
    let ours = match claim(&word, process.token, Deadline::Never).unwrap() {
        Claim::Done => false,
        Claim::Ours { .. } => {
            let doing = Doing::new(&word);
            process.word(MADE).store(7, Relaxed);
            doing.complete().unwrap();
            true
        }
    };
    assert_eq!(process.word(MADE).load(Relaxed), 7);
    ours
}

fn race(processes: u32) {
    let kernel = Kernel::new(&[0, 0]);
    let others: Vec<_> = (2..=processes)
        .map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || u32::from(make(&process)))
        })
        .collect();
    let own = Process::new(&kernel, 1);
    let mut times = u32::from(make(&own));
    for other in others {
        times += other.join().unwrap();
    }
    assert_eq!(times, 1);
    assert_eq!(own.word(ONCE).load(Relaxed), DONE);
}

#[test]
fn two_make_it_once() {
    check("once, 2 processes", None, || race(2));
}

#[test]
fn three_make_it_once() {
    check("once, 3 processes", Some(2), || race(3));
}

fn death(at: usize, others: u32) {
    let kernel = Kernel::new(&[0, 0]);
    let victim = Process::mortal(&kernel, 1, Some(at));
    let victim = spawn(move || victim.live(&ROBUST, || make(&victim)));
    let others: Vec<_> = (2..=others)
        .map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || u32::from(make(&process)))
        })
        .collect();
    let own = Process::new(&kernel, 100);
    let mut times = u32::from(make(&own));
    for other in others {
        times += other.join().unwrap();
    }
    victim.join().unwrap();
    assert!(times <= 1);
    assert_eq!(own.word(ONCE).load(Relaxed), DONE);
}

#[test]
fn one_who_dies_over_it_is_replaced() {
    check_deaths("once, 1 of 2 dies", None, |at| death(at, 1));
}

#[test]
fn nobody_sleeps_on_when_one_dies_over_it() {
    check_deaths("once, 1 of 3 dies", Some(2), |at| death(at, 2));
}

#[test]
fn one_who_gives_up_is_replaced_and_the_next_is_told() {
    check("once, given up", None, || {
        let kernel = Kernel::new(&[0, 0]);
        let own = Process::new(&kernel, 1);
        let word = own.word(ONCE);
        assert_eq!(claim(&word, 1, Deadline::Now), Ok(Claim::Ours { begun: false }));
        assert_eq!(claim(&word, 2, Deadline::Now), Err(Stop::Busy));
        let other = Process::new(&kernel, 2);
        let other = spawn(move || make(&other));
        drop(Doing::new(&word));
        match claim(&word, 1, Deadline::Never) {
            Ok(Claim::Ours { begun }) => {
                assert!(begun, "somebody had begun");
                drop(Doing::new(&word));
            }
            other => assert_eq!(other, Ok(Claim::Done)),
        }
        assert!(other.join().unwrap());
    });
}
