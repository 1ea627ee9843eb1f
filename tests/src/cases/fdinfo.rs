// SPDX-License-Identifier: MIT OR Apache-2.0

//! `/proc/PID/fdinfo/N`.

use std::collections::BTreeMap;

use crate::harness::tests;
use crate::sys::process::{park, until};
use crate::sys::segments::remove;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, Gate, Handle, Process, SIZE, THIS};

tests![
    a_handle_that_is_not_attached_has_only_its_token,
    an_attached_handle_has_every_line,
    held_and_waiting_are_this_handles,
    seen_is_what_the_handle_saw,
    another_process_can_be_looked_at,
    a_named_segment_shows_its_name_and_number,
    a_handle_that_is_not_restricted_shows_no_restriction,
];

fn number(lines: &BTreeMap<String, String>, name: &str) -> u64 {
    let value = lines
        .get(name)
        .unwrap_or_else(|| panic!("no shmdev-{name} in {lines:?}"));
    value
        .parse()
        .unwrap_or_else(|_| panic!("shmdev-{name} is {value:?}"))
}

fn a_handle_that_is_not_attached_has_only_its_token() {
    let handle = Handle::rw();
    let token = handle.info().unwrap().token;
    let lines = handle.fdinfo();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(number(&lines, "token"), token.into());
}

fn an_attached_handle_has_every_line() {
    let handle = Handle::rw();
    let stat = handle.stat().unwrap();
    let lines = handle.fdinfo();
    let names: Vec<&str> = lines.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "generation",
            "held",
            "seen",
            "segment",
            "size",
            "token",
            "waiting"
        ]
    );
    assert_eq!(number(&lines, "segment"), stat.target.id);
    assert_eq!(number(&lines, "size"), SIZE as u64);
    assert_eq!(number(&lines, "generation"), stat.generation);
    assert_eq!((number(&lines, "held"), number(&lines, "waiting")), (0, 0));
}

fn held_and_waiting_are_this_handles() {
    let (one, other) = (Handle::rw(), Handle::rw());
    one.begin(ACCESS_READ, 0, 8, 0).unwrap();
    one.begin(ACCESS_WRITE, 100, 8, 0).unwrap();
    other.stat().unwrap();
    assert_eq!(number(&one.fdinfo(), "held"), 2);
    assert_eq!(number(&other.fdinfo(), "held"), 0);
    let waiter = Process::fork(|| {
        other.begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER).unwrap();
        other.end(ACCESS_WRITE, 0, 8).unwrap();
    });
    until("the other waits", || number(&other.fdinfo(), "waiting") == 1);
    assert_eq!(number(&one.fdinfo(), "waiting"), 0);
    one.end(ACCESS_READ, 0, 8).unwrap();
    waiter.join();
    assert_eq!(number(&one.fdinfo(), "held"), 1);
    let lines = other.fdinfo();
    assert_eq!((number(&lines, "held"), number(&lines, "waiting")), (0, 0));
}

fn seen_is_what_the_handle_saw() {
    let (handle, other) = (Handle::rw(), Handle::rw());
    let start = handle.stat().unwrap().generation;
    other.pwrite(b"x", 0).unwrap();
    other.pwrite(b"x", 0).unwrap();
    let lines = handle.fdinfo();
    assert_eq!(
        (number(&lines, "seen"), number(&lines, "generation")),
        (start, start + 2)
    );
    let lines = handle.fdinfo();
    assert_eq!(
        number(&lines, "seen"),
        start,
        "looking at fdinfo is not looking at the segment"
    );
    handle.stat().unwrap();
    assert_eq!(number(&handle.fdinfo(), "seen"), start + 2);
}

fn another_process_can_be_looked_at() {
    let ready = Gate::new();
    let child = Process::fork(|| {
        let handle = Handle::rw();
        handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
        ready.open();
        park();
    });
    ready.pass();
    let folder = format!("/proc/{}/fdinfo", child.pid());
    let texts = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    let found: Vec<String> = texts.filter(|text| text.contains("shmdev-token")).collect();
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .lines()
            .any(|line| line.split_whitespace().eq(["shmdev-held:", "1"])),
        "{found:?}"
    );
    child.kill();
}

fn a_named_segment_shows_its_name_and_number() {
    let longest = "n".repeat(63);
    for text in ["frames", "a-b_c.d", "-", &longest] {
        let handle = Handle::creating(text, 5000);
        let lines = handle.fdinfo();
        assert_eq!((lines["name"].as_str(), number(&lines, "size")), (text, 5000));
        assert_eq!(number(&lines, "segment"), handle.id());
        handle.resize(THIS, 6000).unwrap();
        assert_eq!(number(&handle.fdinfo(), "size"), 6000);
        remove(text);
    }
    let anonymous = Handle::creating("", 100);
    let lines = anonymous.fdinfo();
    assert!(!lines.contains_key("name"), "{lines:?}");
    assert_eq!(number(&lines, "segment"), anonymous.id());
}

fn a_handle_that_is_not_restricted_shows_no_restriction() {
    for handle in [Handle::creating("", 100), Handle::rw()] {
        handle.stat().unwrap();
        let lines = handle.fdinfo();
        assert!(
            !lines.contains_key("window") && !lines.contains_key("access"),
            "{lines:?}"
        );
    }
}
