// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask vm`: a command, or a shell, in the guest.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    clock::{Cut, Limits},
    image::{self, KernelArgs, Parts},
    machine::{self, MachineArgs},
    outcome,
    protocol::{Exit, Job, ROOT_TAG},
    qemu::{Engine, Export},
    session::{Output, Record},
    terminal,
};
use crate::{ctx::Ctx, error::Failure, guest_bins::Purpose};

/// Mount tag of the current directory.
const CWD_TAG: &str = "cwd";

/// Run a command, or a shell, in a guest with the module loaded
///
/// The guest sees the build root as /, with a tmpfs above it, and the current directory, writable, at its own path.
/// Standard input, output and error are the command's, the exit status too (128 + N when signal N killed it). At a
/// terminal the command has one as well; pressing Ctrl-] three times ends the guest whatever it does.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    machine: MachineArgs,
    /// Let the guest see this directory as /, such as the host's own /
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Set a parameter of the module
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    param: Vec<String>,
    #[arg(hide = true, value_name = "COMMAND", value_parser = misplaced)]
    _misplaced: Option<String>,
    /// The command and its arguments; a shell if there are none
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// A command without `--` in front of it would leave in doubt whose its options are.
fn misplaced(word: &str) -> Result<String, String> {
    Err(format!(
        "a command comes after `--`, as in `cargo xtask vm -- {word}`"
    ))
}

/// `name=value`, as the kernel takes it.
fn parameter(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("{name:?} cannot be the name of a parameter"));
    }
    if value.contains(|c: char| c.is_whitespace() || c == '"' || c == '\0') {
        return Err("the value may have neither spaces nor quotes in it".to_owned());
    }
    Ok(text.to_owned())
}

/// Runs the subcommand.
pub fn run(ctx: &Ctx, args: Args) -> Result<ExitCode> {
    args.machine.check()?;
    let spec = args.kernel.spec(ctx)?;
    let root = args.root.as_deref().map(checked_root).transpose()?;
    let parts = image::prepare(ctx, &spec, Purpose::Use)?;
    let mut argv: Vec<Vec<u8>> = args.command.iter().map(|word| word.as_bytes().to_vec()).collect();
    if argv.is_empty() {
        argv = vec![b"/bin/bash".to_vec(), b"-l".to_vec()];
    }
    run_command(ctx, &parts, &args.machine, root, args.param.join(" "), argv)
}

fn checked_root(dir: &Path) -> Result<PathBuf> {
    match fs::canonicalize(dir) {
        Ok(dir) if dir.join("bin").is_dir() => Ok(dir),
        Ok(dir) => Err(Failure::usage(format!(
            "{} is not a root file system (it has no bin): --root takes a directory such as / or one made by mmdebstrap",
            dir.display()
        ))),
        Err(error) => Err(Failure::usage(format!(
            "cannot use --root {}: {error}",
            dir.display()
        ))),
    }
}

/// Runs one command in a guest, with the person's standard streams; the exit status is the command's.
pub fn run_command(
    ctx: &Ctx,
    parts: &Parts,
    machine_args: &MachineArgs,
    root: Option<PathBuf>,
    module_parameters: String,
    argv: Vec<Vec<u8>>,
) -> Result<ExitCode> {
    let mut machine = machine_args.machine(ctx, parts)?;
    let root = root.unwrap_or_else(|| parts.root.path().to_owned());
    let cwd = env::current_dir().context("cannot tell the current directory")?;
    let on_terminal = terminal::for_job();
    let kind = on_terminal.map(|_| terminal::kind(&root));
    let job = Job {
        argv,
        env: machine::environment(&parts.kernel.name, kind.as_deref()),
        cwd: cwd.as_os_str().as_bytes().to_vec(),
        root: true,
        // The host's / is no directory to mount over the guest's.
        mounts: match cwd.parent() {
            Some(_) => vec![(CWD_TAG.into(), cwd.as_os_str().as_bytes().to_vec())],
            None => Vec::new(),
        },
        module_parameters,
        heartbeat: false,
        terminal: on_terminal,
    };
    machine.exports.push(Export {
        tag: ROOT_TAG,
        path: root,
        readonly: true,
    });
    if !job.mounts.is_empty() {
        machine.exports.push(Export {
            tag: CWD_TAG,
            path: cwd,
            readonly: false,
        });
    }
    let log = machine::log(ctx, "vm", &parts.kernel.name)?;
    let mut session = machine::start(ctx, parts, &machine, &log)?;
    let _signals = terminal::watch_signals(session.sender(), on_terminal.is_none())?;
    if let Some(input) = session.take_input() {
        terminal::carry_input(input, session.sender(), on_terminal.is_some());
    }
    let raw = on_terminal.map(|_| terminal::Raw::enter()).transpose()?;
    let record = session.run(&job, limits(machine.gdb.is_some()), &mut Standard);
    drop(raw);
    machine::note_times(&log, &record);
    conclude(ctx, &record, &log, machine.engine)
}

/// The boot has a limit; what the person runs has none.
fn limits(debugged: bool) -> Limits {
    Limits {
        boot: (!debugged).then_some(Duration::from_secs(120)),
        silence: None,
        idle: None,
        overall: None,
        // PID 1 has written everything back before it told the status: nobody waits for the rest.
        power_off: Duration::ZERO,
    }
}

fn conclude(ctx: &Ctx, record: &Record, log: &Path, engine: Engine) -> Result<ExitCode> {
    if let Some(Cut::Interrupted(signal)) = record.cut {
        return Ok(ExitCode::from(128 + signal as u8));
    }
    let Some(exit) = record.exit else {
        let text = fs::read(log).unwrap_or_default();
        let why = outcome::disaster(record, &String::from_utf8_lossy(&text));
        let advice = match (engine, record.hello) {
            (Engine::Kvm, None) => " The host's KVM may be unable to run a guest: try --accel tcg.",
            _ => "",
        };
        return Err(Failure::machinery(format!(
            "{why}. The kernel's log is {}.{advice}",
            log.display()
        )));
    };
    if !record.complete {
        return Err(Failure::machinery(
            "the guest was switched off before all output had arrived",
        ));
    }
    if let Exit::Signal(signal) = exit {
        ctx.ui.warn(&format!("the command was killed by signal {signal}"));
    }
    Ok(ExitCode::from(exit.status()))
}

/// The person's standard output and error. What has arrived is shown at once.
#[derive(Debug)]
pub struct Standard;

impl Output for Standard {
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()
    }

    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn a_parameter_has_a_name_and_a_value() {
        assert_eq!(parameter("default_size=1M").as_deref(), Ok("default_size=1M"));
        assert_eq!(parameter("x=").as_deref(), Ok("x="));
        for wrong in ["default_size", "=1", "a b=1", "a=1 2", "a=\"1\""] {
            assert!(parameter(wrong).is_err(), "{wrong}");
        }
    }
}
