// SPDX-License-Identifier: MIT OR Apache-2.0
//! The goals, in `tests/bench/goals.toml`: what is to cost how much of what the best peer costs, and what it cost when
//! somebody last wrote that down.

use anyhow::{Context, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};
use shmdev_bench_model::{Figure, Unit};
use toml_edit::{DocumentMut, Item, Value};

use super::{number, results::Results, table::Table};

/// All goals, in the file's order.
#[derive(Clone, Debug)]
pub struct Goals(pub Vec<Goal>);

/// A row of the file.
#[derive(Clone, Debug)]
pub struct Goal {
    /// What is done, for a person.
    pub what: String,
    /// What it is compared with, for a person.
    pub against: String,
    /// The measure.
    pub measure: String,
    /// Our subject, and where on a curve.
    ours: (String, Option<u64>),
    /// What that is compared with.
    scale: Scale,
    /// What it is to be.
    pub aim: Aim,
    /// What it was.
    pub measured: Option<f64>,
    /// The part of it by which it may become worse without anybody's doing.
    pub drift: f64,
    /// Why the goal cannot be met, if it cannot.
    pub note: Option<String>,
}

/// What makes a figure a value.
#[derive(Clone, Debug, PartialEq)]
enum Scale {
    /// It is divided by the least of these subjects' figures, there on a curve.
    Peers(Vec<String>, Option<u64>),
    /// It stands for itself.
    Unit(Unit),
}

/// What a value is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aim {
    /// So much or less.
    AtMost(f64),
    /// So much, but for a little.
    Within {
        /// So much.
        target: f64,
        /// How far off it may be.
        tolerance: f64,
    },
}

/// A row as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    against: String,
    measure: String,
    ours: String,
    at: Option<u64>,
    #[serde(default)]
    peers: Vec<String>,
    peers_at: Option<u64>,
    unit: Option<Unit>,
    at_most: Option<f64>,
    equal_to: Option<f64>,
    within: Option<f64>,
    measured: Option<f64>,
    drift: Option<f64>,
    note: Option<String>,
}

impl Goal {
    /// What a row says; the file's drift goes for those that have none of their own.
    fn new(row: Row, drift: f64) -> Result<Self> {
        let drift = row.drift.unwrap_or(drift);
        let wrong = |why: &str| Err(anyhow!("the goal {:?} {why}", row.what));
        let aim = match (row.at_most, row.equal_to, row.within) {
            (Some(limit), None, None) if limit > 0.0 => Aim::AtMost(limit),
            (None, Some(target), Some(tolerance)) if target > 0.0 && tolerance > 0.0 => {
                Aim::Within { target, tolerance }
            }
            _ => return wrong("needs at_most, or equal_to and within, and positive numbers"),
        };
        let scale = match row.unit {
            None if !row.peers.is_empty() => Scale::Peers(row.peers, row.peers_at.or(row.at)),
            Some(unit) if row.peers.is_empty() && row.peers_at.is_none() => Scale::Unit(unit),
            _ => return wrong("needs peers, or a unit in which it is counted"),
        };
        if !(0.0 < drift && drift < 1.0) {
            return wrong("needs a drift between 0 and 1");
        }
        if row
            .measured
            .is_some_and(|measured| !(measured.is_finite() && measured >= 0.0))
        {
            return wrong("was measured as something that is no amount");
        }
        Ok(Goal {
            what: row.what,
            against: row.against,
            measure: row.measure,
            ours: (row.ours, row.at),
            scale,
            aim,
            measured: row.measured,
            drift,
            note: row.note,
        })
    }
}

impl Goals {
    /// Reads the file.
    pub fn parse(text: &str) -> Result<Goals> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            drift: f64,
            goal: Vec<Row>,
        }
        let file: File = toml::from_str(text)?;
        let goals = file.goal.into_iter().map(|row| Goal::new(row, file.drift));
        Ok(Goals(goals.collect::<Result<_>>()?))
    }

    /// Those whose measure's name contains `filter`.
    pub fn filtered(mut self, filter: Option<&str>) -> Goals {
        self.0
            .retain(|goal| filter.is_none_or(|filter| goal.measure.contains(filter)));
        self
    }

    /// The values of this run, or why there are none.
    pub fn values(&self, results: &Results) -> Vec<Result<f64, String>> {
        self.0.iter().map(|goal| goal.value(results)).collect()
    }

    /// The file's text with these values as what was measured; comments stay.
    pub fn bless(text: &str, values: &[Result<f64, String>]) -> Result<String> {
        let mut document: DocumentMut = text.parse()?;
        let rows = document.get_mut("goal").and_then(Item::as_array_of_tables_mut);
        let rows = rows.context("there are no goals")?;
        ensure!(rows.len() == values.len(), "the goals have changed meanwhile");
        for (row, value) in rows.iter_mut().zip(values) {
            let Ok(value) = value else { continue };
            let mut new = Value::from(rounded(*value));
            if let Some(Item::Value(old)) = row.get("measured") {
                *new.decor_mut() = old.decor().clone();
            }
            row.insert("measured", Item::Value(new));
        }
        Ok(document.to_string())
    }

    /// The documentation's page with its table brought up to date; nothing if it has none.
    pub fn documented(&self, page: &str) -> Option<String> {
        let table = self.markdown();
        let start = page.find(table.lines().next()?)?;
        let old = page[start..]
            .split_inclusive('\n')
            .take_while(|line| line.starts_with('|'));
        let end = start + old.map(str::len).sum::<usize>();
        Some([&page[..start], &table, &page[end..]].concat())
    }

    /// What the file says, for the documentation.
    pub fn markdown(&self) -> String {
        let mut table = Table::default()
            .words("what")
            .words("against")
            .numbers("goal")
            .numbers("measured")
            .words("");
        for goal in &self.0 {
            let (measured, verdict) = match goal.measured {
                Some(value) if goal.aim.is_met(value) => (goal.show(value), "met".to_owned()),
                Some(value) => {
                    let note = goal.note.iter().map(|note| format!(": {note}"));
                    (goal.show(value), "missed".to_owned() + &note.collect::<String>())
                }
                None => ("not yet".to_owned(), String::new()),
            };
            table.row([&goal.what, &goal.against, &goal.goal(), &measured, &verdict]);
        }
        table.markdown()
    }
}

impl Goal {
    /// What it came to in a run; or why that is not known.
    pub fn value(&self, results: &Results) -> Result<f64, String> {
        let (ours, at) = &self.ours;
        let ours = self.figure(results, ours, *at)?;
        match &self.scale {
            Scale::Unit(unit) if ours.unit == *unit => Ok(ours.least),
            Scale::Unit(_) => Err(format!("{} is not in the unit of its goal", ours.subject)),
            Scale::Peers(peers, at) => {
                let mut best = f64::INFINITY;
                // Without one of them, the others might win.
                for peer in peers {
                    best = best.min(self.figure(results, peer, *at)?.least);
                }
                match best > 0.0 {
                    true => Ok(ours.least / best),
                    false => Err("a peer cost nothing at all".into()),
                }
            }
        }
    }

    fn figure<'a>(&self, results: &'a Results, subject: &str, at: Option<u64>) -> Result<&'a Figure, String> {
        if let Some(figure) = results.figure(&self.measure, subject, at) {
            return Ok(figure);
        }
        let mut skipped = results.skipped(&self.measure);
        let place = at.map_or(String::new(), |at| format!(" at {at}"));
        Err(match skipped.find(|skipped| skipped.subject == subject) {
            Some(skipped) => format!("{subject} was skipped: {}", skipped.why),
            None => format!("{subject}{place} was not measured for {}", self.measure),
        })
    }

    /// A value of this goal's, for a person.
    pub fn show(&self, value: f64) -> String {
        match self.scale {
            // As many digits as the file has: two ratios that differ there look different.
            Scale::Peers(..) => number::ratio(value, 4),
            Scale::Unit(unit) => format!("{} {}", number::count(value), number::unit(unit)),
        }
    }

    /// The aim, for a person.
    pub fn goal(&self) -> String {
        let unit = match self.scale {
            Scale::Peers(..) => String::new(),
            Scale::Unit(unit) => format!(" {}", number::unit(unit)),
        };
        match self.aim {
            Aim::AtMost(limit) => format!("≤ {}{unit}", number::exact(limit)),
            Aim::Within { target, tolerance } => {
                format!(
                    "{} ± {}{unit}",
                    number::ratio(target, 3),
                    number::exact(tolerance)
                )
            }
        }
    }
}

impl Aim {
    /// Whether a value is as it is to be.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Aim::AtMost(limit) => value <= limit,
            Aim::Within { target, tolerance } => (value - target).abs() <= tolerance,
        }
    }
}

/// With four digits that count: more would change with every run.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// A goal and what it came to, for the JSON file.
#[derive(Serialize)]
pub struct Judged<'a> {
    what: &'a str,
    against: &'a str,
    measure: &'a str,
    goal: String,
    unit: &'static str,
    value: Option<f64>,
    met: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not: Option<&'a str>,
}

impl<'a> Judged<'a> {
    /// Puts a goal and its value together.
    pub fn new(goal: &'a Goal, value: &'a Result<f64, String>) -> Self {
        let known = value.as_ref().ok().copied();
        Judged {
            what: &goal.what,
            against: &goal.against,
            measure: &goal.measure,
            goal: goal.goal(),
            unit: match goal.scale {
                Scale::Peers(..) => "ratio",
                Scale::Unit(unit) => number::unit_in_full(unit),
            },
            value: known,
            met: known.is_some_and(|value| goal.aim.is_met(value)),
            why_not: value.as_ref().err().map(String::as_str),
        }
    }
}

#[cfg(test)]
#[path = "goals_tests.rs"]
mod tests;
