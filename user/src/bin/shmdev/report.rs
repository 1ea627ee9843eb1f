// SPDX-License-Identifier: MIT OR Apache-2.0

//! A segment as JSON, and the orders in which segments are listed. Pure.

use std::cmp::Ordering;

use serde::Serialize;
use shmdev::Stat;

use crate::accounts::Accounts;
use crate::failure::{Failure, Result};
use crate::human;

/// What `--json` says of a segment. Names and times that there are none of are null.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    id: u64,
    name: Option<&'a str>,
    size: u64,
    mapped_size: u64,
    /// As `chmod` takes it.
    mode: String,
    uid: u32,
    owner: Option<&'a str>,
    gid: u32,
    group: Option<&'a str>,
    creator_uid: u32,
    creator_gid: u32,
    creator_pid: Option<u32>,
    last_pid: Option<u32>,
    created: String,
    attached: Option<String>,
    changed: String,
    nattch: u64,
    handles: u64,
    holders: u32,
    waiters: u32,
    sleepers: u32,
    generation: u64,
    pieces: u32,
    map: String,
    auto_remove: bool,
    removed: bool,
}

impl<'a> Report<'a> {
    pub(crate) fn new(stat: &'a Stat, accounts: &'a Accounts) -> Self {
        Self {
            id: stat.id,
            name: stat.name.as_ref().map(shmdev::Name::as_str),
            size: stat.size,
            mapped_size: stat.mapped_size,
            mode: mode(stat.mode),
            uid: stat.uid,
            owner: accounts.user_name(stat.uid),
            gid: stat.gid,
            group: accounts.group_name(stat.gid),
            creator_uid: stat.creator_uid,
            creator_gid: stat.creator_gid,
            creator_pid: stat.creator_pid,
            last_pid: stat.last_pid,
            created: human::utc(stat.created),
            attached: stat.attached.map(human::utc),
            changed: human::utc(stat.changed),
            nattch: stat.nattch,
            handles: stat.handles,
            holders: stat.holders,
            waiters: stat.waiters,
            sleepers: stat.sleepers,
            generation: stat.generation,
            pieces: stat.pieces,
            map: stat.map.to_string(),
            auto_remove: stat.auto_remove,
            removed: stat.removed,
        }
    }
}

pub(crate) fn mode(mode: u32) -> String {
    format!("{mode:04o}")
}

/// A line of JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Failure::told(format_args!("make JSON: {error}"), 1))
}

/// What becomes of it by itself; empty for one that stays until somebody removes it.
pub(crate) fn state(stat: &Stat) -> &'static str {
    match stat {
        _ if stat.removed => "removed",
        _ if stat.name.is_some() && stat.auto_remove => "auto-remove",
        _ => "",
    }
}

/// By what segments are sorted. Names go up; what is counted goes down, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Sort {
    Name,
    Id,
    Size,
    Owner,
    Mappings,
    Handles,
    Held,
    Waiting,
    Writes,
    /// The newest first
    Created,
}

impl Sort {
    pub(crate) fn sort(self, segments: &mut [Stat], reverse: bool, accounts: &Accounts) {
        segments.sort_by(|a, b| {
            let order = self.compare(a, b, accounts).then(a.id.cmp(&b.id));
            if reverse { order.reverse() } else { order }
        });
    }

    fn compare(self, a: &Stat, b: &Stat, accounts: &Accounts) -> Ordering {
        match self {
            // Those without a name come first: the default segment is the very first.
            Self::Name => a.name.cmp(&b.name),
            Self::Id => Ordering::Equal,
            Self::Size => b.size.cmp(&a.size),
            Self::Owner => accounts
                .user(a.uid)
                .cmp(&accounts.user(b.uid))
                .then(a.name.cmp(&b.name)),
            Self::Mappings => b.nattch.cmp(&a.nattch),
            Self::Handles => b.handles.cmp(&a.handles),
            Self::Held => b.holders.cmp(&a.holders),
            Self::Waiting => b.waiters.cmp(&a.waiters),
            Self::Writes => b.generation.cmp(&a.generation),
            Self::Created => b.created.cmp(&a.created),
        }
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use shmdev::{Stat, uapi};

    /// A segment of one page, mode 0600, of root, that nobody uses.
    pub(crate) fn raw(id: u64, name: &str) -> uapi::Stat {
        let mut raw = uapi::Stat {
            size: 4096,
            mapped_size: 4096,
            mode: 0o600,
            created_ns: 1_000_000_000 * (id + 1),
            ..uapi::Stat::default()
        };
        raw.target.id = id;
        raw.target.name[..name.len()].copy_from_slice(name.as_bytes());
        raw
    }

    pub(crate) fn stat(id: u64, name: &str) -> Stat {
        Stat::from(&raw(id, name))
    }
}

#[cfg(test)]
mod tests {
    use super::samples::stat;
    use super::*;

    #[test]
    fn a_report_names_what_has_a_name() {
        let accounts = Accounts::of("root:x:0:", "");
        let json = json(&Report::new(&stat(3, "frames"), &accounts)).unwrap();
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(report["name"], "frames");
        assert_eq!(report["mode"], "0600");
        assert_eq!(report["owner"], "root");
        assert_eq!(report["group"], serde_json::Value::Null);
        assert_eq!(report["attached"], serde_json::Value::Null);
        assert_eq!(report["created"], "1970-01-01T00:00:04.000000000Z");
    }

    #[test]
    fn segments_are_sorted_by_what_is_asked_for_and_then_by_id() {
        let mut segments = [stat(2, "b"), stat(3, "a"), stat(7, ""), stat(0, "")];
        let ids = |segments: &[Stat]| segments.iter().map(|stat| stat.id).collect::<Vec<_>>();
        let nobody = Accounts::numeric();
        Sort::Name.sort(&mut segments, false, &nobody);
        assert_eq!(ids(&segments), [0, 7, 3, 2]);
        Sort::Id.sort(&mut segments, true, &nobody);
        assert_eq!(ids(&segments), [7, 3, 2, 0]);
        Sort::Created.sort(&mut segments, false, &nobody);
        assert_eq!(ids(&segments), [7, 3, 2, 0]);
        Sort::Size.sort(&mut segments, false, &nobody);
        assert_eq!(ids(&segments), [0, 2, 3, 7]);
    }
}
