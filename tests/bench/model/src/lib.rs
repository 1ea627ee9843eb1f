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
    /// How many processors it has.
    pub processors: u32,
    /// What figures of time are given in.
    pub clock: Unit,
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
    /// A number of something.
    Count,
}

/// All that is measured, in the order in which it is shown.
pub const MEASURES: &[Measure] = &[Measure {
    id: "null_call",
    title: "empty system call",
    about: "getppid, and an ioctl that ends in ENOTTY: what every call costs at least.",
    axis: None,
}];
