// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring against a queue, over random histories: what is sent is received, in order, or counted as overwritten, and
//! there is room exactly when there should be.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::heap::Heap;
use super::{Send as _, recv};
use crate::deadline::Deadline::Now;
use crate::ring::failure::Failure;
use crate::ring::layout::{HEAD, Shape, TAIL, Units};
use crate::ring::position::WAITS;
use crate::ring::reader::Reader;
use crate::ring::record::units_of;
use crate::ring::seam::Memory;
use crate::ring::stats::Stats;
use crate::ring::writer::Writer;

#[derive(Clone, Debug)]
enum Op {
    Send(Vec<u8>),
    SendAll(Vec<Vec<u8>>),
    /// Writes in place, and commits or not.
    Reserve(Vec<u8>, bool),
    Recv,
    RecvMany(usize),
    /// Reads in place, and releases or not.
    Peek(bool),
    /// The other side says that it waits.
    Wait,
}

fn ops(record: impl Strategy<Value = Vec<u8>> + Clone) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => record.clone().prop_map(Op::Send),
        1 => vec(record.clone(), 0..6).prop_map(Op::SendAll),
        2 => (record, any::<bool>()).prop_map(|(record, commit)| Op::Reserve(record, commit)),
        4 => Just(Op::Recv),
        1 => (0_usize..8).prop_map(Op::RecvMany),
        2 => any::<bool>().prop_map(Op::Peek),
        1 => Just(Op::Wait),
    ];
    vec(op, 0..200)
}

/// What a ring should do.
struct Queue {
    shape: Shape,
    /// Records, with how many units each takes.
    records: VecDeque<(Vec<u8>, u32)>,
    tail: u32,
    used: u32,
    stats: Stats,
}

impl Queue {
    /// Whether there was room.
    fn send(&mut self, record: &[u8]) -> bool {
        let units = units_of(self.shape.units, record.len() as u32);
        let contiguous = self.shape.contiguous(self.tail);
        let need = units + if units <= contiguous { 0 } else { contiguous };
        while self.used + need > self.shape.count() {
            if !self.shape.overwrite {
                return false;
            }
            self.take().expect("a record fits in an empty ring");
            self.stats.overwritten += 1;
        }
        self.records.push_back((record.to_vec(), need));
        self.used += need;
        self.tail = (self.tail + need) % WAITS;
        self.stats.sent += 1;
        true
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let (record, units) = self.records.pop_front()?;
        self.used -= units;
        Some(record)
    }

    fn recv(&mut self) -> Option<Vec<u8>> {
        let record = self.take()?;
        self.stats.received += 1;
        Some(record)
    }
}

struct Pair {
    heap: Heap,
    writer: Writer<Heap>,
    reader: Reader<Heap>,
    queue: Queue,
}

impl Pair {
    fn new(shape: Shape, start: u32) -> Self {
        let heap = Heap::new(&shape);
        heap.set_word(TAIL, start);
        heap.set_word(HEAD, start);
        let queue = Queue {
            shape,
            records: VecDeque::new(),
            tail: start,
            used: 0,
            stats: Stats::default(),
        };
        Self {
            writer: heap.writer(shape, 1),
            reader: heap.reader(shape, 2),
            heap,
            queue,
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Send(record) => match self.writer.send(&record, Now) {
                Ok(()) => assert!(self.queue.send(&record)),
                Err(Failure::WouldBlock) => assert!(!self.queue.send(&record)),
                Err(failure) => panic!("{failure:?}"),
            },
            Op::SendAll(records) => {
                let sent = self
                    .writer
                    .send_all(records.iter(), |record| record, Now)
                    .unwrap();
                let expected = records
                    .iter()
                    .take_while(|record| self.queue.send(record))
                    .count();
                assert_eq!(sent, expected);
            }
            Op::Reserve(record, commit) => self.reserve(&record, commit),
            Op::Recv => match recv(&mut self.reader, Now) {
                Ok(record) => assert_eq!(Some(record), self.queue.recv()),
                Err(Failure::WouldBlock) => assert_eq!(self.queue.recv(), None),
                Err(failure) => panic!("{failure:?}"),
            },
            Op::RecvMany(max) => {
                let mut records = vec![];
                match self
                    .reader
                    .recv_many(Now, max, |len| vec![0; len], |record| record, &mut records)
                {
                    Ok(count) => assert_eq!(count, records.len()),
                    Err(Failure::WouldBlock) => assert!(records.is_empty()),
                    Err(failure) => panic!("{failure:?}"),
                }
                let expected: Vec<_> = (0..max).map_while(|_| self.queue.recv()).collect();
                assert_eq!(records, expected);
            }
            Op::Peek(release) => self.peek(release),
            Op::Wait => {
                for at in [HEAD, TAIL] {
                    let is_head = at == HEAD;
                    // Nobody waits for room where none is waited for.
                    if !(is_head && self.queue.shape.overwrite) {
                        self.heap.set_word(at, self.position(at) | WAITS);
                    }
                }
            }
        }
    }

    fn position(&self, at: usize) -> u32 {
        use crate::sync::seam::Word;
        self.heap.word(at).load(std::sync::atomic::Ordering::SeqCst) & !WAITS
    }

    fn reserve(&mut self, record: &[u8], commit: bool) {
        match self.writer.begin(record.len(), Now) {
            Ok(span) => {
                let core = &self.writer.core;
                core.memory.write(span.bytes_at(core), record);
                if commit {
                    self.writer.wrote(span);
                    self.writer.end().unwrap();
                    assert!(self.queue.send(record));
                } else {
                    self.writer.abandon().unwrap();
                    // What was overwritten for it is gone.
                    if self.queue.shape.overwrite {
                        let tail = self.queue.tail;
                        self.queue.send(record);
                        let (_, units) = self.queue.records.pop_back().unwrap();
                        self.queue.used -= units;
                        self.queue.tail = tail;
                        self.queue.stats.sent -= 1;
                    }
                }
            }
            Err(Failure::WouldBlock) => assert!(!self.queue.send(record)),
            Err(failure) => panic!("{failure:?}"),
        }
    }

    fn peek(&mut self, release: bool) {
        let span = match self.reader.begin(Now) {
            Ok(span) => span,
            Err(Failure::WouldBlock) => return assert!(self.queue.records.is_empty()),
            Err(failure) => panic!("{failure:?}"),
        };
        let mut record = vec![0; span.len as usize];
        let core = &self.reader.core;
        core.memory.read(span.bytes_at(core), &mut record);
        assert_eq!(
            self.queue.records.front().map(|(record, _)| record),
            Some(&record)
        );
        if release {
            self.reader.read(span);
            assert!(self.reader.end().unwrap());
            self.queue.recv();
        } else {
            self.reader.abandon().unwrap();
        }
    }

    fn check(&self) {
        let stats = Stats::of(&self.heap.core(self.queue.shape));
        let expected = Stats {
            capacity: self.queue.shape.bytes(),
            used: self.queue.shape.bytes_of(self.queue.used),
            ..self.queue.stats
        };
        assert_eq!(stats, expected);
        assert_eq!(
            stats.sent - stats.received - stats.overwritten,
            self.queue.records.len() as u64
        );
    }
}

fn run(shape: Shape, start: u32, ops: Vec<Op>) {
    let mut pair = Pair::new(shape, start);
    for op in ops {
        pair.step(op);
        pair.check();
    }
}

/// Where positions begin: also shortly before they wrap.
fn starts() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), (0..WAITS), (WAITS - 100..WAITS)]
}

proptest! {
    #[test]
    fn slots_are_a_queue(
        slots in 0_u32..5,
        start in starts(),
        overwrite: bool,
        many: bool,
        ops in ops(vec(any::<u8>(), 13..14)),
    ) {
        run(Shape::slots(1 << slots, 13).unwrap().used_by(many, many, overwrite), start, ops);
    }

    #[test]
    fn records_are_a_queue(
        bytes in 6_u32..10,
        start in starts(),
        overwrite: bool,
        many: bool,
        ops in ops(vec(any::<u8>(), 0..25)),
    ) {
        run(Shape::records(1 << bytes).unwrap().used_by(many, many, overwrite), start, ops);
    }
}

#[test]
fn a_record_that_is_too_long_is_refused_and_the_longest_fits_wherever_it_wraps() {
    let shape = Shape::records(256).unwrap();
    let max = shape.max_len();
    assert!(matches!(shape.units, Units::Records));
    for start in 0..64 {
        let mut pair = Pair::new(shape, start);
        let failure = pair.writer.send(&vec![0; max + 1], Now).unwrap_err();
        assert!(matches!(failure, Failure::TooLong { len, max: found } if len == max + 1 && found == max));
        pair.step(Op::Send(vec![7; max]));
        pair.step(Op::Recv);
        assert_eq!(pair.queue.stats.received, 1, "{start}");
        pair.check();
    }
}

#[test]
fn nobody_is_woken_who_does_not_wait() {
    let mut pair = Pair::new(Shape::slots(4, 8).unwrap(), 0);
    for _ in 0..10 {
        pair.step(Op::Send(vec![1; 8]));
        pair.step(Op::Recv);
    }
    assert_eq!(pair.heap.wakes(), 0);
    pair.step(Op::Wait);
    for _ in 0..10 {
        pair.step(Op::Send(vec![1; 8]));
        pair.step(Op::Recv);
    }
    assert_eq!(pair.heap.wakes(), 2, "one on each side, once");
    pair.step(Op::Wait);
    pair.step(Op::SendAll(vec![vec![1; 8]; 4]));
    pair.step(Op::RecvMany(4));
    assert_eq!(pair.heap.wakes(), 4, "a batch wakes once");
}
