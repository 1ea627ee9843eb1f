// SPDX-License-Identifier: MIT OR Apache-2.0

//! All pass together, one of them last, again and again.

use std::sync::atomic::Ordering::Relaxed;

use super::{Kernel, ModelWord, Process, SOON, check, check_deaths, spawn};
use crate::deadline::Deadline;
use crate::sync::gathering::Gathering;
use crate::sync::seam::{Stop, Word};
use crate::word::Death;

const ARRIVALS: usize = 0;
const OWED: usize = 1;
/// A word for each process: which round it is in.
const ROUND: usize = 2;
const ROBUST: [(usize, Death); 1] = [(ARRIVALS, Death::WakeOnly)];

fn gathering(process: &Process, count: u32) -> Gathering<ModelWord> {
    Gathering {
        arrivals: process.word(ARRIVALS),
        owed: process.word(OWED),
        count,
    }
}

/// Passes `rounds` times; how often it came last.
fn pass(process: &Process, count: u32, rounds: u32) -> u32 {
    let mut last = 0;
    for round in 1..=rounds {
        process.word(ROUND + process.token as usize).store(round, Relaxed);
        last += u32::from(gathering(process, count).arrive(Deadline::Never).unwrap());
        for other in 0..count {
            assert!(process.word(ROUND + other as usize).load(Relaxed) >= round);
        }
    }
    last
}

fn meet(count: u32, rounds: u32) {
    let kernel = Kernel::new(&[0; 5]);
    let others: Vec<_> = (1..count)
        .map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || pass(&process, count, rounds))
        })
        .collect();
    let mut last = pass(&Process::new(&kernel, 0), count, rounds);
    for other in others {
        last += other.join().unwrap();
    }
    assert_eq!(last, rounds, "one comes last in each round");
}

#[test]
fn two_pass_together_twice() {
    check("gathering, 2 processes, 2 rounds", Some(2), || meet(2, 2));
}

#[test]
fn three_pass_together() {
    check("gathering, 3 processes", Some(1), || meet(3, 1));
}

#[test]
fn the_last_who_dies_before_he_has_woken_all_leaves_nobody_asleep() {
    check_deaths("gathering, 1 of 3 dies", Some(1), |at| {
        let kernel = Kernel::new(&[0; 5]);
        let victim = Process::mortal(&kernel, 3, Some(at));
        let victim = spawn(move || {
            let arrive = || gathering(&victim, 3).arrive(Deadline::Never).unwrap();
            victim.live(&ROBUST, arrive);
            victim.exchanges.get() > 0
        });
        let others = [1, 2].map(|token| {
            let process = Process::new(&kernel, token);
            spawn(move || gathering(&process, 3).arrive(Deadline::Never).unwrap())
        });
        let came = victim.join().unwrap();
        if !came {
            let stand_in = Process::new(&kernel, 100);
            gathering(&stand_in, 3).arrive(Deadline::Never).unwrap();
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn who_leaves_has_not_come() {
    check("gathering, a deadline", Some(3), || {
        let kernel = Kernel::new(&[0; 5]);
        let hurried = Process::new(&kernel, 1);
        let hurried = spawn(move || gathering(&hurried, 2).arrive(SOON));
        let clock = kernel.clone();
        let clock = spawn(move || clock.expire());
        let own = Process::new(&kernel, 0);
        let own_pass = gathering(&own, 2).arrive(SOON);
        clock.join().unwrap();
        match (hurried.join().unwrap(), own_pass) {
            (Ok(one), Ok(other)) => assert!(one != other, "one of them came last"),
            (one, other) => assert_eq!((one, other), (Err(Stop::TimedOut), Err(Stop::TimedOut))),
        }
        let arrived = own.word(ARRIVALS).load(Relaxed) % (1 << 16);
        assert_eq!(arrived, 0);
    });
}

#[test]
fn a_deadline_ends_the_wait_though_somebody_cleared_the_arrivals() {
    check("gathering, cleared", Some(2), || {
        let kernel = Kernel::new(&[0; 5]);
        let waits = Process::new(&kernel, 1);
        let waits = spawn(move || gathering(&waits, 2).arrive(SOON));
        Process::new(&kernel, 0).word(ARRIVALS).store(0, Relaxed);
        kernel.expire();
        assert_eq!(waits.join().unwrap(), Err(Stop::TimedOut));
    });
}
