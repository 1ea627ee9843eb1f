// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev resize`.

use crate::Node;
use crate::failure::Result;
use crate::parse;
use crate::which::Chosen;

/// Grow or shrink a segment
///
/// For its owner, its creator and root. What it grows by is zero. Mappings stay as they are; it loses pages only while
/// nothing maps it.
#[derive(clap::Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Chosen,
    /// The new size in bytes: 4096, 64K, 1MiB
    #[arg(value_parser = parse::positive_size)]
    size: u64,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    Ok(node.device()?.resize(args.which.target(), args.size)?)
}
