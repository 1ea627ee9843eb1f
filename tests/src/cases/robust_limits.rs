// SPDX-License-Identifier: MIT OR Apache-2.0

//! Robust words: how many there may be, which, and for whom.

use std::sync::atomic::Ordering;

use super::refused;
use super::robust::{OFFSET, lock, owner, token, zeroed};
use crate::harness::tests;
use crate::sys::process::park;
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, Errno, Gate, Handle, IOC_ROBUST_ADD, PAGE, Process, ROBUST_WAKE_ONLY, Robust,
    SIZE, THIS, WORD_OWNER_DIED,
};

tests![
    words_are_counted_and_taken_back_as_often,
    a_handle_has_as_many_as_it_may,
    a_segment_has_as_many_as_it_may within 120,
    words_lie_within_the_segment_and_flags_are_known,
    adding_wants_the_right_to_write,
    what_was_added_before_a_restriction_is_tended,
    a_word_that_a_resize_took_away_is_left_alone,
];

fn words_are_counted_and_taken_back_as_often() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let handle = Handle::rw();
    refused(handle.robust_del(OFFSET, 0), Errno::ENOENT);
    for times in [1, 3] {
        (0..times).for_each(|_| handle.robust_add(OFFSET, 0).unwrap());
        refused(handle.robust_del(OFFSET, ROBUST_WAKE_ONLY), Errno::ENOENT);
        refused(handle.robust_del(OFFSET + 4, 0), Errno::ENOENT);
        refused(handle.dup().robust_del(OFFSET, ROBUST_WAKE_ONLY), Errno::ENOENT);
        (0..times).for_each(|_| handle.robust_del(OFFSET, 0).unwrap());
        refused(handle.robust_del(OFFSET, 0), Errno::ENOENT);
    }
    // Taken back once, it is there once more.
    (0..2).for_each(|_| handle.robust_add(OFFSET, 0).unwrap());
    handle.robust_del(OFFSET, 0).unwrap();
    lock(word, token(&handle));
    drop(handle);
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
}

fn a_handle_has_as_many_as_it_may() {
    let handle = Handle::rw();
    let limit = u64::from(handle.info().unwrap().max_robust);
    for index in 0..limit {
        handle.robust_add(index * 4, 0).unwrap();
    }
    refused(handle.robust_add(limit * 4, 0), Errno::ENOSPC);
    refused(handle.robust_add(0, ROBUST_WAKE_ONLY), Errno::ENOSPC);
    // What is there can be added again.
    handle.robust_add(0, 0).unwrap();
    // The handle's, whoever adds them.
    Process::fork(|| refused(handle.robust_add(0, 0), Errno::ENOSPC)).join();
    Handle::rw().robust_add(limit * 4, 0).unwrap();
    handle.robust_del(4, 0).unwrap();
    handle.robust_add(limit * 4, 0).unwrap();
}

fn a_segment_has_as_many_as_it_may() {
    const MAX: u64 = 16384;
    let limit = u64::from(Handle::rw().info().unwrap().max_robust);
    let mut handles: Vec<_> = (0..MAX / limit)
        .map(|_| {
            let handle = Handle::rw();
            (0..limit).for_each(|index| handle.robust_add(index * 4, 0).unwrap());
            handle
        })
        .collect();
    let one_more = Handle::rw();
    refused(one_more.robust_add(0, 0), Errno::ENOSPC);
    handles[0].robust_del(0, 0).unwrap();
    one_more.robust_add(0, 0).unwrap();
    refused(one_more.robust_add(4, 0), Errno::ENOSPC);
    drop(handles.pop());
    one_more.robust_add(4, 0).unwrap();
    // Another segment has its own.
    Handle::creating("frames", 100).robust_add(0, 0).unwrap();
    remove("frames");
}

fn words_lie_within_the_segment_and_flags_are_known() {
    let handle = Handle::rw();
    for offset in [1, 2, 3, SIZE as u64, SIZE as u64 - 2, u64::MAX - 3, 1 << 63] {
        refused(handle.robust_add(offset, 0), Errno::EINVAL);
    }
    for flags in [2, 3, 1 << 31, u32::MAX] {
        refused(handle.robust_add(0, flags), Errno::EINVAL);
        refused(handle.robust_del(0, flags), Errno::EINVAL);
    }
    let mut reserved = Robust {
        reserved: 1,
        ..Robust::default()
    };
    refused(handle.count(IOC_ROBUST_ADD, &mut reserved), Errno::EINVAL);
    handle.robust_add(SIZE as u64 - 4, 0).unwrap();
    // One that is attached to nothing has none.
    refused(Handle::rw().robust_del(0, 0), Errno::ENOENT);
}

fn adding_wants_the_right_to_write() {
    refused(Handle::ro().robust_add(0, 0), Errno::EACCES);
    Handle::wo().robust_add(0, 0).unwrap();
    let handle = Handle::rw();
    handle.restrict(100, 10, ACCESS_READ | ACCESS_WRITE).unwrap();
    for offset in [96, 108, 4096] {
        refused(handle.robust_add(offset, 0), Errno::EACCES);
    }
    handle.robust_add(100, 0).unwrap();
    handle.restrict(100, 10, ACCESS_READ).unwrap();
    refused(handle.robust_add(104, 0), Errno::EACCES);
}

fn what_was_added_before_a_restriction_is_tended() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    owner(|handle, word| {
        lock(word, token(handle));
        handle.restrict(0, 4, ACCESS_READ).unwrap();
        handle
            .robust_del(OFFSET, 0)
            .unwrap_or_else(|_| panic!("it can be taken back"));
        refused(handle.robust_add(OFFSET, 0), Errno::EACCES);
    })
    .kill();
    assert_ne!(word.swap(0, Ordering::SeqCst), WORD_OWNER_DIED);
    owner(|handle, word| {
        lock(word, token(handle));
        handle.restrict(0, 4, ACCESS_READ).unwrap();
    })
    .kill();
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
}

fn a_word_that_a_resize_took_away_is_left_alone() {
    let owner = Handle::creating("frames", 3 * PAGE as u64);
    let far = 2 * PAGE as u64;
    let ready = Gate::new();
    let process = Process::fork(|| {
        let handle = Handle::of("frames");
        handle.robust_add(far, 0).unwrap();
        handle.pwrite(&token(&handle).to_ne_bytes(), far as i64).unwrap();
        ready.open();
        park();
    });
    ready.pass();
    owner.resize(THIS, PAGE as u64).unwrap();
    process.kill();
    owner.resize(THIS, 3 * PAGE as u64).unwrap();
    let mut bytes = [1; 4];
    assert_eq!(owner.pread(&mut bytes, far as i64), Ok(4));
    assert_eq!(bytes, [0; 4]);
    remove("frames");
}
