// SPDX-License-Identifier: MIT OR Apache-2.0

//! What waits without a thread that sleeps, under tokio: rings and segments between processes, some of which sleep all
//! the same, give up, or are killed.

use std::future::Future;
use std::io::{BufRead, BufReader};
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shmdev::ring::{Options, Ring, Slots};
use shmdev::{Area, Segment, SegmentOptions};
use tokio::time::timeout;

use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::segments::remove;
use crate::sys::{Gate, Process};

tests![
    #[slow] records_pass_between_those_who_sleep_and_those_who_do_not within 120,
    #[slow] who_awaits_is_woken_for_certain,
    several_receivers_await_at_once_and_none_starves within 120,
    several_receivers_await_in_one_process,
    a_change_is_seen_for_each_write,
    #[slow] who_gives_up_takes_no_record_along within 120,
    #[slow] who_is_dropped_once_woken_keeps_no_record_from_others,
    #[slow] the_receiver_goes_on_with_the_next_sender within 120,
    the_example_tells_records_and_changes needs [SelectExample],
];

const NAME: &str = "asynchronous";
/// Where the tests keep what they count; the ring begins after it.
const RING: usize = 4096;
const SIZE: u64 = 2 * 4096;
/// Of eight slots, so that both sides wait often.
const MANY: u64 = 5000;

/// Runs a future to its end, in a runtime of this process's own.
pub(super) fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// A process of its own that runs what `body` says. What it needs is made there.
pub(super) fn process<F: Future<Output = ()>>(body: impl FnOnce() -> F) -> Process {
    Process::fork(|| run(async { body().await }))
}

/// Waits until all of them have nothing to do but to await.
pub(super) fn until_they_await(processes: &[Process]) {
    until("they await", || {
        processes
            .iter()
            .all(|process| process.sleeps_in(libc::SYS_epoll_wait))
    });
}

/// Polls the future once; whether it still waits.
pub(super) async fn waits<F: Future>(future: &mut Pin<Box<F>>) -> bool {
    std::future::poll_fn(|context| future.as_mut().poll(context).is_pending().into()).await
}

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

/// Sends all numbers below [`MANY`].
fn sending(options: Options, asleep: bool) -> Process {
    process(move || async move {
        let mut sender = slots(options).sender().unwrap();
        for n in 0..MANY {
            match asleep {
                true => sender.send(&n).unwrap(),
                false => sender.send_async(&n).await.unwrap(),
            }
        }
    })
}

fn records_pass_between_those_who_sleep_and_those_who_do_not() {
    for options in [Options::new(), many()] {
        for (sender_sleeps, receiver_sleeps) in [(false, false), (true, false), (false, true)] {
            let sender = sending(options, sender_sleeps);
            run(async {
                let mut receiver = slots(options).receiver().unwrap();
                for n in 0..MANY {
                    let received = match receiver_sleeps {
                        true => receiver.recv(),
                        false => receiver.recv_async().await,
                    };
                    assert_eq!(received.unwrap(), n);
                }
            });
            sender.join();
            assert_eq!(slots(options).stats().used, 0);
        }
        remove(NAME);
    }
}

fn who_awaits_is_woken_for_certain() {
    for options in [Options::new(), many()] {
        let ring = slots(options);
        let receiver = process(|| async move {
            let mut receiver = slots(options).receiver().unwrap();
            for n in 0..100 {
                assert_eq!(receiver.recv_async().await.unwrap(), n);
            }
        });
        let mut sender = ring.sender().unwrap();
        for n in 0..100 {
            until_they_await(std::slice::from_ref(&receiver));
            sender.send(&n).unwrap();
            until("it is received", || ring.stats().used == 0);
        }
        receiver.join();
        drop(sender);
        let sender = process(|| async move {
            let mut sender = slots(options).sender().unwrap();
            for n in 0..108 {
                sender.send_async(&n).await.unwrap();
            }
        });
        let mut receiver = ring.receiver().unwrap();
        for n in 0..100 {
            until("the ring is full", || ring.stats().sent == 108 + n);
            until_they_await(std::slice::from_ref(&sender));
            assert_eq!(receiver.recv().unwrap(), n);
        }
        sender.join();
        remove(NAME);
    }
}

fn total(area: &Area) -> &AtomicU64 {
    area.mapping().atomic(0).unwrap()
}

/// Each takes so many and leaves: if one had been passed over, it would wait for ever.
fn several_receivers_await_at_once_and_none_starves() {
    const EACH: u64 = 500;
    let mut receivers: Vec<_> = (0..3)
        .map(|_| {
            process(|| async {
                let area = area();
                let mut receiver = slots(many()).receiver().unwrap();
                for _ in 0..EACH {
                    let n = receiver.recv_async().await.unwrap();
                    total(&area).fetch_add(n, Ordering::Relaxed);
                }
            })
        })
        .collect();
    until_they_await(&receivers);
    let sleeping = Process::fork(|| {
        let area = area();
        let mut receiver = slots(many()).receiver().unwrap();
        for _ in 0..EACH {
            total(&area).fetch_add(receiver.recv().unwrap(), Ordering::Relaxed);
        }
    });
    until("it waits", || sleeping.sleeps_in(libc::SYS_ioctl));
    receivers.push(sleeping);
    let (area, ring) = (area(), slots(many()));
    let mut sender = ring.sender().unwrap();
    // One by one, when all wait again; then as they come.
    for n in 1..=4 * EACH {
        sender.send(&n).unwrap();
        if n < 100 {
            until("it is received", || ring.stats().used == 0);
        }
    }
    receivers.into_iter().for_each(Process::join);
    assert_eq!(total(&area).load(Ordering::Relaxed), (1..=4 * EACH).sum());
    assert_eq!(ring.stats().used, 0);
    remove(NAME);
}

fn several_receivers_await_in_one_process() {
    let sender = sending(many(), true);
    run(async {
        let task = |_| {
            let mut receiver = slots(many()).receiver().unwrap();
            // The futures may be sent to other threads.
            tokio::spawn(async move {
                let mut sum = 0;
                for _ in 0..MANY / 4 {
                    sum += receiver.recv_async().await.unwrap();
                }
                sum
            })
        };
        let mut sum = 0;
        for task in (0..4).map(task).collect::<Vec<_>>() {
            sum += task.await.unwrap();
        }
        assert_eq!(sum, (0..MANY).sum());
    });
    sender.join();
    remove(NAME);
}

fn a_change_is_seen_for_each_write() {
    let (ready, seen) = (Gate::new(), Gate::new());
    let area = area();
    let before = area.segment().stat().unwrap().generation;
    let process = process(|| async {
        let segment = Segment::open(NAME).unwrap();
        timeout(Duration::from_millis(1), segment.changed())
            .await
            .expect_err("nothing was written");
        ready.open();
        for n in 1..=200 {
            // What is given up misses nothing.
            while timeout(Duration::from_millis(n % 3), segment.changed())
                .await
                .is_err()
            {}
            segment.changed().await.unwrap();
            assert_eq!(segment.stat().unwrap().generation, before + n);
            seen.open();
        }
    });
    ready.pass();
    for _ in 0..200 {
        area.segment().write_all_at(b"x", 0).unwrap();
        seen.pass();
    }
    process.join();
    remove(NAME);
}

fn who_gives_up_takes_no_record_along() {
    for options in [Options::new(), many()] {
        let sender = process(|| async move {
            let mut sender = slots(options).sender().unwrap();
            for n in 0..MANY {
                // What was given up was not sent.
                while timeout(Duration::from_micros(n % 7), sender.send_async(&n))
                    .await
                    .is_err()
                {}
            }
        });
        run(async {
            let mut receiver = slots(options).receiver().unwrap();
            for n in 0..MANY {
                let received = loop {
                    let limit = Duration::from_micros(n % 5);
                    if let Ok(received) = timeout(limit, receiver.recv_async()).await {
                        break received;
                    }
                };
                assert_eq!(received.unwrap(), n);
            }
        });
        sender.join();
        remove(NAME);
    }
}

fn who_is_dropped_once_woken_keeps_no_record_from_others() {
    let ring = slots(many());
    for round in 0..20 {
        let other = match round % 2 {
            0 => process(|| async move {
                let mut receiver = slots(many()).receiver().unwrap();
                assert_eq!(receiver.recv_async().await.unwrap(), round);
            }),
            _ => Process::fork(|| assert_eq!(slots(many()).receiver().unwrap().recv().unwrap(), round)),
        };
        run(async {
            let (mut first, mut second) = (ring.receiver().unwrap(), ring.receiver().unwrap());
            let mut first = Box::pin(first.recv_async());
            assert!(waits(&mut first).await);
            until("the other one waits, too", || {
                [libc::SYS_epoll_wait, libc::SYS_ioctl]
                    .iter()
                    .any(|&call| other.sleeps_in(call))
            });
            let mut second = Box::pin(second.recv_async());
            assert!(waits(&mut second).await);
            ring.sender().unwrap().send(&round).unwrap();
            // Signalled both of them, and not polled again.
        });
        other.join();
    }
    remove(NAME);
}

/// Numbers that grow, until it is killed.
fn send_on() -> Process {
    Process::fork(|| {
        let area = area();
        let mut sender = slots(Options::new()).sender().unwrap();
        loop {
            sender
                .send(&total(&area).fetch_add(1, Ordering::Relaxed))
                .unwrap();
        }
    })
}

fn the_receiver_goes_on_with_the_next_sender() {
    const LAST: u64 = u64::MAX;
    let ring = slots(Options::new());
    let receiver = process(|| async {
        let mut receiver = slots(Options::new()).receiver().unwrap();
        let mut last = None;
        while last != Some(LAST) {
            let next = receiver.recv_async().await.unwrap();
            assert!(last < Some(next), "{next} after {last:?}");
            last = Some(next);
        }
    });
    for round in 0..40 {
        let sender = send_on();
        let received = ring.stats().received;
        until("records go on", || ring.stats().received > received + round);
        sender.kill();
        // What is there is received, though nobody may have called after the last of it.
        until("all was received", || ring.stats().used == 0);
    }
    let quiet = Gate::new();
    let sender = Process::fork(|| {
        let _sender = slots(Options::new()).sender().unwrap();
        quiet.open();
        park();
    });
    quiet.pass();
    until_they_await(std::slice::from_ref(&receiver));
    sender.kill();
    ring.sender().unwrap().send(&LAST).unwrap();
    receiver.join();
    remove(NAME);
}

fn the_example_tells_records_and_changes() {
    let example = || Command::new("/usr/local/bin/shmdev-select");
    let mut waiting = example().stdout(Stdio::piped()).spawn().expect("the example");
    let mut lines = BufReader::new(waiting.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").unwrap();
    // Its timer comes at once.
    assert!(next().starts_with("Stats {"));
    let status = example().args(["hello", "world"]).status().unwrap();
    assert!(status.success());
    let mut told: Vec<_> = (0..3).map(|_| next()).collect();
    // Which of the two it looks at first is a matter of chance.
    told.sort();
    assert_eq!(told, ["generation 1", "hello", "world"]);
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    remove("select");
}
