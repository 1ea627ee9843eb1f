// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rings between processes, some of which are killed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use shmdev::ring::{Options, Receiver, Records, Ring, RingError, Slots};
use shmdev::{Area, Deadline, PlaceErrorKind, SegmentOptions};

use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::segments::remove;
use crate::sys::{Gate, Process};

tests![
    a_ring_is_found_as_it_was_made,
    one_role_is_had_by_one_living_process,
    what_a_dead_one_sent_is_received,
    #[slow] who_waits_is_woken_by_the_other_side,
    deadlines_end_the_wait,
    what_is_overwritten_is_counted,
    #[slow] a_million_records_arrive_once_and_whole within 120,
    #[slow] who_is_killed_loses_its_record_in_flight_at_most within 120,
];

const NAME: &str = "ring";
/// Where the tests keep what they count; the ring begins after it.
const RING: usize = 1 << 18;
const SIZE: u64 = 1 << 20;

/// The segment, by a handle of this process.
fn area() -> Area {
    let segment = SegmentOptions::new().create(true).size(SIZE).open(NAME).unwrap();
    Area::new(segment).unwrap()
}

fn slots(options: Options) -> Ring<Slots<u64>> {
    options.slots(&area(), RING, 8).unwrap()
}

fn many() -> Options {
    Options::new().many_senders(true).many_receivers(true)
}

fn a_ring_is_found_as_it_was_made() {
    let area = area();
    let mut sender = Options::new()
        .slots::<u64>(&area, RING, 8)
        .unwrap()
        .sender()
        .unwrap();
    sender.send(&7).unwrap();
    Process::fork(|| assert_eq!(slots(Options::new()).receiver().unwrap().recv().unwrap(), 7)).join();
    let others = [
        Options::new().slots::<u64>(&area, RING, 16).err(),
        Options::new().slots::<u32>(&area, RING, 8).err(),
        many().slots::<u64>(&area, RING, 8).err(),
        Options::new().records(&area, RING, 64).err(),
    ];
    for error in others {
        assert_eq!(error.map(|error| error.kind()), Some(PlaceErrorKind::OtherLayout));
    }
    for (offset, kind) in [
        (RING + 8, PlaceErrorKind::Unaligned),
        (SIZE as usize - 64, PlaceErrorKind::OutOfBounds),
    ] {
        assert_eq!(
            Options::new().slots::<u64>(&area, offset, 8).unwrap_err().kind(),
            kind
        );
    }
    assert_eq!(
        Options::new().records(&area, RING, 100).unwrap_err().kind(),
        PlaceErrorKind::Invalid
    );
    remove(NAME);
}

fn one_role_is_had_by_one_living_process() {
    let ring = slots(Options::new());
    for _ in 0..3 {
        let held = Gate::new();
        let process = Process::fork(|| {
            let ring = slots(Options::new());
            let _ends = (ring.sender().unwrap(), ring.receiver().unwrap());
            held.open();
            park();
        });
        held.pass();
        assert!(matches!(ring.sender().unwrap_err(), RingError::Busy));
        assert!(matches!(ring.receiver().unwrap_err(), RingError::Busy));
        process.kill();
        let (sender, receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
        assert!(
            matches!(ring.sender().unwrap_err(), RingError::Busy),
            "nor twice by one"
        );
        drop((sender, receiver));
    }
    let several = many().slots::<u64>(&area(), 2 * RING, 8).unwrap();
    let _senders = [several.sender().unwrap(), several.sender().unwrap()];
    let _receivers = [several.receiver().unwrap(), several.receiver().unwrap()];
    remove(NAME);
}

fn what_a_dead_one_sent_is_received() {
    for options in [Options::new(), many()] {
        let mut receiver = slots(options).receiver().unwrap();
        let sent = Gate::new();
        let process = Process::fork(|| {
            let mut sender = slots(options).sender().unwrap();
            sender.send_all([1, 2, 3]).unwrap();
            // In flight for ever.
            let mut reservation = sender.reserve(Deadline::Now).unwrap();
            reservation.set(0, &4_u64).unwrap();
            sent.open();
            park();
        });
        sent.pass();
        process.kill();
        let mut next = slots(options).sender().unwrap();
        next.send(&5).unwrap();
        let received: Vec<_> = (0..4).map(|_| receiver.recv().unwrap()).collect();
        assert_eq!(received, [1, 2, 3, 5]);
        let stats = receiver.stats();
        assert_eq!((stats.sent, stats.received), (4, 4));
        assert_eq!((stats.lost_sending, stats.lost_receiving), (1, 0));
        drop((next, receiver));
        remove(NAME);
    }
}

/// Eight slots, so both sides sleep often.
fn who_waits_is_woken_by_the_other_side() {
    for options in [Options::new(), many()] {
        let mut receiver = slots(options).receiver().unwrap();
        let process = Process::fork(|| {
            let mut sender = slots(options).sender().unwrap();
            for n in 0..20_000 {
                sender.send(&n).unwrap();
            }
        });
        for n in 0..20_000 {
            assert_eq!(receiver.recv().unwrap(), n);
        }
        process.join();
        // Asleep for certain, on either side.
        let process = Process::fork(|| {
            let mut sender = slots(options).sender().unwrap();
            sender.send_all(0..9).unwrap();
        });
        until("it waits for room", || process.sleeps_in(libc::SYS_ioctl));
        assert_eq!(receiver.recv().unwrap(), 0);
        process.join();
        while receiver.try_recv().is_ok() {}
        drop(receiver);
        let process = Process::fork(|| {
            assert_eq!(slots(options).receiver().unwrap().recv().unwrap(), 42);
        });
        until("it waits for a record", || process.sleeps_in(libc::SYS_ioctl));
        slots(options).sender().unwrap().send(&42).unwrap();
        process.join();
        remove(NAME);
    }
}

fn deadlines_end_the_wait() {
    let ring = slots(Options::new());
    let (mut sender, mut receiver) = (ring.sender().unwrap(), ring.receiver().unwrap());
    let soon = || Deadline::after(Duration::from_millis(5));
    assert!(matches!(receiver.recv_until(soon()), Err(RingError::TimedOut)));
    assert!(matches!(receiver.try_recv(), Err(RingError::WouldBlock)));
    assert_eq!(sender.send_all_until(0..20, soon()).unwrap(), 8);
    assert!(matches!(sender.send_until(&1, soon()), Err(RingError::TimedOut)));
    assert!(matches!(sender.try_send(&1), Err(RingError::WouldBlock)));
    let mut records = vec![];
    assert_eq!(receiver.recv_many(&mut records, 5, soon()).unwrap(), 5);
    assert_eq!(records, [0, 1, 2, 3, 4]);
    remove(NAME);
}

fn what_is_overwritten_is_counted() {
    let options = Options::new().overwrite(true);
    Process::fork(|| {
        let mut sender = slots(options).sender().unwrap();
        for n in 0..1000 {
            sender.send(&n).unwrap();
        }
    })
    .join();
    let mut receiver = slots(options).receiver().unwrap();
    let mut records = vec![];
    assert_eq!(receiver.recv_many(&mut records, 100, Deadline::Now).unwrap(), 8);
    assert_eq!(records, (992..1000).collect::<Vec<u64>>());
    let stats = receiver.stats();
    assert_eq!((stats.sent, stats.received, stats.overwritten), (1000, 8, 992));
    remove(NAME);
}

/// A counter at the start of the segment.
fn counter(area: &Area, index: usize) -> &AtomicU64 {
    area.mapping().atomic(index * 8).unwrap()
}

/// How many records each of two senders may send, as there is a bit for each.
const EACH: u64 = 500_000;
/// Where the bits begin.
const BITS: usize = 4096;

/// Record number `n` of a sender, 5 to 64 bytes of which each follows from both.
fn record(sender: u8, n: u64) -> Vec<u8> {
    let mut bytes = vec![0; 5 + (n.wrapping_mul(0x9e37_79b9) >> 7) as usize % 60];
    bytes[0] = sender;
    bytes[1..5].copy_from_slice(&(n as u32).to_le_bytes());
    for (at, byte) in bytes.iter_mut().enumerate().skip(5) {
        *byte = (n as u8).wrapping_mul(7) ^ at as u8 ^ sender;
    }
    bytes
}

/// Checks that a record is whole, and notes that it was received, for the first time.
fn note(area: &Area, bytes: &[u8]) {
    let n = u64::from(u32::from_le_bytes(bytes[1..5].try_into().unwrap()));
    assert!(n < EACH && bytes[0] < 2, "nonsense: record {n} of {}", bytes[0]);
    assert_eq!(bytes, record(bytes[0], n), "torn");
    let index = u64::from(bytes[0]) * EACH + n;
    let word: &AtomicU64 = area.mapping().atomic(BITS + index as usize / 64 * 8).unwrap();
    let old = word.fetch_or(1 << (index % 64), Ordering::Relaxed);
    assert_eq!(
        old >> (index % 64) & 1,
        0,
        "record {n} of {} came twice",
        bytes[0]
    );
}

fn noted(area: &Area) -> u64 {
    let words = area.mapping().atomics::<AtomicU64>(BITS, 2 * EACH as usize / 64);
    let ones = |word: &AtomicU64| u64::from(word.load(Ordering::Relaxed).count_ones());
    words.unwrap().iter().map(ones).sum()
}

fn records(area: &Area) -> Ring<Records> {
    many().records(area, RING, 1 << 16).unwrap()
}

fn a_million_records_arrive_once_and_whole() {
    let senders = [0, 1].map(|sender| {
        Process::fork(|| {
            let mut ring = records(&area()).sender().unwrap();
            for start in (0..EACH).step_by(50) {
                ring.send_all((start..start + 50).map(|n| record(sender, n)))
                    .unwrap();
            }
        })
    });
    let mut receivers: Vec<_> = [0, 1].map(|_| Process::fork(receive_until_an_empty_one)).into();
    senders.into_iter().for_each(Process::join);
    let area = area();
    let mut sender = records(&area).sender().unwrap();
    while !receivers.is_empty() {
        sender.send(&[]).unwrap();
        let left = receivers.len();
        until("one has received the last record", || {
            receivers.retain_mut(Process::goes_on);
            receivers.len() < left
        });
    }
    assert_eq!(noted(&area), 2 * EACH);
    let stats = sender.stats();
    assert_eq!((stats.sent, stats.received), (2 * EACH + 2, 2 * EACH + 2));
    assert_eq!((stats.lost_in_flight(), stats.used), (0, 0));
    remove(NAME);
}

fn receive_until_an_empty_one() {
    let area = area();
    let mut receiver = records(&area).receiver().unwrap();
    let mut received = vec![];
    loop {
        received.clear();
        receiver.recv_many(&mut received, 100, Deadline::Never).unwrap();
        for bytes in &received {
            if bytes.is_empty() {
                return;
            }
            note(&area, bytes);
        }
    }
}

/// The counter of how many records each sender may send. Those before it count what each has begun.
const ALLOWED: usize = 2;

/// Sends on where the last one was, as far as it may.
fn send_on(sender: u8) -> Process {
    Process::fork(|| {
        let area = area();
        let mut ring = records(&area).sender().unwrap();
        loop {
            let n = counter(&area, sender.into()).fetch_add(1, Ordering::Relaxed);
            while n >= counter(&area, ALLOWED).load(Ordering::Relaxed) {
                thread::yield_now();
            }
            ring.send(&record(sender, n)).unwrap();
        }
    })
}

fn receive_on() -> Process {
    Process::fork(|| {
        let area = area();
        let mut receiver = records(&area).receiver().unwrap();
        loop {
            note(&area, &receiver.recv().unwrap());
        }
    })
}

fn who_is_killed_loses_its_record_in_flight_at_most() {
    const ROUNDS: u64 = 60;
    let area = area();
    let ring = records(&area);
    let mut senders = [0, 1].map(|sender| Some(send_on(sender)));
    let mut receivers = [0, 1].map(|_| Some(receive_on()));
    let (mut killed_senders, mut killed_receivers) = (0, 0);
    let mut random = 1_u32;
    for round in 1..=ROUNDS {
        // However long a round takes, there are enough for all.
        counter(&area, ALLOWED).store(EACH / (ROUNDS + 1) * round, Ordering::Relaxed);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (which, on) = ((random >> 16) as usize % 2, u64::from(random >> 20) % 200);
        let received = ring.stats().received;
        until("records go on", || ring.stats().received >= received + on);
        if random >> 30 & 1 == 0 {
            senders[which].take().unwrap().kill();
            senders[which] = Some(send_on(which as u8));
            killed_senders += 1;
        } else {
            receivers[which].take().unwrap().kill();
            receivers[which] = Some(receive_on());
            killed_receivers += 1;
        }
    }
    for sender in &mut senders {
        sender.take().unwrap().kill();
        killed_senders += 1;
    }
    for receiver in &mut receivers {
        receiver.take().unwrap().kill();
        killed_receivers += 1;
    }
    // Whoever comes next puts in order what the last ones left.
    let last = counter(&area, 0).fetch_add(1, Ordering::Relaxed);
    ring.sender()
        .unwrap()
        .send_until(&record(0, last), Deadline::Now)
        .ok();
    drain(&area, &mut ring.receiver().unwrap());
    let stats = ring.stats();
    let begun: u64 = (0..2)
        .map(|sender| counter(&area, sender).load(Ordering::Relaxed))
        .sum();
    println!(
        "{stats:?}, {begun} begun, {} noted, killed {killed_senders} and {killed_receivers}",
        noted(&area)
    );
    assert_eq!((stats.used, stats.sent), (0, stats.received));
    assert!(stats.sent + stats.lost_sending <= begun && begun - stats.sent <= killed_senders + 1);
    assert!(noted(&area) <= stats.received && stats.received - noted(&area) <= killed_receivers);
    assert!(stats.lost_receiving <= killed_receivers);
    remove(NAME);
}

fn drain(area: &Area, receiver: &mut Receiver<Records>) {
    let mut bytes = vec![];
    while receiver.recv_into(&mut bytes, Deadline::Now).is_ok() {
        note(area, &bytes);
    }
}
