// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev recv`: records of a ring to standard output.

use std::time::Duration;

use shmdev::Deadline;
use shmdev::ring::{Receiver, Records, RingError};

use crate::Node;
use crate::channel::Channel;
use crate::failure::{Failure, Result, print};
use crate::parse;

/// Receive a record from a ring in a segment, and print it as a line
///
/// Whoever comes first makes the ring, where the segment's bytes are zero; all who use it say the same of --offset,
/// --size, --overwrite and --many. Without these two a record is taken out when it has been printed, so one that nobody
/// could be told of is still there; with one of them it is taken out first.
///
/// Exit status 1 when none came in time, or when somebody else receives.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    channel: Channel,
    /// Receive N records
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    /// Receive for ever
    #[arg(long, short, conflicts_with_all = ["count", "no_wait"])]
    follow: bool,
    /// Receive those that are there, and do not wait for more; none is no error
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// End each with a zero byte, not with a newline
    #[arg(long, short = '0')]
    null: bool,
    /// Receive one, and print it as it is
    #[arg(long, short, conflicts_with_all = ["null", "count", "follow"])]
    whole: bool,
    /// For how long to wait for each record; 0 does not wait; without it, for as long as it takes
    #[arg(long, short, value_name = "TIME", value_parser = parse::timeout)]
    timeout: Option<Duration>,
}

impl Args {
    fn count(&self) -> u64 {
        match self.count {
            Some(count) => count,
            None if self.follow || self.no_wait && !self.whole => u64::MAX,
            None => 1,
        }
    }

    fn deadline(&self) -> Deadline {
        match self.no_wait {
            true => Deadline::Now,
            false => parse::deadline(self.timeout),
        }
    }

    fn print(&self, mut record: Vec<u8>) -> Result {
        if !self.whole {
            record.push(if self.null { 0 } else { b'\n' });
        }
        print(record)
    }

    fn failure(&self, error: &RingError) -> Failure {
        self.channel.failure("receive", error)
    }
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let ring = args.channel.open(node)?;
    let mut receiver = ring.receiver().map_err(|error| args.failure(&error))?;
    for _ in 0..args.count() {
        match one(&mut receiver, args)? {
            Ok(()) => (),
            Err(RingError::WouldBlock) if args.no_wait => break,
            Err(error) => return Err(args.failure(&error)),
        }
    }
    Ok(())
}

/// Receives one record and prints it. What the ring says, unless printing failed.
fn one(receiver: &mut Receiver<Records>, args: &Args) -> Result<Result<(), RingError>> {
    if args.channel.keeps() {
        let record = match receiver.peek(args.deadline()) {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        args.print(record.to_vec())?;
        return Ok(record.release());
    }
    let mut record = Vec::new();
    match receiver.recv_into(&mut record, args.deadline()) {
        Ok(()) => args.print(record).map(Ok),
        Err(error) => Ok(Err(error)),
    }
}
