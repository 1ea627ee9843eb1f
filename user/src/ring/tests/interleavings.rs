// SPDX-License-Identifier: MIT OR Apache-2.0

//! Small rings in every order that the memory model allows: nothing is lost, doubled or torn, and nobody sleeps on. The
//! kernel, and deaths, are those of `sync::models`; a ring's bytes are atomics that order nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicU64 as Unmodelled;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use loom::sync::atomic::AtomicU64;

use super::Send as _;
use crate::deadline::Deadline::{Never, Now};
use crate::ring::core::Core;
use crate::ring::failure::Failure;
use crate::ring::layout::{HEAD, READERS, Shape, TAIL, UNITS, WRITERS};
use crate::ring::reader::Reader;
use crate::ring::record::UNIT;
use crate::ring::seam::{Counters, Memory};
use crate::ring::stats::Stats;
use crate::ring::writer::Writer;
use crate::sync::models::{Kernel, ModelWord, Process, check, check_deaths, spawn};
use crate::word::Death;

/// Where the words of a ring are in the model.
const WORDS: [usize; 4] = [TAIL, HEAD, WRITERS, READERS];

fn index(at: usize) -> usize {
    WORDS
        .iter()
        .position(|&word| word == at)
        .expect("a word of a ring")
}

/// A ring that processes share.
#[derive(Clone)]
struct Ring {
    kernel: Arc<Kernel>,
    shape: Shape,
    cells: Arc<Vec<AtomicU64>>,
    /// They order nothing, and are not what is looked for.
    counters: Arc<Vec<Unmodelled>>,
}

impl Ring {
    fn new(shape: Shape) -> Self {
        Self {
            kernel: Kernel::new(&[0; WORDS.len()]),
            shape,
            cells: Arc::new((0..shape.bytes() / UNIT).map(|_| AtomicU64::new(0)).collect()),
            counters: Arc::new((0..UNITS / 8).map(|_| Unmodelled::new(0)).collect()),
        }
    }

    fn seen_by(&self, process: &Process) -> Core<Seen> {
        Core {
            memory: Seen {
                process: process.clone(),
                ring: self.clone(),
            },
            shape: self.shape,
        }
    }

    fn writer(&self, token: u32) -> Writer<Seen> {
        writer(self, &Process::new(&self.kernel, token), token)
    }

    fn reader(&self, token: u32) -> Reader<Seen> {
        let core = self.seen_by(&Process::new(&self.kernel, token));
        Reader::claim(core, token).unwrap().expect("it is free")
    }

    fn stats(&self) -> Stats {
        Stats::of(&self.seen_by(&Process::new(&self.kernel, 1000)))
    }
}

fn writer(ring: &Ring, process: &Process, token: u32) -> Writer<Seen> {
    Writer::claim(ring.seen_by(process), token)
        .unwrap()
        .expect("it is free")
}

/// A ring as one process sees it.
struct Seen {
    process: Process,
    ring: Ring,
}

impl Memory for Seen {
    type Error = ();
    type Word<'a> = ModelWord;
    type Counters<'a> = &'a Self;

    fn word(&self, at: usize) -> ModelWord {
        self.process.word(index(at))
    }

    fn counters(&self) -> &Self {
        self
    }

    fn cell(&self, at: usize) -> u64 {
        self.ring.cells[at / UNIT].load(Relaxed)
    }

    fn set_cell(&self, at: usize, value: u64) {
        self.ring.cells[at / UNIT].store(value, Relaxed);
    }

    fn read(&self, at: usize, to: &mut [u8]) {
        for (to, at) in to.chunks_exact_mut(UNIT).zip((at..).step_by(UNIT)) {
            to.copy_from_slice(&self.cell(at).to_ne_bytes());
        }
    }

    fn write(&self, at: usize, from: &[u8]) {
        for (from, at) in from.chunks_exact(UNIT).zip((at..).step_by(UNIT)) {
            self.set_cell(at, u64::from_ne_bytes(from.try_into().unwrap()));
        }
    }
}

impl Counters for &Seen {
    fn get(&self, at: usize) -> u64 {
        self.ring.counters[at / 8].load(SeqCst)
    }

    fn set(&self, at: usize, value: u64) {
        self.ring.counters[at / 8].store(value, SeqCst);
    }
}

/// Record number `n`: two cells that must belong together.
fn record(n: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_ne_bytes());
    bytes[8..].copy_from_slice(&(!n).to_ne_bytes());
    bytes
}

fn number(record: &[u8]) -> u64 {
    let half = |at: usize| u64::from_ne_bytes(record[at..at + 8].try_into().unwrap());
    assert_eq!(half(0), !half(8), "torn");
    half(0)
}

fn recv(reader: &mut Reader<Seen>, deadline: crate::Deadline) -> Result<u64, Failure<()>> {
    Ok(number(&super::recv(reader, deadline)?))
}

fn slots(count: usize) -> Shape {
    Shape::slots(count, 16).unwrap()
}

/// One sends 1 to `count`, the other receives them.
fn one_to_one(shape: Shape, count: u64) {
    let ring = Ring::new(shape);
    let mut reader = ring.reader(2);
    let receives = spawn(move || {
        for n in 1..=count {
            assert_eq!(recv(&mut reader, Never).unwrap(), n);
        }
    });
    let mut writer = ring.writer(1);
    for n in 1..=count {
        writer.send(&record(n), Never).unwrap();
    }
    receives.join().unwrap();
    let stats = ring.stats();
    assert_eq!((stats.sent, stats.received, stats.used), (count, count, 0));
}

#[test]
fn one_sends_to_one_through_one_slot() {
    check("ring, 1 slot, 2 records", None, || one_to_one(slots(1), 2));
}

#[test]
fn one_sends_to_one_through_two_slots() {
    check("ring, 2 slots, 3 records", Some(4), || one_to_one(slots(2), 3));
}

#[test]
fn one_sends_to_one_records_that_wrap() {
    // Eight units, three a record: the third is after the wrap, and waits for the first.
    check("ring, records, 3 of them, wrapping", Some(3), || {
        one_to_one(Shape::records(64).unwrap(), 3);
    });
}

#[test]
fn a_batch_is_received_as_one() {
    check("ring, 2 slots, batches of 3", Some(3), || {
        let ring = Ring::new(slots(2));
        let mut reader = ring.reader(2);
        let receives = spawn(move || {
            let mut records = vec![];
            while records.len() < 3 {
                reader
                    .recv_many(Never, 3, |len| vec![0; len], |record| record, &mut records)
                    .unwrap();
            }
            let numbers: Vec<_> = records.iter().map(|record| number(record)).collect();
            assert_eq!(numbers, [1, 2, 3]);
        });
        let records = [1, 2, 3].map(record);
        let sent = ring
            .writer(1)
            .send_all(records.iter(), |record| &record[..], Never);
        assert_eq!(sent.unwrap(), 3);
        receives.join().unwrap();
    });
}

#[test]
fn what_is_overwritten_is_counted_and_what_is_received_is_whole() {
    check("ring, 2 slots, 4 records, overwriting", Some(3), || {
        let ring = Ring::new(slots(2).used_by(false, false, true));
        let mut reader = ring.reader(2);
        let receives = spawn(move || {
            let mut last = 0;
            for _ in 0..2 {
                if let Ok(n) = recv(&mut reader, Now) {
                    assert!(n > last, "in order");
                    last = n;
                }
            }
            (reader, last)
        });
        let mut writer = ring.writer(1);
        for n in 1..=4 {
            writer.send(&record(n), Never).unwrap();
        }
        let (mut reader, mut last) = receives.join().unwrap();
        while let Ok(n) = recv(&mut reader, Now) {
            assert!(n > last, "in order");
            last = n;
        }
        assert_eq!(last, 4, "the newest is never lost");
        let stats = ring.stats();
        assert_eq!((stats.sent, stats.received + stats.overwritten), (4, 4));
    });
}

#[test]
fn who_waits_where_records_are_overwritten_is_woken() {
    check("ring, 1 slot, overwriting, 1 waits", Some(3), || {
        let ring = Ring::new(slots(1).used_by(false, false, true));
        let mut reader = ring.reader(2);
        let receives = spawn(move || while recv(&mut reader, Never).unwrap() < 2 {});
        let mut writer = ring.writer(1);
        for n in 1..=2 {
            writer.send(&record(n), Never).unwrap();
        }
        receives.join().unwrap();
    });
}

/// Senders send one record each, receivers receive as many together.
fn many_to_many(senders: u32, receivers: u32, slot_count: usize) {
    let ring = Ring::new(slots(slot_count).used_by(true, true, false));
    let receives: Vec<_> = (0..receivers)
        .map(|token| {
            let mut reader = ring.reader(10 + token);
            spawn(move || {
                (0..senders / receivers)
                    .map(|_| recv(&mut reader, Never).unwrap())
                    .sum::<u64>()
            })
        })
        .collect();
    let sends: Vec<_> = (2..=senders)
        .map(|token| {
            let mut writer = ring.writer(token);
            spawn(move || writer.send(&record(token.into()), Never).unwrap())
        })
        .collect();
    ring.writer(1).send(&record(1), Never).unwrap();
    sends.into_iter().for_each(|send| send.join().unwrap());
    let sum: u64 = receives.into_iter().map(|receive| receive.join().unwrap()).sum();
    assert_eq!(sum, u64::from(senders * (senders + 1) / 2));
    let stats = ring.stats();
    assert_eq!((stats.sent, stats.received), (senders.into(), senders.into()));
}

#[test]
fn two_send_to_one_through_one_slot() {
    check("ring, 1 slot, 2 senders, 1 receiver", Some(2), || {
        many_to_many(2, 1, 1);
    });
}

/// Two sleep until one sends two records, one after the other: each gets one.
#[test]
fn each_of_two_that_wait_gets_one() {
    check("ring, 2 slots, 1 sender, 2 receivers", Some(2), || {
        let ring = Ring::new(slots(2).used_by(false, true, false));
        let receives = [10, 11].map(|token| {
            let mut reader = ring.reader(token);
            spawn(move || recv(&mut reader, Never).unwrap())
        });
        let mut writer = ring.writer(1);
        for n in 1..=2 {
            writer.send(&record(n), Never).unwrap();
        }
        let sum: u64 = receives.map(|receive| receive.join().unwrap()).iter().sum();
        assert_eq!(sum, 3);
    });
}

/// What an end with that lock has the kernel tend.
fn robust(lock: usize) -> [(usize, Death); 3] {
    [
        (index(lock), Death::Mark),
        (index(HEAD), Death::WakeOnly),
        (index(TAIL), Death::WakeOnly),
    ]
}

#[test]
fn a_receiver_who_dies_leaves_the_others_awake() {
    check_deaths("ring, 1 of 2 receivers dies", Some(1), |at| {
        let ring = Ring::new(slots(2).used_by(false, true, false));
        let victim = Process::mortal(&ring.kernel, 10, Some(at));
        let dying = ring.clone();
        let victim = spawn(move || {
            let robust = robust(READERS);
            victim.live(&robust, || {
                let core = dying.seen_by(&victim);
                let mut reader = Reader::claim(core, 10).unwrap().expect("many may");
                recv(&mut reader, Never).unwrap();
            })
        });
        let mut reader = ring.reader(11);
        let receives = spawn(move || recv(&mut reader, Never).unwrap());
        let mut writer = ring.writer(1);
        for n in 1..=2 {
            writer.send(&record(n), Never).unwrap();
        }
        // One record is for the other one, whether the dead one took its own or not.
        let received = receives.join().unwrap();
        assert!(received == 1 || received == 2);
        victim.join().unwrap();
    });
}

#[test]
fn a_receiver_who_dies_owes_no_room() {
    check_deaths("ring, the receiver of 1 slot dies", Some(2), |at| {
        let ring = Ring::new(slots(1).used_by(false, true, false));
        let (dying, next) = (ring.clone(), ring.clone());
        let receives = spawn(move || {
            let victim = Process::mortal(&dying.kernel, 10, Some(at));
            victim.live(&robust(READERS), || {
                let core = dying.seen_by(&victim);
                let mut reader = Reader::claim(core, 10).unwrap().expect("many may");
                recv(&mut reader, Never).unwrap();
            });
            // The last one at least is for the next one.
            let mut reader = next.reader(11);
            while recv(&mut reader, Never).unwrap() < 2 {}
        });
        let mut writer = ring.writer(1);
        for n in 1..=2 {
            writer.send(&record(n), Never).unwrap();
        }
        receives.join().unwrap();
        let stats = ring.stats();
        assert_eq!((stats.sent, stats.received), (2, 2));
        assert!(stats.lost_receiving <= 1);
    });
}

#[test]
fn a_sender_who_dies_loses_what_it_was_writing_at_most() {
    check_deaths("ring, the sender to 1 slot dies", Some(2), |at| {
        let ring = Ring::new(slots(1).used_by(true, false, false));
        let (dying, next) = (ring.clone(), ring.clone());
        let mut reader = ring.reader(10);
        let receives = spawn(move || {
            let first = recv(&mut reader, Never).unwrap();
            if first == 3 {
                assert_eq!(recv(&mut reader, Never).unwrap(), 2, "it is there once");
            }
            first
        });
        let victim = Process::mortal(&dying.kernel, 3, Some(at));
        victim.live(&robust(WRITERS), || {
            writer(&dying, &victim, 3).send(&record(3), Never).unwrap();
        });
        next.writer(2).send(&record(2), Never).unwrap();
        let sent = if receives.join().unwrap() == 3 { 2 } else { 1 };
        let stats = ring.stats();
        assert_eq!((stats.sent, stats.received), (sent, sent));
        assert!(sent + stats.lost_sending <= 2, "what was sent is not lost");
    });
}

#[test]
fn a_short_record_does_not_wait_behind_a_long_one() {
    check("ring, a long and a short record wait", Some(2), || {
        let ring = Ring::new(Shape::records(64).unwrap().used_by(true, false, false));
        let mut first = ring.writer(1);
        for _ in 0..8 {
            first.send(&[], Now).unwrap();
        }
        let (mut long, mut short) = (ring.writer(2), ring.writer(3));
        let long = spawn(move || long.send(&record(1), Never).unwrap());
        let short = spawn(move || short.send(&[], Never).unwrap());
        let mut reader = ring.reader(9);
        let mut recv = || reader.recv(Never, |len| vec![0; len], |record| record).unwrap();
        recv();
        // There is room for the short one alone.
        short.join().unwrap();
        (0..8).for_each(|_| drop(recv()));
        long.join().unwrap();
    });
}
