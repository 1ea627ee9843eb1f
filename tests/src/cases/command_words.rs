// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev wait` and `shmdev wake`: words, from a shell.

use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering;

use super::command::{bad, good, run, shmdev};
use crate::harness::tests;
use crate::sys::identity::OpenNode;
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{DEADLINE_NEVER, Gate, Handle, PAGE, Process, THIS};

tests![
    wait_ends_when_the_word_is_another_and_prints_it needs [ShmdevCommand],
    wait_until_a_value_sleeps_through_all_others needs [ShmdevCommand],
    what_is_so_already_is_not_waited_for needs [ShmdevCommand],
    #[slow] wait_that_is_too_late_says_what_the_word_is needs [ShmdevCommand],
    wake_wakes_as_many_as_it_is_asked_and_prints_how_many needs [ShmdevCommand],
    set_stores_before_it_wakes needs [ShmdevCommand],
    wait_reads_the_word_of_a_mapping_and_not_the_file needs [ShmdevCommand],
    #[slow] words_that_are_none_are_refused needs [ShmdevCommand],
    the_default_segment_and_numbers_will_do needs [ShmdevCommand],
];

const OFFSET: u64 = PAGE as u64 + 64;

/// A command that waits, and does so by now, as the last of so many of the segment.
fn waiting(handle: &Handle, arguments: &str, sleepers: u32) -> Child {
    let child = shmdev(arguments).stdout(Stdio::piped()).spawn().unwrap();
    until("it waits", || handle.stat().unwrap().sleepers == sleepers);
    child
}

/// Wakes the one who sleeps on the word, once he does: he may be on his way back to sleep.
fn wake_sleeper(handle: &Handle) {
    until("it sleeps", || handle.wake(OFFSET, 1) == Ok(1));
}

/// What a command that succeeds has printed.
fn printed(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn wait_ends_when_the_word_is_another_and_prints_it() {
    let handle = Handle::creating("frames", 5000);
    let mapping = handle.window(PAGE, PAGE);
    let word = mapping.u32(64);
    word.store(7, Ordering::SeqCst);
    let first = waiting(&handle, "wait frames --offset 4160", 1);
    for _ in 0..3 {
        wake_sleeper(&handle);
    }
    let second = waiting(&handle, "wait frames --offset 4160 --while 0x7", 2);
    word.store(u32::MAX, Ordering::SeqCst);
    // The first may be on its way back to sleep, and look by itself.
    handle.wake(OFFSET, 2).unwrap();
    assert_eq!(printed(first), "4294967295\n");
    assert_eq!(printed(second), "4294967295\n");
    assert_eq!(handle.generation(), 0, "waiting writes nothing");
    remove("frames");
}

fn wait_until_a_value_sleeps_through_all_others() {
    let handle = Handle::creating("frames", 5000);
    let mapping = handle.window(PAGE, PAGE);
    let word = mapping.u32(64);
    let waiter = waiting(&handle, "wait frames --offset 4160 --until 0x10", 1);
    for value in 1..16 {
        word.store(value, Ordering::SeqCst);
        wake_sleeper(&handle);
    }
    word.store(16, Ordering::SeqCst);
    handle.wake(OFFSET, 1).unwrap();
    assert_eq!(printed(waiter), "16\n");
    remove("frames");
}

fn what_is_so_already_is_not_waited_for() {
    let handle = Handle::creating("frames", 100);
    handle.window(0, PAGE).u32(4).store(5, Ordering::SeqCst);
    for arguments in ["--while 4", "--until 5", "--until 5 --timeout 0", "--while 0"] {
        assert_eq!(
            good(&format!("wait frames -o 4 {arguments}")),
            "5\n",
            "{arguments}"
        );
    }
    remove("frames");
}

fn wait_that_is_too_late_says_what_the_word_is() {
    let handle = Handle::creating("frames", 100);
    handle.window(0, PAGE).u32(4).store(5, Ordering::SeqCst);
    for arguments in ["", "--while 5", "--until 6"] {
        for timeout in ["0", "20ms"] {
            assert_eq!(
                bad(&format!("wait frames -o 4 --timeout {timeout} {arguments}"), 1),
                "shmdev: \"frames\": wait on the word at 4, which is 5: timed out (ETIMEDOUT)\n"
            );
        }
    }
    assert_eq!(handle.stat().unwrap().sleepers, 0);
    remove("frames");
}

fn wake_wakes_as_many_as_it_is_asked_and_prints_how_many() {
    let handle = Handle::creating("frames", 5000);
    assert_eq!(good("wake frames -o 4160"), "0\n", "nobody is no error");
    let mut waiters: Vec<_> = (1..=5)
        .map(|number| {
            let process = Process::fork(|| Handle::of("frames").wait_on(OFFSET, 0, DEADLINE_NEVER).unwrap());
            until("it waits", || handle.stat().unwrap().sleepers == number);
            process
        })
        .collect();
    assert_eq!(good("wake frames -o 64 --all"), "0\n", "of another word");
    assert_eq!(good("wake frames -o 4160 --count 0"), "0\n");
    for (arguments, woken) in [("", 1), ("--count 2", 2), ("--all", 2)] {
        assert_eq!(
            good(&format!("wake frames -o 4160 {arguments}")),
            format!("{woken}\n")
        );
        waiters.drain(..woken).for_each(Process::join);
    }
    remove("frames");
}

fn set_stores_before_it_wakes() {
    let handle = Handle::creating("frames", 5000);
    let mapping = handle.window(PAGE, PAGE);
    let (word, ready) = (mapping.u32(64), Gate::new());
    let waiter = Process::fork(|| {
        ready.open();
        Handle::of("frames").wait_on(OFFSET, 0, DEADLINE_NEVER).unwrap();
        assert_eq!(word.load(Ordering::SeqCst), 0x8000_0001);
    });
    ready.pass();
    until("it waits", || handle.stat().unwrap().sleepers == 1);
    assert_eq!(good("wake frames --offset 0x1040 --set 0x80000001"), "1\n");
    waiter.join();
    // Both at once, from one command to another.
    let other = waiting(&handle, "wait frames -o 4160 --until 3", 1);
    assert_eq!(good("wake frames -o 4160 --set 3 --all"), "1\n");
    assert_eq!(printed(other), "3\n");
    // Nobody waits: it is stored all the same, and nothing beside it.
    assert_eq!(good("wake frames -o 4160 --set 4294967295"), "0\n");
    assert_eq!(
        mapping.read(56, 16),
        [[0; 8].as_slice(), &[255; 4], &[0; 4]].concat()
    );
    remove("frames");
}

fn wait_reads_the_word_of_a_mapping_and_not_the_file() {
    let handle = Handle::creating("frames", 5000);
    let mapped = handle.nattch();
    let waiter = waiting(&handle, "wait frames -o 4160", 1);
    assert_eq!(handle.nattch(), mapped + 1);
    // Past the size, in its last page.
    assert_eq!(good("wake frames -o 8188 --set 9"), "0\n");
    assert_eq!(good("wait frames -o 8188 --while 0"), "9\n");
    good("wake frames -o 4160 --set 1");
    assert_eq!(printed(waiter), "1\n");
    remove("frames");
}

fn words_that_are_none_are_refused() {
    drop(Handle::creating("frames", 5000));
    for command in ["wait --timeout 0", "wake --set 1"] {
        for offset in ["8192", "1G"] {
            let said = bad(&format!("{command} frames --offset {offset}"), 1);
            assert!(
                said.starts_with("shmdev: \"frames\": the word at ")
                    && said.ends_with("past the end of the segment (EINVAL)\n"),
                "{command}: {said}"
            );
        }
        let said = bad(&format!("{command} frames --offset 4162"), 2);
        assert!(said.contains("a word is at a multiple of 4"), "{said}");
        let said = bad(&format!("{command} nobody"), 1);
        assert!(
            said.starts_with("shmdev: open \"nobody\": no such segment") && said.ends_with("(ENOENT)\n"),
            "{command}: {said}"
        );
    }
    let said = bad("wake frames --offset 8192", 1);
    assert!(
        said.starts_with("shmdev: \"frames\": ") && said.ends_with("(EINVAL)\n"),
        "{said}"
    );
    for arguments in [
        "wait frames --until 1 --while 2",
        "wake frames --set 0x1ffffffff",
        "wake a b",
    ] {
        bad(arguments, 2);
    }
    // Who may only read can wait, and who may only write can wake.
    let (_node, handle) = (OpenNode::new(), Handle::of("frames"));
    for (mode, wait, wake, store) in [(0o604, 0, 1, 1), (0o602, 1, 0, 1), (0o606, 0, 0, 0)] {
        handle.set_mode(THIS, mode).unwrap();
        for (arguments, status) in [
            ("wait frames --while 1", wait),
            ("wake frames", wake),
            ("wake frames --set 0", store),
        ] {
            let mut command = shmdev(arguments);
            command.uid(1000).gid(1000);
            let (ended, _, complaints) = run(command);
            assert_eq!(ended, Some(status), "{mode:o}, {arguments}: {complaints}");
        }
    }
    remove("frames");
}

fn the_default_segment_and_numbers_will_do() {
    let handle = Handle::rw();
    handle.pwrite(&[0; 8], 0).unwrap();
    let waiter = waiting(&handle, "wait", 1);
    assert_eq!(good("wake --set 2"), "1\n");
    assert_eq!(printed(waiter), "2\n");
    let other = Handle::creating("", 100);
    let said = bad(&format!("wait --id {}", other.id()), 1);
    assert!(said.ends_with("(ENOENT)\n"), "nobody can attach to it: {said}");
    let named = Handle::creating("frames", 100);
    let waiter = waiting(&named, &format!("wait --id {}", named.id()), 1);
    assert_eq!(good(&format!("wake --id {} --set 3", named.id())), "1\n");
    assert_eq!(printed(waiter), "3\n");
    remove("frames");
}
