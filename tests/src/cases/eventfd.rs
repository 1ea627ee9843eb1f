// SPDX-License-Identifier: MIT OR Apache-2.0

//! Eventfds that the kernel signals: for whom, how often, and until when.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{EndOf, refused};
use crate::harness::tests;
use crate::sys::poll::{Epoll, LONG_MS, is_readable};
use crate::sys::process::{End, park, until};
use crate::sys::segments::remove;
use crate::sys::uring::Uring;
use crate::sys::words::{drain, eventfd, fill, wait, wake};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, EVENTFD_GENERATION, EVENTFDS_MAX, Errno, Eventfd, Gate,
    Handle, IOC_EVENTFD_ADD, PAGE, Process, SIZE, THIS, file, signal,
};

tests![
    each_wake_up_on_the_word_is_signalled,
    all_that_wakes_signals,
    each_new_generation_is_signalled,
    several_eventfds_and_words_are_kept_apart,
    a_handle_that_goes_takes_its_eventfds_along,
    what_was_removed_is_signalled_no_more,
    an_eventfd_may_be_closed_while_it_is_added,
    an_eventfd_that_is_full_delays_nobody,
    a_handle_and_a_segment_have_as_many_as_they_may,
    what_is_no_eventfd_is_refused,
    adding_wants_the_right_to_read,
    epoll_tells_of_each_wake_up_by_edge_and_by_level,
    io_uring_waits_for_wake_ups_and_for_generations,
    an_eventfd_of_another_process_is_signalled,
    who_adds_one_and_then_looks_misses_nothing within 120,
    #[slow] none_is_missed_while_another_comes_and_goes within 120,
    a_wake_up_that_is_passed_on_is_signalled,
];

fn fd(eventfd: &OwnedFd) -> i32 {
    eventfd.as_fd().as_raw_fd()
}

fn each_wake_up_on_the_word_is_signalled() {
    let (handle, event) = (Handle::rw(), eventfd());
    handle.eventfd_add(Some(64), fd(&event)).unwrap();
    assert_eq!(drain(&event), 0);
    // Whether somebody waits or not.
    assert_eq!(handle.wake(64, 1), Ok(0));
    assert_eq!(drain(&event), 1);
    handle.pwrite(&[0; 4], 64).unwrap();
    let process = Process::fork(|| Handle::rw().wait_on(64, 0, DEADLINE_NEVER).unwrap());
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    assert_eq!(
        Handle::rw().wake(64, 5),
        Ok(1),
        "an eventfd is nobody who was woken"
    );
    process.join();
    assert_eq!(drain(&event), 1);
    for _ in 0..3 {
        handle.wake(64, 1).unwrap();
    }
    assert_eq!(drain(&event), 3);
    handle.wake(64, 0).unwrap();
    handle.wake(68, 1).unwrap();
    handle.wake(60, 1).unwrap();
    handle.pwrite(&[1; 4], 64).unwrap();
    assert_eq!(drain(&event), 0);
}

fn all_that_wakes_signals() {
    let (handle, event) = (Handle::rw(), eventfd());
    handle.pwrite(&[0; PAGE], 0).unwrap();
    handle.eventfd_add(Some(64), fd(&event)).unwrap();
    handle.requeue(64, 0, 1, 128, 1).unwrap();
    assert_eq!(drain(&event), 1);
    handle.requeue(64, 0, 0, 128, 1).unwrap();
    handle.requeue(128, 0, 1, 64, 1).unwrap();
    refused(handle.requeue(64, 1, 1, 128, 1), Errno::EAGAIN);
    assert_eq!(drain(&event), 0);
    for (expected, outcome) in [(0, Errno::ETIMEDOUT), (1, Errno::EAGAIN)] {
        refused(handle.wake_wait(wake(64, 1), wait(128, expected, 0)), outcome);
        assert_eq!(drain(&event), 1);
    }
    let ready = Gate::new();
    let process = Process::fork(|| {
        let handle = Handle::rw();
        handle.robust_add(64, 0).unwrap();
        ready.open();
        park();
    });
    ready.pass();
    process.kill();
    assert_eq!(drain(&event), 1);
}

fn each_new_generation_is_signalled() {
    let (handle, event) = (Handle::rw(), eventfd());
    handle.eventfd_add(None, fd(&event)).unwrap();
    handle.pwrite(b"x", 0).unwrap();
    Handle::rw().pwrite(b"xy", 0).unwrap();
    assert_eq!(drain(&event), 2);
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    assert_eq!(drain(&event), 0);
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    assert_eq!(drain(&event), 1);
    handle.begin(ACCESS_READ, 0, 8, 0).unwrap();
    handle.end(ACCESS_READ, 0, 8).unwrap();
    handle.wake(0, 1).unwrap();
    refused(handle.pwrite(b"x", SIZE as i64), Errno::ENOSPC);
    let other = Handle::creating("frames", 100);
    other.pwrite(b"x", 0).unwrap();
    assert_eq!(drain(&event), 0);
    drop(other);
    remove("frames");
}

fn several_eventfds_and_words_are_kept_apart() {
    let (handle, other) = (Handle::rw(), Handle::rw());
    let [a, b, c] = [eventfd(), eventfd(), eventfd()];
    handle.eventfd_add(Some(0), fd(&a)).unwrap();
    handle.eventfd_add(Some(4), fd(&a)).unwrap();
    handle.eventfd_add(Some(4), fd(&b)).unwrap();
    other.eventfd_add(Some(4), fd(&c)).unwrap();
    other.eventfd_add(None, fd(&c)).unwrap();
    let counts = || [&a, &b, &c].map(drain);
    handle.wake(0, 1).unwrap();
    assert_eq!(counts(), [1, 0, 0]);
    handle.wake(4, 1).unwrap();
    assert_eq!(counts(), [1, 1, 1]);
    handle.pwrite(b"x", 0).unwrap();
    assert_eq!(counts(), [0, 0, 1]);
    // Added twice, signalled twice.
    handle.eventfd_add(Some(0), fd(&a)).unwrap();
    handle.wake(0, 1).unwrap();
    assert_eq!(counts(), [2, 0, 0]);
}

fn a_handle_that_goes_takes_its_eventfds_along() {
    let (handle, event) = (Handle::rw(), eventfd());
    let lasting = Handle::rw();
    for word in [Some(0), Some(4), None] {
        handle.eventfd_add(word, fd(&event)).unwrap();
    }
    lasting.eventfd_add(Some(4), fd(&event)).unwrap();
    let dup = handle.dup();
    drop(handle);
    lasting.wake(0, 1).unwrap();
    assert_eq!(drain(&event), 1);
    drop(dup);
    lasting.wake(0, 1).unwrap();
    lasting.pwrite(b"x", 0).unwrap();
    assert_eq!(drain(&event), 0);
    lasting.wake(4, 1).unwrap();
    assert_eq!(drain(&event), 1);
}

fn what_was_removed_is_signalled_no_more() {
    let (handle, event, other) = (Handle::rw(), eventfd(), eventfd());
    for word in [Some(8), None] {
        refused(handle.eventfd_del(word, fd(&event)), Errno::ENOENT);
        handle.eventfd_add(word, fd(&event)).unwrap();
        handle.eventfd_add(word, fd(&event)).unwrap();
        refused(handle.eventfd_del(word, fd(&other)), Errno::ENOENT);
        refused(handle.eventfd_del(Some(4), fd(&event)), Errno::ENOENT);
        refused(Handle::rw().eventfd_del(word, fd(&event)), Errno::ENOENT);
        // One by one.
        for left in [1, 0] {
            handle.eventfd_del(word, fd(&event)).unwrap();
            match word {
                Some(offset) => _ = handle.wake(offset, 1).unwrap(),
                None => _ = handle.pwrite(b"x", 0).unwrap(),
            }
            assert_eq!(drain(&event), left);
        }
        refused(handle.eventfd_del(word, fd(&event)), Errno::ENOENT);
    }
}

fn an_eventfd_may_be_closed_while_it_is_added() {
    let (handle, event) = (Handle::rw(), eventfd());
    handle.eventfd_add(Some(0), fd(&event)).unwrap();
    let copy = event.try_clone().unwrap();
    drop(event);
    handle.wake(0, 1).unwrap();
    assert_eq!(drain(&copy), 1);
    // By another number it is the same.
    handle.eventfd_del(Some(0), fd(&copy)).unwrap();
    handle.eventfd_add(Some(0), fd(&copy)).unwrap();
    drop(copy);
    handle.wake(0, 1).unwrap();
}

fn an_eventfd_that_is_full_delays_nobody() {
    let (handle, event) = (Handle::rw(), eventfd());
    handle.eventfd_add(Some(0), fd(&event)).unwrap();
    fill(&event, u64::MAX - 1);
    handle.wake(0, 1).unwrap();
    assert!(is_readable(&event));
    assert!(drain(&event) >= u64::MAX - 1);
    handle.wake(0, 1).unwrap();
    assert_eq!(drain(&event), 1);
}

fn a_handle_and_a_segment_have_as_many_as_they_may() {
    const SEGMENT_MAX: usize = 1024;
    let event = eventfd();
    let mut handles: Vec<_> = (0..SEGMENT_MAX / EVENTFDS_MAX)
        .map(|_| {
            let handle = Handle::rw();
            (0..EVENTFDS_MAX)
                .for_each(|index| handle.eventfd_add(Some(index as u64 * 4), fd(&event)).unwrap());
            handle
        })
        .collect();
    let one_more = Handle::rw();
    refused(one_more.eventfd_add(None, fd(&event)), Errno::ENOSPC);
    drop(handles.pop());
    refused(handles[0].eventfd_add(None, fd(&event)), Errno::ENOSPC);
    handles[0].eventfd_del(Some(0), fd(&event)).unwrap();
    handles[0].eventfd_add(None, fd(&event)).unwrap();
    one_more.eventfd_add(None, fd(&event)).unwrap();
    one_more.wake(4, 1).unwrap();
    assert_eq!(drain(&event), handles.len() as u64);
}

fn what_is_no_eventfd_is_refused() {
    let (handle, event) = (Handle::rw(), eventfd());
    let (reader, _writer) = file::pipe();
    for word in [Some(0), None] {
        for call in [Handle::eventfd_add, Handle::eventfd_del] {
            refused(call(&handle, word, -1), Errno::EBADF);
            refused(call(&handle, word, 1_000_000), Errno::EBADF);
            refused(call(&handle, word, reader.as_raw_fd()), Errno::EINVAL);
            refused(call(&handle, word, handle.fd()), Errno::EINVAL);
        }
    }
    for offset in [1, 2, 3, SIZE as u64, u64::MAX - 3, u64::MAX] {
        refused(handle.eventfd_add(Some(offset), fd(&event)), Errno::EINVAL);
    }
    for (offset, flags) in [(4, EVENTFD_GENERATION), (0, 2), (0, 3), (0, u32::MAX)] {
        let mut arg = Eventfd {
            offset,
            fd: fd(&event),
            flags,
        };
        refused(handle.count(IOC_EVENTFD_ADD, &mut arg), Errno::EINVAL);
    }
    refused(Handle::rw().eventfd_del(Some(0), fd(&event)), Errno::ENOENT);
    // A word that is there no more.
    let owner = Handle::creating("frames", 2 * PAGE as u64);
    owner.eventfd_add(Some(PAGE as u64), fd(&event)).unwrap();
    owner.resize(THIS, PAGE as u64).unwrap();
    refused(owner.eventfd_add(Some(PAGE as u64), fd(&event)), Errno::EINVAL);
    owner.eventfd_del(Some(PAGE as u64), fd(&event)).unwrap();
    remove("frames");
}

fn adding_wants_the_right_to_read() {
    let event = eventfd();
    for word in [Some(0), None] {
        refused(Handle::wo().eventfd_add(word, fd(&event)), Errno::EACCES);
        Handle::ro().eventfd_add(word, fd(&event)).unwrap();
    }
    let handle = Handle::rw();
    handle.restrict(100, 10, ACCESS_READ).unwrap();
    for offset in [96, 108] {
        refused(handle.eventfd_add(Some(offset), fd(&event)), Errno::EACCES);
    }
    handle.eventfd_add(Some(104), fd(&event)).unwrap();
    handle.eventfd_add(None, fd(&event)).unwrap();
}

fn epoll_tells_of_each_wake_up_by_edge_and_by_level() {
    let (handle, event) = (Handle::rw(), eventfd());
    handle.eventfd_add(Some(0), fd(&event)).unwrap();
    let level = Epoll::watching(&event, libc::EPOLLIN);
    let edge = Epoll::watching(&event, libc::EPOLLIN | libc::EPOLLET);
    assert_eq!((level.wait(0), edge.wait(0)), (0, 0));
    for _ in 0..3 {
        handle.wake(0, 1).unwrap();
        assert_eq!(
            (level.wait(LONG_MS), edge.wait(LONG_MS)),
            (libc::EPOLLIN, libc::EPOLLIN)
        );
        assert_eq!((level.wait(0), edge.wait(0)), (libc::EPOLLIN, 0));
    }
    assert_eq!(drain(&event), 3);
    assert_eq!((level.wait(0), edge.wait(0)), (0, 0));
    // Asleep, too.
    let process = Process::fork(|| {
        assert_eq!(edge.wait(LONG_MS), libc::EPOLLIN);
        assert_eq!(drain(&event), 1);
    });
    until("it waits", || process.sleeps_in(libc::SYS_epoll_wait));
    handle.wake(0, 1).unwrap();
    process.join();
}

fn io_uring_waits_for_wake_ups_and_for_generations() {
    let (handle, event) = (Handle::rw(), eventfd());
    handle.eventfd_add(Some(0), fd(&event)).unwrap();
    let mut uring = Uring::new();
    handle.wake(0, 1).unwrap();
    assert_eq!(uring.read_u64(&event), Ok(1));
    // Asleep, too: one waits for the eventfd, one for the handle itself.
    let writer = Handle::rw();
    let (word, generation) = (Gate::new(), Gate::new());
    let process = Process::fork(|| {
        let mut uring = Uring::new();
        let readable = libc::POLLIN as u32;
        uring.poll(&event, libc::POLLIN);
        word.open();
        assert_eq!(uring.finish().unwrap() & readable, readable);
        assert_eq!(uring.read_u64(&event), Ok(1));
        uring.poll(&handle, libc::POLLIN);
        generation.open();
        assert_eq!(uring.finish().unwrap() & readable, readable);
    });
    word.pass();
    writer.wake(0, 1).unwrap();
    generation.pass();
    writer.pwrite(b"x", 0).unwrap();
    process.join();
}

fn an_eventfd_of_another_process_is_signalled() {
    let (here, there) = file::sockets();
    let process = Process::fork(|| {
        let event = eventfd();
        file::send_fd(&there, &event);
        assert!(crate::sys::poll::poll_for(&event, libc::POLLIN, LONG_MS) & libc::POLLIN != 0);
        assert_eq!(drain(&event), 1);
    });
    let handle = Handle::rw();
    let event = file::receive_fd(&here);
    handle.eventfd_add(Some(0), fd(&event)).unwrap();
    handle.wake(0, 1).unwrap();
    process.join();
}

/// One stores and wakes, the other adds an eventfd and then looks: it sees what was stored, or is signalled.
fn who_adds_one_and_then_looks_misses_nothing() {
    const ROUNDS: u32 = 3000;
    let handle = Handle::rw();
    handle.pwrite(&[0; PAGE], 0).unwrap();
    let mapping = handle.window(0, PAGE);
    let (word, turn, woken) = (mapping.u32(0), mapping.u32(64), mapping.u32(128));
    let process = Process::fork(|| {
        let handle = Handle::rw();
        for round in 1..=ROUNDS {
            while turn.load(Ordering::SeqCst) < round {
                std::hint::spin_loop();
            }
            word.store(round, Ordering::Relaxed);
            handle.wake(0, 1).unwrap();
            woken.store(round, Ordering::SeqCst);
        }
    });
    let event = eventfd();
    for round in 1..=ROUNDS {
        turn.store(round, Ordering::SeqCst);
        handle.eventfd_add(Some(0), fd(&event)).unwrap();
        let seen = word.load(Ordering::Relaxed) == round;
        until("it has woken", || woken.load(Ordering::SeqCst) == round);
        let signalled = drain(&event) != 0;
        assert!(seen || signalled, "round {round}");
        handle.eventfd_del(Some(0), fd(&event)).unwrap();
    }
    process.join();
}

/// Two threads with one handle, one of which removes what the other has just added, while a third wakes.
fn none_is_missed_while_another_comes_and_goes() {
    const WAKES: u64 = 20_000;
    let (handle, lasting) = (Handle::rw(), Handle::rw());
    let [coming, there] = [eventfd(), eventfd()];
    lasting.eventfd_add(Some(0), fd(&there)).unwrap();
    let stop = AtomicBool::new(false);
    let mut signals = 0;
    std::thread::scope(|scope| {
        let _end = EndOf(&stop);
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                match handle.eventfd_add(Some(4), fd(&coming)) {
                    Ok(()) | Err(Errno::ENOSPC) => (),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                match handle.eventfd_del(Some(4), fd(&coming)) {
                    Ok(()) | Err(Errno::ENOENT) => (),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for _ in 0..WAKES {
            lasting.wake(0, 1).unwrap();
            signals += drain(&there);
        }
    });
    assert_eq!(signals, WAKES);
}

fn a_wake_up_that_is_passed_on_is_signalled() {
    let (handle, event) = (Handle::rw(), eventfd());
    handle.pwrite(&[0; 4], 0).unwrap();
    handle.eventfd_add(Some(0), fd(&event)).unwrap();
    signal::run_on_the_first_processor();
    let process = Process::fork(|| Handle::rw().wait_on(0, 0, DEADLINE_NEVER).unwrap());
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    signal::keep_the_processor(|| {
        assert_eq!(handle.wake(0, 1), Ok(1));
        process.signal(libc::SIGKILL);
    });
    assert_eq!(process.wait(), End::Signal(libc::SIGKILL));
    assert_eq!(drain(&event), 2);
}
