// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate's calls about words against the real device, and handles that are opened again.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shmdev::uapi::{EVENTFDS_MAX, WAITV_MAX, WORD_OWNER_DIED};
use shmdev::{
    Access, BeginErrorKind, Deadline, Death, EventfdErrorKind, OpenErrorKind, RequeueErrorKind, Rights,
    RobustErrorKind, Segment, SegmentOptions, Signal, WaitErrorKind, Waited, WaitedAny, WakeErrorKind,
};

use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::words::{drain, eventfd};
use crate::sys::{Process, signal, usage};

tests![
    words_are_waited_on_and_woken,
    one_of_many_words_is_waited_on,
    a_request_waits_for_its_answer,
    waiters_are_moved,
    a_signal_ends_no_wait_of_the_crate,
    a_dead_owner_is_told_of,
    eventfds_are_signalled,
    a_segment_is_opened_again,
];

fn words_are_waited_on_and_woken() {
    let owner = Segment::create("frames", 4096).unwrap();
    let mut segment = Segment::open("frames").unwrap();
    assert_eq!(segment.wait(64, 1, Deadline::Never).unwrap(), Waited::Changed);
    assert_eq!(segment.wait(64, 0, Deadline::Now).unwrap(), Waited::TimedOut);
    let late = Deadline::after(Duration::from_millis(2));
    assert_eq!(segment.wait(64, 0, late).unwrap(), Waited::TimedOut);
    assert_eq!(segment.wake(64, u32::MAX).unwrap(), 0);
    let process = Process::fork(|| {
        let segment = Segment::open("frames").unwrap();
        assert_eq!(segment.wait(64, 0, Deadline::Never).unwrap(), Waited::Woken);
    });
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    assert_eq!(segment.wake(64, u32::MAX).unwrap(), 1);
    process.join();
    let error = segment.wait(2, 0, Deadline::Now).unwrap_err();
    assert_eq!(error.kind(), WaitErrorKind::Invalid);
    assert_eq!(segment.wake(4096, 1).unwrap_err().kind(), WakeErrorKind::Invalid);
    segment.restrict(.., Rights::Read).unwrap();
    let error = segment.wake(64, 1).unwrap_err();
    assert_eq!(error.kind(), WakeErrorKind::Denied);
    assert_eq!(
        error.to_string(),
        "wake who waits on the word at 64: the handle is not open for writing, or was restricted to less (EACCES)"
    );
    owner.remove().unwrap();
}

/// A process that does this, and waits until it sleeps.
fn asleep(body: impl FnOnce(&Segment)) -> Process {
    let process = Process::fork(|| body(&Segment::open("frames").unwrap()));
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    process
}

fn one_of_many_words_is_waited_on() {
    let segment = Segment::create("frames", 4096).unwrap();
    let any = |words: &[_], deadline| segment.wait_any(words, deadline);
    assert_eq!(
        any(&[(0, 0), (4, 1)], Deadline::Never).unwrap(),
        WaitedAny::Changed
    );
    assert_eq!(
        any(&[(0, 0), (4, 0)], Deadline::Now).unwrap(),
        WaitedAny::TimedOut
    );
    let process = asleep(|segment| {
        let waited = segment.wait_any(&[(0, 0), (8, 0)], Deadline::Never).unwrap();
        assert_eq!(waited, WaitedAny::Woken(1));
    });
    assert_eq!(segment.wake(8, 1).unwrap(), 1);
    process.join();
    for words in [vec![], vec![(0, 0); WAITV_MAX + 1], vec![(2, 0)]] {
        let error = any(&words, Deadline::Now).unwrap_err();
        assert_eq!(error.kind(), WaitErrorKind::Invalid, "{error}");
    }
    segment.remove().unwrap();
}

fn a_request_waits_for_its_answer() {
    let segment = Segment::create("frames", 4096).unwrap();
    let server = asleep(|segment| {
        assert_eq!(segment.wait(0, 0, Deadline::Never).unwrap(), Waited::Woken);
        segment
            .map()
            .unwrap()
            .atomic::<AtomicU32>(64)
            .unwrap()
            .store(1, Ordering::SeqCst);
        segment.wake(64, 1).unwrap();
    });
    let waited = segment.wake_and_wait(0, 1, 64, 0, Deadline::Never).unwrap();
    assert!(matches!(waited, Waited::Woken | Waited::Changed));
    server.join();
    let waited = segment.wake_and_wait(0, u32::MAX, 64, 0, Deadline::Now).unwrap();
    assert_eq!(waited, Waited::Changed);
    let waited = segment.wake_and_wait(0, 1, 64, 1, Deadline::Now).unwrap();
    assert_eq!(waited, Waited::TimedOut);
    let error = segment.wake_and_wait(0, 1, 0, 0, Deadline::Now).unwrap_err();
    assert_eq!(error.kind(), WaitErrorKind::Invalid);
    segment.remove().unwrap();
}

fn waiters_are_moved() {
    let segment = Segment::create("frames", 4096).unwrap();
    let waiters: [_; 3] = std::array::from_fn(|_| {
        asleep(|segment| assert_eq!(segment.wait(0, 0, Deadline::Never).unwrap(), Waited::Woken))
    });
    assert_eq!(segment.requeue(0, 1, 1, 64, u32::MAX).unwrap(), None);
    assert_eq!(segment.requeue(0, 0, 1, 64, u32::MAX).unwrap(), Some(3));
    assert_eq!(segment.wake(64, u32::MAX).unwrap(), 2);
    waiters.into_iter().for_each(Process::join);
    let error = segment.requeue(0, 0, 1, 0, 1).unwrap_err();
    assert_eq!(error.kind(), RequeueErrorKind::Invalid);
    segment.remove().unwrap();
}

fn a_signal_ends_no_wait_of_the_crate() {
    let segment = Segment::create("frames", 4096).unwrap();
    signal::catch(libc::SIGUSR1, 0);
    let waits: [fn(&Segment); 3] = [
        |segment| assert_eq!(segment.wait(0, 0, Deadline::Never).unwrap(), Waited::Woken),
        |segment| {
            let waited = segment.wait_any(&[(64, 0), (0, 0)], Deadline::Never).unwrap();
            assert_eq!(waited, WaitedAny::Woken(1));
        },
        |segment| {
            let waited = segment.wake_and_wait(64, 1, 0, 0, Deadline::Never).unwrap();
            assert_eq!(waited, Waited::Woken);
        },
    ];
    for wait in waits {
        let process = asleep(|segment| {
            wait(segment);
            assert!(signal::caught() > 0);
        });
        process.signal(libc::SIGUSR1);
        until("it is woken all the same", || segment.wake(0, 1).unwrap() == 1);
        process.join();
    }
    segment.remove().unwrap();
}

fn a_dead_owner_is_told_of() {
    let segment = Segment::create("frames", 4096).unwrap();
    let mapping = segment.map().unwrap();
    let word = mapping.atomic::<AtomicU32>(64).unwrap();
    Process::fork(|| {
        let segment = Segment::open("frames").unwrap();
        segment.add_robust(64, Death::Mark).unwrap();
        segment.add_robust(64, Death::WakeOnly).unwrap();
        word.store(segment.info().token, Ordering::SeqCst);
    })
    .join();
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
    let kind = |result: Result<(), shmdev::RobustError>| result.unwrap_err().kind();
    assert_eq!(
        kind(segment.remove_robust(64, Death::Mark)),
        RobustErrorKind::NotAdded
    );
    assert_eq!(kind(segment.add_robust(2, Death::Mark)), RobustErrorKind::Invalid);
    for index in 0..u64::from(segment.info().max_robust) {
        segment.add_robust(index * 4, Death::WakeOnly).unwrap();
    }
    assert_eq!(kind(segment.add_robust(0, Death::Mark)), RobustErrorKind::TooMany);
    segment.remove_robust(4, Death::WakeOnly).unwrap();
    segment.remove().unwrap();
}

fn eventfds_are_signalled() {
    let mut segment = Segment::create("frames", 4096).unwrap();
    let event = eventfd();
    segment.add_eventfd(Signal::Word(64), &event).unwrap();
    segment.add_eventfd(Signal::Generation, &event).unwrap();
    segment.wake(64, 1).unwrap();
    segment.write_at(b"x", 0).unwrap();
    assert_eq!(drain(&event), 2);
    segment.remove_eventfd(Signal::Word(64), &event).unwrap();
    segment.wake(64, 1).unwrap();
    assert_eq!(drain(&event), 0);
    let kind = |result: Result<(), shmdev::EventfdError>| result.unwrap_err().kind();
    let again = segment.remove_eventfd(Signal::Word(64), &event);
    assert_eq!(kind(again), EventfdErrorKind::NotAdded);
    let other = segment.add_eventfd(Signal::Generation, std::io::stdin());
    assert_eq!(kind(other), EventfdErrorKind::Invalid);
    for _ in 1..EVENTFDS_MAX {
        segment.add_eventfd(Signal::Word(0), &event).unwrap();
    }
    let more = segment.add_eventfd(Signal::Word(0), &event);
    assert_eq!(kind(more), EventfdErrorKind::TooMany);
    segment.restrict(.., Rights::Write).unwrap();
    let denied = segment.add_eventfd(Signal::Word(0), &event);
    assert_eq!(kind(denied), EventfdErrorKind::Denied);
    Segment::open("frames").unwrap().remove().unwrap();
}

fn a_segment_is_opened_again() {
    let mut segment = SegmentOptions::new().size(5000).anonymous().unwrap();
    let guard = segment.begin(0..8, Access::Write, Deadline::Now).unwrap();
    Process::fork(|| {
        let shared = segment.begin(0..8, Access::Write, Deadline::Now).unwrap_err();
        assert_eq!(shared.kind(), BeginErrorKind::Deadlock);
        let own = segment.reopen().unwrap();
        assert_ne!(own.info().token, segment.info().token);
        assert!(!own.was_created());
        let busy = own.begin(0..8, Access::Write, Deadline::Now).unwrap_err();
        assert_eq!(busy.kind(), BeginErrorKind::Busy);
        own.map().unwrap().write_at(b"child", 100).unwrap();
    })
    .join();
    guard.end().unwrap();
    assert_eq!(segment.map().unwrap().to_vec(100, 5).unwrap(), b"child");
    segment.restrict(.., Rights::Read).unwrap();
    assert_eq!(segment.reopen().unwrap_err().kind(), OpenErrorKind::SegmentDenied);
    drop(segment);
    // News of the child's end may be under way, and keep it a little longer.
    until("nothing counts any more", || usage() == (0, 0));
    // For what it was open for, and no more.
    let owner = Segment::create("frames", 100).unwrap();
    let reader = SegmentOptions::new()
        .write(false)
        .open("frames")
        .unwrap()
        .reopen()
        .unwrap();
    assert!(reader.map_read_only().is_ok() && reader.map().is_err());
    owner.remove().unwrap();
}
