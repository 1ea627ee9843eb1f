// SPDX-License-Identifier: MIT OR Apache-2.0

//! Those who await a flag or permits, with an eventfd, beside those who sleep: all get what is theirs, and who gives up
//! keeps nothing from others.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use loom::sync::{Condvar, Mutex};

use super::{Kernel, ModelWord, Process, check, check_deaths, spawn};
use crate::deadline::Deadline;
use crate::sync::permits::{acquire, acquire_or_announce, count, release};
use crate::sync::seam::Word;
use crate::sync::{flag, permits};
use crate::word::Death;

const WORD: usize = 0;
const ROBUST: [(usize, Death); 1] = [(WORD, Death::WakeOnly)];

/// What a thread awaits.
pub(super) struct Eventfd {
    signalled: Mutex<bool>,
    /// Not `unpark`, which in `loom` also ends a wait for a mutex.
    signal: Condvar,
}

impl Eventfd {
    fn read(&self) {
        let mut signalled = self.signalled.lock().unwrap();
        while !std::mem::take(&mut *signalled) {
            signalled = self.signal.wait(signalled).unwrap();
        }
    }
}

/// Signals all that are on this word.
pub(super) fn signal(eventfds: &[(usize, Arc<Eventfd>)], word: usize) {
    for (_, eventfd) in eventfds.iter().filter(|(on, _)| *on == word) {
        *eventfd.signalled.lock().unwrap() = true;
        eventfd.signal.notify_one();
    }
}

impl Kernel {
    fn add_eventfd(&self, word: usize) -> Arc<Eventfd> {
        let eventfd = Arc::new(Eventfd {
            signalled: Mutex::new(false),
            signal: Condvar::new(),
        });
        self.state.lock().unwrap().eventfds.push((word, eventfd.clone()));
        eventfd
    }

    fn remove_eventfd(&self, eventfd: &Arc<Eventfd>) {
        let mut state = self.state.lock().unwrap();
        state.eventfds.retain(|(_, other)| !Arc::ptr_eq(other, eventfd));
    }
}

/// As `readiness::until`, but it gives up after so many looks; whether it found something.
fn awaits(process: &Process, looks: usize, look: fn(&ModelWord) -> bool) -> bool {
    let word = process.word(WORD);
    if look(&word) {
        return true;
    }
    let eventfd = process.kernel.add_eventfd(WORD);
    let mut found = look(&word);
    for _ in 1..looks {
        if found {
            break;
        }
        eventfd.read();
        found = look(&word);
    }
    process.kernel.remove_eventfd(&eventfd);
    found
}

fn give(process: &Process, permits: u32) {
    assert_eq!(release(&process.word(WORD), permits, permits::MAX), Ok(true));
}

/// One sleeps and others await; as many permits are given as there are of them. Who gives up after one look leaves his.
fn trade(sleepers: u32, looks: &'static [usize], pieces: &[u32]) {
    let kernel = Kernel::new(&[0]);
    let sleepers: Vec<_> = (0..sleepers)
        .map(|index| {
            let process = Process::new(&kernel, 2 + index);
            spawn(move || acquire(&process.word(WORD), Deadline::Never).unwrap())
        })
        .collect();
    let awaiting: Vec<_> = looks
        .iter()
        .map(|&looks| {
            let process = Process::new(&kernel, 9);
            spawn(move || awaits(&process, looks, acquire_or_announce))
        })
        .collect();
    let own = Process::new(&kernel, 1);
    pieces.iter().for_each(|&piece| give(&own, piece));
    let mut rest: u32 = pieces.iter().sum();
    for sleeper in sleepers {
        sleeper.join().unwrap();
        rest -= 1;
    }
    for (awaiting, &looks) in awaiting.into_iter().zip(looks) {
        let found = awaiting.join().unwrap();
        assert!(found || looks == 1, "it has what it awaits");
        rest -= u32::from(found);
    }
    assert_eq!(count(own.word(WORD).load(Acquire)), rest);
}

/// More often than there are wake-ups.
const PATIENT: usize = 9;

#[test]
fn permits_reach_who_awaits_them() {
    check("permits, 1 awaits", None, || trade(0, &[PATIENT], &[1]));
}

#[test]
fn permits_reach_those_who_sleep_and_those_who_await() {
    check("permits, 1 sleeps, 1 awaits, 2 at once", Some(2), || {
        trade(1, &[PATIENT], &[2]);
    });
    check("permits, 1 sleeps, 1 awaits, 1 and 1", Some(2), || {
        trade(1, &[PATIENT], &[1, 1]);
    });
    check("permits, 2 await, 1 and 1", Some(2), || {
        trade(0, &[PATIENT, PATIENT], &[1, 1]);
    });
}

#[test]
fn who_gives_up_keeps_no_permit_from_others() {
    check("permits, 1 sleeps, 1 gives up", Some(3), || {
        trade(1, &[1], &[1, 1]);
    });
    check("permits, 1 awaits, 1 gives up", Some(3), || {
        trade(0, &[PATIENT, 1], &[1, 1]);
    });
}

#[test]
fn a_flag_reaches_those_who_sleep_and_those_who_await_though_one_setter_dies() {
    check_deaths("flag, 1 sleeps, 1 awaits, 1 setter dies", Some(1), |at| {
        let kernel = Kernel::new(&[0]);
        let process = Process::new(&kernel, 3);
        let awaiting = spawn(move || assert!(awaits(&process, PATIENT, flag::is_set_or_announce)));
        let process = Process::new(&kernel, 4);
        let sleeping = spawn(move || {
            process.live(&ROBUST, || {
                flag::wait(&process.word(WORD), Deadline::Never).unwrap();
            })
        });
        let victim = Process::mortal(&kernel, 2, Some(at));
        let died = victim.live(&ROBUST, || flag::set(&victim.word(WORD)).unwrap());
        if died.is_some() && !flag::is_set(victim.kernel.values[WORD].load(Acquire)) {
            flag::set(&Process::new(&kernel, 1).word(WORD)).unwrap();
        }
        awaiting.join().unwrap();
        sleeping.join().unwrap();
    });
}
