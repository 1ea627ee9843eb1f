// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who waits for whom. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use shmdev::uapi::{WORD_OWNER_DIED, WORD_TOKEN};

use super::tables::{Range, Segment, Word};

/// Somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    /// For a word, that of the thread.
    pub(super) pid: u32,
    pub(super) segment: Segment,
    pub(super) what: What,
    pub(super) age: Duration,
    pub(super) because: Because,
}

/// What he waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Range {
        start: u64,
        end: u64,
        write: bool,
    },
    Word {
        offset: u64,
        /// What is in it now, if it could be looked at.
        value: Option<u32>,
    },
}

/// Why he has to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Because {
    /// These processes hold it.
    Held(Vec<u32>),
    /// Nobody holds any of the range, but these asked first.
    Behind(Vec<u32>),
    /// The word says that its owner died.
    OwnerDied,
    /// There is no token in the word.
    Free,
    /// Nobody is known who could hold it.
    Unknown,
}

/// Which processes have which handles: by a handle's token, the id of its segment and the processes.
pub(super) type Handles = BTreeMap<u32, (u64, Vec<u32>)>;

/// What is in the words, by id of the segment and offset. Those of other IPC namespaces are not looked at.
pub(super) type Values = BTreeMap<(u64, u64, u64), u32>;

/// Where a value is found.
pub(super) fn key(word: &Word) -> (u64, u64, u64) {
    (word.segment.ipcns, word.segment.id, word.offset)
}

/// Everybody who waits, for longest first.
pub(super) fn waiters(ranges: &[Range], words: &[Word], values: &Values, handles: &Handles) -> Vec<Waiter> {
    let for_ranges = ranges.iter().enumerate().filter(|(_, range)| !range.held);
    let for_ranges = for_ranges.map(|(index, range)| Waiter {
        pid: range.pid,
        segment: range.segment.clone(),
        what: What::Range {
            start: range.start,
            end: range.end,
            write: range.write,
        },
        age: range.age,
        because: who_excludes(range, ranges, index),
    });
    let for_words = words.iter().map(|word| {
        let value = values.get(&key(word)).copied();
        Waiter {
            pid: word.pid,
            segment: word.segment.clone(),
            what: What::Word {
                offset: word.offset,
                value,
            },
            age: word.age,
            because: value.map_or(Because::Unknown, |value| {
                who_owns(value, word.segment.id, handles)
            }),
        }
    });
    let mut waiters: Vec<Waiter> = for_ranges.chain(for_words).collect();
    waiters.sort_by(|a, b| b.age.cmp(&a.age).then(a.pid.cmp(&b.pid)));
    waiters
}

/// Those who hold what conflicts; else those who wait for it and came before.
fn who_excludes(range: &Range, ranges: &[Range], index: usize) -> Because {
    let pids = |held: bool, among: &[Range]| {
        let others = among
            .iter()
            .filter(|other| other.held == held && conflict(range, other));
        let mut pids: Vec<u32> = others.map(|other| other.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    };
    let holders = pids(true, ranges);
    if !holders.is_empty() {
        return Because::Held(holders);
    }
    match pids(false, &ranges[..index]) {
        first if first.is_empty() => Because::Unknown,
        first => Because::Behind(first),
    }
}

fn conflict(one: &Range, other: &Range) -> bool {
    let same = |a: &Segment, b: &Segment| (a.ipcns, a.id) == (b.ipcns, b.id);
    same(&one.segment, &other.segment)
        && one.start < other.end
        && other.start < one.end
        && (one.write || other.write)
        && one.token != other.token
}

/// What a lock word says. One that is something else may say the same by chance, but not of a handle of
/// another segment.
fn who_owns(value: u32, segment: u64, handles: &Handles) -> Because {
    match handles.get(&(value & WORD_TOKEN)) {
        Some((id, pids)) if *id == segment => Because::Held(pids.clone()),
        _ if value & WORD_OWNER_DIED != 0 => Because::OwnerDied,
        _ if value & WORD_TOKEN == 0 => Because::Free,
        _ => Because::Unknown,
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    pub(crate) fn segment(id: u64, called: &str) -> Segment {
        Segment {
            ipcns: 1,
            id,
            called: called.to_owned(),
        }
    }

    /// Of segment 3.
    pub(crate) fn range(held: bool, bounds: (u64, u64), write: bool, pid: u32) -> Range {
        Range {
            segment: segment(3, "frames"),
            held,
            start: bounds.0,
            end: bounds.1,
            write,
            token: pid + 1000,
            pid,
            age: Duration::from_secs(pid.into()),
        }
    }

    /// Of segment 3.
    pub(crate) fn word(offset: u64, pid: u32) -> Word {
        Word {
            segment: segment(3, "frames"),
            offset,
            pid,
            age: Duration::from_secs(pid.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use shmdev::uapi::WORD_WAITERS;

    use super::samples::{range, segment, word};
    use super::*;

    fn because(ranges: &[Range]) -> Vec<(u32, Because)> {
        waiters(ranges, &[], &Values::new(), &Handles::new())
            .into_iter()
            .map(|waiter| (waiter.pid, waiter.because))
            .collect()
    }

    #[test]
    fn a_range_is_held_by_those_with_a_conflicting_one() {
        let mut elsewhere = range(true, (0, 100), true, 15);
        elsewhere.segment = segment(4, "other");
        let mut in_another_namespace = range(true, (0, 100), true, 16);
        in_another_namespace.segment.ipcns = 2;
        let ranges = [
            range(true, (0, 50), false, 14),
            range(true, (50, 100), false, 13),
            range(true, (10, 20), false, 14),
            range(true, (100, 200), true, 12),
            elsewhere,
            in_another_namespace,
            range(false, (0, 100), true, 7),
            range(false, (199, 300), false, 6),
        ];
        assert_eq!(
            because(&ranges),
            [(7, Because::Held(vec![13, 14])), (6, Because::Held(vec![12])),],
            "bytes that only touch do not conflict"
        );
    }

    #[test]
    fn a_reader_waits_behind_a_writer_who_waits() {
        let ranges = [
            range(true, (0, 10), false, 9),
            range(false, (0, 100), true, 8),
            range(false, (50, 60), false, 7),
            range(false, (50, 60), false, 6),
        ];
        assert_eq!(
            because(&ranges),
            [
                (8, Because::Held(vec![9])),
                (7, Because::Behind(vec![8])),
                (6, Because::Behind(vec![8])),
            ]
        );
    }

    #[test]
    fn one_who_is_about_to_get_it_waits_for_nobody() {
        assert_eq!(
            because(&[range(false, (0, 10), true, 9)]),
            [(9, Because::Unknown)]
        );
    }

    #[test]
    fn a_lock_word_tells_its_owner() {
        let handles = Handles::from([(77, (3, vec![50, 51])), (78, (4, vec![52]))]);
        for (value, expected) in [
            (77, Because::Held(vec![50, 51])),
            (77 | WORD_WAITERS, Because::Held(vec![50, 51])),
            (77 | WORD_OWNER_DIED, Because::Held(vec![50, 51])),
            (78, Because::Unknown),
            (79, Because::Unknown),
            (WORD_OWNER_DIED | WORD_WAITERS, Because::OwnerDied),
            (WORD_WAITERS, Because::Free),
            (0, Because::Free),
        ] {
            let values = Values::from([((1, 3, 64), value)]);
            let found = waiters(&[], &[word(64, 5)], &values, &handles);
            assert_eq!(found[0].because, expected, "{value:#x}");
            assert_eq!(
                found[0].what,
                What::Word {
                    offset: 64,
                    value: Some(value)
                }
            );
        }
        let unseen = waiters(&[], &[word(64, 5)], &Values::new(), &handles);
        assert_eq!(unseen[0].because, Because::Unknown);
    }

    #[test]
    fn who_waits_for_longest_comes_first() {
        let found = waiters(
            &[range(true, (0, 1), true, 99), range(false, (0, 1), true, 5)],
            &[word(0, 4), word(64, 6)],
            &Values::new(),
            &Handles::new(),
        );
        assert_eq!(
            found.iter().map(|waiter| waiter.pid).collect::<Vec<_>>(),
            [6, 5, 4]
        );
    }
}
