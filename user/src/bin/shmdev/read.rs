// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev read`: bytes of a segment to standard output.

use std::io::{Write, stdout};

use shmdev::TransferErrorKind;

use crate::Node;
use crate::failure::{Failure, Result};
use crate::parse;
use crate::which::Which;

/// Copy bytes of a segment to standard output
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) part: Part,
}

/// Which bytes of which segment.
#[derive(clap::Args)]
pub(crate) struct Part {
    #[command(flatten)]
    which: Which,
    /// First byte
    #[arg(long, short, value_parser = parse::size, default_value = "0")]
    pub(crate) offset: u64,
    /// How many bytes; without it, to the end
    #[arg(long, short, value_parser = parse::size)]
    len: Option<u64>,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let mut stdout = stdout().lock();
    args.part
        .each_block(node, |block, _| stdout.write_all(block).map_err(Failure::output))?;
    stdout.flush().map_err(Failure::output)
}

impl Part {
    /// Calls `take` with the blocks of the part and their offsets.
    pub(crate) fn each_block(&self, node: &Node, mut take: impl FnMut(&[u8], u64) -> Result) -> Result {
        let segment = node.options().write(false).open(self.which.target())?;
        let mut offset = self.offset;
        let mut left = self.len.unwrap_or(u64::MAX);
        let mut buf = vec![0; 1 << 16];
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
            let block = match segment.read_at(&mut buf[..want], offset) {
                Ok(0) => break,
                Ok(read) => &buf[..read],
                Err(error) if error.kind() == TransferErrorKind::Interrupted => continue,
                Err(error) => return Err(self.which.failure(&error)),
            };
            take(block, offset)?;
            offset += block.len() as u64;
            left -= block.len() as u64;
        }
        Ok(())
    }
}
