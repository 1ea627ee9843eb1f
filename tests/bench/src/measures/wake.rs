// SPDX-License-Identifier: MIT OR Apache-2.0

//! Waking: nobody, or one of two while many others wait on other words.
//!
//! Only the call that wakes counts, not what the one who is woken does. Those who wait are threads of a process that runs
//! when nobody else wants to, so that they do not interrupt who wakes them.

use std::fs;
use std::thread::{self, Builder};
use std::time::Duration;

use anyhow::{Result, bail};
use nix::unistd::Pid;

use super::words::{Futexes, Ours, Words};
use crate::clock;
use crate::run::{Batch, Plan, Run, repeat, repeat_timed, subject};
use crate::sys::process::{Child, run_when_idle};

/// The word that is woken.
const HERE: usize = 0;
/// The first of the words that others wait on.
const ELSEWHERE: usize = 64;

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    let subjects = vec![
        subject("shmdev", || wake_nobody(Ours::new()?)),
        subject("futex", || wake_nobody(Futexes::new()?)),
    ];
    run.measure("wake_nobody", Plan::of(200), subjects)?;

    let subjects = vec![
        subject("shmdev, none elsewhere", || wake_one(Ours::new()?, 0)),
        subject("shmdev, 1,024 elsewhere", || wake_one(Ours::new()?, 1024)),
        subject("futex, none elsewhere", || wake_one(Futexes::new()?, 0)),
        subject("futex, 1,024 elsewhere", || wake_one(Futexes::new()?, 1024)),
    ];
    // The least is met seldom, and the goal compares one with another.
    let plan = Plan {
        starts: 8,
        ..Plan::met_anew(20)
    };
    run.measure("wake_one_of_two", plan, subjects)?;

    for elsewhere in [1, 4, 16, 64, 256, 1024] {
        let subjects = vec![
            subject("shmdev", move || wake_one(Ours::new()?, elsewhere)),
            subject("futex", move || wake_one(Futexes::new()?, elsewhere)),
        ];
        run.point("wake_waiters", elsewhere as u64, Plan::met_anew(20), subjects)?;
    }
    Ok(())
}

fn wake_nobody(words: impl Words + 'static) -> Result<Batch> {
    repeat(move || {
        words.wake(HERE, 1)?;
        Ok(())
    })
}

fn wake_one(words: impl Words + 'static, elsewhere: usize) -> Result<Batch> {
    let child = Child::fork(|| wait_for_ever(&words.for_another()?, elsewhere))?;
    // The two, the others, and the one that waits for all of them.
    until_all_sleep(child.pid(), elsewhere + 3)?;
    repeat_timed(move || {
        let _ = &child;
        // Where the guest itself has to wait for a processor, the two may not be asleep again: that does not count.
        for _ in 0..100 {
            let start = clock::now();
            let woken = words.wake(HERE, 1)?;
            let cost = clock::now() - start;
            // Time enough for the one to go to sleep again.
            thread::sleep(Duration::from_millis(1));
            if woken == 1 {
                return Ok(cost);
            }
        }
        bail!("nobody was there to be woken")
    })
}

fn wait_for_ever(words: &impl Words, elsewhere: usize) -> Result<()> {
    run_when_idle()?;
    thread::scope(|scope| {
        let indices = (0..elsewhere).map(|number| ELSEWHERE + number);
        for index in indices.chain([HERE, HERE]) {
            Builder::new().stack_size(16 << 10).spawn_scoped(scope, move || {
                loop {
                    words.wait(index, 0).expect("waiting on a word");
                }
            })?;
        }
        Ok(())
    })
}

/// Waits until the process has so many threads and all of them sleep.
fn until_all_sleep(pid: Pid, threads: usize) -> Result<()> {
    let sleeps = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // What comes before the state may have anything in it, up to the last parenthesis.
        text.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('S'))
    };
    for _ in 0..1000 {
        thread::sleep(Duration::from_millis(20));
        let asleep = fs::read_dir(format!("/proc/{pid}/task"))?
            .filter_map(Result::ok)
            .map(sleeps)
            .filter(|sleeps| *sleeps)
            .count();
        if asleep == threads {
            return Ok(());
        }
    }
    bail!("{threads} threads did not all go to sleep")
}
