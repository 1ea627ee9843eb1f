// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the benchmarks' program in a guest and hears what it says.

use std::{fs, io, process::Command};

use anyhow::{Context, Result};
use shmdev_bench_model::{MEASURES, Measure};

use super::{
    lines::Lines,
    results::{Machine, Reader, Results},
};
use crate::{
    ctx::Ctx,
    error::Failure,
    guest::{
        image::Parts,
        machine::MachineArgs,
        program::{self, End},
        qemu::Engine,
        session::Output,
    },
    run as programs,
    ui::Task,
};

/// Where the image has the program.
const PROGRAM: &str = "/usr/local/bin/shmdev-bench";

/// What is to be measured.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Measures whose name contains this; all, without it.
    pub filter: Option<String>,
    /// With fewer batches.
    pub quick: bool,
}

impl Wanted {
    /// The measures of the catalogue that are meant.
    pub fn measures(&self) -> Vec<&'static Measure> {
        let filter = self.filter.as_deref().unwrap_or_default();
        MEASURES
            .iter()
            .filter(|measure| measure.id.contains(filter))
            .collect()
    }
}

/// The figures of one guest; or the signal that ended it.
pub fn run(ctx: &Ctx, parts: &Parts, args: &MachineArgs, wanted: &Wanted) -> Result<Result<Results, i32>> {
    let qemu = args.machine(ctx, parts)?;
    let machine = Machine {
        host_cpu: host_cpu(),
        qemu: qemu_version(ctx, parts)?,
        accel: match qemu.engine {
            Engine::Kvm => "kvm".to_owned(),
            Engine::Tcg => "tcg".to_owned(),
        },
        icount: qemu.icount,
        cpus: qemu.processors,
        cpu: qemu.cpu().to_owned(),
        memory_mib: qemu.memory,
        append: qemu.append.clone(),
    };
    let what = match (machine.icount, machine.cpus) {
        (true, _) => "bench".to_owned(),
        (false, cpus) => format!("bench-{cpus}cpu"),
    };
    let mut argv = vec![PROGRAM.to_owned()];
    argv.extend((!machine.icount).then(|| "--wall".to_owned()));
    argv.extend(wanted.quick.then(|| "--quick".to_owned()));
    argv.extend(wanted.filter.clone());
    let measures = wanted.measures();
    let mut hearing = Hearing {
        ctx,
        task: ctx.ui.task("benchmarks", measures.len() as u64),
        reader: Reader::new(machine, MEASURES),
        problem: None,
        errors: Lines::default(),
        measures,
        running: None,
    };
    let end = program::run(ctx, parts, qemu, &what, &argv, &mut hearing);
    hearing.conclude(end)
}

/// Reads the program's output on its way.
struct Hearing<'a> {
    ctx: &'a Ctx,
    task: Task,
    reader: Reader,
    /// What is wrong with what was read.
    problem: Option<String>,
    errors: Lines,
    measures: Vec<&'static Measure>,
    /// What the program said last of what it is about.
    running: Option<String>,
}

impl Output for Hearing<'_> {
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.reader.feed(bytes).map_err(|problem| {
            self.problem.get_or_insert(problem);
            // Ends the guest: nothing that it may say yet can be trusted.
            io::ErrorKind::InvalidData.into()
        })
    }

    /// A line that begins with a measure's name says what is going to be measured.
    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
        for line in self.errors.feed(bytes) {
            let word = line.split(' ').next().unwrap_or_default();
            match self.measures.iter().position(|measure| measure.id == word) {
                Some(place) => {
                    self.task.set(place as u64, &line);
                    self.running = Some(line);
                }
                None => self.ctx.ui.line(&line),
            }
        }
        Ok(())
    }
}

impl Hearing<'_> {
    /// Puts together how the program ended and what it said.
    fn conclude(self, end: Result<End>) -> Result<Result<Results, i32>> {
        if let Some(rest) = self.errors.rest() {
            self.ctx.ui.line(&rest);
        }
        if let Some(problem) = self.problem {
            return Err(Failure::machinery(problem));
        }
        let end = end.with_context(|| match self.running {
            Some(running) => format!("while measuring {running}"),
            None => "before anything was measured".to_owned(),
        })?;
        if let End::Interrupted(signal) = end {
            return Ok(Err(signal));
        }
        self.task.finish();
        let results = self.reader.finish().map_err(Failure::machinery)?;
        match results.first_unknown(&self.measures) {
            None => Ok(Ok(results)),
            Some(measure) => Err(Failure::machinery(format!(
                "the benchmarks said nothing of {}, not even why they left it out",
                measure.id
            ))),
        }
    }
}

/// As the processor calls itself.
fn host_cpu() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines = processors.lines().filter_map(|line| line.split_once(':'));
    let name = lines.find(|(key, _)| key.trim_end() == "model name");
    name.map_or("unknown", |(_, name)| name.trim()).to_owned()
}

fn qemu_version(ctx: &Ctx, parts: &Parts) -> Result<String> {
    let sandbox = parts.root.command("qemu-system-x86_64").args(["--version"]);
    let said = programs::output(ctx, &mut sandbox.command())?;
    let line = said.lines().next().unwrap_or_default();
    Ok(line
        .strip_prefix("QEMU emulator version ")
        .unwrap_or(line)
        .to_owned())
}

/// What of the project was measured.
pub fn commit(ctx: &Ctx) -> String {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(&ctx.workspace)
        .args(["describe", "--always", "--dirty", "--abbrev=12"]);
    let said = programs::output(ctx, &mut git);
    said.map_or_else(|_| "unknown".to_owned(), |said| said.trim().to_owned())
}
