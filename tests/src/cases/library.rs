// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate `shmdev` against the real device: what its own tests cannot show without one.

use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shmdev::{
    BeginErrorKind, Cursor, Deadline, EndErrorKind, MapErrorKind, OpenErrorKind, OpenOptions, Segment,
    SegmentOptions, TransferErrorKind,
};

use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::{Gate, PAGE, Process, SIZE, signal};

tests![
    a_mapping_shows_what_another_process_wrote,
    a_guard_excludes_and_ends,
    a_dropped_guard_is_a_completed_write,
    the_next_writer_is_told_of_a_death,
    a_waiting_begin_goes_on_after_a_signal,
    errors_say_which_operation_failed_and_keep_the_errno,
    a_change_is_waited_for,
    a_cursor_does_what_a_file_does,
    a_cursor_resizes_its_segment,
    segments_count_their_mappings,
    threads_with_segments_of_their_own_count_together,
];

fn open() -> Segment {
    Segment::open_default().expect("opening the default segment")
}

fn a_mapping_shows_what_another_process_wrote() {
    let mapping = open().map().unwrap();
    assert_eq!((mapping.len(), mapping.offset()), (SIZE, 0));
    Process::fork(|| {
        let window = open().map_range(PAGE as u64, PAGE).unwrap();
        window.write_at(b"from the other side", 10).unwrap();
        window
            .atomic::<AtomicU64>(64)
            .unwrap()
            .store(42, Ordering::SeqCst);
    })
    .join();
    assert_eq!(mapping.to_vec(PAGE + 10, 19).unwrap(), b"from the other side");
    assert_eq!(
        mapping
            .atomic::<AtomicU64>(PAGE + 64)
            .unwrap()
            .load(Ordering::SeqCst),
        42
    );
    assert_eq!(mapping.find(b"other side", ..), Some(PAGE + 19));
}

fn a_guard_excludes_and_ends() {
    let (one, other) = (open(), open());
    let guard = one.begin_write(0..100, Deadline::Now).unwrap();
    assert!(!guard.owner_died());
    assert_eq!(
        other.begin_read(99..100, Deadline::Now).unwrap_err().kind(),
        BeginErrorKind::Busy
    );
    let soon = Deadline::after(Duration::from_millis(5));
    assert_eq!(
        other.begin_read(99..100, soon).unwrap_err().kind(),
        BeginErrorKind::TimedOut
    );
    assert_eq!(
        one.begin_read(0..1, Deadline::Never).unwrap_err().kind(),
        BeginErrorKind::Deadlock
    );
    let made = guard.end().unwrap();
    assert_eq!(made, one.stat().unwrap().generation);
    other
        .begin_write(.., Deadline::Now)
        .expect("everything is free")
        .end()
        .unwrap();
}

fn a_dropped_guard_is_a_completed_write() {
    let segment = open();
    let before = segment.stat().unwrap().generation;
    drop(segment.begin_write(0..8, Deadline::Now).unwrap());
    let stat = segment.stat().unwrap();
    assert_eq!((stat.generation, stat.holders), (before + 1, 0));
    let held = segment.begin_write(0..8, Deadline::Now).unwrap().into_range();
    assert_eq!(segment.stat().unwrap().holders, 1, "a range that is kept stays");
    segment.end(held).unwrap();
    assert_eq!(segment.end(held).unwrap_err().kind(), EndErrorKind::NotHeld);
}

fn the_next_writer_is_told_of_a_death() {
    let segment = open();
    let held = Gate::new();
    let writer = Process::fork(|| {
        let segment = open();
        let _guard = segment.begin_write(0..8, Deadline::Now).unwrap();
        held.open();
        park();
    });
    held.pass();
    writer.kill();
    let guard = segment.begin_write(0..8, Deadline::Never).unwrap();
    assert!(guard.owner_died());
    guard.end().unwrap();
    assert!(!segment.begin_read(0..8, Deadline::Now).unwrap().owner_died());
}

fn a_waiting_begin_goes_on_after_a_signal() {
    signal::catch(libc::SIGUSR1, 0);
    let segment = open();
    let guard = segment.begin_write(0..8, Deadline::Now).unwrap();
    let waiter = Process::fork(|| {
        let segment = open();
        segment.begin_write(0..8, Deadline::Never).unwrap().end().unwrap();
    });
    until("it waits", || segment.stat().unwrap().waiters == 1);
    for _ in 0..3 {
        waiter.signal(libc::SIGUSR1);
        until("it waits again", || segment.stat().unwrap().waiters == 1);
    }
    guard.end().unwrap();
    waiter.join();
}

fn errors_say_which_operation_failed_and_keep_the_errno() {
    let segment = open();
    let error = segment.map_range(SIZE as u64, PAGE).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (MapErrorKind::PastEnd, Some(libc::EINVAL))
    );
    assert!(error.to_string().contains("map"), "{error}");
    let error = segment.begin_read(0..SIZE as u64 + 1, Deadline::Now).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (BeginErrorKind::Invalid, Some(libc::EINVAL))
    );
    let error = segment.write_at(b"x", SIZE as u64).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (TransferErrorKind::NoSpace, Some(libc::ENOSPC))
    );
    let reader = OpenOptions::new().write(false).open_default().unwrap();
    assert_eq!(
        reader.begin_write(0..1, Deadline::Now).unwrap_err().kind(),
        BeginErrorKind::Denied
    );
    let error = OpenOptions::new().path("/dev/null").open().unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::NotShmdev);
    Process::fork(|| {
        signal::become_nobody();
        assert_eq!(Segment::open_default().unwrap_err().kind(), OpenErrorKind::Denied);
    })
    .join();
}

fn a_change_is_waited_for() {
    let segment = open();
    segment.stat().unwrap();
    assert!(
        !segment
            .wait_change(Deadline::after(Duration::from_millis(5)))
            .unwrap()
    );
    let ready = Gate::new();
    let waiter = Process::fork(|| {
        let segment = open();
        segment.stat().unwrap();
        ready.open();
        assert!(
            segment
                .wait_change(Deadline::after(Duration::from_secs(40)))
                .unwrap()
        );
    });
    ready.pass();
    segment.begin_write(0..8, Deadline::Now).unwrap().end().unwrap();
    waiter.join();
    assert!(
        !segment.wait_change(Deadline::Now).unwrap(),
        "its own write is no news to it"
    );
}

fn a_cursor_does_what_a_file_does() {
    let mut cursor = Cursor::new(open().map().unwrap());
    cursor.write_all(b"first line\nsecond line\n").unwrap();
    assert_eq!(cursor.tell(), 23);
    cursor.rewind().unwrap();
    let mut line = String::new();
    cursor.read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), cursor.tell()), ("first line\n", 11));
    assert_eq!(cursor.read_byte().unwrap(), b's');
    assert_eq!(cursor.seek(SeekFrom::End(-1)).unwrap(), SIZE as u64 - 1);
    cursor.write_byte(7).unwrap();
    assert!(cursor.write_byte(8).is_err(), "there is no room past the end");
    let mut rest = Vec::new();
    assert_eq!(cursor.read_to_end(&mut rest).unwrap(), 0);
    let mut byte = [0];
    open().read_exact_at(&mut byte, SIZE as u64 - 1).unwrap();
    assert_eq!(byte, [7], "what the cursor wrote is in the segment");
}

fn a_cursor_resizes_its_segment() {
    let segment = SegmentOptions::new().size(PAGE as u64).anonymous().unwrap();
    let mut cursor = Cursor::new(segment.map().unwrap());
    cursor.seek(SeekFrom::End(0)).unwrap();
    cursor = cursor.resize(&segment, 3 * PAGE as u64).unwrap();
    assert_eq!((cursor.tell(), cursor.size()), (PAGE, 3 * PAGE));
    cursor.write_byte(7).unwrap();
    cursor.seek(SeekFrom::End(0)).unwrap();
    // Its own mapping is no obstacle to losing pages, and another's is.
    cursor = cursor.resize(&segment, PAGE as u64 + 5).unwrap();
    assert_eq!((cursor.tell(), cursor.size()), (PAGE + 5, PAGE + 5));
    assert_eq!(cursor.mapping().get::<u8>(PAGE).unwrap(), 7);
    let _other = segment.map().unwrap();
    let error = cursor.resize(&segment, 1).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy, "{error}");
}

fn segments_count_their_mappings() {
    let segment = open();
    let mappings = [
        segment.map().unwrap(),
        segment.map_read_only().unwrap(),
        segment.map_range(0, 1).unwrap(),
    ];
    assert_eq!(segment.stat().unwrap().nattch, 3);
    drop(mappings);
    assert_eq!(segment.stat().unwrap().nattch, 0);
}

fn threads_with_segments_of_their_own_count_together() {
    let mapping = open().map().unwrap();
    mapping.set(0, &0_u64).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let mapping = &mapping;
            scope.spawn(move || {
                let segment = open();
                for _ in 0..250 {
                    let guard = segment.begin_write(0..8, Deadline::Never).unwrap();
                    let value: u64 = mapping.get(0).unwrap();
                    mapping.set(0, &(value + 1)).unwrap();
                    guard.end().unwrap();
                }
            });
        }
    });
    assert_eq!(mapping.get::<u64>(0).unwrap(), 1000);
}
