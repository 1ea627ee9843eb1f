// SPDX-License-Identifier: MIT OR Apache-2.0

//! Which ring of which segment a command is about, and how it is made.

use std::fmt::Display;

use nix::errno::Errno;
use shmdev::ring::{Options, Records, Ring, RingError};
use shmdev::{Area, PlaceErrorKind, Target};

use crate::Node;
use crate::failure::{Failure, Result};
use crate::parse;
use crate::which::Which;

/// The fewest bytes that a ring's records can have together, and the most.
const SIZES: std::ops::RangeInclusive<u32> = 6..=30;

/// A ring of records, by what all who use it say.
#[derive(clap::Args)]
pub(crate) struct Channel {
    #[command(flatten)]
    which: Which,
    /// Where the ring begins, a multiple of 64
    #[arg(long, short, value_parser = parse::size, default_value = "0")]
    offset: u64,
    /// Bytes of all records together, each with 8 more: a power of two; without it, the largest that fits. A record can
    /// have half of it, less 8
    #[arg(long, short, value_name = "BYTES", value_parser = parse::size)]
    size: Option<u64>,
    /// Overwrite the oldest records when there is no room, instead of waiting for some
    #[arg(long)]
    overwrite: bool,
    /// Any number of senders and receivers at a time, instead of one each; each record goes to one receiver
    #[arg(long, short)]
    many: bool,
}

impl Channel {
    pub(crate) fn target(&self) -> Target<'_> {
        self.which.target()
    }

    /// Whether nobody else receives, and no sender overwrites: what is there stays there until it is taken out.
    pub(crate) fn keeps(&self) -> bool {
        !self.many && !self.overwrite
    }

    /// The ring; it is made where all is zero.
    pub(crate) fn open(&self, node: &Node) -> Result<Ring<Records>> {
        self.place(&self.map(node)?)
    }

    /// The ring, if there is anything where it should be.
    pub(crate) fn find(&self, node: &Node) -> Result<Ring<Records>> {
        let area = self.map(node)?;
        match area.mapping().get::<u64>(offset(self.offset)) {
            Ok(0) => Err(self.told("find the ring", "there is none", Errno::ENOENT)),
            _ => self.place(&area),
        }
    }

    fn map(&self, node: &Node) -> Result<Area> {
        let segment = node.options().open(self.target())?;
        Area::new(segment).map_err(|error| self.which.failure(&error))
    }

    fn place(&self, area: &Area) -> Result<Ring<Records>> {
        let room = (area.mapping().len() as u64).saturating_sub(self.offset);
        let bytes = self.size.unwrap_or_else(|| largest(room));
        let options = Options::new()
            .overwrite(self.overwrite)
            .many_senders(self.many)
            .many_receivers(self.many);
        options
            .records(
                area,
                offset(self.offset),
                usize::try_from(bytes).unwrap_or(usize::MAX),
            )
            .map_err(|error| match error.kind() {
                PlaceErrorKind::OtherLayout => self.told(
                    format_args!("find the ring at {}", self.offset),
                    "it was made otherwise; all who use it say the same of --size, --overwrite and --many",
                    Errno::EEXIST,
                ),
                PlaceErrorKind::Invalid => self.told(
                    "make a ring",
                    format_args!("{bytes} bytes are no power of two from 64 to 1G"),
                    Errno::EINVAL,
                ),
                _ => self.which.failure(&error),
            })
    }

    /// What `operation` failed of.
    pub(crate) fn failure(&self, operation: &str, error: &RingError) -> Failure {
        match error {
            RingError::TimedOut => self.told(operation, "timed out", Errno::ETIMEDOUT),
            RingError::WouldBlock => self.told(operation, "it would have to wait", Errno::EAGAIN),
            RingError::Busy => self.told(
                operation,
                "somebody else does already; a ring made with --many has room for more",
                Errno::EBUSY,
            ),
            RingError::TooLong { max, .. } => self.told(
                operation,
                format_args!("a record of this ring has at most {max} bytes"),
                Errno::EMSGSIZE,
            ),
            error => Failure::told(format_args!("{}: {operation}: {error}", self.target()), 1),
        }
    }

    fn told(&self, operation: impl Display, why: impl Display, errno: Errno) -> Failure {
        Failure::told(
            format_args!("{}: {operation}: {why} ({errno:?})", self.target()),
            1,
        )
    }
}

/// One that is too large for this machine lies in no segment.
fn offset(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// The largest ring that lies in so many bytes; the smallest there is, if none does.
fn largest(room: u64) -> u64 {
    let fits = |&bytes: &u64| Options::records_size(bytes as usize).is_ok_and(|size| size as u64 <= room);
    SIZES
        .rev()
        .map(|power| 1 << power)
        .find(fits)
        .unwrap_or(1 << SIZES.start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_takes_the_largest_power_of_two_that_fits_beside_its_header() {
        let header = Options::records_size(64).unwrap() as u64 - 64;
        for (room, bytes) in [
            (0, 64),
            (64, 64),
            (4096, 2048),
            (4096 + header, 4096),
            (65535 + header, 32768),
            (u64::MAX, 1 << 30),
        ] {
            assert_eq!(largest(room), bytes, "{room}");
        }
    }
}
