// SPDX-License-Identifier: MIT OR Apache-2.0

//! `poll`, `select` and `epoll` on the generation.

use super::{READ, refused};
use crate::harness::tests;
use crate::sys::poll::{Epoll, LONG_MS, is_readable, poll, poll_for, select};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, Addr, Errno, Gate, Handle, IOC_STAT, IOC_SYNC, PAGE, Process, Region, SIZE,
    SYNC_BEGIN, SyncRange,
};

tests![
    readiness_follows_the_access_mode,
    a_new_handle_has_seen_everything,
    a_write_of_another_makes_readable,
    the_end_of_a_write_range_of_another_makes_readable,
    the_end_of_a_read_range_does_not,
    stores_into_a_mapping_do_not,
    looking_makes_unreadable,
    a_look_that_fails_hides_nothing,
    a_write_of_ones_own_does_not_make_readable,
    a_write_of_ones_own_does_not_hide_a_missed_one,
    a_write_range_of_ones_own_does_not_make_readable,
    duplicated_descriptors_share_what_they_saw,
    handles_do_not_share_what_they_saw,
    every_reader_is_woken,
    a_sleeping_poll_wakes_for_a_write,
    a_sleeping_poll_wakes_for_the_end_of_a_range,
    a_sleeping_select_wakes,
    select_agrees_with_poll,
    level_triggered_epoll_stays_until_one_looks,
    edge_triggered_epoll_reports_each_generation,
    one_shot_epoll_reports_once,
    epoll_wakes_a_sleeper_in_another_process,
    a_closed_handle_leaves_epoll,
    urgent_and_hangup_never_happen,
];

fn readiness_follows_the_access_mode() {
    assert_eq!(poll(Handle::rw(), 0), libc::POLLOUT);
    assert_eq!(poll(Handle::wo(), 0), libc::POLLOUT);
    assert_eq!(poll(Handle::ro(), 0), 0);
    let (reader, writer, both) = (Handle::ro(), Handle::wo(), Handle::rw());
    for handle in [&reader, &writer, &both] {
        handle.stat().unwrap();
    }
    Handle::rw().pwrite(b"x", 0).unwrap();
    assert_eq!(poll(&reader, 0), libc::POLLIN);
    assert_eq!(
        poll(&writer, 0),
        libc::POLLOUT,
        "not open for reading, so never readable"
    );
    assert_eq!(poll(&both, 0), libc::POLLIN | libc::POLLOUT);
}

fn a_new_handle_has_seen_everything() {
    Handle::rw().pwrite(b"x", 0).unwrap();
    assert!(!is_readable(Handle::ro()));
    // Opened before, attached by the poll itself.
    let handle = Handle::ro();
    Handle::rw().pwrite(b"x", 0).unwrap();
    assert!(
        !is_readable(&handle),
        "a handle sees the generation when it attaches"
    );
    Handle::rw().pwrite(b"x", 0).unwrap();
    assert!(is_readable(&handle));
}

/// A handle that has looked, and another that will write.
fn pair() -> (Handle, Handle) {
    let (reader, writer) = (Handle::rw(), Handle::rw());
    reader.stat().unwrap();
    writer.stat().unwrap();
    assert!(!is_readable(&reader));
    (reader, writer)
}

fn a_write_of_another_makes_readable() {
    let (reader, writer) = pair();
    writer.pwrite(b"x", 0).unwrap();
    assert!(is_readable(&reader));
    assert!(is_readable(&reader), "and stays so");
    reader.stat().unwrap();
    assert!(!is_readable(&reader));
    writer.writev(&[b"x", b"y"], None).unwrap();
    assert!(is_readable(&reader));
}

fn the_end_of_a_write_range_of_another_makes_readable() {
    let (reader, writer) = pair();
    writer.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    assert!(!is_readable(&reader), "not its beginning");
    writer.end(ACCESS_WRITE, 0, 8).unwrap();
    assert!(is_readable(&reader));
}

fn the_end_of_a_read_range_does_not() {
    let (reader, writer) = pair();
    writer.begin(ACCESS_READ, 0, 8, 0).unwrap();
    writer.end(ACCESS_READ, 0, 8).unwrap();
    assert!(!is_readable(&reader));
}

fn stores_into_a_mapping_do_not() {
    let (reader, writer) = pair();
    writer.whole().fill(1);
    writer.fsync().unwrap();
    assert!(!is_readable(&reader));
}

fn looking_makes_unreadable() {
    let (reader, writer) = pair();
    type Look = fn(&Handle);
    let looks: [(&str, Look); 7] = [
        ("STAT", |handle| _ = handle.stat().unwrap()),
        ("BEGIN", |handle| {
            _ = handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
        }),
        ("END", |handle| _ = handle.end(ACCESS_READ, 0, 1).unwrap()),
        ("read", |handle| _ = handle.read(&mut [0]).unwrap()),
        ("pread", |handle| _ = handle.pread(&mut [0], 0).unwrap()),
        ("readv", |handle| {
            _ = handle.readv(&mut [&mut [0]], None).unwrap();
        }),
        ("preadv", |handle| {
            _ = handle.readv(&mut [&mut [0]], Some(0)).unwrap();
        }),
    ];
    for (name, look) in looks {
        writer.pwrite(b"x", 0).unwrap();
        assert!(is_readable(&reader), "before {name}");
        look(&reader);
        assert!(!is_readable(&reader), "after {name}");
    }
    writer.pwrite(b"x", 0).unwrap();
    reader.info().unwrap();
    reader.seek(0, libc::SEEK_SET).unwrap();
    reader.fdinfo();
    assert!(is_readable(&reader), "INFO, lseek and fdinfo do not look");
}

fn a_look_that_fails_hides_nothing() {
    let (reader, writer) = pair();
    let hole = Region::with_hole(PAGE);
    let read_only = Region::anonymous(PAGE);
    let begin = SyncRange {
        len: 1,
        op: SYNC_BEGIN,
        access: ACCESS_READ,
        ..SyncRange::default()
    };
    read_only.place(0, &begin);
    read_only.protect(0, PAGE, READ).unwrap();
    writer.pwrite(b"x", 0).unwrap();
    for address in [Addr::NULL, Addr::KERNEL, hole.at(PAGE - 8), read_only.at(256)] {
        refused(reader.ioctl(IOC_STAT, address), Errno::EFAULT);
        assert!(is_readable(&reader), "STAT to {address:?}");
    }
    refused(reader.pread_at(Addr::NULL, 16, 0), Errno::EFAULT);
    assert!(is_readable(&reader), "a read to nowhere");
    refused(reader.ioctl(IOC_SYNC, read_only.at(0)), Errno::EFAULT);
    assert!(is_readable(&reader), "a BEGIN that was given back");
    reader.stat().unwrap();
    assert!(!is_readable(&reader));
}

fn a_write_of_ones_own_does_not_make_readable() {
    let (handle, _other) = pair();
    for _ in 0..3 {
        handle.pwrite(b"x", 0).unwrap();
        handle.write(b"x").unwrap();
        assert!(!is_readable(&handle));
    }
}

fn a_write_of_ones_own_does_not_hide_a_missed_one() {
    let (handle, other) = pair();
    other.pwrite(b"x", 0).unwrap();
    handle.pwrite(b"y", 0).unwrap();
    assert!(is_readable(&handle), "the other's write was missed");
    handle.stat().unwrap();
    assert!(!is_readable(&handle));
}

fn a_write_range_of_ones_own_does_not_make_readable() {
    let (handle, _other) = pair();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    assert!(!is_readable(&handle));
}

fn duplicated_descriptors_share_what_they_saw() {
    let (reader, writer) = pair();
    let twin = reader.dup();
    writer.pwrite(b"x", 0).unwrap();
    assert!(is_readable(&reader) && is_readable(&twin));
    twin.stat().unwrap();
    assert!(!is_readable(&reader) && !is_readable(&twin));
    Process::fork(|| {
        writer.pwrite(b"x", 0).unwrap();
        reader.stat().unwrap();
    })
    .join();
    assert!(!is_readable(&reader), "the child looked for both");
}

fn handles_do_not_share_what_they_saw() {
    let (one, writer) = pair();
    let other = Handle::ro();
    other.stat().unwrap();
    writer.pwrite(b"x", 0).unwrap();
    one.stat().unwrap();
    assert!(!is_readable(&one) && is_readable(&other));
}

fn every_reader_is_woken() {
    let writer = Handle::rw();
    let ready = Gate::new();
    let readers: Vec<_> = (0..8)
        .map(|_| {
            Process::fork(|| {
                let handle = Handle::ro();
                handle.stat().unwrap();
                ready.open();
                assert_eq!(poll_for(&handle, libc::POLLIN, LONG_MS), libc::POLLIN);
            })
        })
        .collect();
    readers.iter().for_each(|_| ready.pass());
    writer.pwrite(b"x", 0).unwrap();
    readers.into_iter().for_each(Process::join);
}

/// Lets a process sleep in `wait` on a handle of its own; after each `wake`, the sleeper must wake up and look.
fn sleeper_wakes(rounds: usize, wait: fn(&Handle) -> bool, wake: impl Fn(&Handle)) {
    let writer = Handle::rw();
    let (ready, woken) = (Gate::new(), Gate::new());
    let sleeper = Process::fork(|| {
        let handle = Handle::ro();
        handle.stat().unwrap();
        for _ in 0..rounds {
            ready.open();
            assert!(wait(&handle), "woken without a reason, or never");
            handle.stat().unwrap();
            woken.open();
        }
    });
    for _ in 0..rounds {
        ready.pass();
        // Sometimes asleep already, sometimes just about to: both must work.
        std::thread::yield_now();
        wake(&writer);
        woken.pass();
    }
    sleeper.join();
}

fn a_sleeping_poll_wakes_for_a_write() {
    let wait = |handle: &Handle| poll_for(handle, libc::POLLIN, LONG_MS) == libc::POLLIN;
    sleeper_wakes(200, wait, |writer| _ = writer.pwrite(b"x", 0).unwrap());
}

fn a_sleeping_poll_wakes_for_the_end_of_a_range() {
    let wait = |handle: &Handle| poll_for(handle, libc::POLLIN, LONG_MS) == libc::POLLIN;
    sleeper_wakes(200, wait, |writer| {
        writer.begin(ACCESS_WRITE, 0, SIZE as u64, 0).unwrap();
        writer.end(ACCESS_WRITE, 0, SIZE as u64).unwrap();
    });
}

fn a_sleeping_select_wakes() {
    sleeper_wakes(
        20,
        |handle| select(handle, LONG_MS) == (true, false),
        |writer| {
            writer.pwrite(b"x", 0).unwrap();
        },
    );
}

fn select_agrees_with_poll() {
    let (reader, writer) = pair();
    assert_eq!(select(&reader, 0), (false, true));
    writer.pwrite(b"x", 0).unwrap();
    assert_eq!(select(&reader, 0), (true, true));
    let read_only = Handle::ro();
    assert_eq!(select(&read_only, 0), (false, false));
}

fn level_triggered_epoll_stays_until_one_looks() {
    let (reader, writer) = pair();
    let epoll = Epoll::watching(&reader, libc::EPOLLIN);
    assert_eq!(epoll.wait(0), 0);
    writer.pwrite(b"x", 0).unwrap();
    for _ in 0..3 {
        assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN);
    }
    reader.stat().unwrap();
    assert_eq!(epoll.wait(0), 0);
    writer.pwrite(b"x", 0).unwrap();
    assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN);
}

fn edge_triggered_epoll_reports_each_generation() {
    let (reader, writer) = pair();
    let epoll = Epoll::watching(&reader, libc::EPOLLIN | libc::EPOLLET);
    assert_eq!(epoll.wait(0), 0);
    for look in [false, false, true, true, false] {
        writer.pwrite(b"x", 0).unwrap();
        assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN, "an edge for each write");
        assert_eq!(epoll.wait(0), 0, "and one only");
        if look {
            reader.stat().unwrap();
        }
    }
    // Writes that nobody waited for in between are one edge.
    writer.pwrite(b"x", 0).unwrap();
    writer.pwrite(b"x", 0).unwrap();
    assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN);
    assert_eq!(epoll.wait(0), 0);
}

fn one_shot_epoll_reports_once() {
    let (reader, writer) = pair();
    let epoll = Epoll::watching(&reader, libc::EPOLLIN | libc::EPOLLONESHOT);
    writer.pwrite(b"x", 0).unwrap();
    assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN);
    writer.pwrite(b"x", 0).unwrap();
    assert_eq!(epoll.wait(0), 0);
}

fn epoll_wakes_a_sleeper_in_another_process() {
    for trigger in [0, libc::EPOLLET] {
        let (reader, writer) = pair();
        let epoll = Epoll::watching(&reader, libc::EPOLLIN | trigger);
        let ready = Gate::new();
        let sleeper = Process::fork(|| {
            ready.open();
            assert_eq!(epoll.wait(LONG_MS), libc::EPOLLIN);
        });
        ready.pass();
        writer.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
        writer.end(ACCESS_WRITE, 0, 1).unwrap();
        sleeper.join();
    }
}

fn a_closed_handle_leaves_epoll() {
    let (reader, writer) = pair();
    let epoll = Epoll::watching(&reader, libc::EPOLLIN);
    drop(reader);
    writer.pwrite(b"x", 0).unwrap();
    assert_eq!(epoll.wait(0), 0);
    // And the other way round: the epoll goes first.
    let reader = Handle::ro();
    drop(Epoll::watching(&reader, libc::EPOLLIN));
    writer.pwrite(b"x", 0).unwrap();
}

fn urgent_and_hangup_never_happen() {
    let (reader, writer) = pair();
    writer.pwrite(b"x", 0).unwrap();
    let ready = poll_for(
        &reader,
        libc::POLLIN | libc::POLLPRI | libc::POLLRDHUP | libc::POLLRDBAND,
        0,
    );
    assert_eq!(ready & !libc::POLLRDNORM, libc::POLLIN);
}
