// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev info`: what the device says of itself.

use serde::Serialize;
use shmdev::uapi::{
    FEATURE_EVENTFD, FEATURE_MAP, FEATURE_POLL, FEATURE_RESTRICT, FEATURE_ROBUST, FEATURE_SEGMENTS,
    FEATURE_SYNC, FEATURE_WAIT, FEATURE_WAITV,
};
use shmdev::{Info, Map};

use crate::Node;
use crate::failure::{Result, print};
use crate::human::size;
use crate::report::json;

/// Show what the device is and can do, its limits, and what of them is used up
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
    default_map: String,
    max_ranges: u32,
    max_segments: u64,
    segments: u64,
    max_segment_bytes: u64,
    max_total_bytes: u64,
    total_bytes: u64,
    max_bytes_per_uid: u64,
    uid_bytes: u64,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let info = *node.device()?.info();
    let text = match args.json {
        true => json(&report(&info))? + "\n",
        false => page(&info),
    };
    print(text)
}

fn report(info: &Info) -> Report {
    Report {
        abi_version: info.abi_version,
        page_size: info.page_size,
        features: features(info.features),
        default_size: info.default_size,
        default_map: Map::from_abi(info.default_map).to_string(),
        max_ranges: info.max_ranges,
        max_segments: info.max_segments,
        segments: info.segments,
        max_segment_bytes: info.max_segment_bytes,
        max_total_bytes: info.max_total_bytes,
        total_bytes: info.total_bytes,
        max_bytes_per_uid: info.max_bytes_per_uid,
        uid_bytes: info.uid_bytes,
    }
}

fn page(info: &Info) -> String {
    let lines = [
        ("ABI version", info.abi_version.to_string()),
        ("features", features(info.features).join(", ")),
        ("page size", format!("{} bytes", info.page_size)),
        ("default segment", size(info.default_size)),
        (
            "mapped",
            format!(
                "as {} where nothing else is asked for",
                Map::from_abi(info.default_map)
            ),
        ),
        ("segments", format!("{} of {}", info.segments, info.max_segments)),
        (
            "bytes in all",
            format!("{} of {}", size(info.total_bytes), size(info.max_total_bytes)),
        ),
        (
            "bytes of yours",
            format!("{} of {}", size(info.uid_bytes), size(info.max_bytes_per_uid)),
        ),
        ("a segment", format!("at most {}", size(info.max_segment_bytes))),
        ("a handle", format!("at most {} ranges", info.max_ranges)),
    ];
    let line = |(name, value): &(&str, String)| format!("{name:<16} {value}\n");
    lines.iter().map(line).collect()
}

/// The names of the bits; a bit that is newer than this program by its number.
fn features(bits: u64) -> Vec<String> {
    let name = |bit: u32| match 1 << bit {
        FEATURE_SYNC => "sync".to_owned(),
        FEATURE_POLL => "poll".to_owned(),
        FEATURE_SEGMENTS => "segments".to_owned(),
        FEATURE_RESTRICT => "restrict".to_owned(),
        FEATURE_WAIT => "wait".to_owned(),
        FEATURE_WAITV => "waitv".to_owned(),
        FEATURE_ROBUST => "robust".to_owned(),
        FEATURE_EVENTFD => "eventfd".to_owned(),
        FEATURE_MAP => "map".to_owned(),
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
    fn limits_stand_beside_what_is_used() {
        let info = Info {
            total_bytes: 65536,
            max_total_bytes: 2 << 30,
            ..Info::default()
        };
        assert!(page(&info).contains("bytes in all     64K of 2G\n"));
    }

    #[test]
    fn features_have_names_and_unknown_ones_numbers() {
        assert_eq!(features(0), Vec::<String>::new());
        assert_eq!(features(0b1111), ["sync", "poll", "segments", "restrict"]);
        assert_eq!(features(1 << 63 | 1), ["sync", "bit-63"]);
    }
}
