// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report in Markdown.

use std::fmt::Write;

use shmdev_bench_model::Measure;

use super::{file_name, particulars};
use crate::bench::{Outcome, results::Results, show};

/// The page.
pub fn page(outcome: &Outcome) -> String {
    let mut page = String::from("# Benchmarks of shmdev\n\n");
    for (name, value) in particulars(outcome) {
        let _ = writeln!(page, "- {name}: {value}");
    }
    if !outcome.goals.0.is_empty() {
        page += "\n## Goals\n\n";
        page += &show::goals(&outcome.goals, &outcome.values).markdown();
    }
    for results in &outcome.runs {
        let _ = writeln!(page, "\n## Figures: {}", results.machine.describe());
        for measure in results.measured() {
            section(&mut page, results, measure);
        }
    }
    page
}

fn section(page: &mut String, results: &Results, measure: &Measure) {
    let _ = writeln!(page, "\n### {}\n\n{}\n", measure.title, measure.about);
    let table = show::figures(results, measure);
    if !table.is_empty() {
        let _ = writeln!(page, "![{}]({})\n", measure.title, file_name(results, measure));
        *page += &table.markdown();
    }
    if let Some(note) = show::footnote(results, measure) {
        let _ = writeln!(page, "\n{note}");
    }
    for why in show::skipped(results, measure) {
        let _ = writeln!(page, "\n- {why}");
    }
}
