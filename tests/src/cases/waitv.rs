// SPDX-License-Identifier: MIT OR Apache-2.0

//! WAITV: waiting on several words at once.

use std::sync::atomic::Ordering;

use super::refused;
use super::waiters::{asleep, nobody_sleeps, waiter, waiter_on, zeroed};
use crate::harness::tests;
use crate::sys::process::{End, until};
use crate::sys::{
    DEADLINE_NEVER, Errno, Handle, IOC_WAITV, PAGE, Region, SIZE, WAITV_MAX, WaitWord, Waitv, in_ms, now_ns,
    signal,
};

tests![
    which_of_many_words_was_woken_is_told,
    a_word_among_many_that_is_not_as_expected_is_eagain,
    no_words_and_too_many_are_einval,
    only_as_many_words_are_read_as_there_are,
    #[slow]
    who_waits_on_many_words_is_woken_and_counted_once,
    a_word_may_be_waited_on_twice,
    who_waits_on_many_words_has_a_place_in_each_queue,
    a_wait_on_many_words_ends_by_deadline_and_signal,
    a_killed_waiter_on_many_words_is_gone,
    #[slow]
    who_is_killed_once_woken_on_one_of_many_passes_it_on,
];

fn which_of_many_words_was_woken_is_told() {
    let handle = zeroed();
    let offsets: Vec<u64> = (0..WAITV_MAX as u64).map(|index| index * 4096).collect();
    for woken in [0, 1, 64, 127] {
        let process = waiter_on(&offsets, woken);
        assert_eq!(handle.stat().unwrap().sleepers, 1);
        assert_eq!(
            handle.wake(offsets[woken as usize] + 4, 1),
            Ok(0),
            "the word beside it"
        );
        assert_eq!(handle.wake(offsets[woken as usize], 1), Ok(1));
        process.join();
        for &offset in &offsets {
            assert_eq!(handle.wake(offset, 1), Ok(0), "nobody is left at {offset}");
        }
    }
    nobody_sleeps(&handle);
}

fn a_word_among_many_that_is_not_as_expected_is_eagain() {
    let handle = zeroed();
    let mapping = handle.whole();
    for changed in [0_u64, 1, 2] {
        mapping.u32(changed as usize * 8).store(1, Ordering::SeqCst);
        refused(
            handle.wait_on_any(&[(0, 0), (8, 0), (16, 0)], DEADLINE_NEVER),
            Errno::EAGAIN,
        );
        for offset in [0, 8, 16] {
            assert_eq!(handle.wake(offset, 1), Ok(0));
        }
        let expected = |index: u64| (index * 8, u32::from(index == changed));
        let words = [0, 1, 2].map(expected);
        refused(handle.wait_on_any(&words, 0), Errno::ETIMEDOUT);
        mapping.u32(changed as usize * 8).store(0, Ordering::SeqCst);
    }
    nobody_sleeps(&handle);
}

fn no_words_and_too_many_are_einval() {
    let handle = zeroed();
    let waitv = |count, flags, deadline_ns| {
        let mut waitv = Waitv {
            deadline_ns,
            count,
            flags,
            ..Waitv::default()
        };
        handle.count(IOC_WAITV, &mut waitv)
    };
    for count in [0, WAITV_MAX as u32 + 1, 1 << 31, u32::MAX] {
        refused(waitv(count, 0, 0), Errno::EINVAL);
    }
    for flags in [1, 1 << 31] {
        refused(waitv(1, flags, 0), Errno::EINVAL);
    }
    for deadline in [1 << 63, u64::MAX - 1] {
        refused(waitv(1, 0, deadline), Errno::EINVAL);
    }
    refused(waitv(WAITV_MAX as u32, 0, 0), Errno::ETIMEDOUT);
    for bad in [1, 2, SIZE as u64, u64::MAX - 3] {
        for index in 0..3 {
            let mut words = [(0, 0), (4, 0), (8, 0)];
            words[index].0 = bad;
            refused(handle.wait_on_any(&words, 0), Errno::EINVAL);
        }
    }
    let mut waitv = Waitv {
        count: 2,
        ..Waitv::default()
    };
    waitv.words[1].flags = 1;
    refused(handle.count(IOC_WAITV, &mut waitv), Errno::EINVAL);
}

fn only_as_many_words_are_read_as_there_are() {
    let handle = zeroed();
    let pages = Region::with_hole(PAGE);
    let mut waitv = Waitv {
        count: 3,
        ..Waitv::default()
    };
    waitv.words[2] = WaitWord {
        offset: 8,
        expected: 1,
        flags: 0,
    };
    let place = |words: usize| {
        let at = PAGE - 16 - words * size_of::<WaitWord>();
        // SAFETY: a structure of integers without padding.
        let bytes: [u8; size_of::<Waitv>()] = unsafe { std::mem::transmute(waitv) };
        pages.write(at, &bytes[..PAGE - at]);
        handle.ioctl(IOC_WAITV, pages.at(at))
    };
    refused(place(3), Errno::EAGAIN);
    refused(place(2), Errno::EFAULT);
    refused(place(0), Errno::EFAULT);
}

fn who_waits_on_many_words_is_woken_and_counted_once() {
    let handle = zeroed();
    for _ in 0..100 {
        let process = asleep(|| {
            let index = Handle::rw()
                .wait_on_any(&[(0, 0), (64, 0)], DEADLINE_NEVER)
                .unwrap();
            assert!(index < 2);
        });
        let woken = handle.wake(64, 1).unwrap() + handle.wake(0, 1).unwrap();
        assert_eq!(woken, 1);
        process.join();
    }
    nobody_sleeps(&handle);
}

fn a_word_may_be_waited_on_twice() {
    let handle = zeroed();
    let process = waiter_on(&[8, 8, 8], 0);
    assert_eq!(handle.wake(8, i32::MAX as u32), Ok(1));
    process.join();
    assert_eq!(handle.wake(8, 1), Ok(0));
}

fn who_waits_on_many_words_has_a_place_in_each_queue() {
    let handle = zeroed();
    let first = waiter(0);
    let many = waiter_on(&[64, 0], 1);
    let last = waiter(0);
    for process in [first, many, last] {
        assert_eq!(handle.wake(0, 1), Ok(1));
        process.join();
    }
    assert_eq!(handle.wake(64, 1), Ok(0));
}

fn a_wait_on_many_words_ends_by_deadline_and_signal() {
    let handle = zeroed();
    let words = [(0, 0), (64, 0), (128, 0)];
    let nobody = || {
        assert!(words.iter().all(|&(offset, _)| handle.wake(offset, 1) == Ok(0)));
        nobody_sleeps(&handle);
    };
    for deadline in [0, now_ns(), in_ms(5)] {
        refused(handle.wait_on_any(&words, deadline), Errno::ETIMEDOUT);
        assert!(now_ns() >= deadline);
        nobody();
    }
    signal::catch(libc::SIGUSR1, 0);
    let process = asleep(|| refused(Handle::rw().wait_on_any(&words, DEADLINE_NEVER), Errno::EINTR));
    process.signal(libc::SIGUSR1);
    process.join();
    nobody();
    signal::catch(libc::SIGUSR1, libc::SA_RESTART);
    let process = waiter_on(&[0, 64, 128], 2);
    process.signal(libc::SIGUSR1);
    until("it waits again and is woken", || handle.wake(128, 1) == Ok(1));
    process.join();
}

fn a_killed_waiter_on_many_words_is_gone() {
    let handle = zeroed();
    for _ in 0..20 {
        asleep(|| {
            let _ = Handle::rw().wait_on_any(&[(0, 0), (64, 0)], DEADLINE_NEVER);
            panic!("the wait ended");
        })
        .kill();
        assert_eq!((handle.wake(0, 1), handle.wake(64, 1)), (Ok(0), Ok(0)));
    }
    nobody_sleeps(&handle);
}

fn who_is_killed_once_woken_on_one_of_many_passes_it_on() {
    let handle = zeroed();
    signal::run_on_the_first_processor();
    for _ in 0..20 {
        let first = waiter_on(&[0, 64], 1);
        let second = waiter(64);
        signal::keep_the_processor(|| {
            assert_eq!(handle.wake(64, 1), Ok(1));
            first.signal(libc::SIGKILL);
        });
        assert_eq!(first.wait(), End::Signal(libc::SIGKILL));
        second.join();
    }
}
