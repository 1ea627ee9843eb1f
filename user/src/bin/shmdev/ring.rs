// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev ring`: what a ring tells of itself.

use serde::Serialize;
use shmdev::ring::Stats;

use crate::Node;
use crate::channel::Channel;
use crate::failure::{Result, print};
use crate::human::{count, size};
use crate::report::json;

/// Show how many records a ring has had, and how full it is
///
/// The ring is found as `send` and `recv` find it: they all say the same of --offset, --size, --overwrite and --many.
/// Exit status 1 when there is none.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    channel: Channel,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    sent: u64,
    received: u64,
    overwritten: u64,
    lost_sending: u64,
    lost_receiving: u64,
    capacity: usize,
    used: usize,
    max_len: usize,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let ring = args.channel.find(node)?;
    let report = Report::of(&ring.stats(), ring.max_len());
    let text = match args.json {
        true => json(&report)? + "\n",
        false => page(&report),
    };
    print(text)
}

impl Report {
    fn of(stats: &Stats, max_len: usize) -> Self {
        Self {
            sent: stats.sent,
            received: stats.received,
            overwritten: stats.overwritten,
            lost_sending: stats.lost_sending,
            lost_receiving: stats.lost_receiving,
            capacity: stats.capacity,
            used: stats.used,
            max_len,
        }
    }
}

fn page(report: &Report) -> String {
    let lines = [
        ("sent", count(report.sent, "record")),
        ("received", report.received.to_string()),
        ("overwritten", report.overwritten.to_string()),
        (
            "lost by deaths",
            format!(
                "{} while sent, {} while received",
                report.lost_sending, report.lost_receiving
            ),
        ),
        (
            "filled",
            format!("{} of {}", size(report.used as u64), size(report.capacity as u64)),
        ),
        ("a record", format!("at most {} bytes", report.max_len)),
    ];
    let line = |(name, value): &(&str, String)| format!("{name:<15} {value}\n");
    lines.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_became_of_the_records() {
        let report = Report {
            sent: 5,
            received: 3,
            overwritten: 1,
            lost_sending: 2,
            lost_receiving: 0,
            capacity: 4096,
            used: 1536,
            max_len: 2040,
        };
        let page = page(&report);
        assert!(
            page.starts_with("sent            5 records\nreceived        3\n"),
            "{page}"
        );
        assert!(page.contains("filled          1.5K of 4K\na record        at most 2040 bytes\n"));
    }
}
