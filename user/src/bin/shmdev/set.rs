// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev set`: owner, group and mode.

use shmdev::Change;

use crate::Node;
use crate::failure::Result;
use crate::parse::{self, Owner};
use crate::which::Chosen;

/// Change a segment's owner, group or mode
///
/// For its owner, its creator and root. Who has it open keeps what they can do.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Chosen,
    #[command(flatten)]
    what: What,
}

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
struct What {
    /// Permission bits
    #[arg(long, short, value_name = "OCTAL", value_parser = parse::mode)]
    mode: Option<u32>,
    /// USER, USER:GROUP or :GROUP, by name or number
    #[arg(long, short, value_name = "OWNER", value_parser = parse::owner)]
    owner: Option<Owner>,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let mut change = Change::new();
    if let Some(mode) = args.what.mode {
        change = change.mode(mode);
    }
    if let Some(owner) = &args.what.owner {
        change = owner.change(change);
    }
    Ok(node.device()?.set(args.which.target(), change)?)
}
