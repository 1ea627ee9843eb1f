// SPDX-License-Identifier: MIT OR Apache-2.0

//! Readers and writers exclude each other, and nobody waits for the dead.

use std::sync::atomic::Ordering::Relaxed;

use super::{Kernel, ModelWord, Process, SOON, check, check_deaths, spawn};
use crate::deadline::Deadline;
use crate::sync::lock_word::{Found, make_clean};
use crate::sync::seam::Stop;
use crate::sync::seam::Word;
use crate::sync::slots::{self, Slots};
use crate::word::{Death, Waited};

const TURN: usize = 0;
const WRITER: usize = 1;
/// Two words that a writer changes and that are never different for a reader.
const HALVES: [usize; 2] = [2, 3];
const FIRST_SLOT: usize = 4;

/// A lock with so many slots.
struct Lock<'a>(&'a Process, usize);

impl Slots for Lock<'_> {
    type Error = ();
    type Word<'b>
        = ModelWord
    where
        Self: 'b;

    fn token(&self) -> u32 {
        self.0.token
    }

    fn turn(&self) -> ModelWord {
        self.0.word(TURN)
    }

    fn writer(&self) -> ModelWord {
        self.0.word(WRITER)
    }

    fn slot(&self, index: usize) -> ModelWord {
        self.0.word(FIRST_SLOT + index)
    }

    fn count(&self) -> usize {
        self.1
    }

    fn first(&self) -> usize {
        self.0.token as usize % self.1
    }

    fn tend(&self, _index: usize) -> Result<(), ()> {
        Ok(())
    }

    fn wait_slots(&self, seen: &[u32], deadline: Deadline) -> Result<Waited, ()> {
        if !self.0.step() {
            return Ok(Waited::Changed);
        }
        let words: Vec<_> = (FIRST_SLOT..).zip(seen.iter().copied()).collect();
        Ok(self.0.kernel.wait(&words, deadline))
    }
}

fn kernel(slots: usize) -> std::sync::Arc<Kernel> {
    Kernel::new(&vec![0; FIRST_SLOT + slots])
}

fn robust(slots: usize) -> Vec<(usize, Death)> {
    [TURN, WRITER]
        .into_iter()
        .chain(FIRST_SLOT..FIRST_SLOT + slots)
        .map(|word| (word, Death::Mark))
        .collect()
}

fn read(process: &Process, slots: usize) -> Found {
    let lock = Lock(process, slots);
    let (slot, found) = slots::read(&lock, Deadline::Never).unwrap();
    let halves = HALVES.map(|half| process.word(half).load(Relaxed));
    if found == Found::Clean {
        assert_eq!(halves[0], halves[1], "a reader sees half of what a writer did");
    }
    slots::end_read(&lock, slot).unwrap();
    found
}

fn write(process: &Process, slots: usize) -> Found {
    let lock = Lock(process, slots);
    let found = slots::write(&lock, Deadline::Never).unwrap();
    let now = HALVES.map(|half| process.word(half).load(Relaxed));
    for half in HALVES {
        process.word(half).store(now[0] + 1, Relaxed);
    }
    make_clean(&lock.writer());
    slots::end_write(&lock).unwrap();
    found
}

#[derive(Clone, Copy)]
enum Role {
    Reader,
    Writer,
}
use Role::{Reader, Writer};

impl Role {
    fn play(self, process: &Process, slots: usize) -> Found {
        match self {
            Reader => read(process, slots),
            Writer => write(process, slots),
        }
    }
}

fn exclusion(roles: &[Role], slots: usize) {
    let kernel = kernel(slots);
    let mut players: Vec<_> = (1..)
        .zip(roles.iter().copied())
        .map(|(token, role)| {
            let process = Process::new(&kernel, token);
            move || role.play(&process, slots)
        })
        .collect();
    let own = players.pop().unwrap();
    let others: Vec<_> = players.into_iter().map(spawn).collect();
    assert_eq!(own(), Found::Clean);
    for other in others {
        assert_eq!(other.join().unwrap(), Found::Clean);
    }
    let writers = roles.iter().filter(|role| matches!(role, Writer)).count();
    let process = Process::new(&kernel, 100);
    assert_eq!(process.word(HALVES[0]).load(Relaxed), writers as u32);
}

#[test]
fn a_reader_and_a_writer_exclude_each_other() {
    check("slots, reader and writer", None, || {
        exclusion(&[Reader, Writer], 1);
    });
}

#[test]
fn two_writers_exclude_each_other() {
    check("slots, 2 writers", Some(3), || exclusion(&[Writer, Writer], 1));
}

#[test]
fn two_readers_share_one_slot_in_turn() {
    check("slots, 2 readers of 1 slot", None, || {
        exclusion(&[Reader, Reader], 1);
    });
}

#[test]
fn two_readers_and_a_writer_exclude_each_other() {
    check("slots, 2 readers and a writer", Some(1), || {
        exclusion(&[Reader, Reader, Writer], 2);
    });
}

#[test]
fn two_readers_of_one_slot_and_a_writer_exclude_each_other() {
    check("slots, 2 readers of 1 slot and a writer", Some(1), || {
        exclusion(&[Reader, Reader, Writer], 1);
    });
}

/// One dies at any point; the others are not kept by that.
fn death(at: usize, victim_is: Role, others: &[Role]) {
    let slots = 1;
    let kernel = kernel(slots);
    let victim = Process::mortal(&kernel, 1, Some(at));
    let dies = spawn(move || {
        let held = victim.live(&robust(slots), || victim_is.play(&victim, slots));
        let writer_died = Found::of(Process::new(&victim.kernel, 9).word(WRITER).fetch_add(0, Relaxed));
        (held, writer_died)
    });
    let others: Vec<_> = (2..)
        .zip(others.iter().copied())
        .map(|(token, role)| {
            let process = Process::new(&kernel, token);
            spawn(move || (role.play(&process, slots), matches!(role, Writer)))
        })
        .collect();
    let mut told = 0;
    for other in others {
        told += usize::from(other.join().unwrap() == (Found::OwnerDied, true));
    }
    let (held, _) = dies.join().unwrap();
    match victim_is {
        Reader => assert_eq!(told, 0, "a dead reader is nobody's business"),
        Writer => assert!(told <= held.unwrap_or(0), "one writer is told of a death"),
    }
    let writer = Process::new(&kernel, 100).word(WRITER).load(Relaxed);
    assert!(writer & crate::uapi::WORD_TOKEN == 0);
}

#[test]
fn a_dead_reader_keeps_no_writer() {
    check_deaths("slots, a reader dies, a writer", Some(2), |at| {
        death(at, Reader, &[Writer]);
    });
}

#[test]
fn a_dead_reader_keeps_no_reader() {
    check_deaths("slots, a reader dies, a reader", Some(2), |at| {
        death(at, Reader, &[Reader]);
    });
}

#[test]
fn a_dead_writer_keeps_no_reader() {
    check_deaths("slots, a writer dies, a reader", Some(2), |at| {
        death(at, Writer, &[Reader]);
    });
}

#[test]
fn a_dead_writer_keeps_no_writer() {
    check_deaths("slots, a writer dies, a writer", Some(2), |at| {
        death(at, Writer, &[Writer]);
    });
}

#[test]
fn a_dead_writer_keeps_neither_of_two() {
    check_deaths("slots, a writer dies, a reader and a writer", Some(1), |at| {
        death(at, Writer, &[Reader, Writer]);
    });
}

#[test]
fn a_dead_reader_keeps_neither_of_two() {
    check_deaths("slots, a reader dies, a reader and a writer", Some(1), |at| {
        death(at, Reader, &[Reader, Writer]);
    });
}

#[test]
fn a_writer_whose_deadline_comes_leaves_no_trace() {
    check("slots, a writer's deadline", Some(2), || {
        let kernel = kernel(1);
        let reader = Process::new(&kernel, 1);
        let lock = Lock(&reader, 1);
        let (slot, _) = slots::read(&lock, Deadline::Now).unwrap();
        let hurried = Process::new(&kernel, 2);
        let hurried = spawn(move || slots::write(&Lock(&hurried, 1), SOON));
        let clock = kernel.clone();
        let clock = spawn(move || clock.expire());
        assert_eq!(hurried.join().unwrap(), Err(Stop::TimedOut));
        clock.join().unwrap();
        slots::end_read(&lock, slot).unwrap();
        assert_eq!(slots::write(&lock, Deadline::Now), Ok(Found::Clean));
        assert_eq!(slots::read(&lock, Deadline::Now), Err(Stop::Busy));
    });
}

#[test]
fn nobody_overtakes_who_has_the_turn() {
    check("slots, a reader behind one who waits", None, || {
        let kernel = kernel(1);
        let process = Process::new(&kernel, 1);
        process.word(TURN).store(2, Relaxed);
        let read = slots::read(&Lock(&process, 1), Deadline::Now);
        assert_eq!(read, Err(Stop::Busy));
    });
}
