// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables of figures and of goals, and what a terminal sees of them.

use std::fmt::Write;

use shmdev_bench_model::{Axis, Figure, Measure};

use super::{goals::Goals, number, results::Results, table::Table};

/// The figures of a measure.
pub fn figures(results: &Results, measure: &Measure) -> Table {
    match measure.axis {
        None => subjects(results, measure),
        Some(axis) => curves(results, measure, axis),
    }
}

/// A row for each subject.
fn subjects(results: &Results, measure: &Measure) -> Table {
    let mut table = Table::default()
        .words("")
        .numbers("least")
        .words("")
        .numbers("median")
        .numbers("most")
        .numbers("to best peer");
    let best = results.best_peer(measure.id, None).map(|best| best.least);
    for figure in results.of(measure.id) {
        let ratio = best
            .filter(|&best| best > 0.0)
            .map(|best| number::ratio(figure.least / best, 3));
        table.row([
            figure.subject.clone(),
            number::count(figure.least),
            number::unit(figure.unit).to_owned(),
            number::above(figure.least, figure.median),
            number::above(figure.least, figure.most),
            ratio.unwrap_or_default(),
        ]);
    }
    table
}

/// A row for each place, a column for each subject.
fn curves(results: &Results, measure: &Measure, axis: Axis) -> Table {
    let subjects = results.subjects(measure.id);
    let start = Table::default().numbers(axis.title);
    let mut table = subjects.iter().copied().fold(start, Table::numbers);
    for place in results.places(measure.id) {
        let cell = |subject: &&str| {
            let figure = results.figure(measure.id, subject, Some(place));
            figure.map_or_else(String::new, |figure| number::count(figure.least))
        };
        let place = number::place(place, axis.unit);
        table.row([place].into_iter().chain(subjects.iter().map(cell)));
    }
    table
}

/// Below a table of curves: what its columns cannot say.
pub fn footnote(results: &Results, measure: &Measure) -> Option<String> {
    measure.axis?;
    let figures = results.of(measure.id);
    let unit = figures.clone().next()?.unit;
    let largest = |of: fn(&Figure) -> f64| {
        let ratios = figures
            .clone()
            .map(|figure| of(figure) / figure.least.max(f64::MIN_POSITIVE));
        number::above(1.0, ratios.fold(1.0, f64::max))
    };
    Some(format!(
        "{}, the least of all batches; medians are at most {}, and no batch is more than {}",
        number::unit_in_full(unit),
        largest(|figure| figure.median),
        largest(|figure| figure.most)
    ))
}

/// Who was not measured, and why.
pub fn skipped(results: &Results, measure: &Measure) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for skipped in results.skipped(measure.id) {
        let line = format!("{}: not measured: {}", skipped.subject, skipped.why);
        // A curve's points may all be left out for the same reason.
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Everything, for a terminal.
pub fn terminal(results: &Results) -> String {
    let Results { machine, guest, .. } = results;
    let mut text = format!(
        "\n{}, {}; {}\n",
        machine.describe(),
        guest.release,
        guest.made_by()
    );
    for measure in results.measured() {
        let _ = writeln!(text, "\n{} ({})", measure.title, measure.id);
        let table = figures(results, measure);
        if !table.is_empty() {
            text += &table.text("  ");
        }
        let notes = footnote(results, measure)
            .into_iter()
            .chain(skipped(results, measure));
        for note in notes {
            let _ = writeln!(text, "  {note}");
        }
    }
    text
}

/// The goals and what they came to.
pub fn goals(goals: &Goals, values: &[Result<f64, String>]) -> Table {
    let mut table = Table::default()
        .words("")
        .words("goal")
        .words("against")
        .numbers("is to be")
        .numbers("is")
        .words("");
    for (goal, value) in goals.0.iter().zip(values) {
        let (verdict, shown, why) = match value {
            Ok(value) if goal.aim.is_met(*value) => ("met", goal.show(*value), ""),
            Ok(value) => (
                "missed",
                goal.show(*value),
                goal.note.as_deref().unwrap_or_default(),
            ),
            Err(why) => ("unknown", "?".to_owned(), why.as_str()),
        };
        table.row([verdict, &goal.what, &goal.against, &goal.goal(), &shown, why]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn a_terminal_sees_figures_ratios_and_what_is_missing() {
        let text = terminal(&sample::results());
        for line in [
            "attach 4 MiB & touch it (attach)",
            "  shmdev pfn      0.231 M  instr.  +0.1 %  +0.1 %         0.256",
            "  shmdev huge: not measured: the device has no such mode",
            "         4 KiB   12,600           3,300       2,509        2,600",
            "  guest instructions, the least of all batches; medians are at most +0.1 %, and no batch is more than +0.1 %",
            "  shmdev    824  bytes     0 %   0 %",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
    }

    #[test]
    fn goals_are_met_missed_or_unknown() {
        let file = |measure: &str, ours: &str, limit: f64| {
            format!(
                "[[goal]]\nwhat = \"w\"\nagainst = \"a\"\nmeasure = \"{measure}\"\nours = \"{ours}\"\n\
                 peers = [\"memfd\"]\nat_most = {limit}\n"
            )
        };
        let text = "drift = 0.01\n".to_owned()
            + &file("attach", "shmdev pfn", 0.3)
            + &file("attach", "shmdev pfn", 0.2);
        let list = Goals::parse(&(text + &file("attach", "shmdev huge", 0.2))).unwrap();
        let shown = goals(&list, &list.values(&sample::results())).text("");
        let lines: Vec<&str> = shown.lines().skip(1).collect();
        assert_eq!(lines[0], "met      w     a           ≤ 0.3  0.2560");
        assert_eq!(lines[1], "missed   w     a           ≤ 0.2  0.2560");
        assert_eq!(
            lines[2],
            "unknown  w     a           ≤ 0.2       ?  shmdev huge was skipped: the device has no such mode"
        );
    }
}
