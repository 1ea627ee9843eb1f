// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev ls`: the segments, a line each.

use nix::unistd::geteuid;
use shmdev::{Device, Stat};

use crate::Node;
use crate::accounts::Accounts;
use crate::failure::{Result, print};
use crate::human::size_or_bytes;
use crate::report::{Report, Sort, json, mode, state};
use crate::table::{Column, left, lines, right};
use crate::which::called;

/// List the segments of this IPC namespace
///
/// MAPS is how many mappings there are, HANDLES how many handles are attached, HELD and WAIT how many ranges
/// are held and waited for, WRITES how many writes were completed.
#[derive(clap::Args)]
#[command(visible_alias = "list")]
pub(crate) struct Args {
    /// Only those that you own or created
    #[arg(long)]
    mine: bool,
    /// By what to sort
    #[arg(long, short, value_name = "WHAT", default_value = "name")]
    sort: Sort,
    /// The other way round
    #[arg(long, short)]
    reverse: bool,
    /// Sizes in bytes
    #[arg(long, short)]
    bytes: bool,
    /// Owners and groups as numbers
    #[arg(long, short)]
    numeric: bool,
    /// As JSON: an array of objects
    #[arg(long)]
    json: bool,
}

const COLUMNS: [Column; 11] = [
    right("ID"),
    left("NAME"),
    right("SIZE"),
    left("MODE"),
    left("OWNER"),
    left("GROUP"),
    right("MAPS"),
    right("HANDLES"),
    right("HELD"),
    right("WAIT"),
    right("WRITES"),
];

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let mut segments = all(&node.device()?)?;
    if args.mine {
        let me = geteuid().as_raw();
        segments.retain(|stat| is_of(stat, me));
    }
    let accounts = if args.numeric {
        Accounts::numeric()
    } else {
        Accounts::load()
    };
    args.sort.sort(&mut segments, args.reverse, &accounts);
    let text = if args.json {
        let reports: Vec<Report<'_>> = segments.iter().map(|stat| Report::new(stat, &accounts)).collect();
        json(&reports)? + "\n"
    } else {
        table(&segments, &accounts, args.bytes)
    };
    print(text)
}

pub(crate) fn all(device: &Device) -> Result<Vec<Stat>> {
    Ok(device.list().collect::<std::result::Result<_, _>>()?)
}

pub(crate) fn is_of(stat: &Stat, uid: u32) -> bool {
    stat.uid == uid || stat.creator_uid == uid
}

fn table(segments: &[Stat], accounts: &Accounts, exact: bool) -> String {
    let row = |stat: &Stat| {
        vec![
            stat.id.to_string(),
            called(stat).to_owned(),
            size_or_bytes(stat.size, exact),
            mode(stat.mode),
            accounts.user(stat.uid),
            accounts.group(stat.gid),
            stat.nattch.to_string(),
            stat.handles.to_string(),
            stat.holders.to_string(),
            stat.waiters.to_string(),
            stat.generation.to_string(),
            state(stat).to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = segments.iter().map(row).collect();
    // What most tables have nothing in is without a heading.
    let columns: Vec<Column> = COLUMNS.into_iter().chain([left("")]).collect();
    let mut text = lines(&columns, &rows).join("\n");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{raw, stat};

    #[test]
    fn a_table_reads_as_that_of_ls() {
        let accounts = Accounts::of("root:x:0:", "root:x:0:");
        let mut frames = raw(12, "frames");
        (frames.size, frames.nattch, frames.handles) = (5000, 2, 3);
        (frames.uid, frames.flags) = (1000, shmdev::uapi::SEGMENT_AUTO_REMOVE);
        let segments = [stat(0, ""), Stat::from(&frames)];
        assert_eq!(
            table(&segments, &accounts, false),
            "\
ID  NAME       SIZE  MODE  OWNER  GROUP  MAPS  HANDLES  HELD  WAIT  WRITES
 0  (default)    4K  0600  root   root      0        0     0     0       0
12  frames     4.9K  0600  1000   root      2        3     0     0       0  auto-remove
"
        );
        assert!(table(&segments, &accounts, true).contains(" 5000 "));
    }
}
