// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev info`: what the device says of itself.

use std::io::{Write, stdout};

use serde::Serialize;
use shmdev::OpenOptions;
use shmdev::uapi::{FEATURE_POLL, FEATURE_SYNC};

use crate::failure::{Failure, Result};

/// Show what the device is and can do
#[derive(clap::Args)]
pub(crate) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    abi_version: u32,
    page_size: u32,
    features: Vec<String>,
    default_size: u64,
    max_ranges: u32,
}

pub(crate) fn run(options: &OpenOptions, args: &Args) -> Result {
    let device = options.clone().write(false).open()?;
    let info = device.info();
    let report = Report {
        abi_version: info.abi_version,
        page_size: info.page_size,
        features: features(info.features),
        default_size: info.default_size,
        max_ranges: info.max_ranges,
    };
    let mut stdout = stdout().lock();
    if args.json {
        let json = serde_json::to_string(&report).map_err(|error| Failure::told(error, 1))?;
        return writeln!(stdout, "{json}").map_err(Failure::output);
    }
    writeln!(
        stdout,
        "ABI version       {}\n\
         page size         {}\n\
         features          {}\n\
         default segment   {} bytes\n\
         ranges a handle   {}",
        report.abi_version,
        report.page_size,
        report.features.join(", "),
        report.default_size,
        report.max_ranges,
    )
    .map_err(Failure::output)
}

/// The names of the bits; a bit that is newer than this program by its number.
fn features(bits: u64) -> Vec<String> {
    let name = |bit: u32| match 1 << bit {
        FEATURE_SYNC => "sync".to_owned(),
        FEATURE_POLL => "poll".to_owned(),
        _ => format!("bit-{bit}"),
    };
    (0..u64::BITS)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_have_names_and_unknown_ones_numbers() {
        assert_eq!(features(0), Vec::<String>::new());
        assert_eq!(features(0b11), ["sync", "poll"]);
        assert_eq!(features(1 << 63 | 1), ["sync", "bit-63"]);
    }
}
