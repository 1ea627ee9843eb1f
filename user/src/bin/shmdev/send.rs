// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev send`: records from standard input to a ring.

use std::io::{self, BufRead, Read, stdin};
use std::time::Duration;

use shmdev::ring::RingError;

use crate::Node;
use crate::channel::Channel;
use crate::failure::{Failure, Result};
use crate::parse;

/// Send records through a ring in a segment, one for each line of standard input
///
/// Whoever comes first makes the ring, where the segment's bytes are zero; all who use it say the same of --offset,
/// --size, --overwrite and --many. Without --many it has one sender and one receiver at a time. A record is received
/// without the byte that ended its line; the last one need not have it.
///
/// Exit status 1 when there was no room in time, when a record is too long, or when somebody else sends; what was
/// sent until then is sent.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    channel: Channel,
    /// Records end with a zero byte, not with a newline
    #[arg(long, short = '0')]
    null: bool,
    /// All of standard input is one record
    #[arg(long, short, conflicts_with = "null")]
    whole: bool,
    /// For how long to wait for room for each record; 0 does not wait; without it, for as long as it takes
    #[arg(long, short, value_name = "TIME", value_parser = parse::timeout)]
    timeout: Option<Duration>,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let failure = |error: RingError| args.channel.failure("send", &error);
    let ring = args.channel.open(node)?;
    let mut sender = ring.sender().map_err(failure)?;
    let end = match args {
        Args { whole: true, .. } => None,
        Args { null: true, .. } => Some(0),
        _ => Some(b'\n'),
    };
    let mut input = Input {
        stdin: stdin().lock(),
        end,
        max: ring.max_len() as u64,
    };
    while let Some(record) = input
        .next()
        .map_err(|error| Failure::system("read standard input", &error))?
    {
        sender
            .send_until(&record, parse::deadline(args.timeout))
            .map_err(failure)?;
        if args.whole {
            break;
        }
    }
    Ok(())
}

/// What is cut into records.
struct Input<R> {
    stdin: R,
    /// The byte that ends a record; none: all is one.
    end: Option<u8>,
    /// The longest record that can be sent.
    max: u64,
}

impl<R: BufRead> Input<R> {
    /// The next record; of one that is too long, a byte too much. All that is left is one even if that is nothing.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut record = Vec::new();
        let mut rest = (&mut self.stdin).take(self.max + 1);
        let Some(end) = self.end else {
            rest.read_to_end(&mut record)?;
            return Ok(Some(record));
        };
        if rest.read_until(end, &mut record)? == 0 {
            return Ok(None);
        }
        if record.last() == Some(&end) {
            record.pop();
        }
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(stdin: &[u8], end: u8) -> Vec<Vec<u8>> {
        let mut input = Input {
            stdin,
            end: Some(end),
            max: 4,
        };
        std::iter::from_fn(|| input.next().unwrap()).collect()
    }

    #[test]
    fn lines_are_records_and_the_last_one_needs_no_end() {
        assert_eq!(records(b"", b'\n'), [b""; 0]);
        assert_eq!(records(b"\n", b'\n'), [b""]);
        assert_eq!(
            records(b"a\n\nb\0c\n1234\nd", b'\n'),
            [&b"a"[..], b"", b"b\0c", b"1234", b"d"]
        );
        assert_eq!(records(b"a\nb\0c\0", 0), [&b"a\nb"[..], b"c"]);
    }

    #[test]
    fn of_a_record_that_is_too_long_no_more_is_read_than_shows_it() {
        assert_eq!(records(b"a\n123456\n", b'\n')[1], b"12345");
        assert_eq!(records(b"1234", b'\n'), [b"1234"]);
    }

    #[test]
    fn all_of_the_input_is_one_record_even_if_it_is_empty() {
        let whole = |stdin: &[u8]| {
            let mut input = Input {
                stdin,
                end: None,
                max: 4,
            };
            input.next().unwrap()
        };
        assert_eq!(whole(b""), Some(vec![]));
        assert_eq!(whole(b"a\nb\0"), Some(b"a\nb\0".to_vec()));
        assert_eq!(whole(b"123456"), Some(b"12345".to_vec()));
    }
}
