// SPDX-License-Identifier: MIT OR Apache-2.0

//! The story, an act a function. The director makes some of the calls itself and asks the actors to make
//! the others.

use std::fmt::Display;
use std::time::{Duration, Instant};

use shmdev::{BeginErrorKind, Deadline, Segment, Stat};

use crate::Result;
use crate::actor::Actor;
use crate::stage::Stage;

/// Where things lie in the segment, in bytes.
const GREETING: usize = 0;
const GREETING_LEN: usize = 64;
const COUNTER: usize = 64;
const NOTE: usize = 128;
/// The range of the later acts.
const RANGE: u64 = 64;

const ROUNDS: u64 = 100_000;
const WHOLE: &str = "A whole sentence, all of it.";
const HALF: &str = "A whole sent";

pub(crate) fn tell(stage: &mut Stage) -> Result {
    stage.say("/dev/shmdev: processes and the kernel share memory.");
    stage.say("Each line: who, which call, what came of it.");
    let (director, before) = segment(stage)?;
    let (mut writer, mut reader) = mappings(stage, &director, &before)?;
    without_copying(stage, &mut writer, &mut reader)?;
    kernel_too(stage, &director, &mut reader)?;
    sleep_and_wake(stage, &director, &mut writer, &mut reader)?;
    death(stage, &director, writer)?;

    stage.act("Nothing is left behind");
    reader.dismiss()?;
    let after = director.stat()?;
    stage.line("director", "ioctl(STAT)", counters(&after));
    check("mappings", after.nattch, before.nattch)?;
    check("handles", after.handles, before.handles)?;
    check("ranges held", after.holders, before.holders)?;
    check("callers waiting", after.waiters, before.waiters)?;
    stage.end();
    Ok(())
}

fn segment(stage: &mut Stage) -> Result<(Segment, Stat)> {
    stage.act("The kernel has memory to share");
    let director = Segment::open_default()?;
    let info = director.info();
    stage.line("director", "open(\"/dev/shmdev\", O_RDWR)", "a handle");
    let facts = format!(
        "ABI {}, {}-byte pages, token {}",
        info.abi_version, info.page_size, info.token
    );
    stage.line("director", "ioctl(INFO)", facts);
    let stat = director.stat()?;
    let pieces = if stat.pieces == 1 {
        "1 piece"
    } else {
        &format!("{} pieces", stat.pieces)
    };
    stage.line(
        "director",
        "ioctl(STAT)",
        format!("{} bytes in {pieces}", stat.size),
    );
    stage.line("", "", counters(&stat));
    Ok((director, stat))
}

fn mappings(stage: &mut Stage, director: &Segment, before: &Stat) -> Result<(Actor, Actor)> {
    stage.act("Two processes map the same pages");
    let mut writer = Actor::start("writer")?;
    let mut reader = Actor::start("reader")?;
    for (actor, mode, flags, protection) in [
        (&mut writer, "read-write", "O_RDWR", "PROT_READ|PROT_WRITE"),
        (&mut reader, "read-only", "O_RDONLY", "PROT_READ"),
    ] {
        let token = actor.ask(&format!("open {mode}"))?;
        stage.line(
            actor.name(),
            format!("open(\"/dev/shmdev\", {flags})"),
            format!("token {token}"),
        );
        let address = actor.ask(&format!("map {mode}"))?;
        stage.line(
            actor.name(),
            format!("mmap({protection})"),
            format!("at {address}"),
        );
        let maps = std::fs::read_to_string(format!("/proc/{}/maps", actor.pid()))?;
        let line = maps
            .lines()
            .find(|line| line.contains("/dev/shmdev"))
            .ok_or("no line in /proc/PID/maps")?;
        let rights = line.split_whitespace().nth(1).unwrap_or_default();
        stage.line(
            "kernel",
            format!("/proc/{}/maps", actor.pid()),
            format!("{rights} /dev/shmdev"),
        );
    }
    let after = director.stat()?;
    stage.line("director", "ioctl(STAT)", counters(&after));
    check("mappings", after.nattch, before.nattch + 2)?;
    check("handles", after.handles, before.handles + 2)?;
    Ok((writer, reader))
}

fn without_copying(stage: &mut Stage, writer: &mut Actor, reader: &mut Actor) -> Result {
    stage.act("One writes, the other reads: no copy, no call");
    let greeting = format!("Hello from process {}!", writer.pid());
    // Whatever an earlier program left there.
    let padded = format!("{greeting:\0<GREETING_LEN$}");
    writer.ask(&format!("store {GREETING} {padded}"))?;
    stage.line(writer.name(), "stores to its memory", format!("\"{greeting}\""));
    let seen = reader.ask(&format!("load {GREETING} {GREETING_LEN}"))?;
    stage.line(reader.name(), "loads from its memory", format!("\"{seen}\""));
    check("the greeting", seen.as_str(), greeting.as_str())?;

    let mut second = Actor::start("writer")?;
    second.ask("open read-write")?;
    second.ask("map read-write")?;
    writer.ask(&format!("store {COUNTER} \0\0\0\0\0\0\0\0"))?;
    let order = format!("count {COUNTER} {ROUNDS}");
    writer.tell(&order)?;
    second.tell(&order)?;
    writer.answer()?;
    second.answer()?;
    for actor in [&*writer, &second] {
        stage.line(
            actor.name(),
            "atomic additions, both at once",
            format!("{ROUNDS} times 1"),
        );
    }
    second.dismiss()?;
    let sum = reader.ask(&format!("sum {COUNTER}"))?;
    stage.line(reader.name(), "loads the counter", format!("{sum}: none lost"));
    check("the counter", sum, (2 * ROUNDS).to_string())
}

fn kernel_too(stage: &mut Stage, director: &Segment, reader: &mut Actor) -> Result {
    stage.act("The kernel reads and writes the same bytes");
    let mut copy = [0; GREETING_LEN];
    director.read_exact_at(&mut copy, GREETING as u64)?;
    let copy = String::from_utf8_lossy(&copy).trim_end_matches('\0').to_owned();
    stage.line(
        "director",
        format!("pread({GREETING_LEN} bytes at {GREETING})"),
        format!("\"{copy}\""),
    );
    check(
        "the greeting",
        copy,
        reader.ask(&format!("load {GREETING} {GREETING_LEN}"))?,
    )?;

    let before = director.stat()?.generation;
    let note = "written by write(2)";
    director.write_all_at(note.as_bytes(), NOTE as u64)?;
    stage.line(
        "director",
        format!("pwrite({} bytes at {NOTE})", note.len()),
        format!("\"{note}\""),
    );
    let seen = reader.ask(&format!("load {NOTE} {}", note.len()))?;
    stage.line(reader.name(), "loads from its memory", format!("\"{seen}\""));
    check("the note", seen.as_str(), note)?;
    let after = director.stat()?.generation;
    stage.line(
        "director",
        "ioctl(STAT)",
        format!("generation {before} -> {after}"),
    );
    check("the generation", after, before + 1)
}

fn sleep_and_wake(stage: &mut Stage, director: &Segment, writer: &mut Actor, reader: &mut Actor) -> Result {
    stage.act("A reader sleeps until a writer ends its range");
    writer.ask(&format!("begin write {RANGE}"))?;
    stage.line(
        writer.name(),
        format!("ioctl(SYNC, BEGIN WRITE 0:{RANGE})"),
        "holds it",
    );

    let refused = |deadline, kind| match director.begin_write(0..RANGE, deadline) {
        Ok(_) => Err("a range that is held for writing was given to another".to_owned()),
        Err(error) if error.kind() == kind => Ok(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let busy = refused(Deadline::Now, BeginErrorKind::Busy)?;
    stage.line("director", "the same, not waiting", last(&busy));
    let late = refused(
        Deadline::after(Duration::from_millis(50)),
        BeginErrorKind::TimedOut,
    )?;
    stage.line("director", "the same, waiting 50 ms", last(&late));

    reader.tell(&format!("begin read {RANGE}"))?;
    let stat = wait_until(director, "the reader waits", |stat| stat.waiters > 0)?;
    let state = state_of(reader.pid())?;
    stage.line(reader.name(), format!("ioctl(SYNC, BEGIN READ 0:{RANGE})"), "...");
    stage.line("kernel", format!("/proc/{}/status", reader.pid()), state);
    stage.line(
        "director",
        "ioctl(STAT)",
        format!("{} held, {} waiting", stat.holders, stat.waiters),
    );

    writer.ask(&format!("store 0 {WHOLE}"))?;
    stage.line(writer.name(), "stores to its memory", format!("\"{WHOLE}\""));
    if director.wait_change(Deadline::Now)? {
        return Err("poll saw a new generation before the write was completed".into());
    }
    stage.line("director", "poll(POLLIN, 0 ms)", "nothing new");
    let generation: u64 = writer.ask("end")?.parse()?;
    stage.line(
        writer.name(),
        "ioctl(SYNC, END)",
        format!("generation {generation}: the reader is woken"),
    );
    check("the generation", generation, stat.generation + 1)?;
    if !director.wait_change(Deadline::after(Duration::from_secs(10)))? {
        return Err("poll did not see the new generation".into());
    }
    stage.line("director", "poll(POLLIN)", "readable: there is something new");

    let answer = reader.answer()?;
    stage.line(reader.name(), "... returns", "holds it");
    check("what the reader was told", answer, format!("{generation} fine"))?;
    let seen = reader.ask(&format!("load 0 {}", WHOLE.len()))?;
    stage.line(reader.name(), "loads from its memory", format!("\"{seen}\""));
    check("the text", seen.as_str(), WHOLE)?;
    reader.ask("end")?;
    stage.line(reader.name(), "ioctl(SYNC, END)", "the range is free");
    Ok(())
}

fn death(stage: &mut Stage, director: &Segment, mut writer: Actor) -> Result {
    stage.act("A writer is killed, and the next one is told");
    writer.ask(&format!("begin write {RANGE}"))?;
    stage.line(
        writer.name(),
        format!("ioctl(SYNC, BEGIN WRITE 0:{RANGE})"),
        "holds it",
    );
    writer.ask(&format!("store 0 {HALF:\0<width$}", width = WHOLE.len()))?;
    stage.line(
        writer.name(),
        "stores to its memory",
        format!("\"{HALF}\", half of it"),
    );
    let name = writer.name().to_owned();
    let pid = writer.pid();
    writer.kill()?;
    stage.line(
        "director",
        format!("kill({pid}, SIGKILL)"),
        format!("{name} is gone"),
    );
    let stat = director.stat()?;
    stage.line("director", "ioctl(STAT)", counters(&stat));

    let mut heir = Actor::start("heir")?;
    heir.ask("open read-write")?;
    heir.ask("map read-write")?;
    let told = heir.ask(&format!("begin write {RANGE}"))?;
    stage.line(
        heir.name(),
        format!("ioctl(SYNC, BEGIN WRITE 0:{RANGE})"),
        "holds it at once: OWNER_DIED",
    );
    check(
        "what the heir was told",
        told,
        format!("{} died", stat.generation),
    )?;
    let seen = heir.ask(&format!("load 0 {RANGE}"))?;
    stage.line(
        heir.name(),
        "loads from its memory",
        format!("\"{seen}\": half written"),
    );
    check("the half", seen.as_str(), HALF)?;
    heir.ask(&format!("store 0 {WHOLE}"))?;
    stage.line(heir.name(), "stores to its memory", format!("\"{WHOLE}\""));
    let generation = heir.ask("end")?;
    stage.line(
        heir.name(),
        "ioctl(SYNC, END)",
        format!("generation {generation}: the write is whole"),
    );
    let told = heir.ask(&format!("begin read {RANGE}"))?;
    stage.line(
        heir.name(),
        format!("ioctl(SYNC, BEGIN READ 0:{RANGE})"),
        "holds it: nothing amiss any more",
    );
    check("what the heir was told", told, format!("{generation} fine"))?;
    heir.dismiss()
}

fn counters(stat: &Stat) -> String {
    format!(
        "mappings {}, handles {}, held {}",
        stat.nattch, stat.handles, stat.holders
    )
}

fn check<T: PartialEq + Display>(what: &str, found: T, expected: T) -> Result {
    if found == expected {
        return Ok(());
    }
    Err(format!("not as told: {what}: {found}, expected {expected}").into())
}

/// Looks at the segment until it is as expected, for ten seconds.
fn wait_until(segment: &Segment, what: &str, done: impl Fn(&Stat) -> bool) -> Result<Stat> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let stat = segment.stat()?;
        if done(&stat) {
            return Ok(stat);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("not as told: {what}, but it did not").into())
}

/// The `State:` line of a process that has just queued: it needs a moment more to fall asleep.
fn state_of(pid: u32) -> Result<String> {
    let start = Instant::now();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let state = status
            .lines()
            .find(|line| line.starts_with("State:"))
            .ok_or("no State: line")?;
        if state.contains("sleeping") {
            return Ok(squeeze(state));
        }
        if start.elapsed() > Duration::from_secs(10) {
            return Err(format!("not as told: process {pid} should sleep, but: {state}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Runs of blanks as one.
fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The reason in an error's message.
fn last(message: &str) -> &str {
    message.rsplit(": ").next().unwrap_or(message)
}
