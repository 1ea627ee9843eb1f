// SPDX-License-Identifier: MIT OR Apache-2.0

//! What the guest's benchmarks say: a line of JSON each, on standard output. `shmdev-bench` writes them in the guest,
//! `cargo xtask bench` reads them on the host.

use serde::{Deserialize, Serialize};

/// A line of the benchmarks' output.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "line")]
pub enum Line {
    /// The first line.
    Guest(Guest),
    /// Something was measured.
    Figure(Figure),
    /// Something could not be measured here.
    Skipped(Skipped),
    /// The last line: without it, figures are missing.
    Done,
}

/// Where it was measured.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Guest {
    /// `uname -r`.
    pub release: String,
    /// What made the benchmarks' own code, as it calls itself.
    pub rustc: String,
    /// The version of glibc that is linked into it.
    pub glibc: String,
    /// How many processors it has.
    pub processors: u32,
    /// What figures of time are given in.
    pub clock: Unit,
}

impl Guest {
    /// What made the benchmarks' own code, in a phrase.
    pub fn made_by(&self) -> String {
        format!("{}, glibc {}", self.rustc, self.glibc)
    }
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Instructions of the guest, of its kernel and its processes, as QEMU's `-icount` counts them.
    Instructions,
    /// Time on the guest's clock.
    Nanoseconds,
    /// Memory.
    Bytes,
}

/// What one operation costs one subject.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Figure {
    /// What is done, such as `attach_4m`: the [`Measure::id`] of one of [`MEASURES`].
    pub measure: String,
    /// Who does it, such as `shmdev pfn` or `memfd`.
    pub subject: String,
    /// For a curve, where on it: [`Measure::axis`] says of what.
    pub at: Option<u64>,
    /// What the values are.
    pub unit: Unit,
    /// The least of all batches, for one operation.
    pub least: f64,
    /// The median of all batches.
    pub median: f64,
    /// The most of all batches.
    pub most: f64,
    /// How many batches there were, after a warm-up.
    pub batches: u32,
    /// How many operations there were in a batch.
    pub operations: u32,
}

/// What could not be measured, and why.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Skipped {
    /// As [`Figure::measure`].
    pub measure: String,
    /// As [`Figure::subject`].
    pub subject: String,
    /// For a person.
    pub why: String,
}

/// Something that is measured, for several subjects.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Unique, of `[a-z0-9_]`.
    pub id: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What one operation is, in a sentence or two.
    pub about: &'static str,
    /// For a curve, what grows along it; `None` for a bar per subject.
    pub axis: Option<Axis>,
}

/// What grows along a curve.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    /// A word or two, such as `segment size`.
    pub title: &'static str,
    /// What it is counted in.
    pub unit: AxisUnit,
}

/// What an [`Axis`] is counted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AxisUnit {
    /// To be shown as 4 KiB, 256 MiB and so on.
    Bytes,
    /// The same, and each operation moves so many: a picture shows what that comes to, instead of the cost.
    BytesMoved,
    /// A number of something.
    Count,
}

/// All that is measured, in the order in which it is shown.
///
/// Subjects of ours are called `shmdev` and what tells them apart: for mappings `shmdev pfn`, `shmdev fault` and
/// `shmdev huge`, after the segment's mapping mode.
pub const MEASURES: &[Measure] = &[
    bars(
        "null_call",
        "empty system call",
        "getppid, and ioctls that end in ENOTTY: what every call costs at least.",
    ),
    bars(
        "attach_4m",
        "attach 4 MiB",
        "Map a segment that exists, of 4 MiB, with a descriptor that is open; write a byte of every page; unmap it.",
    ),
    bars(
        "attach_4m_read",
        "attach 4 MiB and read",
        "The same, but a byte of every page is read: who maps pages when they are touched then maps neighbours along.",
    ),
    bars(
        "create_4m",
        "create 4 MiB",
        "Create a segment of 4 MiB without a name (POSIX shm has one), map it, write a byte of every page, unmap and close it: \
         it is gone then.",
    ),
    bars(
        "map_256m",
        "map 256 MiB",
        "Map a segment that exists, of 256 MiB, and unmap it when all pages were mapped. Who maps pages when they are touched \
         has a byte of every page written (shmdev fault), or of every 2 MiB (shmdev huge); the others map them at once.",
    ),
    curve(
        "map_size",
        "map cost against size",
        "Map a segment that exists, and unmap it when all pages were mapped. Who maps pages when they are touched has a byte \
         of every page written (shmdev fault, memfd), or of every 2 MiB (shmdev huge); the others map them at once.",
        Axis {
            title: "segment size",
            unit: AxisUnit::Bytes,
        },
    ),
    bars(
        "wake_nobody",
        "wake with nobody waiting",
        "WAKE, and FUTEX_WAKE of a shared futex, of a word on which nobody waits.",
    ),
    bars(
        "wake_one_of_two",
        "wake one of two waiters",
        "Wake one of two threads that wait on a word, while nobody waits on other words, or 1,024 threads do, on a word each. \
         Only the call that wakes counts.",
    ),
    curve(
        "wake_waiters",
        "wake cost against waiters elsewhere",
        "Wake one of two threads that wait on a word, while others wait on other words, a thread each. Only the call that \
         wakes counts.",
        Axis {
            title: "waiters elsewhere",
            unit: AxisUnit::Count,
        },
    ),
    bars(
        "round_trip",
        "round trip between two processes",
        "Tell another process, which sleeps, and sleep until it has answered. A word is changed and its waiter woken, with a \
         call each or with one for both; or a byte is sent. Both are SCHED_BATCH: who is woken runs when the other sleeps.",
    ),
    bars(
        "round_trip_at_once",
        "round trip to a process that runs at once",
        "The same, but the other process is SCHED_FIFO: it runs as soon as it is woken, and has answered before this one goes \
         to sleep.",
    ),
    bars(
        "notify",
        "news to epoll_wait's return",
        "Make news, and learn of it by epoll_wait, in one process. Taking note of it, so that the next is news again, does not \
         count. A generation is made by the end of a WRITE range, or by an 8-byte write.",
    ),
    bars(
        "mutex",
        "lock and unlock, nobody else",
        "Take a lock that nobody has or wants, and give it back: Mutex<()> of the library against a robust process-shared \
         mutex of pthreads, and a semaphore.",
    ),
    bars(
        "sync_range",
        "range lock and unlock, nobody else",
        "SYNC begin and end of a WRITE range of 64 bytes that nobody else wants; OFD lock and unlock of a memfd.",
    ),
    curve(
        "lock_contended",
        "lock cost against processes",
        "Take a lock that so many processes want, yield the processor, and give the lock back: for one of the processes' \
         turns, what all of them cost together by their number.",
        Axis {
            title: "processes",
            unit: AxisUnit::Count,
        },
    ),
    bars(
        "ring_64",
        "64-byte record, sent and received",
        "Send a record of 64 bytes and receive it, in one process, so that nobody sleeps: one sender and one receiver of a \
         ring; pipe, socket and queue.",
    ),
    curve(
        "ring_size",
        "ring throughput against size",
        "Send a record and receive it, in one process, so that nobody sleeps. Slots are of one size each, and not here.",
        Axis {
            title: "record size",
            unit: AxisUnit::BytesMoved,
        },
    ),
    bars(
        "pread_64k",
        "read 64 KiB",
        "pread of 64 KiB from the start of a segment, and of a file of tmpfs.",
    ),
    bars(
        "pwrite_64k",
        "write 64 KiB",
        "pwrite of 64 KiB to the start of a segment, and of a file of tmpfs.",
    ),
    bars(
        "copy_1m",
        "copy 1 MiB through a mapping",
        "Copy 1 MiB out of a mapping, by Mapping::read_at of the library, and by memcpy; out of anonymous memory in the same \
         way.",
    ),
    bars(
        "segment_memory",
        "memory held by an empty segment",
        "How much less memory is free for each of 4,000 segments of 4 KiB that have names and are not open, less the page.",
    ),
    curve(
        "list",
        "list cost against segments",
        "List all segments, with size, owner and mode: LIST; the directory /dev/shm and a stat of each file; SHM_STAT of each.",
        Axis {
            title: "segments",
            unit: AxisUnit::Count,
        },
    ),
    curve(
        "open",
        "open cost against segments",
        "Open one of the segments by its name, and close it: Segment::open; shm_open; shmget by key, which opens nothing.",
        Axis {
            title: "segments",
            unit: AxisUnit::Count,
        },
    ),
];

const fn bars(id: &'static str, title: &'static str, about: &'static str) -> Measure {
    Measure {
        id,
        title,
        about,
        axis: None,
    }
}

const fn curve(id: &'static str, title: &'static str, about: &'static str, axis: Axis) -> Measure {
    Measure {
        id,
        title,
        about,
        axis: Some(axis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_plain() {
        for (index, measure) in MEASURES.iter().enumerate() {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(measure.id.chars().all(plain), "{}", measure.id);
            assert!(
                MEASURES[..index].iter().all(|other| other.id != measure.id),
                "{}",
                measure.id
            );
        }
    }

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let line = Line::Skipped(Skipped {
            measure: "m".into(),
            subject: "s".into(),
            why: "not \"here\"".into(),
        });
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(
            text,
            r#"{"line":"skipped","measure":"m","subject":"s","why":"not \"here\""}"#
        );
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }
}
