// SPDX-License-Identifier: MIT OR Apache-2.0

//! Deadlines are kept, and notifications end, though a word changes each time that one looks.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::sync::gathering::Gathering;
use crate::sync::seam::{Stop, Word};
use crate::sync::sequence::Sequence;
use crate::sync::slots::{self, Slots};
use crate::sync::{flag, lock_word, once_word, permits};
use crate::word::Waited;

/// So many accesses are for ever.
const FOR_EVER: u32 = 50_000_000;

/// A word that is another one of two values for each access, and that nobody can sleep on.
struct Restless {
    values: [u32; 2],
    accesses: Cell<u32>,
    /// An exchange never succeeds.
    exchanges: bool,
    woken: Cell<u32>,
}

impl Restless {
    fn new(values: [u32; 2], exchanges: bool) -> Self {
        Self {
            values,
            accesses: Cell::new(0),
            exchanges,
            woken: Cell::new(0),
        }
    }

    fn next(&self) -> u32 {
        let access = self.accesses.get();
        assert!(access < FOR_EVER, "it goes on for ever");
        self.accesses.set(access + 1);
        self.values[access as usize % 2]
    }
}

impl Word for &Restless {
    type Error = ();

    fn load(&self, _: Ordering) -> u32 {
        self.next()
    }

    fn store(&self, _: u32, _: Ordering) {}

    fn swap(&self, _: u32, _: Ordering) -> u32 {
        self.next()
    }

    fn fetch_add(&self, _: u32, _: Ordering) -> u32 {
        self.next()
    }

    fn fetch_sub(&self, _: u32, _: Ordering) -> u32 {
        self.next()
    }

    fn fetch_and(&self, _: u32, _: Ordering) -> u32 {
        self.next()
    }

    fn fetch_or(&self, _: u32, _: Ordering) -> u32 {
        self.next()
    }

    fn compare_exchange(&self, current: u32, _: u32, _: Ordering, _: Ordering) -> Result<u32, u32> {
        match self.exchanges {
            true => Ok(current),
            false => Err(self.next()),
        }
    }

    fn wait(&self, _: u32, _: Deadline) -> Result<Waited, ()> {
        Ok(Waited::Changed)
    }

    fn wake(&self, count: u32) -> Result<u32, ()> {
        self.woken.set(count);
        Ok(0)
    }

    fn wake_one_requeue_all(&self, _: u32, _: &Self) -> Result<bool, ()> {
        self.next();
        Ok(false)
    }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(5))
}

#[test]
fn deadlines_are_kept_though_a_word_does_not_stand_still() {
    for exchanges in [false, true] {
        // Tokens, no permits, not set.
        let held = &Restless::new([2, 3], exchanges);
        assert_eq!(lock_word::lock_for_others(&held, 1, soon()), Err(Stop::TimedOut));
        assert!(matches!(once_word::claim(&held, 1, soon()), Err(Stop::TimedOut)));
        let none = &Restless::new([0, 0], exchanges);
        assert_eq!(permits::acquire(&none, soon()), Err(Stop::TimedOut));
        let unset = &Restless::new([2, 4], exchanges);
        assert_eq!(flag::wait(&unset, soon()), Err(Stop::TimedOut));
    }
}

#[test]
fn a_gathering_keeps_its_deadline_though_arrivals_do_not_stand_still() {
    let arrivals = &Restless::new([0, 1], true);
    let gathering = Gathering {
        arrivals,
        owed: arrivals,
        count: 5,
    };
    assert_eq!(gathering.arrive(soon()), Err(Stop::TimedOut));
}

/// A lock whose slots are all taken, by one after the other.
struct Crowded {
    free: Restless,
    taken: Restless,
}

impl Slots for Crowded {
    type Error = ();
    type Word<'a> = &'a Restless;

    fn token(&self) -> u32 {
        1
    }

    fn turn(&self) -> &Restless {
        &self.free
    }

    fn writer(&self) -> &Restless {
        &self.free
    }

    fn slot(&self, _: usize) -> &Restless {
        &self.taken
    }

    fn count(&self) -> usize {
        2
    }

    fn first(&self) -> usize {
        0
    }

    fn tend(&self, _: usize) -> Result<(), ()> {
        Ok(())
    }

    fn wait_slots(&self, _: &[u32], _: Deadline) -> Result<Waited, ()> {
        Ok(Waited::Changed)
    }
}

#[test]
fn a_reader_keeps_its_deadline_though_slots_do_not_stand_still() {
    for exchanges in [false, true] {
        let lock = Crowded {
            free: Restless::new([0, 0], true),
            taken: Restless::new([2, 3], exchanges),
        };
        assert_eq!(slots::read(&lock, soon()), Err(Stop::TimedOut));
    }
}

#[test]
fn a_notification_to_all_ends_though_the_sequence_does_not_stand_still() {
    let sequence = &Restless::new([1, 2], true);
    let words = Sequence {
        sequence,
        waiters: sequence,
    };
    words.notify_all(&sequence).unwrap();
    assert_eq!(sequence.woken.get(), u32::MAX);
}
