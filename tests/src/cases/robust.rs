// SPDX-License-Identifier: MIT OR Apache-2.0

//! Robust words: what the kernel does with them when a process dies, and for whom.

use std::sync::atomic::{AtomicU32, Ordering};

use super::refused;
use crate::harness::tests;
use crate::sys::process::{exit_now, park, until};
use crate::sys::{
    DEADLINE_NEVER, Errno, Gate, Handle, PAGE, Process, ROBUST_WAKE_ONLY, Region, WORD_OWNER_DIED,
    WORD_WAITERS, file, signal,
};

tests![
    a_killed_owner_is_told_of_in_the_word,
    whoever_waits_is_woken_and_no_other,
    exit_close_and_exec_are_deaths_too,
    a_word_of_another_owner_stays,
    one_is_woken_although_the_word_was_free,
    a_word_that_is_to_wake_only_stays,
    what_was_taken_back_is_not_tended,
    a_word_belongs_to_the_process_that_added_it,
    the_death_of_a_parent_counts_while_its_child_has_the_handle,
    a_child_with_a_handle_of_its_own_is_another_owner,
    one_that_closed_its_descriptor_before_dying_counts,
    one_whose_descriptor_is_in_an_unread_queue_counts,
    a_thread_that_exits_is_no_death,
    any_value_may_be_in_the_word,
    #[slow] who_changes_the_word_on_and_on_delays_nobody within 120,
    #[slow] two_hundred_owners_die_and_each_is_told_of_once within 120,
];

pub(super) const OFFSET: u64 = 64;

/// Takes a lock word, as the crate does when nobody has it.
pub(super) fn lock(word: &AtomicU32, token: u32) {
    word.store(token, Ordering::SeqCst);
}

pub(super) fn token(handle: &Handle) -> u32 {
    handle.info().unwrap().token
}

/// A process that makes the word robust, does this with its handle and the word, and then waits to be killed.
pub(super) fn owner(then: impl FnOnce(&Handle, &AtomicU32)) -> Process {
    let ready = Gate::new();
    let process = Process::fork(|| {
        let handle = Handle::rw();
        let mapping = handle.window(0, PAGE);
        handle.robust_add(OFFSET, 0).unwrap();
        then(&handle, mapping.u32(OFFSET as usize));
        ready.open();
        park();
    });
    ready.pass();
    process
}

/// A process that has the lock.
fn holder() -> Process {
    owner(|handle, word| lock(word, token(handle)))
}

/// A process that waits on the word, whatever is in it now, until it is woken.
fn waiter(word: &AtomicU32) -> Process {
    let value = word.load(Ordering::SeqCst);
    let process = Process::fork(|| Handle::rw().wait_on(OFFSET, value, DEADLINE_NEVER).unwrap());
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    process
}

/// A mapping of the first page, which is zero.
pub(super) fn zeroed() -> Region {
    let handle = Handle::rw();
    handle.pwrite(&[0; PAGE], 0).unwrap();
    handle.window(0, PAGE)
}

fn a_killed_owner_is_told_of_in_the_word() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let process = holder();
    assert_ne!(word.load(Ordering::SeqCst), 0);
    process.kill();
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
    let bytes = mapping.read(0, PAGE);
    assert_eq!(
        bytes.iter().filter(|&&byte| byte != 0).count(),
        1,
        "no other byte"
    );
}

fn whoever_waits_is_woken_and_no_other() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let process = holder();
    word.fetch_or(WORD_WAITERS, Ordering::SeqCst);
    let [first, second] = [(), ()].map(|()| waiter(word));
    process.kill();
    first.join();
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED | WORD_WAITERS);
    assert!(second.sleeps_in(libc::SYS_ioctl));
    assert_eq!(Handle::rw().wake(OFFSET, 2), Ok(1));
    second.join();
}

fn exit_close_and_exec_are_deaths_too() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let take = || {
        let handle = Handle::rw();
        handle.robust_add(OFFSET, 0).unwrap();
        lock(word, token(&handle));
        handle
    };
    let told = || assert_eq!(word.swap(0, Ordering::SeqCst), WORD_OWNER_DIED);
    Process::fork(|| {
        let _handle = take();
        exit_now(0);
    })
    .join();
    told();
    let handle = take();
    let dup = handle.dup();
    drop(handle);
    assert_ne!(
        word.load(Ordering::SeqCst),
        WORD_OWNER_DIED,
        "there is another descriptor"
    );
    let own_mapping = dup.window(0, PAGE);
    drop(dup);
    assert_ne!(word.load(Ordering::SeqCst), WORD_OWNER_DIED, "there is a mapping");
    drop(own_mapping);
    told();
    Process::fork(|| {
        let _handle = take();
        signal::exec(c"/proc/self/exe", &[c"shmdev-tests", c"--list"]).unwrap();
    })
    .join();
    told();
    // With the descriptor, the process goes on to be the owner.
    let ready = Gate::new();
    let process = Process::fork(|| {
        let handle = take();
        handle.keep_over_exec();
        ready.open();
        signal::exec(c"/bin/sleep", &[c"sleep", c"1000"]).unwrap();
    });
    ready.pass();
    until("it has become another program", || {
        std::fs::read_to_string(format!("/proc/{}/comm", process.pid())).unwrap() == "sleep\n"
    });
    assert_ne!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
    process.kill();
    told();
}

fn a_word_of_another_owner_stays() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let other = Handle::rw();
    for bits in [0, WORD_WAITERS, WORD_OWNER_DIED, WORD_WAITERS | WORD_OWNER_DIED] {
        let process = owner(|_, _| ());
        lock(word, token(&other) | bits);
        let waiting = waiter(word);
        process.kill();
        assert_eq!(word.load(Ordering::SeqCst), token(&other) | bits);
        waiting.join();
    }
}

/// Who died may have unlocked it, and not woken anybody yet.
fn one_is_woken_although_the_word_was_free() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    for value in [0, WORD_WAITERS, WORD_OWNER_DIED] {
        let process = owner(|_, _| ());
        word.store(value, Ordering::SeqCst);
        let [first, second] = [(), ()].map(|()| waiter(word));
        process.kill();
        first.join();
        assert_eq!(word.load(Ordering::SeqCst), value);
        assert_eq!(Handle::rw().wake(OFFSET, 2), Ok(1));
        second.join();
    }
}

fn a_word_that_is_to_wake_only_stays() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let ready = Gate::new();
    let process = Process::fork(|| {
        let handle = Handle::rw();
        handle.robust_add(OFFSET, ROBUST_WAKE_ONLY).unwrap();
        lock(word, token(&handle));
        ready.open();
        park();
    });
    ready.pass();
    let value = word.load(Ordering::SeqCst);
    let waiting = waiter(word);
    process.kill();
    waiting.join();
    assert_eq!(word.load(Ordering::SeqCst), value);
}

fn what_was_taken_back_is_not_tended() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let process = owner(|handle, word| {
        lock(word, token(handle));
        handle.robust_del(OFFSET, 0).unwrap();
    });
    let value = word.load(Ordering::SeqCst);
    let waiting = waiter(word);
    process.kill();
    assert_eq!(word.load(Ordering::SeqCst), value);
    assert!(waiting.sleeps_in(libc::SYS_ioctl), "it was woken");
    assert_eq!(Handle::rw().wake(OFFSET, 1), Ok(1));
    waiting.join();
}

fn a_word_belongs_to_the_process_that_added_it() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let handle = Handle::rw();
    handle.robust_add(OFFSET, 0).unwrap();
    lock(word, token(&handle));
    Process::fork(|| refused(handle.robust_del(OFFSET, 0), Errno::ENOENT)).join();
    assert_eq!(
        word.load(Ordering::SeqCst),
        token(&handle),
        "its child's end is not its own"
    );
    // A child that adds it through the same handle has its token: its end counts as its parent's.
    Process::fork(|| handle.robust_add(OFFSET, 0).unwrap()).join();
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
    handle.robust_del(OFFSET, 0).unwrap();
}

fn the_death_of_a_parent_counts_while_its_child_has_the_handle() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let (ready, end) = (Gate::new(), Gate::new());
    let parent = Process::fork(|| {
        let handle = Handle::rw();
        handle.robust_add(OFFSET, 0).unwrap();
        lock(word, token(&handle));
        let child = Process::fork(|| {
            ready.open();
            end.pass();
            // Its token is still that of the handle.
            lock(word, token(&handle));
        });
        std::mem::forget(child);
        ready.pass();
        // Closed by the exit, which tells at once.
        std::mem::forget(handle);
    });
    parent.join();
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
    end.open();
    // Nobody has added it who lives, so nobody tends it.
    until("the child has locked it", || {
        word.load(Ordering::SeqCst) != WORD_OWNER_DIED
    });
    // The mapping has a handle, and who asks.
    until("the child is gone", || Handle::rw().stat().unwrap().handles == 2);
    assert_ne!(word.load(Ordering::SeqCst) & !WORD_WAITERS, WORD_OWNER_DIED);
}

fn a_child_with_a_handle_of_its_own_is_another_owner() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let handle = Handle::rw();
    handle.robust_add(OFFSET, 0).unwrap();
    Process::fork(|| {
        let own = Handle::rw();
        own.robust_add(OFFSET, 0).unwrap();
        assert_ne!(token(&own), token(&handle));
        lock(word, token(&handle));
    })
    .join();
    assert_eq!(word.load(Ordering::SeqCst), token(&handle));
    Process::fork(|| {
        let own = Handle::rw();
        own.robust_add(OFFSET, 0).unwrap();
        lock(word, token(&own));
    })
    .join();
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
}

fn one_that_closed_its_descriptor_before_dying_counts() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let handle = Handle::rw();
    let process = Process::fork(|| {
        handle.robust_add(OFFSET, 0).unwrap();
        lock(word, token(&handle));
        // SAFETY: the descriptor is this process's own, and not used any more.
        assert_eq!(unsafe { libc::close(handle.fd()) }, 0);
        exit_now(0);
    });
    process.join();
    until("the exit is noticed", || {
        word.load(Ordering::SeqCst) == WORD_OWNER_DIED
    });
}

fn one_whose_descriptor_is_in_an_unread_queue_counts() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let (here, there) = file::sockets();
    Process::fork(|| {
        let handle = Handle::rw();
        handle.robust_add(OFFSET, 0).unwrap();
        lock(word, token(&handle));
        file::send_fd(&there, &handle);
        // Closed by the exit, which tells at once.
        std::mem::forget(handle);
    })
    .join();
    assert_eq!(word.load(Ordering::SeqCst), WORD_OWNER_DIED);
    let handle = Handle::from(file::receive_fd(&here));
    assert_eq!(handle.stat().unwrap().handles, 2);
}

fn a_thread_that_exits_is_no_death() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let handle = Handle::rw();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            handle.robust_add(OFFSET, 0).unwrap();
            lock(word, token(&handle));
        });
    });
    assert_eq!(word.load(Ordering::SeqCst), token(&handle));
    handle.robust_del(OFFSET, 0).unwrap();
}

fn any_value_may_be_in_the_word() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    for value in [
        0,
        1,
        u32::MAX,
        WORD_OWNER_DIED,
        WORD_WAITERS,
        0x3fff_ffff,
        0x8000_0001,
        0xdead_beef,
    ] {
        let process = owner(|_, _| ());
        word.store(value, Ordering::SeqCst);
        process.kill();
        assert_eq!(word.load(Ordering::SeqCst), value);
    }
    // Its own token with whatever else.
    for bits in [0, WORD_WAITERS, WORD_OWNER_DIED, WORD_WAITERS | WORD_OWNER_DIED] {
        owner(|handle, word| lock(word, token(handle) | bits)).kill();
        assert_eq!(word.load(Ordering::SeqCst), bits & WORD_WAITERS | WORD_OWNER_DIED);
    }
}

/// As those do who come to wait, and go: the mark is made in between.
fn who_changes_the_word_on_and_on_delays_nobody() {
    let mapping = zeroed();
    let word = mapping.u32(OFFSET as usize);
    let shared = Region::shared(PAGE);
    let end = shared.u32(0);
    let hostile = Process::fork(|| {
        while end.load(Ordering::SeqCst) == 0 {
            word.fetch_xor(WORD_WAITERS, Ordering::Relaxed);
        }
    });
    for _ in 0..50 {
        word.store(0, Ordering::SeqCst);
        owner(|handle, word| _ = word.fetch_or(token(handle), Ordering::SeqCst)).kill();
        assert_eq!(word.load(Ordering::SeqCst) & !WORD_WAITERS, WORD_OWNER_DIED);
    }
    end.store(1, Ordering::SeqCst);
    hostile.join();
}

/// Each waits for the lock, says that it has it, and is killed.
fn two_hundred_owners_die_and_each_is_told_of_once() {
    const ROUNDS: u32 = 200;
    let mapping = zeroed();
    let (word, died) = (mapping.u32(OFFSET as usize), mapping.u32(128));
    let has_it = Gate::new();
    let take = || {
        let handle = Handle::rw();
        handle.robust_add(OFFSET, 0).unwrap();
        let own = token(&handle);
        loop {
            let now = word.load(Ordering::SeqCst);
            let free = now & !(WORD_WAITERS | WORD_OWNER_DIED) == 0;
            let new = if free {
                own | WORD_WAITERS
            } else {
                now | WORD_WAITERS
            };
            if word
                .compare_exchange(now, new, Ordering::SeqCst, Ordering::SeqCst)
                .is_err()
            {
                continue;
            }
            if free {
                died.fetch_add(u32::from(now & WORD_OWNER_DIED != 0), Ordering::SeqCst);
                has_it.open();
                park();
            }
            match handle.wait_on(OFFSET, new, DEADLINE_NEVER) {
                Ok(()) | Err(Errno::EAGAIN) => (),
                Err(error) => panic!("{error}"),
            }
        }
    };
    let mut waiting: Vec<_> = (0..3).map(|_| Process::fork(take)).collect();
    for round in 0..ROUNDS {
        has_it.pass();
        assert_eq!(died.load(Ordering::SeqCst), round);
        let owner = word.load(Ordering::SeqCst) & !(WORD_WAITERS | WORD_OWNER_DIED);
        let is_owner = |process: &Process| process_token(process) == Some(owner);
        let index = waiting.iter().position(is_owner).expect("one of them has it");
        waiting.swap_remove(index).kill();
        waiting.push(Process::fork(take));
    }
    has_it.pass();
    assert_eq!(died.load(Ordering::SeqCst), ROUNDS);
    waiting.into_iter().for_each(drop);
}

/// The token of the handle that a process has, which it has not inherited.
fn process_token(process: &Process) -> Option<u32> {
    let directory = format!("/proc/{}/fdinfo", process.pid());
    let tokens = std::fs::read_dir(directory).ok()?.filter_map(|entry| {
        let text = std::fs::read_to_string(entry.ok()?.path()).ok()?;
        let token = text.lines().find_map(|line| line.strip_prefix("shmdev-token:"))?;
        token.trim().parse::<u32>().ok()
    });
    tokens.max()
}
