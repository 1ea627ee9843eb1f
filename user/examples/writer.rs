// SPDX-License-Identifier: MIT OR Apache-2.0

//! Writes what is typed, a line at a time, for `reader` to show: `cargo run --example writer` in one
//! terminal, `reader` in another.
//!
//! The message lies at the start of the segment "lines": its length as a `u32`, then its bytes. Whoever comes
//! first creates the segment; it goes with the last of them.

use std::error::Error;
use std::io::{self, BufRead};

use shmdev::{Deadline, SegmentOptions};

/// Length and text together.
const MESSAGE: u64 = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let segment = SegmentOptions::new()
        .create(true)
        .auto_remove(true)
        .size(MESSAGE)
        .open("lines")?;
    let mapping = segment.map()?;
    eprintln!("type lines; end with ^D");
    for line in io::stdin().lock().lines() {
        let line = line?;
        let text = &line.as_bytes()[..line.len().min(MESSAGE as usize - 4)];

        let guard = segment.begin_write(0..MESSAGE, Deadline::Never)?;
        mapping.set(0, &(text.len() as u32))?;
        mapping.write_at(text, 4)?;
        let generation = guard.end()?;
        eprintln!("generation {generation}: {} bytes", text.len());
    }
    Ok(())
}
