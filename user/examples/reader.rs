// SPDX-License-Identifier: MIT OR Apache-2.0

//! Shows each line that `writer` shares: sleeps until one was written, then reads it where it lies.

use std::error::Error;

use shmdev::{Deadline, SegmentOptions};

/// As in `writer`.
const MESSAGE: u64 = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let segment = SegmentOptions::new()
        .write(false)
        .create(true)
        .auto_remove(true)
        .size(MESSAGE)
        .open("lines")?;
    let mapping = segment.map_read_only()?;
    eprintln!("waiting for a writer; end with ^C");
    loop {
        segment.wait_change(Deadline::Never)?;
        let guard = segment.begin_read(0..MESSAGE, Deadline::Never)?;
        if guard.owner_died() {
            eprintln!("the writer died in the middle of a message");
            continue;
        }
        // Somebody else may have written there: the length is not to be trusted.
        let len = (mapping.get::<u32>(0)? as usize).min(MESSAGE as usize - 4);
        let text = mapping.to_vec(4, len)?;
        let generation = guard.generation();
        drop(guard);
        println!("{generation}: {}", String::from_utf8_lossy(&text));
    }
}
