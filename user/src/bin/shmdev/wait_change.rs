// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev wait-change`: sleeps until somebody has written.

use std::time::Duration;

use crate::Node;
use crate::failure::{Failure, Result, print};
use crate::parse;
use crate::which::Which;

/// Wait until a write is completed, and print the segment's generation
///
/// Exit status 1 when none was in time.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// For how long; without it, for as long as it takes
    #[arg(long, short, value_name = "TIME", value_parser = parse::timeout)]
    timeout: Option<Duration>,
    /// The generation that is known already, from `stat` or an earlier wait: do not wait when it is another
    /// now
    #[arg(long, value_name = "GENERATION")]
    since: Option<u64>,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let segment = node.options().write(false).open(args.which.target())?;
    let deadline = parse::deadline(args.timeout);
    // A write that comes after this has been seen ends the wait, so none is lost between the two calls.
    let now = segment.stat()?.generation;
    if args.since.is_none_or(|since| since == now) {
        let changed = segment.wait_change(deadline);
        if !changed.map_err(|error| args.which.failure(&error))? {
            let target = args.which.target();
            return Err(Failure::told(
                format_args!("{target}: wait for a change: timed out (ETIMEDOUT)"),
                1,
            ));
        }
    }
    print(format!("{}\n", segment.stat()?.generation))
}
