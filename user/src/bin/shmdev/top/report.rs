// SPDX-License-Identifier: MIT OR Apache-2.0

//! Those who wait, as a table and as JSON. Pure.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use shmdev::uapi::WORD_OWNER_DIED;

use super::Seen;
use super::waiters::{Because, Waiter, What};
use crate::failure::Result;
use crate::human::{age, position, utc};
use crate::report::json;
use crate::table::{Column, left, lines, right};

/// What processes are called. One that is not there has gone.
pub(super) type Commands = BTreeMap<u32, String>;

const COLUMNS: [Column; 6] = [
    right("PID"),
    left("COMMAND"),
    left("SEGMENT"),
    left("WAITS FOR"),
    right("TIME"),
    left("HELD BY"),
];

/// The headings, then a line for each.
pub(super) fn table(seen: &Seen) -> Vec<String> {
    let commands = &seen.commands;
    let row = |waiter: &Waiter| {
        vec![
            waiter.pid.to_string(),
            commands.get(&waiter.pid).map_or("-", String::as_str).to_owned(),
            segment(waiter),
            what(&waiter.what),
            age(waiter.age),
            because(&waiter.because, commands),
        ]
    };
    let rows: Vec<Vec<String>> = seen.waiters.iter().map(row).collect();
    lines(&COLUMNS, &rows)
}

/// Its name, or else its number too.
fn segment(waiter: &Waiter) -> String {
    let segment = &waiter.segment;
    match segment.called.as_str() {
        "(anonymous)" => format!("(anonymous) {}", segment.id),
        called => called.to_owned(),
    }
}

fn what(what: &What) -> String {
    match what {
        What::Range { start, end, write } => {
            let access = if *write { "write" } else { "read" };
            let len = end.saturating_sub(*start);
            format!("{access} {}:{}", position(*start), position(len))
        }
        What::Word { offset, value } => {
            let value = match value {
                None => String::new(),
                // The flags of a lock word are seen better so.
                Some(value) if *value >= WORD_OWNER_DIED => format!(" = {value:#x}"),
                Some(value) => format!(" = {value}"),
            };
            format!("word {}{value}", position(*offset))
        }
    }
}

fn because(because: &Because, commands: &Commands) -> String {
    let list = |pids: &[u32]| {
        let one = |pid: &u32| match commands.get(pid) {
            Some(command) => format!("{pid} {command}"),
            None => pid.to_string(),
        };
        pids.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    match because {
        Because::Held(pids) => list(pids),
        Because::Behind(pids) => format!("behind {}", list(pids)),
        Because::OwnerDied => "owner died".to_owned(),
        Because::Free => "free".to_owned(),
        Because::Unknown => "-".to_owned(),
    }
}

#[derive(Serialize)]
struct Document<'a> {
    time: String,
    /// Whether all who wait are there.
    complete: bool,
    waiters: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    pid: u32,
    command: Option<&'a str>,
    ipcns: u64,
    segment: u64,
    name: Option<&'a str>,
    range: Option<Range>,
    word: Option<Word>,
    waiting_ms: u64,
    /// `held`, `behind`, `owner died`, `free` or `unknown`.
    state: &'a str,
    /// Who holds it, or, for `behind`, who asked before.
    held_by: Vec<Process<'a>>,
}

#[derive(Serialize)]
struct Range {
    offset: u64,
    len: u64,
    access: &'static str,
}

#[derive(Serialize)]
struct Word {
    offset: u64,
    value: Option<u32>,
}

#[derive(Serialize)]
struct Process<'a> {
    pid: u32,
    command: Option<&'a str>,
}

pub(super) fn document(seen: &Seen, now: SystemTime) -> Result<String> {
    json(&Document {
        time: utc(now),
        complete: seen.complete,
        waiters: seen
            .waiters
            .iter()
            .map(|waiter| one(waiter, &seen.commands))
            .collect(),
    })
}

fn one<'a>(waiter: &'a Waiter, commands: &'a Commands) -> One<'a> {
    let command = |pid: u32| commands.get(&pid).map(String::as_str);
    let (state, pids) = match &waiter.because {
        Because::Held(pids) => ("held", pids.as_slice()),
        Because::Behind(pids) => ("behind", pids.as_slice()),
        Because::OwnerDied => ("owner died", &[][..]),
        Because::Free => ("free", &[][..]),
        Because::Unknown => ("unknown", &[][..]),
    };
    let (range, word) = match waiter.what {
        What::Range { start, end, write } => {
            let range = Range {
                offset: start,
                len: end.saturating_sub(start),
                access: if write { "write" } else { "read" },
            };
            (Some(range), None)
        }
        What::Word { offset, value } => (None, Some(Word { offset, value })),
    };
    let name = waiter.segment.called.as_str();
    One {
        pid: waiter.pid,
        command: command(waiter.pid),
        ipcns: waiter.segment.ipcns,
        segment: waiter.segment.id,
        // Names have no parentheses.
        name: (!name.starts_with('(')).then_some(name),
        range,
        word,
        waiting_ms: u64::try_from(waiter.age.as_millis()).unwrap_or(u64::MAX),
        state,
        held_by: pids
            .iter()
            .map(|&pid| Process {
                pid,
                command: command(pid),
            })
            .collect(),
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::super::waiters::samples::{range, segment, word};
    use super::super::waiters::{Handles, Values, waiters};
    use super::*;

    /// Six who wait, in six ways.
    pub(crate) fn seen() -> Seen {
        let ranges = [
            range(true, (0, 4096), true, 812),
            range(false, (0, 4096), false, 90),
            range(false, (4095, 5000), true, 60),
            range(false, (4999, 5000), true, 50),
        ];
        let mut nobodys = word(8, 30);
        nobodys.segment = segment(9, "(anonymous)");
        let words = [word(64, 45), word(68, 40), word(72, 35), nobodys];
        let values = Values::from([
            ((1, 3, 64), 0x8000_004d),
            ((1, 3, 68), WORD_OWNER_DIED),
            ((1, 3, 72), 0),
        ]);
        let handles = Handles::from([(77, (3, vec![7, 812]))]);
        Seen {
            waiters: waiters(&ranges, &words, &values, &handles),
            commands: Commands::from([(812, "camera".into()), (90, "viewer".into())]),
            complete: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::seen;
    use super::*;

    #[test]
    fn a_table_says_who_waits_for_whom() {
        assert_eq!(
            table(&seen()).join("\n"),
            "\
PID  COMMAND  SEGMENT        WAITS FOR              TIME  HELD BY
 90  viewer   frames         read 0:4K             1m30s  812 camera
 60  -        frames         write 4095:905        1m00s  812 camera
 50  -        frames         write 4999:1          50.0s  behind 60
 45  -        frames         word 64 = 0x8000004d  45.0s  7, 812 camera
 40  -        frames         word 68 = 0x40000000  40.0s  owner died
 35  -        frames         word 72 = 0           35.0s  free
 30  -        (anonymous) 9  word 8                30.0s  -"
        );
    }

    #[test]
    fn a_document_has_null_for_what_is_not_known() {
        let text = document(&seen(), SystemTime::UNIX_EPOCH).unwrap();
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let waiters = document["waiters"].as_array().unwrap();
        assert_eq!(waiters.len(), 7);
        let first = &waiters[0];
        assert_eq!((&first["pid"], &first["command"]), (&90.into(), &"viewer".into()));
        assert_eq!(first["range"]["access"], "read");
        assert_eq!(
            (&first["range"]["offset"], &first["range"]["len"]),
            (&0.into(), &4096.into())
        );
        assert_eq!(
            (&first["state"], &first["word"]),
            (&"held".into(), &serde_json::Value::Null)
        );
        assert_eq!(first["held_by"][0]["command"], "camera");
        assert_eq!(waiters[2]["state"], "behind");
        let of_word = &waiters[3];
        assert_eq!(of_word["word"]["value"], 0x8000_004d_u32);
        assert_eq!(of_word["held_by"][0]["command"], serde_json::Value::Null);
        let last = &waiters[6];
        assert_eq!(
            (&last["name"], &last["segment"]),
            (&serde_json::Value::Null, &9.into())
        );
        assert_eq!(
            (&last["state"], &last["word"]["value"]),
            (&"unknown".into(), &serde_json::Value::Null)
        );
    }
}
