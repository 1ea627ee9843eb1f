// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev stat`: the state of a segment.

use shmdev::{Map, Stat, StatErrorKind, Target};

use crate::Node;
use crate::accounts::Accounts;
use crate::failure::{Result, print};
use crate::human::{count, local, size};
use crate::report::{Report, json, mode};
use crate::which::{Which, called};

/// Show a segment's size, owner, users, times, ranges and generation
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// As JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let stat = stat(node, args.which.target())?;
    let accounts = Accounts::load();
    let text = if args.json {
        json(&Report::new(&stat, &accounts))? + "\n"
    } else {
        page(&stat, &accounts)
    };
    print(text)
}

fn stat(node: &Node, target: Target<'_>) -> Result<Stat> {
    match node.device()?.stat(target) {
        // In a namespace where nobody has needed it yet.
        Err(error) if target == Target::DEFAULT && error.kind() == StatErrorKind::NotFound => {
            Ok(node.device()?.into_default_segment()?.stat()?)
        }
        stat => Ok(stat?),
    }
}

fn page(stat: &Stat, accounts: &Accounts) -> String {
    let process = |pid: Option<u32>| match pid {
        Some(pid) => format!("process {pid}"),
        None => "a process that is not visible here".to_owned(),
    };
    let bytes = match stat.size {
        bytes @ 0..1024 => format!("{bytes} bytes"),
        bytes => format!("{bytes} bytes ({})", size(bytes)),
    };
    let rounded = if stat.mapped_size == stat.size {
        String::new()
    } else {
        format!(", {} in whole pages", stat.mapped_size)
    };
    let lifetime = match stat {
        _ if stat.removed => "removed; goes with its last handle",
        _ if stat.auto_remove => "goes with its last handle",
        _ if stat.is_default() => "as long as its IPC namespace",
        _ => "until it is removed",
    };
    let attached = match stat.attached {
        Some(time) => format!("{} by {}", local(time), process(stat.last_pid)),
        None => "never".to_owned(),
    };
    let lines = [
        ("name", called(stat).to_owned()),
        ("id", stat.id.to_string()),
        (
            "size",
            format!(
                "{bytes}{rounded}; physically {}",
                count(stat.pieces.into(), "piece")
            ),
        ),
        ("mapped", mapped(stat.map).to_owned()),
        ("mode", mode(stat.mode)),
        ("owner", accounts.user_with_id(stat.uid)),
        ("group", accounts.group_with_id(stat.gid)),
        (
            "creator",
            format!(
                "{}, group {}, {}",
                accounts.user_with_id(stat.creator_uid),
                accounts.group_with_id(stat.creator_gid),
                process(stat.creator_pid)
            ),
        ),
        ("created", local(stat.created)),
        ("changed", local(stat.changed)),
        ("last attached", attached),
        ("lifetime", lifetime.to_owned()),
        ("mappings", stat.nattch.to_string()),
        ("handles", stat.handles.to_string()),
        (
            "ranges",
            format!("{} held, {} waited for", stat.holders, stat.waiters),
        ),
        ("generation", stat.generation.to_string()),
    ];
    let line = |(name, value): &(&str, String)| format!("{name:<14} {value}\n");
    lines.iter().map(line).collect()
}

fn mapped(map: Map) -> &'static str {
    match map {
        Map::Pfn => "pfn: all at once",
        Map::Fault => "fault: pages when they are touched",
        Map::Huge => "huge: by entries of 2 MiB where they fit",
        _ => "in a way that this program does not know",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::raw;

    #[test]
    fn a_page_says_what_is_known() {
        let mut frames = raw(3, "frames");
        (frames.size, frames.mapped_size, frames.pieces) = (5000, 8192, 2);
        let page = page(&Stat::from(&frames), &Accounts::of("root:x:0:", ""));
        assert!(
            page.starts_with("name           frames\nid             3\n"),
            "{page}"
        );
        assert!(
            page.contains("size           5000 bytes (4.9K), 8192 in whole pages; physically 2 pieces\nmapped         pfn: all at once\n")
        );
        assert!(page.contains("mode           0600\nowner          root (0)\ngroup          0\n"));
        assert!(page.contains("last attached  never\nlifetime       until it is removed\n"));
    }
}
