// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask qemu-test`: the host's unit tests, and the guest's tests on one kernel or all; one summary.
//!
//! The first guest runs while the host's tests do, and is heard when they are done. Nothing is run twice to make it pass.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, IsTerminal, Read},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use signal_hook::consts::SIGINT;

use super::{
    clock::{Cut, Limits},
    held::Held,
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
use crate::{ctx::Ctx, guest_bins, kernel::Spec};

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

/// A test that writes nothing for so long hangs: each has a limit of its own that is shorter.
const IDLE: Duration = Duration::from_secs(300);

/// All of a guest's tests, on a slow host, on the debug kernel.
const OVERALL: Duration = Duration::from_secs(3600);

/// What turns each sign of a broken kernel into an end that cannot be overlooked, and keeps the kernel from zeroing
/// what the module ought to. Warnings reach the serial log from the start, for the first report switches lockdep off; after
/// the boot PID 1 lets everything through, until the power is off.
const STRICT: [&str; 4] = [
    "panic_on_warn=1",
    "hung_task_panic=1",
    "init_on_alloc=0",
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
        return list(ctx, filter, !args.guest_only, !args.host_only);
    }
    let mut summary = Summary::new();
    let mut specs = if args.host_only { Vec::new() } else { specs }.into_iter();
    if !args.guest_only {
        host_and_guest(ctx, specs.next(), &args.machine, filter, &mut summary);
    }
    for spec in specs {
        if summary.interrupted() {
            break;
        }
        let verdict = Guest::prepare(ctx, &spec)
            .and_then(|guest| guest.tests(ctx, &args.machine, filter, &mut Standard));
        // The other kernels still have something to tell.
        summary.add(&guest_name(&spec), verdict);
    }
    Ok(summary.print())
}

/// What the summary calls it.
fn guest_name(spec: &Spec) -> String {
    format!("guest {spec}")
}

/// The host's tests, and a guest's at the same time.
fn host_and_guest(
    ctx: &Ctx,
    spec: Option<Spec>,
    machine: &MachineArgs,
    filter: Option<&str>,
    summary: &mut Summary,
) {
    // First, for it shows how far it is, and would wait for the same locks of cargo's.
    let guest = spec.map(|spec| (guest_name(&spec), Guest::prepare(ctx, &spec)));
    let held = Arc::new(Held::new(Standard));
    let host = {
        let (ctx, held, filter) = (ctx.clone(), Arc::clone(&held), filter.map(str::to_owned));
        thread::spawn(move || {
            // Of this thread and what it starts: the guest takes longer, and goes first.
            let _ = rustix::process::nice(10);
            let verdict = host_tests(&ctx, filter.as_deref());
            // ^C is for the guest, too, and nobody wants to read what it said until then.
            if !matches!(verdict, Ok(Verdict::Interrupted(_))) {
                // Should this fail, the guest's next word does, and ends it.
                let _ = held.release();
            }
            verdict
        })
    };
    let guest = guest.map(|(name, guest)| {
        let verdict = guest.and_then(|guest| guest.tests(ctx, machine, filter, &mut &*held));
        (name, verdict)
    });
    if let Some((name, Ok(interrupted @ Verdict::Interrupted(_)))) = guest {
        // The person does not wait for the host's tests, either.
        summary.add(&name, Ok(interrupted));
        return;
    }
    let host = host
        .join()
        .unwrap_or_else(|_| Err(anyhow!("running the host's tests panicked")));
    let _ = held.release();
    summary.add("host", host);
    if let Some((name, verdict)) = guest {
        summary.add(&name, verdict);
    }
}

/// `cargo test`, with its output shown and read.
fn host_tests(ctx: &Ctx, filter: Option<&str>) -> Result<Verdict> {
    let mut command = cargo_test(ctx);
    let colour = if io::stdout().is_terminal() {
        "always"
    } else {
        "never"
    };
    command
        .args(["--color", colour])
        .args(filter)
        .args(["--", "--color", colour]);
    ctx.ui.command(&command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo test")?;
    let mut output = child.stdout.take().context("cargo test has no standard output")?;
    let mut report = Report::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match output.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read what cargo test says"),
            Ok(0) => break,
            Ok(count) => {
                Standard.stdout(&buffer[..count])?;
                report.feed(&buffer[..count]);
            }
        }
    }
    let status = child.wait()?;
    let counts = report.total();
    Ok(match (status.code(), counts.failed) {
        (Some(0), 0) if counts.passed > 0 || filter.is_some() => Verdict::Passed(counts),
        (Some(0), _) => Verdict::Machinery("cargo test succeeded without a result line".into()),
        (Some(_), 1..) => Verdict::Failed(counts, None),
        (Some(_), 0) => Verdict::Failed(counts, Some("the host's tests do not build".into())),
        (None, _) => match status.signal() {
            Some(signal @ SIGINT) => Verdict::Interrupted(signal),
            _ => Verdict::Machinery(format!("cargo test ended by {status}")),
        },
    })
}

/// The host's tests: those of all members. What needs the guest is not among them.
fn cargo_test(ctx: &Ctx) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(&ctx.workspace).args(["test", "--workspace"]);
    command
}

/// A guest that is ready to be started.
struct Guest {
    parts: Parts,
    log: PathBuf,
}

impl Guest {
    /// Makes what it needs.
    fn prepare(ctx: &Ctx, spec: &Spec) -> Result<Self> {
        let parts = image::prepare(ctx, spec)?;
        let log = machine::log_path(ctx, "test", &parts.kernel.name)?;
        ctx.ui.step(&format!(
            "guest with {}; the kernel's log is {}",
            parts.kernel.release,
            log.display()
        ));
        Ok(Guest { parts, log })
    }

    /// Boots the kernel and runs the tests' program in it.
    fn tests(
        &self,
        ctx: &Ctx,
        machine: &MachineArgs,
        filter: Option<&str>,
        output: &mut dyn Output,
    ) -> Result<Verdict> {
        let argv = ["/usr/local/bin/shmdev-tests"].into_iter().chain(filter);
        let job = Job {
            argv: argv.map(Into::into).collect(),
            env: machine::environment(&self.parts.kernel.name, None),
            cwd: b"/".to_vec(),
            root: true,
            heartbeat: !machine.icount,
            ..Job::default()
        };
        let limits = Limits {
            boot: Some(Duration::from_secs(180)),
            silence: job.heartbeat.then_some(Duration::from_secs(60)),
            idle: Some(IDLE),
            overall: Some(OVERALL),
            power_off: Duration::from_secs(30),
        };
        let watched = Watched {
            job: &job,
            limits,
            append: &[],
            log: &self.log,
        };
        watch(ctx, &self.parts, machine, &watched, output)
    }
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
fn list(ctx: &Ctx, filter: Option<&str>, host: bool, guest: bool) -> Result<ExitCode> {
    if host {
        let status = cargo_test(ctx)
            .args(filter)
            .args(["--", "--list"])
            .status()
            .context("cannot run cargo test")?;
        if !status.success() {
            bail!("cargo test cannot list the host's tests: {status}");
        }
    }
    if guest {
        let program = guest_bins::build(ctx)?.tests;
        let status = Command::new(&program).arg("--list").args(filter).status();
        let status = status.with_context(|| format!("cannot run {}", program.display()))?;
        if !status.success() {
            bail!("{} cannot list the guest's tests: {status}", program.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
