// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file for programs. It has no date: the same figures make the same file.

use serde::Serialize;
use shmdev_bench_model::{AxisUnit, Figure, Measure, Skipped};

use super::{
    Outcome,
    goals::Judged,
    results::{Machine, Results},
};

/// Counts up when something is renamed or goes.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct File<'a> {
    schema: u32,
    commit: &'a str,
    measures: Vec<About>,
    /// One, or with `--wall` one for each number of processors.
    runs: Vec<Run<'a>>,
    goals: Vec<Judged<'a>>,
}

#[derive(Serialize)]
struct About {
    id: &'static str,
    title: &'static str,
    about: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    axis: Option<AboutAxis>,
}

#[derive(Serialize)]
struct AboutAxis {
    title: &'static str,
    unit: &'static str,
}

#[derive(Serialize)]
struct Run<'a> {
    machine: &'a Machine,
    kernel: &'a str,
    rustc: &'a str,
    glibc: &'a str,
    figures: &'a [Figure],
    skipped: &'a [Skipped],
}

/// Its text.
pub fn text(outcome: &Outcome) -> serde_json::Result<String> {
    let measures = outcome.runs.first().into_iter().flat_map(Results::measured);
    let judged = outcome.goals.0.iter().zip(&outcome.values);
    let file = File {
        schema: SCHEMA,
        commit: &outcome.commit,
        measures: measures.map(About::of).collect(),
        runs: outcome.runs.iter().map(Run::of).collect(),
        goals: judged.map(|(goal, value)| Judged::new(goal, value)).collect(),
    };
    Ok(serde_json::to_string_pretty(&file)? + "\n")
}

impl About {
    fn of(measure: &Measure) -> Self {
        About {
            id: measure.id,
            title: measure.title,
            about: measure.about,
            axis: measure.axis.map(|axis| AboutAxis {
                title: axis.title,
                unit: match axis.unit {
                    AxisUnit::Bytes | AxisUnit::BytesMoved => "bytes",
                    AxisUnit::Count => "count",
                },
            }),
        }
    }
}

impl<'a> Run<'a> {
    fn of(results: &'a Results) -> Self {
        Run {
            machine: &results.machine,
            kernel: &results.guest.release,
            rustc: &results.guest.rustc,
            glibc: &results.guest.glibc,
            figures: &results.figures,
            skipped: &results.skipped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn the_file_says_what_was_measured_where_and_in_what() {
        let text = text(&sample::outcome()).unwrap();
        let file: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(file["schema"], 1);
        assert_eq!(file["commit"], "0123abc-dirty");
        assert_eq!(file["measures"][1]["axis"]["unit"], "bytes");
        let run = &file["runs"][0];
        assert_eq!(run["machine"]["icount"], true);
        assert_eq!(run["kernel"], "7.3.4+deb13-amd64");
        assert_eq!(run["rustc"], "rustc 1.85.0");
        assert_eq!(run["glibc"], "2.41");
        assert_eq!(run["figures"][0]["unit"], "instructions");
        assert_eq!(run["skipped"][0]["subject"], "shmdev huge");
        assert_eq!(file["goals"][0]["met"], true);
        assert_eq!(file["goals"][0]["unit"], "ratio");
    }

    #[test]
    fn a_goal_that_nobody_can_tell_of_says_why() {
        let mut outcome = sample::outcome();
        outcome.values[0] = Err("skipped".into());
        let file: serde_json::Value = serde_json::from_str(&text(&outcome).unwrap()).unwrap();
        assert_eq!(file["goals"][0]["value"], serde_json::Value::Null);
        assert_eq!(file["goals"][0]["met"], false);
        assert_eq!(file["goals"][0]["why_not"], "skipped");
    }
}
