// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a death leaves behind, at each point at which it can come, and what the next one makes of it.

use super::heap::Heap;
use super::{Send as _, recv};
use crate::deadline::Deadline::Now;
use crate::ring::consumer::Consumer;
use crate::ring::failure::Failure;
use crate::ring::layout::{READERS, Shape, WRITERS};
use crate::ring::producer::Producer;
use crate::ring::reader::Reader;
use crate::ring::seam::{Counters, Memory};
use crate::ring::stats::Stats;
use crate::ring::writer::Writer;

fn shapes() -> impl Iterator<Item = Shape> {
    let shapes = [Shape::slots(4, 8), Shape::records(256)].map(Option::unwrap);
    shapes
        .into_iter()
        .flat_map(|shape| [false, true].map(|many| shape.used_by(many, many, false)))
}

fn stats(heap: &Heap, shape: Shape) -> (u64, u64, u64, u64) {
    let stats = Stats::of(&heap.core(shape));
    (
        stats.sent,
        stats.received,
        stats.lost_sending,
        stats.lost_receiving,
    )
}

#[test]
fn a_role_is_had_by_one_at_a_time() {
    let shape = Shape::slots(4, 8).unwrap();
    let heap = Heap::new(&shape);
    let writer = heap.writer(shape, 1);
    assert!(Writer::claim(heap.core(shape), 2).unwrap().is_none());
    assert!(
        Writer::claim(heap.core(shape), 1).unwrap().is_none(),
        "nor twice by one"
    );
    writer.resign().unwrap();
    let _second = heap.writer(shape, 2);
    heap.die(WRITERS, 2);
    let _third = heap.writer(shape, 3);
    let reader = heap.reader(shape, 1);
    assert!(Reader::claim(heap.core(shape), 2).unwrap().is_none());
    reader.resign().unwrap();
    heap.reader(shape, 2);
}

#[test]
fn who_dies_between_records_loses_none() {
    for shape in shapes() {
        let heap = Heap::new(&shape);
        heap.writer(shape, 1).send(&[1; 8], Now).unwrap();
        heap.die(WRITERS, 1);
        heap.writer(shape, 2).send(&[2; 8], Now).unwrap();
        let mut reader = heap.reader(shape, 3);
        assert_eq!(recv(&mut reader, Now).unwrap(), [1; 8]);
        heap.die(READERS, 3);
        assert_eq!(recv(&mut heap.reader(shape, 4), Now).unwrap(), [2; 8]);
        assert_eq!(stats(&heap, shape), (2, 2, 0, 0), "{shape:?}");
    }
}

#[test]
fn who_dies_while_it_writes_loses_what_it_wrote_once() {
    for shape in shapes() {
        let heap = Heap::new(&shape);
        let mut writer = heap.writer(shape, 1);
        writer.send(&[1; 8], Now).unwrap();
        // Two, of a batch.
        for _ in 0..2 {
            let span = match writer.begin(8, Now) {
                Ok(span) => span,
                // It is in there already.
                Err(Failure::WouldBlock) => break,
                Err(failure) => panic!("{failure:?}"),
            };
            writer.core.memory.write(span.bytes_at(&writer.core), &[2; 8]);
            writer.wrote(span);
        }
        let lost = if shape.many_senders { 1 } else { 2 };
        heap.die(WRITERS, 1);
        for token in 2..4 {
            let mut next = heap.writer(shape, token);
            next.send(&[3; 8], Now).unwrap();
            heap.die(WRITERS, token);
        }
        assert_eq!(stats(&heap, shape), (3, 0, lost, 0), "{shape:?}");
        let mut reader = heap.reader(shape, 9);
        for expected in [1, 3, 3] {
            assert_eq!(recv(&mut reader, Now).unwrap(), [expected; 8]);
        }
        assert!(matches!(recv(&mut reader, Now), Err(Failure::WouldBlock)));
    }
}

#[test]
fn a_record_that_was_given_up_is_not_lost() {
    for shape in shapes() {
        let heap = Heap::new(&shape);
        let mut writer = heap.writer(shape, 1);
        writer.begin(8, Now).unwrap();
        writer.abandon().unwrap();
        heap.die(WRITERS, 1);
        heap.writer(shape, 2).send(&[1; 8], Now).unwrap();
        assert_eq!(stats(&heap, shape), (1, 0, 0, 0), "{shape:?}");
    }
}

#[test]
fn who_dies_once_it_has_published_has_sent() {
    let shape = Shape::slots(4, 8).unwrap();
    let heap = Heap::new(&shape);
    let core = heap.core(shape);
    let mut producer = Producer::load(&core).unwrap();
    let span = producer.reserve(&core, 8).unwrap().unwrap();
    producer.wrote(span);
    producer.publish(&core).unwrap();
    // As if it had died before it counted.
    core.memory.counters().set(crate::ring::layout::SENT, 0);
    Producer::recover(&core);
    assert_eq!(stats(&heap, shape), (1, 0, 0, 0));
    Producer::recover(&core);
    assert_eq!(stats(&heap, shape), (1, 0, 0, 0));
}

#[test]
fn who_dies_while_it_reads_leaves_the_record() {
    for shape in shapes() {
        let heap = Heap::new(&shape);
        let mut writer = heap.writer(shape, 1);
        writer.send(&[1; 8], Now).unwrap();
        writer.send(&[2; 8], Now).unwrap();
        let mut reader = heap.reader(shape, 2);
        let span = reader.begin(Now).unwrap();
        reader.read(span);
        heap.die(READERS, 2);
        let mut next = heap.reader(shape, 3);
        for expected in [1, 2] {
            assert_eq!(recv(&mut next, Now).unwrap(), [expected; 8]);
        }
        assert_eq!(stats(&heap, shape), (2, 2, 0, 0), "{shape:?}");
    }
}

#[test]
fn who_dies_once_it_has_given_the_room_back_takes_the_record_along() {
    let shape = Shape::records(256).unwrap();
    let heap = Heap::new(&shape);
    heap.writer(shape, 1).send(&[1; 8], Now).unwrap();
    let core = heap.core(shape);
    let mut consumer = Consumer::load(&core).unwrap();
    let span = consumer.next(&core).unwrap().unwrap();
    consumer.read(span);
    let _ = consumer.release(&core).unwrap();
    core.memory.counters().set(crate::ring::layout::RECEIVED, 0);
    Consumer::recover(&core);
    Consumer::recover(&core);
    assert_eq!(stats(&heap, shape), (1, 1, 0, 1));
}

#[test]
fn who_dies_while_it_counts_what_was_lost_counts_nothing_twice() {
    let shape = Shape::slots(4, 8).unwrap();
    for died_after in 0..3 {
        let heap = Heap::new(&shape);
        let core = heap.core(shape);
        let mut producer = Producer::load(&core).unwrap();
        let span = producer.reserve(&core, 8).unwrap().unwrap();
        producer.wrote(span);
        heap.die_after(died_after, || Producer::recover(&core));
        Producer::recover(&core);
        assert!(stats(&heap, shape).2 <= 1, "after {died_after}");

        let heap = Heap::new(&shape);
        heap.writer(shape, 1).send(&[1; 8], Now).unwrap();
        let core = heap.core(shape);
        let mut consumer = Consumer::load(&core).unwrap();
        let span = consumer.next(&core).unwrap().unwrap();
        consumer.read(span);
        // It dies between giving the room back and counting.
        heap.die_after(0, || _ = consumer.release(&core).unwrap());
        heap.die_after(died_after, || Consumer::recover(&core));
        Consumer::recover(&core);
        let (_, received, _, lost) = stats(&heap, shape);
        assert!(received == 1 && lost <= 1, "after {died_after}");
    }
}

#[test]
fn what_was_not_asked_for_is_not_lost_with_who_received_many() {
    let shape = Shape::slots(8, 8).unwrap();
    let heap = Heap::new(&shape);
    let mut writer = heap.writer(shape, 1);
    for n in 0..5 {
        writer.send(&[n; 8], Now).unwrap();
    }
    let mut reader = heap.reader(shape, 2);
    let mut records = vec![];
    let received = reader.recv_many(Now, 2, |len| vec![0; len], |record| record, &mut records);
    assert_eq!(received.unwrap(), 2);
    heap.die(READERS, 2);
    let mut next = heap.reader(shape, 3);
    for n in 2..5 {
        assert_eq!(recv(&mut next, Now).unwrap(), [n; 8]);
    }
    assert_eq!(stats(&heap, shape), (5, 5, 0, 0));
}

#[test]
fn who_panics_while_it_receives_leaves_the_ring_to_others() {
    let shape = Shape::slots(4, 8).unwrap().used_by(true, true, false);
    let heap = Heap::new(&shape);
    let mut writer = heap.writer(shape, 1);
    for n in 1..=2 {
        writer.send(&[n; 8], Now).unwrap();
    }
    let mut reader = heap.reader(shape, 2);
    let mut records: Vec<Vec<u8>> = vec![];
    let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let made = std::cell::Cell::new(0);
        let new = |len| {
            assert_eq!(made.replace(1), 0, "there is room for one");
            vec![0; len]
        };
        let _ = reader.recv_many(Now, 2, new, |record| record, &mut records);
    }));
    assert!(panics.is_err());
    assert_eq!(records, [[1; 8]], "it was received");
    let mut next = heap.reader(shape, 3);
    assert_eq!(recv(&mut next, Now).unwrap(), [2; 8]);
}

#[test]
fn what_was_begun_and_forgotten_is_known() {
    for shape in shapes() {
        let heap = Heap::new(&shape);
        let many = shape.many_senders;
        let (mut writer, mut reader) = (heap.writer(shape, 1), heap.reader(shape, 2));
        writer.send(&[1; 8], Now).unwrap();
        recv(&mut reader, Now).unwrap();
        assert!(matches!(recv(&mut reader, Now), Err(Failure::WouldBlock)));
        assert!(!writer.is_inside() && !reader.is_inside(), "{shape:?}");
        writer.begin(8, Now).unwrap();
        assert_eq!(writer.is_inside(), many, "{shape:?}");
        writer.abandon().unwrap();
        assert!(!writer.is_inside(), "{shape:?}");
        writer.send(&[2; 8], Now).unwrap();
        reader.begin(Now).unwrap();
        assert_eq!(reader.is_inside(), many, "{shape:?}");
        reader.abandon().unwrap();
        assert!(!reader.is_inside(), "{shape:?}");
    }
}
