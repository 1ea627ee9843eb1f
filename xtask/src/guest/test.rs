// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask qemu-test`: the host's unit tests, and the guest's tests on one kernel or all; one summary.
//!
//! Several guests share the tests, and the first of them run beside the host's tests; each is heard when its turn comes.
//! Nothing is run twice to make it pass.

use std::{
    fs, io,
    path::Path,
    process::{Command, ExitCode},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    abreast::{self, Part},
    clock::{Cut, Limits},
    host_tests,
    image::{self, KernelArgs, Parts},
    machine::{self, MachineArgs},
    machinery,
    outcome::{self, Verdict},
    protocol::{Job, ROOT_TAG},
    qemu::Export,
    report::Report,
    session::Output,
    summary::Summary,
    terminal,
    vm::Standard,
};
use crate::{
    cache::Log,
    ctx::Ctx,
    error::Failure,
    guest_bins::{self, Purpose},
    kernel::Spec,
    run as programs,
};

/// Run the host's unit tests, then the guest's tests
///
/// Exit status: 0 when all passed, 1 when tests failed (or the kernel did while they ran), 69 when the machinery failed and
/// nothing is known.
#[derive(clap::Args)]
#[command(mut_arg("kernel", |kernel| kernel.help("Kernel of the guest: 7.3 (default), 7.2, debug, or all")))]
pub struct Args {
    /// Run the tests whose name contains this
    filter: Option<String>,
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// How segments are mapped where a test does not say: pfn (default), fault, huge, or all, a run after the other
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "pfn",
        hide_possible_values = true,
        hide_default_value = true,
        conflicts_with = "machinery"
    )]
    map: Maps,
    /// Leave out the slow ones: what takes more than a tenth of a second in the guest, a sixth of these tests, and on the
    /// host what runs algorithms in every order
    #[arg(long, conflicts_with = "machinery")]
    quick: bool,
    /// Guests that share the tests [default: as many as have processors of their own, at most 4]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    jobs: Option<u8>,
    /// List the tests instead of running them
    #[arg(long, conflicts_with = "machinery")]
    list: bool,
    /// Leave the guest's tests out
    #[arg(long, conflicts_with_all = ["guest_only", "machinery"])]
    host_only: bool,
    /// Leave the host's tests out
    #[arg(long, conflicts_with = "machinery")]
    guest_only: bool,
    /// Test the machinery instead: guests that panic, hang, power off, or say nothing
    #[arg(long)]
    machinery: bool,
}

impl Args {
    /// Which of the guest's tests are chosen, as their program is told.
    fn chosen(&self) -> Vec<String> {
        let quick = self.quick.then(|| "--quick".to_owned());
        quick.into_iter().chain(self.filter.clone()).collect()
    }
}

/// How segments are to be mapped.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Maps {
    Pfn,
    Fault,
    Huge,
    All,
}

impl Maps {
    /// As the guest's tests call them.
    fn names(self) -> &'static [&'static str] {
        match self {
            Maps::Pfn => &["pfn"],
            Maps::Fault => &["fault"],
            Maps::Huge => &["huge"],
            Maps::All => &["pfn", "fault", "huge"],
        }
    }
}

/// So many guests share the tests at most if nobody asks for more.
const JOBS: usize = 4;

/// For fewer tests, another guest is not worth its boot.
const WORTH_A_GUEST: usize = 50;

/// Tests that write nothing for so long hang, and whoever runs them does too: each has a limit of its own that is shorter,
/// and on the debug kernel [`SLOWNESS`] times as long.
const IDLE: Duration = Duration::from_secs(450);

/// So much longer a test may take on the debug kernel, as its program says too.
const SLOWNESS: u32 = 5;

/// All of a guest's tests, on a slow host, on the debug kernel.
const OVERALL: Duration = Duration::from_secs(3600);

/// What turns each sign of a broken kernel into an end that cannot be overlooked, keeps the kernel from zeroing what the
/// module ought to, and gives it two nodes of memory, between which pages can move. Warnings reach the serial log from
/// the start, for the first report switches lockdep off; after the boot PID 1 lets everything through, until the power is
/// off.
const STRICT: [&str; 5] = [
    "panic_on_warn=1",
    "hung_task_panic=1",
    "init_on_alloc=0",
    "numa=fake=2",
    "loglevel=5",
];

/// Runs the subcommand.
pub fn run(ctx: &Ctx, args: Args) -> Result<ExitCode> {
    args.machine.check()?;
    let filter = args.filter.as_deref();
    if args.machinery {
        return machinery::run(ctx, &args.kernel, &args.machine, filter);
    }
    let specs = Spec::several(
        ctx,
        args.kernel.kernel.as_deref(),
        args.kernel.kernel_dir.as_deref(),
    )?;
    if args.list {
        return list(ctx, &args);
    }
    let mut summary = Summary::new();
    let specs = if args.host_only { Vec::new() } else { specs };
    let runs = specs
        .iter()
        .flat_map(|spec| args.map.names().iter().map(move |map| (spec, *map)));
    let mut runs = runs.collect::<Vec<_>>().into_iter();
    // The host's tests run beside the first guests.
    let mut host = (!args.guest_only).then(|| host_part(ctx, &args));
    while !summary.interrupted() {
        let run = runs.next();
        if run.is_none() && host.is_none() {
            break;
        }
        // First, for it shows how far it is, and would wait for the same locks of cargo's.
        let guests = run.map_or_else(Vec::new, |(spec, map)| guest_parts(ctx, spec, map, &args));
        let parts = host.take().into_iter().chain(guests);
        abreast::run(parts.collect(), || Standard, &mut summary);
    }
    let code = summary.print();
    match filter.filter(|_| summary.ran_nothing()) {
        Some(filter) => Err(Failure::usage(format!(
            "no test has {filter:?} in its name{}; `cargo xtask qemu-test --list` shows them",
            if args.quick { " and is quick" } else { "" }
        ))),
        None => Ok(code),
    }
}

/// The host's unit tests.
fn host_part(ctx: &Ctx, args: &Args) -> Part {
    let (ctx, filter, quick) = (ctx.clone(), args.filter.clone(), args.quick);
    Part::new("host".into(), move |output| {
        // Of this thread and what it starts: guests take longer, and go first.
        let _ = rustix::process::nice(10);
        host_tests::run(&ctx, filter.as_deref(), quick, output)
    })
}

/// The guests that share the tests of a kernel, with segments mapped in one way.
fn guest_parts(ctx: &Ctx, spec: &Spec, map: &'static str, args: &Args) -> Vec<Part> {
    let name = match args.map {
        Maps::Pfn => format!("guest {spec}"),
        _ => format!("guest {spec}, {map}"),
    };
    let guests = match Guests::prepare(ctx, spec, map, args) {
        Ok(guests) => Arc::new(guests),
        // The host, and the other kernels, still have something to tell.
        Err(error) => return vec![Part::new(name, |_| Err(error))],
    };
    let count = guests.logs.len();
    let part = |index| {
        let (ctx, guests) = (ctx.clone(), Arc::clone(&guests));
        let name = match count {
            1 => name.clone(),
            count => format!("{name}, {} of {count}", index + 1),
        };
        Part::new(name, move |output| guests.tests(&ctx, index, output))
    };
    (0..count).map(part).collect()
}

/// Guests that are ready to be started, and share the tests.
struct Guests {
    parts: Parts,
    machine: MachineArgs,
    /// Which tests are chosen, as their program is told.
    chosen: Vec<String>,
    map: &'static str,
    /// One for each.
    logs: Vec<Log>,
}

impl Guests {
    /// Makes what they need.
    fn prepare(ctx: &Ctx, spec: &Spec, map: &'static str, args: &Args) -> Result<Self> {
        let parts = image::prepare(ctx, spec, Purpose::Tests)?;
        let kernel = &parts.kernel;
        let log = |index| machine::log(ctx, &format!("test{index}"), &kernel.name);
        let logs = (1..=count(ctx, args)?).map(log).collect::<Result<Vec<_>>>()?;
        for log in &logs {
            ctx.ui.step(&format!(
                "guest with {}; the kernel's log is {}",
                kernel.release,
                log.display()
            ));
        }
        Ok(Guests {
            parts,
            machine: args.machine.clone(),
            chosen: args.chosen(),
            map,
            logs,
        })
    }

    /// Boots the kernel and runs the tests' program in it.
    fn tests(&self, ctx: &Ctx, index: usize, output: &mut dyn Output) -> Result<Verdict> {
        let Guests { parts, machine, .. } = self;
        let shard = format!("--shard={}/{}", index + 1, self.logs.len());
        let map = format!("--map={}", self.map);
        let argv = ["/usr/local/bin/shmdev-tests", &shard, &map];
        let argv = argv.into_iter().chain(self.chosen.iter().map(String::as_str));
        let job = Job {
            argv: argv.map(Into::into).collect(),
            env: machine::environment(&parts.kernel.name, None),
            cwd: b"/".to_vec(),
            root: true,
            heartbeat: !machine.icount,
            ..Job::default()
        };
        let limits = Limits {
            boot: Some(Duration::from_secs(180)),
            silence: job.heartbeat.then_some(Duration::from_secs(60)),
            idle: Some(if parts.kernel.is_debug() {
                IDLE * SLOWNESS
            } else {
                IDLE
            }),
            overall: Some(OVERALL),
            power_off: Duration::from_secs(30),
        };
        let watched = Watched {
            job: &job,
            limits,
            append: &[],
            log: &self.logs[index],
        };
        watch(ctx, parts, machine, &watched, output)
    }
}

/// How many guests are to share the tests.
fn count(ctx: &Ctx, args: &Args) -> Result<usize> {
    if let Some(jobs) = args.jobs {
        return Ok(jobs.into());
    }
    // With fewer processors than theirs together, guests would mostly wait for each other's spinlocks.
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let fit = (processors / usize::from(args.machine.smp)).clamp(1, JOBS);
    if fit == 1 {
        return Ok(1);
    }
    let names = names(ctx, args)?;
    let tests = names.lines().filter(|line| line.ends_with(": test")).count();
    Ok(fit.min(1 + tests / WORTH_A_GUEST))
}

/// A job that reports as tests do.
#[derive(Debug)]
pub struct Watched<'a> {
    /// What to run.
    pub job: &'a Job,
    /// How long it may take.
    pub limits: Limits,
    /// What else the kernel is told.
    pub append: &'a [String],
    /// Where the kernel's console goes.
    pub log: &'a Path,
}

/// Runs it and judges it.
pub fn watch(
    ctx: &Ctx,
    parts: &Parts,
    machine_args: &MachineArgs,
    watched: &Watched<'_>,
    output: &mut dyn Output,
) -> Result<Verdict> {
    let Watched {
        job,
        limits,
        append,
        log,
    } = *watched;
    let mut machine = machine_args.machine(ctx, parts)?;
    machine.append.splice(0..0, STRICT.map(String::from));
    machine.append.extend_from_slice(append);
    if job.root {
        let path = parts.root.path().to_owned();
        machine.exports.push(Export {
            tag: ROOT_TAG,
            path,
            readonly: true,
        });
    }
    let limits = limits.lifted(machine.gdb.is_some());
    let session = machine::start(ctx, parts, &machine, log)?;
    let _signals = terminal::watch_signals(session.sender(), false)?;
    let mut output = Reported {
        output,
        report: Report::default(),
    };
    let record = session.run(job, limits, &mut output);
    machine::note_times(log, &record);
    if let Some(Cut::Interrupted(signal)) = record.cut {
        return Ok(Verdict::Interrupted(signal));
    }
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(outcome::judge(
        &record,
        &output.report,
        &String::from_utf8_lossy(&text),
    ))
}

/// The tests' output is read on its way.
struct Reported<'a> {
    output: &'a mut dyn Output,
    report: Report,
}

impl Output for Reported<'_> {
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.report.feed(bytes);
        self.output.stdout(bytes)
    }

    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.stderr(bytes)
    }
}

/// Prints the names of the tests. The guest's program can say them on the host.
fn list(ctx: &Ctx, args: &Args) -> Result<ExitCode> {
    if !args.guest_only {
        host_tests::list(ctx, args.filter.as_deref(), args.quick)?;
    }
    if !args.host_only {
        Standard.stdout(names(ctx, args)?.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The guest's tests, as their program lists them; it can do so on the host.
fn names(ctx: &Ctx, args: &Args) -> Result<String> {
    let bins = guest_bins::build(ctx, Purpose::Tests)?;
    let tests = bins.program("shmdev-tests").context("the tests were not built")?;
    programs::output(ctx, Command::new(tests).arg("--list").args(args.chosen()))
}
