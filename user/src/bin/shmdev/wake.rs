// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev wake`: wakes who waits on a word.

use crate::Node;
use crate::failure::{Result, print};
use crate::parse;
use crate::which::Which;
use crate::word::{self, Place, Word};

/// Wake who waits on a word, and print how many were woken
///
/// Who waits looks at the word again, so it has to have another value by then: --set stores one first.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: Place,
    /// How many at most, those who wait for longest first
    #[arg(
        long,
        short = 'n',
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(..=i64::from(i32::MAX)),
        default_value = "1"
    )]
    count: u32,
    /// All who wait
    #[arg(long, short, conflicts_with = "count")]
    all: bool,
    /// Store VALUE in the word before
    #[arg(long, short, value_name = "VALUE", value_parser = parse::word)]
    set: Option<u32>,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let (target, offset) = (args.which.target(), args.place.offset);
    // What is mapped for writing must be open for reading as well.
    let segment = node.options().read(args.set.is_some()).open(target)?;
    if let Some(value) = args.set {
        let word = Word::map(&segment, offset, true);
        word.map_err(|error| word::failure(target, offset, &error))?
            .store(value)?;
    }
    let count = if args.all { u32::MAX } else { args.count };
    let woken = segment.wake(offset, count);
    print(format!(
        "{}\n",
        woken.map_err(|error| args.which.failure(&error))?
    ))
}
