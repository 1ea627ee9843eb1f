// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev wait`: sleeps on a word until it has another value.

use std::time::Duration;

use shmdev::Waited;

use crate::Node;
use crate::failure::{Failure, Result, print};
use crate::parse;
use crate::which::Which;
use crate::word::{self, Place, Word};

/// Wait until a word has another value, and print it
///
/// A word is four bytes at an offset that is a multiple of 4, a number in the machine's byte order. It is looked at once,
/// and then each time that somebody wakes those who wait on it: `shmdev wake`, or a program that has stored something.
///
/// Exit status 1 when it did not come to that in time.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    place: Place,
    /// Wait while the word is VALUE; without it, while it is what it is at the start
    #[arg(long = "while", value_name = "VALUE", value_parser = parse::word, conflicts_with = "until")]
    not: Option<u32>,
    /// Wait until the word is VALUE
    #[arg(long, short, value_name = "VALUE", value_parser = parse::word)]
    until: Option<u32>,
    /// For how long; 0 does not wait; without it, for as long as it takes
    #[arg(long, short, value_name = "TIME", value_parser = parse::timeout)]
    timeout: Option<Duration>,
}

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum Goal {
    Other(u32),
    This(u32),
}

impl Goal {
    fn is_met_by(self, value: u32) -> bool {
        match self {
            Self::Other(old) => value != old,
            Self::This(wanted) => value == wanted,
        }
    }
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let (target, offset) = (args.which.target(), args.place.offset);
    let segment = node.options().write(false).open(target)?;
    let deadline = parse::deadline(args.timeout);
    let word = Word::map(&segment, offset, false).map_err(|error| word::failure(target, offset, &error))?;
    let mut value = word.load()?;
    let goal = match (args.until, args.not) {
        (Some(wanted), _) => Goal::This(wanted),
        (None, old) => Goal::Other(old.unwrap_or(value)),
    };
    while !goal.is_met_by(value) {
        let waited = segment.wait(offset, value, deadline);
        let waited = waited.map_err(|error| args.which.failure(&error))?;
        value = word.load()?;
        if waited == Waited::TimedOut && !goal.is_met_by(value) {
            return Err(Failure::told(
                format_args!(
                    "{target}: wait on the word at {offset}, which is {value}: timed out (ETIMEDOUT)"
                ),
                1,
            ));
        }
    }
    print(format!("{value}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_a_value_or_any_other() {
        assert!(Goal::This(5).is_met_by(5) && !Goal::This(5).is_met_by(6));
        assert!(Goal::Other(5).is_met_by(6) && !Goal::Other(5).is_met_by(5));
    }
}
