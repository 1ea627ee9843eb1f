// SPDX-License-Identifier: MIT OR Apache-2.0

//! Anything may be written into a ring by those who can: then operations fail or deliver nonsense, but end, and touch
//! nothing else.

use std::sync::atomic::{AtomicBool, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;

use super::heap::Heap;
use super::{Send as _, recv};
use crate::deadline::Deadline::Now;
use crate::ring::failure::Failure;
use crate::ring::layout::{HEAD, READERS, Shape, TAIL, UNITS, WRITERS};
use crate::ring::reader::Reader;
use crate::ring::record::{WRAPS, header};
use crate::ring::seam::{Counters, Memory};
use crate::ring::stats::Stats;
use crate::ring::writer::Writer;

/// Somebody writes this somewhere.
#[derive(Clone, Debug)]
enum Meddling {
    Word(usize, u32),
    Counter(usize, u64),
    Cell(usize, u64),
}

fn meddling() -> impl Strategy<Value = Meddling> {
    let word = prop_oneof![any::<u32>(), 0..64_u32, Just(1 << 31), Just(u32::MAX)];
    let place = prop_oneof![Just(TAIL), Just(HEAD), Just(WRITERS), Just(READERS)];
    let cell = prop_oneof![
        any::<u64>(),
        Just(WRAPS),
        any::<u32>().prop_map(header),
        (0..256_u32).prop_map(header)
    ];
    prop_oneof![
        (place, word).prop_map(|(at, value)| Meddling::Word(at, value)),
        (0..UNITS / 8, any::<u64>()).prop_map(|(at, value)| Meddling::Counter(at * 8, value)),
        (any::<usize>(), cell).prop_map(|(at, value)| Meddling::Cell(at, value)),
    ]
}

fn meddle(heap: &Heap, shape: &Shape, meddling: &Meddling) {
    match *meddling {
        Meddling::Word(at, value) => heap.set_word(at, value),
        Meddling::Counter(at, value) => heap.counters().set(at, value),
        Meddling::Cell(at, value) => heap.set_cell(at % (shape.bytes() / 8) * 8, value),
    }
}

/// Each step writes something and does everything once. What comes out is not looked at.
fn run(shape: Shape, steps: &[Vec<Meddling>]) {
    let heap = Heap::new(&shape);
    let mut writer = Some(heap.writer(shape, 1));
    let mut reader = Some(heap.reader(shape, 2));
    let len = shape.max_len();
    for step in steps {
        for meddling in step {
            meddle(&heap, &shape, meddling);
        }
        if let Some(writer) = &mut writer {
            let _ = writer.send(&vec![1; len], Now);
            let _ = writer.send_all(vec![vec![2; len]; 3].iter(), |record| record, Now);
            if writer.begin(len, Now).is_ok() {
                let _ = writer.abandon();
            }
        }
        if let Some(reader) = &mut reader {
            let _ = recv(reader, Now);
            let mut records = vec![];
            let _ = reader.recv_many(Now, 1000, |len| vec![0; len], |record| record, &mut records);
            assert!(records.len() <= 1000 && records.iter().all(|record| record.len() <= shape.bytes()));
            if reader.begin(Now).is_ok() {
                let _ = reader.abandon();
            }
        }
        let stats = Stats::of(&heap.core(shape));
        assert!(stats.used <= stats.capacity);
        // They come and go.
        if step.len() % 2 == 0 {
            writer = Writer::claim(heap.core(shape), 1).unwrap_or_default();
            reader = Reader::claim(heap.core(shape), 2).unwrap_or_default();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_that_somebody_meddles_with_ends_every_operation(
        slots: bool,
        overwrite: bool,
        many: bool,
        steps in vec(vec(meddling(), 0..4), 1..30),
    ) {
        let shape = match slots {
            true => Shape::slots(4, 12).unwrap(),
            false => Shape::records(128).unwrap(),
        };
        run(shape.used_by(many, many, overwrite), &steps);
    }
}

struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn meddling_while_others_send_and_receive_ends_nothing_but_operations() {
    let shape = Shape::records(128).unwrap().used_by(false, false, true);
    let heap = Heap::new(&shape);
    let (mut writer, mut reader) = (heap.writer(shape, 1), heap.reader(shape, 2));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = 1_u32;
            while !done.load(Ordering::Relaxed) {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                heap.set_word(
                    if random & 64 == 0 { HEAD } else { TAIL },
                    random >> (random % 32),
                );
                heap.set_cell(random as usize % 16 * 8, header(random >> 20));
            }
        });
        // Also when it panics.
        let _end = EndOf(&done);
        for _ in 0..20_000 {
            let _ = writer.send(&[1; 40], Now);
            let _ = recv(&mut reader, Now);
        }
    });
}

#[test]
fn a_tail_behind_what_was_read_is_not_believed() {
    let shape = Shape::records(64).unwrap();
    let heap = Heap::new(&shape);
    heap.writer(shape, 1).send(&[1; 24], Now).unwrap();
    let mut reader = heap.reader(shape, 2);
    let mut records = vec![];
    // While the first record is copied, somebody takes a part of it back, and writes of a long one.
    let new = |len| {
        assert!(len <= shape.bytes(), "{len} bytes");
        heap.set_word(TAIL, 3);
        heap.set_cell(4 * 8, WRAPS);
        heap.set_cell(0, header(100_000));
        vec![0; len]
    };
    let received = reader.recv_many(Now, 10, new, |record| record, &mut records);
    assert!(matches!(received, Err(Failure::Corrupt(_))), "{received:?}");
    assert_eq!(records, [[1; 24]]);
}
