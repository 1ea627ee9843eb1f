// SPDX-License-Identifier: MIT OR Apache-2.0

//! What happened between two looks at the segments. Pure.

use shmdev::Stat;

use crate::accounts::Accounts;
use crate::human::{count, size};
use crate::report::mode;
use crate::which::called;

/// What happened to one segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Change<'a> {
    Created(&'a Stat),
    Changed { before: &'a Stat, now: &'a Stat },
    Gone(&'a Stat),
}

/// Both in the order of their ids, which are never used again.
pub(super) fn between<'a>(before: &'a [Stat], now: &'a [Stat]) -> Vec<Change<'a>> {
    let find = |list: &'a [Stat], id| {
        let index = list.binary_search_by_key(&id, |stat| stat.id).ok()?;
        list.get(index)
    };
    let gone = before
        .iter()
        .filter(|old| find(now, old.id).is_none())
        .map(Change::Gone);
    let others = now.iter().filter_map(|stat| match find(before, stat.id) {
        None => Some(Change::Created(stat)),
        Some(old) if old != stat => Some(Change::Changed {
            before: old,
            now: stat,
        }),
        Some(_) => None,
    });
    gone.chain(others).collect()
}

impl<'a> Change<'a> {
    pub(super) fn stat(&self) -> &'a Stat {
        match self {
            Self::Created(stat) | Self::Gone(stat) | Self::Changed { now: stat, .. } => stat,
        }
    }

    /// For programs.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Gone(_) => "gone",
            Self::Changed { before, now } if now.removed && !before.removed => "removed",
            Self::Changed { .. } => "changed",
        }
    }

    /// `frames: 2 mappings (+1), 1 held (+1)`; `None` for what a person need not know.
    pub(super) fn describe(&self, accounts: &Accounts) -> Option<String> {
        let what = match self {
            Self::Created(stat) => vec![format!("created, {}", facts(stat, accounts))],
            Self::Gone(_) => vec!["gone".to_owned()],
            Self::Changed { before, now } => differences(before, now, accounts),
        };
        (!what.is_empty()).then(|| format!("{}: {}", label(self.stat()), what.join(", ")))
    }
}

/// What it is called where its number does not stand beside it.
pub(super) fn label(stat: &Stat) -> String {
    match stat.name {
        None if !stat.is_default() => format!("{} {}", called(stat), stat.id),
        _ => called(stat).to_owned(),
    }
}

/// `64K, mode 0600, alice:video`.
pub(super) fn facts(stat: &Stat, accounts: &Accounts) -> String {
    let by = match stat.creator_pid {
        Some(pid) => format!(", by process {pid}"),
        None => String::new(),
    };
    format!(
        "{}, mode {}, {}{by}",
        size(stat.size),
        mode(stat.mode),
        owner(stat, accounts)
    )
}

fn owner(stat: &Stat, accounts: &Accounts) -> String {
    format!("{}:{}", accounts.user(stat.uid), accounts.group(stat.gid))
}

fn differences(before: &Stat, now: &Stat, accounts: &Accounts) -> Vec<String> {
    let mut what = Vec::new();
    if now.removed && !before.removed {
        what.push("removed".to_owned());
    }
    if now.size != before.size {
        what.push(format!(
            "resized from {} to {}",
            size(before.size),
            size(now.size)
        ));
    }
    if now.mode != before.mode {
        what.push(format!("mode {}", mode(now.mode)));
    }
    if (now.uid, now.gid) != (before.uid, before.gid) {
        what.push(format!("given to {}", owner(now, accounts)));
    }
    let counted = [
        (before.handles, now.handles, "handle"),
        (before.nattch, now.nattch, "mapping"),
    ];
    for (old, new, thing) in counted {
        if old != new {
            what.push(format!("{} ({})", count(new, thing), delta(old, new)));
        }
    }
    for (old, new, state) in [
        (before.holders, now.holders, "held"),
        (before.waiters, now.waiters, "waiting"),
    ] {
        if old != new {
            what.push(format!("{new} {state} ({})", delta(old.into(), new.into())));
        }
    }
    if now.generation != before.generation {
        what.push(count(now.generation.wrapping_sub(before.generation), "write"));
    }
    what
}

fn delta(old: u64, new: u64) -> String {
    let sign = if new >= old { '+' } else { '-' };
    format!("{sign}{}", new.abs_diff(old))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples::{raw, stat};

    #[test]
    fn what_came_and_what_went_is_found_by_number() {
        let (a, b, c) = (stat(1, "a"), stat(2, "b"), stat(3, "a"));
        assert_eq!(between(&[a, b], &[a, b]), []);
        assert_eq!(between(&[a, b], &[b, c]), [Change::Gone(&a), Change::Created(&c)]);
    }

    #[test]
    fn a_line_says_all_that_changed() {
        let accounts = Accounts::of("root:x:0:\nalice:x:1000:", "root:x:0:");
        let mut now = raw(3, "frames");
        (now.nattch, now.handles, now.holders, now.generation) = (2, 1, 1, 1);
        (now.uid, now.size) = (1000, 8192);
        let now = Stat::from(&now);
        let mut after = now;
        (after.nattch, after.holders, after.waiters, after.removed) = (0, 0, 2, true);
        let say = |change: Change<'_>| change.describe(&accounts);
        let before = stat(3, "frames");
        assert_eq!(
            say(Change::Changed {
                before: &before,
                now: &now
            })
            .unwrap(),
            "frames: resized from 4K to 8K, given to alice:root, 1 handle (+1), 2 mappings (+2), 1 held (+1), 1 write"
        );
        let change = Change::Changed {
            before: &now,
            now: &after,
        };
        assert_eq!(
            say(change).unwrap(),
            "frames: removed, 0 mappings (-2), 0 held (-1), 2 waiting (+2)"
        );
        assert_eq!(change.kind(), "removed");
        assert_eq!(
            say(Change::Created(&before)).unwrap(),
            "frames: created, 4K, mode 0600, root:root"
        );
        assert_eq!(say(Change::Gone(&stat(9, ""))).unwrap(), "(anonymous) 9: gone");
    }

    #[test]
    fn a_new_attachment_alone_is_not_worth_a_line() {
        let before = stat(3, "frames");
        let mut now = before;
        now.last_pid = Some(5);
        let change = Change::Changed {
            before: &before,
            now: &now,
        };
        assert_eq!(change.describe(&Accounts::numeric()), None);
    }
}
