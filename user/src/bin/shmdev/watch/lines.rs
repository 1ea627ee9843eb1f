// SPDX-License-Identifier: MIT OR Apache-2.0

//! A line for each change: for pipes, logs and programs.

use std::io::stdout;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Serialize;
use shmdev::Stat;

use super::Watched;
use super::changes::{Change, between, facts, label};
use crate::accounts::Accounts;
use crate::failure::{self, Failure, Result};
use crate::human::utc;
use crate::report::{Report, json};

/// What `--json` says.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    /// `present`, `created`, `changed`, `removed` or `gone`.
    event: &'a str,
    /// As it is now; for one that is gone, as it was last.
    segment: Report<'a>,
}

pub(super) fn run(watched: &Watched<'_>, accounts: &Accounts, interval: Duration, as_json: bool) -> Result {
    let mut segments = watched.look()?;
    let now = SystemTime::now();
    let present = segments.iter().map(|stat| match as_json {
        true => to_json(now, "present", stat, accounts).map(Some),
        false => {
            let (label, facts) = (label(stat), facts(stat, accounts));
            Ok(Some(format!("{} {label}: {facts}", utc(now))))
        }
    });
    print(present)?;
    loop {
        pause(interval)?;
        let next = watched.look()?;
        let now = SystemTime::now();
        print(between(&segments, &next).iter().map(|change| match as_json {
            true => to_json(now, change.kind(), change.stat(), accounts).map(Some),
            false => Ok(describe(now, change, accounts)),
        }))?;
        segments = next;
    }
}

/// Waits, but not for longer than there is somebody to read what comes.
fn pause(interval: Duration) -> Result {
    let stdout = stdout();
    // Without events to wait for, poll reports that the reader has gone, and nothing else.
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let timeout = PollTimeout::try_from(interval).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, timeout) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Failure::ClosedPipe),
        Err(_) => {
            sleep(interval);
            Ok(())
        }
    }
}

fn to_json(now: SystemTime, event: &str, stat: &Stat, accounts: &Accounts) -> Result<String> {
    json(&Line {
        time: utc(now),
        event,
        segment: Report::new(stat, accounts),
    })
}

fn describe(now: SystemTime, change: &Change<'_>, accounts: &Accounts) -> Option<String> {
    Some(format!("{} {}", utc(now), change.describe(accounts)?))
}

/// All of a look at once, and at once.
fn print(lines: impl Iterator<Item = Result<Option<String>>>) -> Result {
    let mut text = String::new();
    for line in lines {
        if let Some(line) = line? {
            text += &line;
            text.push('\n');
        }
    }
    failure::print(text)
}
