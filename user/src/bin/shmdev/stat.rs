// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev stat`: the state of the segment.

use std::io::{Write, stdout};

use serde::Serialize;
use shmdev::OpenOptions;

use crate::failure::{Failure, Result};

/// Show the segment's size, mappings, handles, generation and ranges
///
/// The handle that asks is counted.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    id: u64,
    size: u64,
    mapped_size: u64,
    nattch: u64,
    handles: u64,
    generation: u64,
    holders: u32,
    waiters: u32,
    pieces: u32,
}

pub(crate) fn run(options: &OpenOptions, args: &Args) -> Result {
    let stat = options.clone().write(false).open_default()?.stat()?;
    let mut stdout = stdout().lock();
    if args.json {
        let report = Report {
            id: stat.id,
            size: stat.size,
            mapped_size: stat.mapped_size,
            nattch: stat.nattch,
            handles: stat.handles,
            generation: stat.generation,
            holders: stat.holders,
            waiters: stat.waiters,
            pieces: stat.pieces,
        };
        let json = serde_json::to_string(&report).map_err(|error| Failure::told(error, 1))?;
        return writeln!(stdout, "{json}").map_err(Failure::output);
    }
    writeln!(
        stdout,
        "segment      {}\n\
         size         {} bytes ({} mapped), physically in {}\n\
         mappings     {}\n\
         handles      {}\n\
         generation   {}\n\
         ranges       {} held, {} waited for",
        stat.id,
        stat.size,
        stat.mapped_size,
        if stat.pieces == 1 {
            "1 piece".to_owned()
        } else {
            format!("{} pieces", stat.pieces)
        },
        stat.nattch,
        stat.handles,
        stat.generation,
        stat.holders,
        stat.waiters,
    )
    .map_err(Failure::output)
}
