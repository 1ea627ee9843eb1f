// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is said on standard output: lines of JSON, each at once, so that a run that is cut short leaves what it had.

use std::fs;
use std::io::{Write, stdout};
use std::thread;

use anyhow::{Context, Result};
use shmdev_bench_model::{Guest, Line};

use crate::clock;

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

/// The first line.
pub fn guest() -> Result<()> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").context("reading the kernel's release")?;
    let processors = thread::available_parallelism().context("counting the processors")?;
    line(&Line::Guest(Guest {
        release: release.trim().to_owned(),
        processors: processors.get() as u32,
        clock: clock::unit(),
    }))
}

/// The last line.
pub fn done() -> Result<()> {
    line(&Line::Done)
}
