// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the job: starts it on pipes or a terminal, reaps it and every orphan, and reports how it ended.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait},
    pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::{
    cmdline::Fault,
    fault,
    host::{Host, open_port},
    protocol::{Exit, Job, Size, Terminal, ToGuest, ToHost, port},
    pumps::{self, Event, InputEnd},
};

/// How long the host may take to drain what the job has written.
const HOST_DRAINS: Duration = Duration::from_secs(60);

/// How often the host hears that the guest is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The ends of the job's standard streams that stay with PID 1.
struct Streams {
    input: OwnedFd,
    output: OwnedFd,
    errors: Option<OwnedFd>,
    /// The terminal, to change its size.
    terminal: Option<OwnedFd>,
}

/// Runs the job and tells the host how it ended. The host has everything when this returns.
pub fn run(host: &'static Host, job: &Job, fault: Option<Fault>) -> Result<()> {
    let stdin = open_port(port::STDIN)?;
    let stdout = open_port(port::STDOUT)?;
    let stderr = open_port(port::STDERR)?;
    let (child, streams) = match start(job) {
        Ok(started) => started,
        Err(error) => return report_unstartable(host, job, &error, stderr),
    };
    let pid = Pid::from_child(&child);
    host.send(&ToHost::Started(crate::uptime()))?;
    if job.heartbeat && !fault::silences_heartbeat(fault) {
        thread::spawn(|| {
            while host.send(&ToHost::Alive).is_ok() {
                thread::sleep(HEARTBEAT);
            }
        });
    }
    fault::while_running(fault, pid);

    let stop = Event::new()?;
    let end = InputEnd::new()?;
    let output = pumps::output(streams.output, stdout, &stop);
    let errors = streams.errors.map(|source| pumps::output(source, stderr, &stop));
    pumps::input(stdin, streams.input, &end);
    thread::spawn(move || obey(host, pid, streams.terminal, &end));

    let how = reap(pid)?;
    stop.set();
    let stdout = output.join().unwrap_or(0);
    let stderr = errors.map_or(0, |pump| pump.join().unwrap_or(0));
    rustix::fs::sync();
    if !fault::silences_verdict(fault) {
        host.send(&ToHost::Exited { how, stdout, stderr })?;
        host.wait_for_finish(HOST_DRAINS);
    }
    Ok(())
}

/// Starts the job in a session of its own, so that signals for it reach all that it started.
fn start(job: &Job) -> io::Result<(Child, Streams)> {
    let (program, args) = job.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let cwd = Path::new(OsStr::from_bytes(&job.cwd));
    if !cwd.is_dir() {
        let what = format!("there is no directory {} in the guest", cwd.display());
        return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
    }
    let mut command = Command::new(OsStr::from_bytes(program));
    command
        .args(args.iter().map(|arg| OsStr::from_bytes(arg)))
        .current_dir(cwd)
        .env_clear();
    command.envs(
        job.env
            .iter()
            .map(|(name, value)| (OsStr::from_bytes(name), OsStr::from_bytes(value))),
    );
    let terminal = job
        .terminal
        .map(|terminal| open_terminal(terminal.size))
        .transpose()?;
    let on_terminal = terminal.is_some();
    if let Some((_, slave)) = &terminal {
        let slave = || slave.try_clone().map(Stdio::from);
        command.stdin(slave()?).stdout(slave()?);
        match job.terminal {
            Some(Terminal {
                stderr_apart: true, ..
            }) => command.stderr(Stdio::piped()),
            _ => command.stderr(slave()?),
        };
    } else {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }
    let prepare = move || {
        rustix::process::setsid()?;
        if on_terminal {
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure does nothing but two system calls: it takes no lock and allocates
    // nothing.
    unsafe { command.pre_exec(prepare) };
    let mut child = command.spawn()?;
    let streams = streams(&mut child, terminal.map(|(master, _)| master))?;
    Ok((child, streams))
}

fn streams(child: &mut Child, terminal: Option<OwnedFd>) -> io::Result<Streams> {
    let errors = child.stderr.take().map(OwnedFd::from);
    if let Some(master) = terminal {
        return Ok(Streams {
            input: master.try_clone()?,
            output: master.try_clone()?,
            errors,
            terminal: Some(master),
        });
    }
    let missing = || io::Error::other("a pipe is missing");
    Ok(Streams {
        input: child.stdin.take().ok_or_else(missing)?.into(),
        output: child.stdout.take().ok_or_else(missing)?.into(),
        errors,
        terminal: None,
    })
}

/// A pseudo-terminal: master and slave.
fn open_terminal(size: Size) -> io::Result<(OwnedFd, OwnedFd)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    unlockpt(&master)?;
    set_size(&master, size)?;
    let slave = ioctl_tiocgptpeer(
        &master,
        OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC,
    )?;
    Ok((master, slave))
}

/// The kernel tells the terminal's foreground processes.
fn set_size(terminal: &impl AsFd, size: Size) -> io::Result<()> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    Ok(tcsetwinsize(terminal, size)?)
}

/// Does what the host says while the job runs.
fn obey(host: &Host, job: Pid, terminal: Option<OwnedFd>, end: &InputEnd) {
    while let Ok(Some(message)) = host.receive() {
        match message {
            ToGuest::WindowSize(size) => {
                if let Some(terminal) = &terminal {
                    let _ = set_size(terminal, size);
                }
            }
            ToGuest::Signal(number) => {
                if let Some(signal) = Signal::from_named_raw(number.into()) {
                    let _ = kill_process_group(job, signal);
                }
            }
            ToGuest::InputEnd(bytes) => end.tell(bytes),
            ToGuest::Finish => return,
            ToGuest::Run(_) => {}
        }
    }
}

/// Waits for the job, and goes on reaping orphans after it has ended.
fn reap(job: Pid) -> Result<Exit> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == job => {
                thread::spawn(|| while matches!(wait(WaitOptions::empty()), Ok(_) | Err(Errno::INTR)) {});
                return exit_of(status);
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the job"),
        }
    }
}

fn exit_of(status: WaitStatus) -> Result<Exit> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ok(Exit::Code(code as u8)),
        (_, Some(signal)) => Ok(Exit::Signal(signal as u8)),
        _ => bail!("the job ended in an unknown way: {status:?}"),
    }
}

/// A job that cannot be started ends as in a shell: 127 when there is no such program, else 126.
fn report_unstartable(host: &Host, job: &Job, error: &io::Error, mut stderr: File) -> Result<()> {
    let program = job
        .argv
        .first()
        .map_or("".into(), |program| String::from_utf8_lossy(program));
    let message = format!("shmdev-init: cannot run {program}: {error}\n");
    let code = if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    };
    stderr.write_all(message.as_bytes())?;
    host.send(&ToHost::Started(crate::uptime()))?;
    host.send(&ToHost::Exited {
        how: Exit::Code(code),
        stdout: 0,
        stderr: message.len() as u64,
    })?;
    thread::scope(|scope| {
        scope.spawn(|| {
            while host
                .receive()
                .is_ok_and(|message| !matches!(message, None | Some(ToGuest::Finish)))
            {}
        });
        host.wait_for_finish(HOST_DRAINS);
    });
    Ok(())
}
