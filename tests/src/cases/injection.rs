// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fault injection, on a kernel that has it.
//!
//! A number in `/proc/thread-self/fail-nth` counts down with each call that can be made to fail; the one that takes
//! it to zero fails. A number that is not used up says that the sweep is through.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::sys::{Errno, Result};

/// Kinds of calls that can be made to fail: what the folders in debugfs are called, and what makes those calls eligible
/// that matter (by default, allocations that may sleep are not).
const KINDS: [(&str, &[&str]); 3] = [
    ("failslab", &["ignore-gfp-wait"]),
    ("fail_page_alloc", &["ignore-gfp-wait", "ignore-gfp-highmem"]),
    ("fail_usercopy", &[]),
];

/// Those of them that refuse memory.
const ALLOCATIONS: [&str; 2] = ["failslab", "fail_page_alloc"];

/// Sets a knob of a kind, if the kernel has it.
fn turn(kind: &str, knob: &str, value: &str) {
    let path = Path::new("/sys/kernel/debug").join(kind).join(knob);
    if path.exists() {
        std::fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// Makes the calls that matter eligible, without a word in the log.
fn make_eligible() {
    for (kind, knobs) in KINDS {
        turn(kind, "verbose", "0");
        turn(kind, "min-order", "0");
        knobs.iter().for_each(|knob| turn(kind, knob, "N"));
    }
}

/// What makes a call of this thread fail, if it says so: there are `fail-nth` and `make-it-fail`.
fn switch(name: &str) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/thread-self/{name}"))
        .unwrap()
}

/// Where nothing is injected, until this is dropped: in what a function of the kernel's calls.
pub(super) struct Spared;

impl Spared {
    pub(super) fn below(function: &str) -> Spared {
        let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
        let mut addresses = Vec::new();
        let mut start = None;
        for line in symbols.lines() {
            let mut words = line.split(' ');
            let address = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
            if words.nth(1) == Some(function) {
                start = address;
            }
            addresses.extend(address);
        }
        // A kernel without the function makes nothing there.
        if let Some(start) = start {
            let end = addresses.into_iter().filter(|&address| address > start).min();
            Spared::set(start, end.expect("a function is not the last symbol"));
        }
        Spared
    }

    fn set(start: u64, end: u64) {
        for (kind, _) in KINDS {
            turn(kind, "reject-start", &format!("{start:#x}"));
            turn(kind, "reject-end", &format!("{end:#x}"));
        }
    }
}

impl Drop for Spared {
    fn drop(&mut self) {
        Spared::set(0, 0);
    }
}

/// Memory that is refused at random, until this is dropped, to those who ask for that.
pub(super) struct Scarcity;

impl Scarcity {
    /// So many of a hundred allocations fail.
    pub(super) fn percent(percent: u32) -> Scarcity {
        make_eligible();
        Scarcity::set(&ALLOCATIONS, percent, "-1");
        Scarcity
    }

    /// So many of a hundred allocations of several pages in a row fail.
    pub(super) fn of_blocks(percent: u32) -> Scarcity {
        make_eligible();
        turn("fail_page_alloc", "min-order", "1");
        Scarcity::set(&["fail_page_alloc"], percent, "-1");
        Scarcity
    }

    fn set(kinds: &[&str], percent: u32, times: &str) {
        for kind in kinds {
            // Without the filter it is everybody who suffers.
            turn(kind, "probability", "0");
            turn(kind, "task-filter", if percent > 0 { "Y" } else { "N" });
            turn(kind, "times", times);
            turn(kind, "probability", &percent.to_string());
        }
    }
}

impl Drop for Scarcity {
    fn drop(&mut self) {
        Scarcity::set(&ALLOCATIONS, 0, "1");
    }
}

/// Asks for [`Scarcity`], for the thread that made this, or does not.
pub(super) struct Sufferer(Option<File>);

impl Sufferer {
    pub(super) fn new(suffers: bool) -> Sufferer {
        Sufferer(suffers.then(|| switch("make-it-fail")))
    }

    pub(super) fn suffers(&self) -> bool {
        self.0.is_some()
    }

    /// Calls it while memory is scarce. It must not need any that is this program's own.
    pub(super) fn during<T>(&self, body: impl FnOnce() -> T) -> T {
        let set = |value: &[u8]| {
            if let Some(knob) = &self.0 {
                while knob.write_all_at(value, 0).is_err() {}
            }
        };
        set(b"1");
        let outcome = body();
        set(b"0");
        outcome
    }
}

/// Calls `body` with its first, second, ... failure injected. `check` looks at each outcome.
pub(super) fn sweep<T>(step: impl Fn(u32) -> u32, mut body: impl FnMut() -> T, check: impl FnMut(T)) {
    sweep_after(step, || (), |()| body(), check);
}

/// As [`sweep`], with what `prepare` makes each time before: nothing is injected there.
pub(super) fn sweep_after<P, T>(
    step: impl Fn(u32) -> u32,
    mut prepare: impl FnMut() -> P,
    mut body: impl FnMut(P) -> T,
    mut check: impl FnMut(T),
) {
    make_eligible();
    let knob = switch("fail-nth");
    let mut nth = 1;
    loop {
        let prepared = prepare();
        knob.write_all_at(nth.to_string().as_bytes(), 0).unwrap();
        let outcome = body(prepared);
        let mut text = [0; 16];
        // Reading may itself be what fails: then the number was not used up before.
        let left = knob
            .read_at(&mut text, 0)
            .map(|_| text[0] != b'0')
            .unwrap_or(true);
        while knob.write_all_at(b"0", 0).is_err() {}
        check(outcome);
        if left {
            assert!(nth > 1, "nothing was made to fail");
            return;
        }
        nth = step(nth);
        assert!(nth < 100_000, "the sweep does not end");
    }
}

/// Each in turn.
pub(super) fn every(nth: u32) -> u32 {
    nth + 1
}

/// Whether an outcome is a success or one of these errnos.
#[track_caller]
pub(super) fn allowed<T>(outcome: Result<T>, errnos: &[Errno]) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) if errnos.contains(&error) => None,
        Err(error) => panic!("{error:?} is not among {errnos:?}"),
    }
}
