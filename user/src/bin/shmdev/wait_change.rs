// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev wait-change`: sleeps until somebody has written.

use std::io::{Write, stdout};
use std::time::Duration;

use shmdev::OpenOptions;

use crate::failure::{Failure, Result};
use crate::parse;

/// Wait until a write is completed, and print the segment's generation
#[derive(clap::Args)]
pub(crate) struct Args {
    /// For how long: 10, 2.5 (seconds), 500ms, 2m; without it, for as long as it takes
    #[arg(long, value_name = "TIME", value_parser = parse::timeout)]
    timeout: Option<Duration>,
    /// The generation that is known already, from `stat` or an earlier wait: do not wait when it is another
    /// now
    #[arg(long, value_name = "GENERATION")]
    since: Option<u64>,
}

pub(crate) fn run(options: &OpenOptions, args: &Args) -> Result {
    let segment = options.clone().write(false).open_default()?;
    let deadline = parse::deadline(args.timeout);
    // A write that comes after this has been seen ends the wait, so none is lost between the two calls.
    let now = segment.stat()?.generation;
    if args.since.is_none_or(|since| since == now) && !segment.wait_change(deadline)? {
        return Err(Failure::told("wait for a change: timed out (ETIMEDOUT)", 1));
    }
    writeln!(stdout(), "{}", segment.stat()?.generation).map_err(Failure::output)
}
