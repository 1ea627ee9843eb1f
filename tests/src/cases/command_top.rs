// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev top`: who waits for whom, as debugfs, the words and /proc tell it.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::Ordering;

use super::command::{bad, good, run, shmdev};
use super::command_terminal::screen;
use crate::harness::tests;
use crate::sys::identity::OpenNode;
use crate::sys::namespace::in_ipc_namespace;
use crate::sys::process::{park, until};
use crate::sys::segments::remove;
use crate::sys::terminal::Terminal;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Gate, Handle, PAGE, Process, WORD_OWNER_DIED, WORD_WAITERS,
    usage,
};

tests![
    a_waiter_for_a_range_is_shown_with_who_holds_it needs [ShmdevCommand, Debugfs],
    who_waits_behind_another_is_shown_so needs [ShmdevCommand, Debugfs],
    #[slow] a_waiter_for_a_lock_word_is_shown_with_the_processes_of_its_token needs [ShmdevCommand, Debugfs],
    a_word_whose_owner_died_or_that_is_free_says_so needs [ShmdevCommand, Debugfs],
    waiters_of_other_namespaces_are_shown_without_their_words needs [ShmdevCommand, Debugfs, IpcNamespace],
    top_at_a_terminal_is_drawn_again_and_leaves_on_q needs [ShmdevCommand, Debugfs],
    #[slow] top_as_json_is_json needs [ShmdevCommand, Debugfs, Python] within 120,
    #[slow] top_is_for_root_and_says_so needs [ShmdevCommand, Debugfs],
];

/// The rows as words, without the headings; how long is not compared.
#[track_caller]
fn rows(arguments: &str) -> Vec<String> {
    let table = good(arguments);
    let mut lines = table.lines();
    let headings: Vec<_> = lines.next().expect("headings").split_whitespace().collect();
    assert_eq!(headings.join(" "), "PID COMMAND SEGMENT WAITS FOR TIME HELD BY");
    lines.map(without_time).collect()
}

fn without_time(line: &str) -> String {
    let is_time =
        |word: &str| word.starts_with(|c: char| c.is_ascii_digit()) && word.ends_with('s') && word != "words";
    let words: Vec<_> = line.split_whitespace().filter(|word| !is_time(word)).collect();
    assert_eq!(words.len() + 1, line.split_whitespace().count(), "{line:?}");
    words.join(" ")
}

/// What a process is called, as `top` shows it.
fn called(pid: i32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    format!("{pid} {}", text.trim_end())
}

fn me() -> String {
    called(std::process::id() as i32)
}

/// A process that waits for a range.
fn asks(handle: &Handle, access: u32, offset: u64, len: u64) -> Process {
    let before = handle.stat().unwrap().waiters;
    let process = Process::fork(|| {
        Handle::of("frames")
            .begin(access, offset, len, DEADLINE_NEVER)
            .unwrap();
        park();
    });
    until("it waits", || handle.stat().unwrap().waiters == before + 1);
    process
}

/// A process that waits on the word at this offset, whatever is in it.
fn sleeps(handle: &Handle, offset: usize) -> Process {
    let before = handle.stat().unwrap().sleepers;
    let mapping = handle.window(0, PAGE);
    let process = Process::fork(|| {
        let handle = Handle::of("frames");
        let value = mapping.u32(offset).load(Ordering::SeqCst);
        handle.wait_on(offset as u64, value, DEADLINE_NEVER).unwrap();
    });
    until("it waits", || handle.stat().unwrap().sleepers == before + 1);
    process
}

fn a_waiter_for_a_range_is_shown_with_who_holds_it() {
    assert_eq!(rows("top"), Vec::<String>::new());
    let handle = Handle::creating("frames", 64 << 10);
    handle.begin(ACCESS_WRITE, 100, 50, 0).unwrap();
    let ready = Gate::new();
    let other = Process::fork(|| {
        let handle = Handle::of("frames");
        handle.begin(ACCESS_READ, 4096, 10, 0).unwrap();
        handle.begin(ACCESS_WRITE, 20_000, 10, 0).unwrap();
        ready.open();
        park();
    });
    ready.pass();
    let first = asks(&handle, ACCESS_READ, 149, 4000);
    let second = asks(&handle, ACCESS_WRITE, 0, 8192);
    let expected = [
        format!("{} frames read 149:4000 {}", called(first.pid()), me()),
        format!(
            "{} frames write 0:8K {}",
            called(second.pid()),
            both(&me(), &called(other.pid()))
        ),
    ];
    assert_eq!(rows("top"), expected);
    assert_eq!(rows("top --once frames somebody"), expected);
    assert_eq!(rows("top somebody"), Vec::<String>::new());
    // Who has gone is not shown any more.
    first.kill();
    until("it is gone", || handle.stat().unwrap().waiters == 1);
    handle.end(ACCESS_WRITE, 100, 50).unwrap();
    assert_eq!(
        rows("top"),
        [format!(
            "{} frames write 0:8K {}",
            called(second.pid()),
            called(other.pid())
        )]
    );
    drop((second, other));
    remove("frames");
}

/// In the order of their numbers.
fn both(one: &str, other: &str) -> String {
    let number = |text: &str| text.split(' ').next().and_then(|pid| pid.parse::<i32>().ok());
    let mut both = [one, other];
    both.sort_by_key(|text| number(text));
    both.join(", ")
}

fn who_waits_behind_another_is_shown_so() {
    let handle = Handle::creating("frames", 4096);
    handle.begin(ACCESS_READ, 0, 10, 0).unwrap();
    let writer = asks(&handle, ACCESS_WRITE, 0, 100);
    let reader = asks(&handle, ACCESS_READ, 50, 1);
    assert_eq!(
        rows("top"),
        [
            format!("{} frames write 0:100 {}", called(writer.pid()), me()),
            format!(
                "{} frames read 50:1 behind {}",
                called(reader.pid()),
                called(writer.pid())
            ),
        ]
    );
    drop((reader, writer));
    remove("frames");
}

fn a_waiter_for_a_lock_word_is_shown_with_the_processes_of_its_token() {
    let handle = Handle::creating("frames", 4096);
    let mapping = handle.window(0, PAGE);
    let word = mapping.u32(64);
    let (ready, go) = (Gate::new(), Gate::new());
    let owner = Process::fork(|| {
        let own = Handle::of("frames");
        word.store(own.info().unwrap().token, Ordering::SeqCst);
        // A child that shares the handle is an owner, too.
        let _child = Process::fork(|| {
            ready.open();
            park();
        });
        go.pass();
    });
    ready.pass();
    let token = word.load(Ordering::SeqCst);
    let waiter = sleeps(&handle, 64);
    let only = |expected: &str, value: String| {
        let [row] = &rows("top")[..] else {
            panic!("not one")
        };
        let start = format!("{} frames word 64 = {value} ", called(waiter.pid()));
        let holders = row
            .strip_prefix(&start)
            .unwrap_or_else(|| panic!("{start:?}: {row}"));
        assert!(holders.starts_with(expected), "{row}");
        holders.split(", ").count()
    };
    assert_eq!(only(&called(owner.pid()), token.to_string()), 2);
    word.fetch_or(WORD_WAITERS, Ordering::SeqCst);
    assert_eq!(
        only(&called(owner.pid()), format!("{:#x}", token | WORD_WAITERS)),
        2
    );
    // A token of a handle of another segment is none.
    let foreign = Handle::creating("other", 100).info().unwrap().token;
    let other = Handle::of("other");
    word.store(other.info().unwrap().token, Ordering::SeqCst);
    assert_eq!(only("-", other.info().unwrap().token.to_string()), 1);
    // One that nobody has any more.
    word.store(foreign, Ordering::SeqCst);
    assert_eq!(only("-", foreign.to_string()), 1);
    go.open();
    owner.join();
    drop(waiter);
    remove("frames");
    remove("other");
}

fn a_word_whose_owner_died_or_that_is_free_says_so() {
    let handle = Handle::creating("frames", 4096);
    let mapping = handle.window(0, PAGE);
    let owner = {
        let ready = Gate::new();
        let owner = Process::fork(|| {
            let own = Handle::of("frames");
            own.robust_add(64, 0).unwrap();
            mapping
                .u32(64)
                .store(own.info().unwrap().token | WORD_WAITERS, Ordering::SeqCst);
            ready.open();
            park();
        });
        ready.pass();
        owner
    };
    let (woken, left) = (sleeps(&handle, 64), sleeps(&handle, 64));
    let free = sleeps(&handle, 128);
    owner.kill();
    woken.join();
    assert_eq!(
        mapping.u32(64).load(Ordering::SeqCst),
        WORD_OWNER_DIED | WORD_WAITERS
    );
    let mut expected = [
        format!("{} frames word 64 = 0xc0000000 owner died", called(left.pid())),
        format!("{} frames word 128 = 0 free", called(free.pid())),
    ];
    assert_eq!(rows("top"), expected);
    mapping.u32(64).store(WORD_WAITERS, Ordering::SeqCst);
    expected[0] = format!("{} frames word 64 = 0x80000000 free", called(left.pid()));
    assert_eq!(rows("top"), expected);
    drop((left, free));
    assert_eq!(handle.stat().unwrap().handles, 1, "looking leaves nothing behind");
    remove("frames");
}

fn waiters_of_other_namespaces_are_shown_without_their_words() {
    let (ready, go) = (Gate::new(), Gate::new());
    let child = in_ipc_namespace(|| {
        let handle = Handle::creating("inside", 100);
        handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
        // A segment that has the same number in each namespace.
        let own = Handle::rw();
        let waiter = Process::fork(|| Handle::rw().wait_on(0, 0, DEADLINE_NEVER).unwrap());
        until("it waits", || own.stat().unwrap().sleepers == 1);
        let asks = Process::fork(|| {
            let other = Handle::of("inside");
            other.begin(ACCESS_READ, 0, 100, DEADLINE_NEVER).unwrap();
        });
        until("it waits", || handle.stat().unwrap().waiters == 1);
        ready.open();
        go.pass();
        drop((waiter, asks));
    });
    ready.pass();
    let rows = rows("top");
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows[0].ends_with(" (default) word 0 -"), "{rows:?}");
    let holder = format!(" inside read 0:100 {}", called(child.pid()));
    assert!(rows[1].ends_with(&holder), "{rows:?}");
    go.open();
    child.join();
    until("the namespace is gone", || usage() == (0, 0));
}

fn top_at_a_terminal_is_drawn_again_and_leaves_on_q() {
    let handle = Handle::creating("frames", 4096);
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    let mut terminal = Terminal::new(100, 12);
    let before = terminal.settings();
    let top = terminal.start(&mut shmdev("top --interval 10ms"));
    let mut shows = |what: &str, condition: &dyn Fn(&[String]) -> bool| {
        terminal.shown(what, |shown| screen(shown).is_some_and(|lines| condition(&lines)));
    };
    shows("nobody", &|lines| lines[0].ends_with("nobody waits"));
    let waiter = asks(&handle, ACCESS_READ, 0, 4096);
    let row = format!("{} frames read 0:4K", called(waiter.pid()));
    let starts = |lines: &[String], row: &str| {
        let words: Vec<_> = lines[2].split_whitespace().collect();
        words.join(" ").starts_with(row)
    };
    shows("the waiter", &|lines| {
        starts(lines, &row) && lines[2].ends_with(&me())
    });
    shows("how many", &|lines| {
        lines[0].contains("1 waiter, the longest for")
    });
    waiter.kill();
    shows("nobody again", &|lines| {
        lines[0].ends_with("nobody waits") && lines[2].is_empty()
    });
    terminal.press("q");
    assert_eq!(terminal.ended(top).0, Some(0));
    assert_eq!(terminal.settings(), before);
    // Once is once, also at a terminal.
    for arguments in ["top --once", "top --json"] {
        let mut terminal = Terminal::new(100, 12);
        let top = terminal.start(&mut shmdev(arguments));
        let (status, shown) = terminal.ended(top);
        assert!(status == Some(0) && !shown.contains('\x1b'), "{shown:?}");
    }
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    remove("frames");
}

fn top_as_json_is_json() {
    const CHECK: &str = r#"
import json, subprocess, sys
def out(*arguments):
    return json.loads(subprocess.run(("shmdev", "top", "--json") + arguments, check=True, capture_output=True).stdout)
holder, asks, sleeps = (int(argument) for argument in sys.argv[1:])
top = out()
assert top["time"].endswith("Z") and top["complete"] is True, top
waiters = {one["pid"]: one for one in top["waiters"]}
assert sorted(waiters) == sorted((asks, sleeps)), top
ages = [one["waiting_ms"] for one in top["waiters"]]
assert ages == sorted(ages, reverse=True)
one = waiters[asks]
assert (one["name"], one["range"], one["word"]) == ("frames", {"offset": 0, "len": 100, "access": "read"}, None), one
assert (one["state"], [who["pid"] for who in one["held_by"]]) == ("held", [holder]), one
command = open(f"/proc/{holder}/comm").read().rstrip("\n")
assert one["held_by"][0]["command"] == command and one["command"] == command, one
other = waiters[sleeps]
assert (other["range"], other["word"], other["state"]) == (None, {"offset": 64, "value": 0}, "free"), other
assert other["held_by"] == [] and other["segment"] == one["segment"] and other["ipcns"] == one["ipcns"], other
assert out("somebody")["waiters"] == []
"#;
    let handle = Handle::creating("frames", 4096);
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    let (asks, sleeps) = (asks(&handle, ACCESS_READ, 0, 100), sleeps(&handle, 64));
    let status = Command::new("/usr/bin/python3")
        .args(["-E", "-s", "-S", "-B", "-c", CHECK])
        .args([std::process::id() as i32, asks.pid(), sleeps.pid()].map(|pid| pid.to_string()))
        .status()
        .expect("python3");
    assert!(status.success(), "{status}");
    drop((asks, sleeps));
    remove("frames");
}

fn top_is_for_root_and_says_so() {
    let _node = OpenNode::new();
    for arguments in ["top", "top --json"] {
        let mut command = shmdev(arguments);
        command.uid(1000).gid(1000);
        assert_eq!(
            run(command),
            (
                Some(1),
                String::new(),
                "shmdev: read /sys/kernel/debug/shmdev/ranges: only root may read it (EACCES)\n".into()
            ),
            "{arguments}"
        );
    }
    // Where debugfs is not mounted: as if, in a namespace of mounts in which something else lies over it.
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["-m", "sh", "-c"]);
    command.arg("mount -t tmpfs none /sys/kernel/debug && exec shmdev top");
    let (status, said, complaints) = run(command);
    assert_eq!((status, said.as_str()), (Some(1), ""), "{complaints}");
    assert_eq!(
        complaints,
        "shmdev: read /sys/kernel/debug/shmdev/ranges: is debugfs mounted? mount -t debugfs none /sys/kernel/debug \
         (ENOENT)\n"
    );
    bad("top --device /dev/null", 1);
    bad("top --interval 1ms", 2);
}
