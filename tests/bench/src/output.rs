// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is said on standard output: lines of JSON, each at once, so that a run that is cut short leaves what it had.

use std::fs;
use std::io::{Write, stdout};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use shmdev_bench_model::{Guest, Line};

use crate::clock;
use crate::sys::glibc;

/// Says a line.
pub fn line(line: &Line) -> Result<()> {
    let mut text = serde_json::to_string(line).context("a line is not JSON")?;
    text.push('\n');
    let mut stdout = stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("nobody takes standard output")
}

/// Lets those who carry the output away do so, and whatever else the guest is still at, before anything is counted.
pub fn settle() {
    thread::sleep(Duration::from_millis(50));
}

/// The first line; after it the guest is quiet.
pub fn guest() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's release")?;
    let processors = thread::available_parallelism().context("counting the processors")?;
    line(&Line::Guest(Guest {
        release: release.trim().to_owned(),
        rustc: env!("BENCH_RUSTC").to_owned(),
        glibc: glibc::version(),
        processors: processors.get() as u32,
        clock: clock::unit(),
    }))?;
    // The kernel works for a second or two after it has started the first program: on tables for tracing, for one. Where
    // time counts instructions, that takes 0.7 ms of each 1.4 from who measures.
    thread::sleep(Duration::from_secs(3));
    Ok(())
}

/// The last line.
pub fn done() -> Result<()> {
    line(&Line::Done)
}
