// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev read`: bytes of the segment to standard output.

use std::io::{Write, stdout};

use shmdev::{OpenOptions, Segment};

use crate::failure::{Failure, Result};
use crate::parse;

/// Copy bytes of the segment to standard output
#[derive(clap::Args)]
pub(crate) struct Args {
    /// First byte
    #[arg(long, value_parser = parse::size, default_value = "0")]
    offset: u64,
    /// How many bytes; without it, to the end
    #[arg(long, value_parser = parse::size)]
    len: Option<u64>,
}

pub(crate) fn run(options: &OpenOptions, args: &Args) -> Result {
    let segment = options.clone().write(false).open_default()?;
    let mut stdout = stdout().lock();
    each_block(&segment, args.offset, args.len, |block, _| {
        stdout.write_all(block).map_err(Failure::output)
    })?;
    stdout.flush().map_err(Failure::output)
}

/// Calls `take` with the blocks of a part of the segment and their offsets, until `len` bytes or the end.
pub(crate) fn each_block(
    segment: &Segment,
    mut offset: u64,
    len: Option<u64>,
    mut take: impl FnMut(&[u8], u64) -> Result,
) -> Result {
    let mut left = len.unwrap_or(u64::MAX);
    let mut buf = vec![0; 1 << 16];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let block = match segment.read_at(&mut buf[..want], offset) {
            Ok(0) => break,
            Ok(read) => &buf[..read],
            Err(error) if error.kind() == shmdev::TransferErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        take(block, offset)?;
        offset += block.len() as u64;
        left -= block.len() as u64;
    }
    Ok(())
}
