// SPDX-License-Identifier: MIT OR Apache-2.0

//! How what lies in a segment is found and made: once, by whoever comes first, and never in place of something else.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU16, Ordering};

use shmdev::sync::{Barrier, Condvar, Event, Mutex, Once, Reset, RwLock, Semaphore};
use shmdev::{PlaceError, PlaceErrorKind};

use super::areas::{area, cleared};
use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::{Gate, PAGE, Process, Region, SIZE};

tests![
    #[slow] sixteen_make_it_once within 120,
    one_who_dies_over_it_is_replaced,
    one_who_waits_for_one_who_dies_makes_it,
    one_who_panics_over_it_is_replaced,
    what_is_something_else_is_refused,
    offsets_are_checked,
    bytes_that_are_no_object_are_refused,
    a_handle_tends_as_many_as_it_may_and_gets_them_back,
];

#[track_caller]
fn is_refused<T: Debug>(placed: Result<T, PlaceError>, kind: PlaceErrorKind) {
    assert_eq!(placed.unwrap_err().kind(), kind);
}

fn sixteen_make_it_once() {
    for round in 0..20 {
        let _area = cleared();
        let times = Region::shared(PAGE);
        let start = Gate::new();
        let processes: Vec<_> = (0..16_u32)
            .map(|_| {
                Process::fork(|| {
                    let area = area();
                    start.pass();
                    let mutex = Mutex::at_with(&area, 128, || {
                        times.u32(0).fetch_add(1, Ordering::SeqCst);
                        [7_u64; 100]
                    })
                    .unwrap();
                    assert_eq!(*mutex.lock().unwrap(), [7; 100]);
                })
            })
            .collect();
        (0..16).for_each(|_| start.open());
        processes.into_iter().for_each(Process::join);
        assert_eq!(times.u32(0).load(Ordering::SeqCst), 1, "round {round}");
    }
}

/// A process that has begun to make the object at 0, and is to be killed over it.
fn beginner() -> Process {
    let begun = Gate::new();
    let process = Process::fork(|| {
        Mutex::<u64>::at_with(&area(), 0, || {
            begun.open();
            park()
        })
        .unwrap();
    });
    begun.pass();
    process
}

fn one_who_dies_over_it_is_replaced() {
    let area_here = cleared();
    beginner().kill();
    let mutex = Mutex::at_with(&area_here, 0, || 5_u64).unwrap();
    assert_eq!(*mutex.lock().unwrap(), 5);
}

fn one_who_waits_for_one_who_dies_makes_it() {
    let _area = cleared();
    let beginner = beginner();
    let waiters = [5_u64, 6, 7].map(|value| {
        Process::fork(move || {
            let mutex = Mutex::at_with(&area(), 0, || value).unwrap();
            assert!((5..=7).contains(&*mutex.lock().unwrap()));
        })
    });
    until("they wait", || {
        waiters.iter().all(|waiter| waiter.sleeps_in(libc::SYS_ioctl))
    });
    beginner.kill();
    waiters.into_iter().for_each(Process::join);
}

fn one_who_panics_over_it_is_replaced() {
    let area_here = cleared();
    let init = || panic!("over it, on purpose");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Mutex::<u64>::at_with(&area_here, 0, init)
    }));
    assert!(panicked.is_err());
    assert_eq!(*Mutex::<u64>::at(&area_here, 0).unwrap().lock().unwrap(), 0);
}

fn what_is_something_else_is_refused() {
    let area = cleared();
    let _mutex = Mutex::<u64>::at(&area, 0).unwrap();
    Mutex::<u64>::at(&area, 0).expect("it may be had twice");
    Mutex::<i64>::at(&area, 0).expect("types of one layout cannot be told apart");
    is_refused(Mutex::<u32>::at(&area, 0), PlaceErrorKind::OtherLayout);
    is_refused(Mutex::<[u32; 2]>::at(&area, 0), PlaceErrorKind::OtherLayout);
    is_refused(RwLock::<u64>::at(&area, 0), PlaceErrorKind::OtherKind);
    is_refused(Condvar::at(&area, 0), PlaceErrorKind::OtherKind);
    is_refused(Semaphore::at(&area, 0, 1), PlaceErrorKind::OtherKind);
    is_refused(Once::at(&area, 0), PlaceErrorKind::OtherKind);
    is_refused(Event::at(&area, 0, Reset::Auto), PlaceErrorKind::OtherKind);
    is_refused(Barrier::at(&area, 0, 1), PlaceErrorKind::OtherKind);
    let _event = Event::at(&area, 1024, Reset::Auto).unwrap();
    is_refused(Event::at(&area, 1024, Reset::Manual), PlaceErrorKind::OtherKind);
    let _barrier = Barrier::at(&area, 2048, 2).unwrap();
    is_refused(Barrier::at(&area, 2048, 3), PlaceErrorKind::OtherLayout);
    is_refused(Barrier::at(&area, 4096, 0), PlaceErrorKind::Invalid);
    is_refused(Semaphore::at(&area, 4096, 1 << 31), PlaceErrorKind::Invalid);
    let version = area.mapping().atomic::<AtomicU16>(10).unwrap();
    version.fetch_add(1, Ordering::SeqCst);
    is_refused(Mutex::<u64>::at(&area, 0), PlaceErrorKind::OtherVersion);
}

fn offsets_are_checked() {
    let area = cleared();
    is_refused(Mutex::<u8>::at(&area, 4), PlaceErrorKind::Unaligned);
    is_refused(Mutex::<u128>::at(&area, 8), PlaceErrorKind::Unaligned);
    for offset in [SIZE - 8, SIZE, usize::MAX - 15, usize::MAX - 127] {
        is_refused(Mutex::<u64>::at(&area, offset), PlaceErrorKind::OutOfBounds);
    }
    Mutex::<u64>::at(&area, SIZE - Mutex::<u64>::SIZE).expect("just within");
}

fn bytes_that_are_no_object_are_refused() {
    let area = cleared();
    area.mapping().write_at(b"something else, as it were", 0).unwrap();
    is_refused(Mutex::<u64>::at(&area, 0), PlaceErrorKind::NotAnObject);
    area.mapping().fill(0, 0, 4).unwrap();
    is_refused(Mutex::<u64>::at(&area, 0), PlaceErrorKind::NotAnObject);
    assert_eq!(
        area.mapping().to_vec(4, 5).unwrap(),
        b"thing",
        "they are as they were"
    );
}

fn a_handle_tends_as_many_as_it_may_and_gets_them_back() {
    let area = cleared();
    for _ in 0..3 {
        let mut events = Vec::new();
        let error = loop {
            match Event::at(&area, events.len() * 64, Reset::Manual) {
                Ok(event) => events.push(event),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), PlaceErrorKind::TooMany);
        // The last one is made before it is tended.
        assert!(events.len() >= 1023, "{}", events.len());
    }
}
