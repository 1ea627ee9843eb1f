// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev write`: standard input to a segment.

use std::io::{self, Read, stdin};

use crate::Node;
use crate::failure::{Failure, Result};
use crate::parse;
use crate::which::Which;

/// Copy standard input to a segment
///
/// It ends where the input ends. What does not fit is an error, after what fits was written.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// First byte
    #[arg(long, short, value_parser = parse::size, default_value = "0")]
    offset: u64,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let segment = node.options().read(false).open(args.which.target())?;
    let mut stdin = stdin().lock();
    let mut buf = vec![0; 1 << 16];
    let mut offset = args.offset;
    loop {
        let block = match stdin.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(read) => &buf[..read],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::system("read standard input", &error)),
        };
        segment
            .write_all_at(block, offset)
            .map_err(|error| args.which.failure(&error))?;
        offset += block.len() as u64;
    }
}
