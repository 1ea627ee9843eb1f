// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev top`: who waits for whom, and for how long. What is asked of the system is here; what is made of it is in
//! the files below.

mod processes;
mod report;
mod screen;
mod tables;
mod waiters;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal, stdout};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use crossterm::event::KeyEvent;
use nix::errno::Errno;
use shmdev::uapi::WORD_TOKEN;
use shmdev::{Name, Target};

use crate::Node;
use crate::failure::{Failure, Result, print, tell};
use crate::human::clock;
use crate::parse;
use crate::screen::{Asked, Line, Place};
use crate::terminal::{self, Live};
use crate::word::Word;

use processes::Processes;
use report::{Commands, document, table};
use tables::Table;
use waiters::{Because, Handles, Values, Waiter, key};

/// Show who waits for whom, and for how long
///
/// A line for everybody who waits for a range or on a word, those who wait for longest first: what he waits for, and the
/// processes that hold it. For a word those are the processes which have the handle whose token is in it, as lock words
/// have; `owner died` and `free` are what such a word says itself. `behind` names those who asked before, for what nobody
/// holds yet. `-` stands for what is not known.
///
/// It is for root, and needs debugfs. It shows all IPC namespaces, but can look into words only in its own; to look
/// into one it attaches to the segment for a moment.
///
/// At a terminal it is kept up to date: q quits, space stops and goes on, arrow keys scroll. Else it prints once.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these segments
    name: Vec<Name>,
    /// Print once, also at a terminal
    #[arg(long, short = '1')]
    once: bool,
    /// How often to look
    #[arg(long, short, value_name = "TIME", value_parser = parse::interval, default_value = "1s")]
    interval: Duration,
    /// As JSON, once
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    // What is no device is told first.
    node.device()?;
    let mut top = Top {
        node,
        names: &args.name,
        processes: Processes::new(),
        place: Place::default(),
        seen: Seen::default(),
        looked: SystemTime::UNIX_EPOCH,
    };
    if !args.once && !args.json && stdout().is_terminal() {
        return terminal::run(&mut top, args.interval);
    }
    top.look()?;
    if args.json {
        return print(document(&top.seen, top.looked)? + "\n");
    }
    if !top.seen.complete {
        tell("top: some who wait are left out");
    }
    print(table(&top.seen).join("\n") + "\n")
}

/// What a look found.
#[derive(Default)]
struct Seen {
    waiters: Vec<Waiter>,
    commands: Commands,
    /// Nobody who waits was left out.
    complete: bool,
}

/// Who looks, and what he saw last.
struct Top<'a> {
    node: &'a Node,
    names: &'a [Name],
    processes: Processes,
    place: Place,
    seen: Seen,
    looked: SystemTime,
}

impl Live for Top<'_> {
    fn look(&mut self) -> Result {
        let ranges = read("ranges", tables::ranges)?;
        let words = read("words", tables::words)?;
        let asked =
            |called: &str| self.names.is_empty() || self.names.iter().any(|name| name.as_str() == called);
        let words_asked: Vec<tables::Word> = words
            .rows
            .into_iter()
            .filter(|word| asked(&word.segment.called))
            .collect();
        let values = self.values(&words_asked);
        // Looking for them takes a while.
        let handles = if values.values().any(|value| value & WORD_TOKEN != 0) {
            self.processes.handles()
        } else {
            Handles::new()
        };
        let mut waiters = waiters::waiters(&ranges.rows, &words_asked, &values, &handles);
        waiters.retain(|waiter| asked(&waiter.segment.called));
        self.seen = Seen {
            commands: self.commands(&waiters),
            waiters,
            complete: ranges.complete && words.complete,
        };
        self.looked = SystemTime::now();
        Ok(())
    }

    fn draw(&self, width: usize, height: usize) -> Vec<Line> {
        screen::draw(&self.seen, self.place, &clock(self.looked), width, height)
    }

    fn key(&mut self, key: KeyEvent, height: usize) -> Asked {
        self.place.key(key, self.seen.waiters.len(), screen::page(height))
    }

    fn is_stopped(&self) -> bool {
        self.place.stopped
    }
}

impl Top<'_> {
    /// What is in those words that can be looked at: not in other namespaces, and not in segments that nobody can
    /// attach to any more.
    fn values(&self, words: &[tables::Word]) -> Values {
        let own = fs::metadata("/proc/self/ns/ipc").map(|namespace| namespace.ino());
        let mut offsets: BTreeMap<u64, Vec<&tables::Word>> = BTreeMap::new();
        for word in words {
            if own.as_ref().is_ok_and(|own| *own == word.segment.ipcns) {
                offsets.entry(word.segment.id).or_default().push(word);
            }
        }
        let mut values = Values::new();
        for (id, words) in offsets {
            let Ok(segment) = self.node.options().write(false).open(Target::Id(id)) else {
                continue;
            };
            for word in words {
                let mapped = Word::map(&segment, word.offset, false).ok();
                if let Some(value) = mapped.and_then(|word| word.load().ok()) {
                    values.insert(key(word), value);
                }
            }
        }
        values
    }

    fn commands(&self, waiters: &[Waiter]) -> Commands {
        let mut commands = Commands::new();
        for waiter in waiters {
            let others = match &waiter.because {
                Because::Held(pids) | Because::Behind(pids) => pids.as_slice(),
                _ => &[],
            };
            for &pid in others.iter().chain([&waiter.pid]) {
                if !commands.contains_key(&pid) {
                    commands.extend(self.processes.command(pid).map(|command| (pid, command)));
                }
            }
        }
        commands
    }
}

fn read<T>(name: &str, parse: fn(&str) -> Option<Table<T>>) -> Result<Table<T>> {
    let path = format!("/sys/kernel/debug/shmdev/{name}");
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    parse(&text).ok_or_else(|| {
        Failure::told(
            format_args!("read {path}: not a table that this version knows"),
            1,
        )
    })
}

/// What went wrong, with what is needed.
fn unreadable(path: &str, error: &io::Error) -> Failure {
    let needed = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EACCES | Errno::EPERM) => "only root may read it",
        Some(Errno::ENOENT) => "is debugfs mounted? mount -t debugfs none /sys/kernel/debug",
        _ => return Failure::system(format_args!("read {path}"), error),
    };
    let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
    Failure::told(format_args!("read {path}: {needed} ({errno:?})"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_read_the_tables_is_told_what_is_needed() {
        let told = |errno: Errno| match unreadable("/x/ranges", &errno.into()) {
            Failure::Told { message, status: 1 } => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            told(Errno::EACCES),
            "read /x/ranges: only root may read it (EACCES)"
        );
        assert_eq!(
            told(Errno::ENOENT),
            "read /x/ranges: is debugfs mounted? mount -t debugfs none /sys/kernel/debug (ENOENT)"
        );
        assert_eq!(told(Errno::EIO), "read /x/ranges: I/O error (EIO)");
    }
}
