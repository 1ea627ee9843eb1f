// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask bench`: what the module and the crate cost beside their peers, measured in a guest; a table, a file, a report,
//! and whether it got worse.

mod check;
mod goals;
mod json;
mod lines;
mod number;
mod report;
mod results;
mod run;
#[cfg(test)]
mod sample;
mod show;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use shmdev_bench_model::Skipped;

use crate::{
    ctx::Ctx,
    error::Failure,
    guest::{
        accel,
        image::{self, KernelArgs},
        machine::MachineArgs,
    },
    guest_bins::Purpose,
    kernel::Spec,
};
use goals::Goals;
use results::Results;
use run::Wanted;

/// Measure in a guest what the module and the crate cost, beside what else there is
///
/// Without --wall, the guest has one processor and time is counted in its instructions: the host's speed and load do not
/// matter, but the compiler and the C library do that make the programs which are measured.
///
/// Exit status: 0; 1 when a benchmark failed (or the kernel did), or --check found that something got worse; 69 when the
/// machinery failed and nothing is known.
#[derive(clap::Args)]
pub struct Args {
    /// Run the measures whose name contains this
    filter: Option<String>,
    #[command(flatten)]
    kernel: KernelArgs,
    /// Write the figures to this file, for programs
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a report to this directory: report.html, and report.md with its pictures
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Measure time, on one processor and on two; means something with KVM only
    #[arg(long)]
    wall: bool,
    /// Measure less often: for trying things out
    #[arg(long)]
    quick: bool,
    /// Fail if something got worse by more than tests/bench/goals.toml allows, whether or not it meets its goal
    #[arg(long, conflicts_with_all = ["wall", "quick"])]
    check: bool,
    /// Write what was measured to tests/bench/goals.toml and docs/performance.md
    #[arg(long, conflicts_with_all = ["wall", "quick", "check"])]
    bless: bool,
    /// Run the guest's instructions by the host's processor, or translate them; auto tries
    #[arg(long, value_enum, requires = "wall")]
    accel: Option<accel::Wish>,
}

/// What was measured, and what that says of the goals.
#[derive(Debug)]
struct Outcome {
    /// Of the project.
    commit: String,
    /// A guest each.
    runs: Vec<Results>,
    /// None with `--wall`: goals are about instructions.
    goals: Goals,
    /// The goals' values, or why there are none.
    values: Vec<Result<f64, String>>,
}

/// Runs the subcommand.
pub fn run(ctx: &Ctx, args: Args) -> Result<ExitCode> {
    let wanted = Wanted {
        filter: args.filter.clone(),
        quick: args.quick,
    };
    check_usage(&args, &wanted)?;
    let machines: Vec<MachineArgs> = machines(&args);
    machines.iter().try_for_each(MachineArgs::check)?;
    let files = Files::of(ctx);
    let goals = Goals::parse(&read(&files.goals)?)
        .with_context(|| format!("{} makes no sense", files.goals.display()))?;
    let goals = match args.wall {
        true => Goals(Vec::new()),
        false => goals,
    };

    let filtered = goals.clone().filtered(args.filter.as_deref());
    if args.check && filtered.0.is_empty() {
        return Err(Failure::usage(format!(
            "no goal is about measures with {:?} in their name: there is nothing to check",
            args.filter.unwrap_or_default()
        )));
    }
    let spec = args.kernel.spec(ctx)?;
    if spec != Spec::from_options(ctx, None, None, false)? {
        if args.bless || args.check {
            return Err(Failure::usage(format!(
                "goals are about the default kernel: what {spec} costs is neither written down nor checked"
            )));
        }
        if !filtered.0.is_empty() {
            ctx.ui
                .warn(&format!("goals are about the default kernel, not {spec}"));
        }
    }

    let parts = image::prepare(ctx, &spec, Purpose::Bench)?;
    let mut runs = Vec::new();
    for machine in &machines {
        match run::run(ctx, &parts, machine, &wanted)? {
            Ok(results) => {
                print!("{}", show::terminal(&results));
                runs.push(results);
            }
            Err(signal) => return Ok(ExitCode::from(128 + signal as u8)),
        }
    }
    let outcome = Outcome {
        commit: run::commit(ctx),
        values: runs
            .first()
            .map_or_else(Vec::new, |results| filtered.values(results)),
        goals: filtered,
        runs,
    };
    tell(ctx, &args, &outcome)?;
    if args.bless {
        files.bless(ctx, &goals, &outcome)?;
    }
    Ok(match args.check && !check(&outcome) {
        true => ExitCode::from(crate::error::Kind::Tests.code()),
        false => ExitCode::SUCCESS,
    })
}

/// What can be told before anything is measured, which takes long.
fn check_usage(args: &Args, wanted: &Wanted) -> Result<()> {
    if wanted.measures().is_empty() {
        let names: Vec<&str> = shmdev_bench_model::MEASURES
            .iter()
            .map(|measure| measure.id)
            .collect();
        let filter = wanted.filter.as_deref().unwrap_or_default();
        return Err(Failure::usage(format!(
            "no measure has {filter:?} in its name; there are: {}",
            names.join(", ")
        )));
    }
    if let Some(dir) = &args.report {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    // What it has in it may be worth keeping until there is something better.
    if let Some(path) = &args.json {
        let trial = fs::File::options().append(true).create(true).open(path);
        trial.map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}

/// One that counts instructions, or two that do not.
fn machines(args: &Args) -> Vec<MachineArgs> {
    let machine = |smp| MachineArgs {
        smp,
        icount: !args.wall,
        accel: args.accel.unwrap_or(accel::Wish::Auto),
        // Where a mapping lies decides how many page tables it takes.
        append: vec!["norandmaps".to_owned()],
        ..MachineArgs::default()
    };
    let processors: &[u16] = if args.wall { &[1, 2] } else { &[1] };
    processors.iter().copied().map(machine).collect()
}

/// The goals, and the files that were asked for.
fn tell(ctx: &Ctx, args: &Args, outcome: &Outcome) -> Result<()> {
    if !outcome.goals.0.is_empty() {
        let table = show::goals(&outcome.goals, &outcome.values);
        print!("\nGoals\n{}", table.text("  "));
    }
    if let Some(path) = &args.json {
        fs::write(path, json::text(outcome)?).with_context(|| format!("cannot write {}", path.display()))?;
        ctx.ui.step(&format!("the figures are in {}", path.display()));
    }
    if let Some(dir) = &args.report {
        report::write(dir, outcome)?;
        ctx.ui
            .step(&format!("the report is {}", dir.join("report.html").display()));
    }
    Ok(())
}

/// Prints what changed; whether nothing got worse.
fn check(outcome: &Outcome) -> bool {
    let goals = outcome.goals.0.iter().zip(&outcome.values);
    let found: Vec<_> = goals
        .map(|(goal, value)| (goal, check::judge(goal, value)))
        .collect();
    println!();
    for line in found.iter().filter_map(|(goal, finding)| finding.describe(goal)) {
        println!("{line}");
    }
    let skipped = outcome.runs.iter().find_map(Results::ours_skipped);
    if let Some(Skipped {
        measure,
        subject,
        why,
    }) = skipped
    {
        println!("check: FAILED, {subject} was not measured by {measure}: {why}");
        return false;
    }
    let failed = found.iter().filter(|(_, finding)| finding.fails()).count();
    match failed {
        0 => println!("check: ok, of {} goals none got worse", found.len()),
        some => println!(
            "check: FAILED, {some} of {} goals got worse or are unknown",
            found.len()
        ),
    }
    failed == 0
}

/// The checked-in files that say what was measured.
struct Files {
    goals: PathBuf,
    page: PathBuf,
}

impl Files {
    fn of(ctx: &Ctx) -> Self {
        Files {
            goals: ctx.workspace.join("tests/bench/goals.toml"),
            page: ctx.workspace.join("docs/performance.md"),
        }
    }

    /// Brings them up to date, but for goals that the filter leaves out or that have no value.
    fn bless(&self, ctx: &Ctx, before: &Goals, outcome: &Outcome) -> Result<()> {
        let results = outcome.runs.first().context("nothing was measured")?;
        let text = Goals::bless(&read(&self.goals)?, &before.values(results))?;
        let after = Goals::parse(&text)?;
        let page = after.documented(&read(&self.page)?);
        let page = page.with_context(|| format!("{} has no table of goals", self.page.display()))?;
        for (path, text) in [(&self.goals, text), (&self.page, page)] {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            ctx.ui.step(&format!("wrote {}", path.display()));
        }
        match outcome.values.iter().find_map(|value| value.as_ref().err()) {
            Some(why) => Err(Failure::tests(format!("a goal has no value: {why}"))),
            None => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn machines_of(line: &str) -> Vec<(u16, bool)> {
        let args = Line::parse_from(line.split(' ')).args;
        let of = |machine: &MachineArgs| (machine.smp, machine.icount);
        machines(&args).iter().map(of).collect()
    }

    #[test]
    fn instructions_are_counted_on_one_processor_and_time_on_one_and_two() {
        assert_eq!(machines_of("bench"), [(1, true)]);
        assert_eq!(machines_of("bench --check attach"), [(1, true)]);
        assert_eq!(machines_of("bench --wall"), [(1, false), (2, false)]);
    }

    /// The sample, without what it says of a subject of ours that was skipped.
    fn complete() -> Outcome {
        let mut outcome = sample::outcome();
        outcome.runs[0].skipped.clear();
        outcome
    }

    #[test]
    fn a_check_fails_with_a_goal_that_got_worse_or_is_unknown() {
        let mut outcome = complete();
        assert!(check(&outcome));
        outcome.values[0] = Ok(0.31);
        assert!(!check(&outcome));
        outcome.values[0] = Err("skipped".into());
        assert!(!check(&outcome));
    }

    #[test]
    fn a_check_fails_if_one_of_ours_was_not_measured() {
        let skipping = |subject: &str| {
            let mut outcome = complete();
            outcome.runs[0].skipped.push(Skipped {
                measure: "map_size".into(),
                subject: subject.into(),
                why: "no memory".into(),
            });
            check(&outcome)
        };
        assert!(skipping("memfd"));
        assert!(!skipping("shmdev fault"));
    }
}
