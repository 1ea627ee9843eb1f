// SPDX-License-Identifier: MIT OR Apache-2.0

//! Takes the subjects of a measure in turn, and says what they cost.

use anyhow::Result;
use shmdev_bench_model::{Figure, Line, Skipped, Unit};

use crate::arguments::Arguments;
use crate::statistics::spread;
use crate::{clock, output};

/// Performs an operation so many times, and says what all of them cost together.
pub type Batch = Box<dyn FnMut(u32) -> Result<u64>>;

/// One who does what is measured.
pub struct Subject {
    name: String,
    start: Box<dyn Fn() -> Result<Batch>>,
}

impl Subject {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// `start` makes all that the operation needs; when it fails, the subject is left out, with that as the reason.
pub fn subject(name: impl Into<String>, start: impl Fn() -> Result<Batch> + 'static) -> Subject {
    Subject {
        name: name.into(),
        start: Box::new(start),
    }
}

/// A batch of an operation that counts from its start to its end.
pub fn repeat(mut operation: impl FnMut() -> Result<()> + 'static) -> Result<Batch> {
    Ok(Box::new(move |count| {
        let start = clock::now();
        for _ in 0..count {
            operation()?;
        }
        Ok(clock::now() - start)
    }))
}

/// A batch of an operation of which only a part counts: it says what that cost.
pub fn repeat_timed(mut operation: impl FnMut() -> Result<u64> + 'static) -> Result<Batch> {
    Ok(Box::new(move |count| (0..count).map(|_| operation()).sum()))
}

/// How often.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many operations a batch has: so many that reading the clock is nothing beside them, and, if they can be so
    /// few, no more than take place between two ticks of the kernel's timer, some four million instructions.
    pub operations: u32,
    /// How many batches are counted, after one that is not.
    pub batches: u32,
    /// How often all subjects are started anew, with as many batches each time: what two processes do depends on how they
    /// met.
    pub starts: u32,
}

impl Plan {
    /// So many operations in a batch, and the usual number of batches.
    pub const fn of(operations: u32) -> Self {
        Self {
            operations,
            batches: 12,
            starts: 1,
        }
    }

    /// For what takes long.
    pub const fn long() -> Self {
        Self {
            operations: 1,
            batches: 3,
            starts: 1,
        }
    }

    /// For what takes two processes.
    pub const fn met_anew(operations: u32) -> Self {
        Self {
            operations,
            batches: 8,
            starts: 4,
        }
    }

    fn quick(self) -> Self {
        Self {
            batches: self.batches.div_ceil(4),
            starts: self.starts.div_ceil(3),
            ..self
        }
    }
}

/// A run of the benchmarks.
pub struct Run {
    arguments: Arguments,
    /// What was said last of where it is.
    said: String,
    /// Instead of taking measures, keeps which ones were asked for.
    #[cfg(test)]
    asked: Option<Vec<(String, Option<u64>)>>,
}

impl Run {
    pub fn new(arguments: &Arguments) -> Self {
        Self {
            arguments: arguments.clone(),
            said: String::new(),
            #[cfg(test)]
            asked: None,
        }
    }

    /// Whether the measure is to be taken; to be asked before something large is prepared for it.
    pub fn wants(&self, id: &str) -> bool {
        self.arguments.wants(id)
    }

    /// A bar for each subject.
    pub fn measure(&mut self, id: &str, plan: Plan, subjects: Vec<Subject>) -> Result<()> {
        self.measure_in(clock::unit(), id, None, plan, subjects)
    }

    /// A point of each subject's curve.
    pub fn point(&mut self, id: &str, at: u64, plan: Plan, subjects: Vec<Subject>) -> Result<()> {
        self.measure_in(clock::unit(), id, Some(at), plan, subjects)
    }

    /// What the batches of the subjects count is this, not the clock's.
    pub fn measure_in(
        &mut self,
        unit: Unit,
        id: &str,
        at: Option<u64>,
        plan: Plan,
        subjects: Vec<Subject>,
    ) -> Result<()> {
        if !self.wants(id) {
            return Ok(());
        }
        #[cfg(test)]
        if let Some(asked) = &mut self.asked {
            asked.push((id.to_owned(), at));
            return Ok(());
        }
        let plan = if self.arguments.quick { plan.quick() } else { plan };
        let label = at.map_or_else(|| id.to_owned(), |at| format!("{id} at {at}"));
        if self.said != label {
            eprintln!("{label}");
            self.said = label;
        }
        output::settle();
        let mut taken: Vec<_> = subjects.into_iter().map(Taken::new).collect();
        for _ in 0..plan.starts {
            take(&mut taken, plan);
        }
        for subject in taken {
            output::line(&subject.told(unit, id, at, plan))?;
        }
        Ok(())
    }
}

/// A subject, and what its batches cost.
struct Taken {
    subject: Subject,
    costs: Vec<f64>,
    failed: Option<String>,
}

impl Taken {
    fn new(subject: Subject) -> Self {
        Self {
            subject,
            costs: Vec::new(),
            failed: None,
        }
    }

    /// What comes of it; after a failure nothing does any more.
    fn keep<T>(&mut self, outcome: Result<T>) -> Option<T> {
        outcome
            .map_err(|error| self.failed = Some(format!("{error:#}")))
            .ok()
    }

    fn told(self, unit: Unit, id: &str, at: Option<u64>, plan: Plan) -> Line {
        let (measure, subject) = (id.to_owned(), self.subject.name);
        let why = self.failed.unwrap_or_else(|| "no batch was taken".to_owned());
        match spread(&self.costs) {
            Some(spread) => Line::Figure(Figure {
                measure,
                subject,
                at,
                unit,
                least: spread.least,
                median: spread.median,
                most: spread.most,
                batches: self.costs.len() as u32,
                operations: plan.operations,
            }),
            None => Line::Skipped(Skipped {
                measure,
                subject,
                why,
            }),
        }
    }
}

/// Starts all subjects, and takes a batch of each in turn: what changes while the guest runs, changes for all of them.
fn take(subjects: &mut [Taken], plan: Plan) {
    let mut started = Vec::new();
    for subject in subjects.iter_mut().filter(|subject| subject.failed.is_none()) {
        let batch = (subject.subject.start)();
        if let Some(batch) = subject.keep(batch) {
            started.push((subject, batch));
        }
    }
    for number in 0..=plan.batches {
        for (subject, batch) in &mut started {
            if subject.failed.is_some() {
                continue;
            }
            let cost = batch(plan.operations);
            if let (Some(cost), 1..) = (subject.keep(cost), number) {
                subject.costs.push(cost as f64 / f64::from(plan.operations));
            }
        }
    }
    // A subject that fails half-way has no figure: its batches were not those that were asked for.
    for (subject, _) in &mut started {
        if subject.failed.is_some() {
            subject.costs.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use anyhow::bail;
    use shmdev_bench_model::MEASURES;

    use super::*;
    use crate::measures;

    fn told(subject: Subject, plan: Plan) -> Line {
        let mut taken = [Taken::new(subject)];
        for _ in 0..plan.starts {
            take(&mut taken, plan);
        }
        let [taken] = taken;
        taken.told(Unit::Bytes, "m", None, plan)
    }

    const PLAN: Plan = Plan {
        operations: 10,
        batches: 3,
        starts: 2,
    };

    #[test]
    fn all_of_the_catalogue_is_measured_and_nothing_else() {
        let mut run = Run::new(&Arguments::default());
        run.asked = Some(Vec::new());
        measures::all(&mut run).unwrap();
        let mut asked = run.asked.unwrap_or_default();
        asked.dedup_by(|next, last| next.0 == last.0 && next.1.is_some() == last.1.is_some());
        // Two curves are made of the same segments, so their points alternate.
        asked.sort_by_key(|(id, _)| MEASURES.iter().position(|measure| measure.id == id));
        asked.dedup_by(|next, last| next.0 == last.0);
        let catalogue = MEASURES
            .iter()
            .map(|measure| (measure.id, measure.axis.is_some()));
        assert!(
            asked
                .iter()
                .map(|(id, at)| (id.as_str(), at.is_some()))
                .eq(catalogue)
        );
    }

    #[test]
    fn a_figure_is_for_one_operation_and_leaves_the_warm_up_out() {
        let starts = Rc::new(Cell::new(0));
        let count = starts.clone();
        let falling = subject("s", move || {
            count.set(count.get() + 1);
            let mut cost = 100_000;
            Ok(Box::new(move |operations| {
                cost /= 10;
                Ok(cost * u64::from(operations))
            }))
        });
        let Line::Figure(figure) = told(falling, PLAN) else {
            panic!("no figure");
        };
        assert_eq!((figure.least, figure.most, figure.batches), (10.0, 1000.0, 6));
        assert_eq!(starts.get(), 2);
    }

    #[test]
    fn who_cannot_start_or_fails_is_left_out_with_the_reason() {
        let why = |line| match line {
            Line::Skipped(skipped) => skipped.why,
            _ => panic!("a figure"),
        };
        assert_eq!(why(told(subject("s", || bail!("not here")), PLAN)), "not here");
        let failing = subject("s", || {
            let mut left = 25;
            repeat(move || {
                left -= 1;
                if left == 0 { bail!("too much") } else { Ok(()) }
            })
        });
        assert_eq!(why(told(failing, PLAN)), "too much");
    }
}
