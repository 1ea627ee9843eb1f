// SPDX-License-Identifier: MIT OR Apache-2.0

//! Threads that send and receive as fast as they can: each record arrives once, whole, and those of one sender in order.

use std::sync::Mutex;

use super::heap::Heap;
use super::{Send as _, recv};
use crate::deadline::Deadline::{Never, Now};
use crate::ring::failure::Failure;
use crate::ring::layout::Shape;
use crate::ring::stats::Stats;

/// Record number `n` of a sender: who, which, and bytes that follow from both.
fn record(sender: u8, n: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![sender];
    bytes.extend(n.to_le_bytes());
    bytes.extend((5..len).map(|at| at as u8 ^ n as u8 ^ sender));
    bytes
}

fn len_of(shape: &Shape, n: u32) -> usize {
    match shape.units {
        crate::ring::layout::Units::Slots(len) => len as usize,
        crate::ring::layout::Units::Records => 5 + n as usize * 7 % 60,
    }
}

fn exchange(shape: Shape, senders: u8, receivers: u32, each: u32) {
    let heap = Heap::new(&shape);
    let seen = Mutex::new(vec![vec![0_u32; each as usize]; senders.into()]);
    let total = u64::from(each) * u64::from(senders);
    std::thread::scope(|scope| {
        for sender in 0..senders {
            let mut writer = heap.writer(shape, 1 + u32::from(sender));
            scope.spawn(move || {
                for n in 0..each {
                    writer.send(&record(sender, n, len_of(&shape, n)), Never).unwrap();
                }
            });
        }
        for receiver in 0..receivers {
            let (heap, seen) = (&heap, &seen);
            let mut reader = heap.reader(shape, 100 + receiver);
            scope.spawn(move || {
                let mut last = vec![None; senders.into()];
                loop {
                    let bytes = match recv(&mut reader, Now) {
                        Ok(bytes) => bytes,
                        Err(Failure::WouldBlock) => {
                            let stats = Stats::of(&heap.core(shape));
                            if stats.received + stats.overwritten >= total {
                                break;
                            }
                            std::thread::yield_now();
                            continue;
                        }
                        Err(failure) => panic!("{failure:?}"),
                    };
                    let (sender, n) = (bytes[0], u32::from_le_bytes(bytes[1..5].try_into().unwrap()));
                    assert_eq!(bytes, record(sender, n, len_of(&shape, n)), "torn");
                    assert!(last[usize::from(sender)] < Some(n), "in order");
                    last[usize::from(sender)] = Some(n);
                    seen.lock().unwrap()[usize::from(sender)][n as usize] += 1;
                }
            });
        }
    });
    let stats = Stats::of(&heap.core(shape));
    let seen = seen.into_inner().unwrap();
    let times: Vec<u32> = seen.into_iter().flatten().collect();
    assert!(times.iter().all(|&times| times <= 1), "doubled");
    let received = times.iter().filter(|&&times| times == 1).count() as u64;
    assert_eq!((stats.sent, stats.received), (total, received));
    assert_eq!(received + stats.overwritten, total, "lost");
    assert!(shape.overwrite || received == total);
}

fn many(shape: Shape) -> Shape {
    shape.used_by(true, true, shape.overwrite)
}

#[test]
fn one_sends_and_one_receives() {
    exchange(Shape::slots(8, 29).unwrap(), 1, 1, 20_000);
    exchange(Shape::records(256).unwrap(), 1, 1, 20_000);
}

#[test]
fn many_send_and_many_receive() {
    exchange(many(Shape::slots(8, 29).unwrap()), 3, 3, 4_000);
    exchange(many(Shape::records(256).unwrap()), 3, 3, 4_000);
}

#[test]
fn what_is_overwritten_is_counted_and_nothing_is_torn() {
    for shape in [Shape::slots(4, 69).unwrap(), Shape::records(256).unwrap()] {
        let shape = shape.used_by(false, false, true);
        exchange(shape, 1, 1, 50_000);
        exchange(many(shape), 2, 2, 10_000);
    }
}
