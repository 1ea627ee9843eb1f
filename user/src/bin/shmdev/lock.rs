// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev lock`: runs a command while holding a range, as flock(1) does with a file.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use shmdev::{Access, BeginErrorKind, OpenOptions};

use crate::failure::{Failure, Result};
use crate::parse;

/// Run a command while holding a range of the segment
///
/// The exit status is the command's; 128 + N when signal N killed it, 126 and 127 when it could not be run
/// or found, and 1 when the range could not be had. SIGTERM and SIGHUP are passed on to the command.
///
/// If the command of an exclusive lock is killed by a signal, the range is left as by a writer that died: the
/// next to take it is told, and if that is this command again, its own command finds SHMDEV_OWNER_DIED=1 in
/// its environment.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Let others hold it too that ask for --shared
    #[arg(long, short)]
    shared: bool,
    /// What to hold, OFFSET:LENGTH, or OFFSET: to the end
    #[arg(long, short, value_name = "RANGE", value_parser = parse::range, default_value = "0:")]
    range: parse::Range,
    /// For how long to wait: 10, 2.5 (seconds), 500ms, 2m; 0 does not wait; without it, for as long as it
    /// takes
    #[arg(long, short, value_name = "TIME", value_parser = parse::timeout)]
    timeout: Option<Duration>,
    /// Exit status when the range was not free in time
    #[arg(long, short = 'E', value_name = "STATUS", default_value_t = 1)]
    conflict_exit_code: u8,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(options: &OpenOptions, args: Args) -> Result<ExitCode> {
    let access = if args.shared { Access::Read } else { Access::Write };
    let segment = options.clone().write(!args.shared).open_default()?;
    let bounds = args.range.bounds().map_err(|error| Failure::told(error, 2))?;
    let guard = segment
        .begin(bounds, access, parse::deadline(args.timeout))
        .map_err(|error| {
            let late = matches!(error.kind(), BeginErrorKind::Busy | BeginErrorKind::TimedOut);
            Failure::told(error, if late { args.conflict_exit_code } else { 1 })
        })?;

    let [program, arguments @ ..] = args.command.as_slice() else {
        return Err(Failure::told("lock: no command", 2));
    };
    let mut command = Command::new(program);
    command.args(arguments).env_remove("SHMDEV_OWNER_DIED");
    if guard.owner_died() {
        eprintln!(
            "shmdev: lock {}: a writer died here before; bytes may be half written",
            guard.range()
        );
        command.env("SHMDEV_OWNER_DIED", "1");
    }
    let child = command.spawn().map_err(|error| {
        let status = if error.kind() == io::ErrorKind::NotFound {
            127
        } else {
            126
        };
        Failure::told(format_args!("run {}: {error}", program.to_string_lossy()), status)
    })?;
    let status =
        wait(child).map_err(|error| Failure::told(format_args!("wait for the command: {error}"), 1))?;
    if status.signal().is_some() {
        // Not ended: the kernel drops it when this process exits, and marks it if it was for writing.
        let _ = guard.into_range();
    } else {
        guard.end()?;
    }
    Ok(ExitCode::from(exit_code(status)))
}

/// Waits for the command, staying alive (and so holding the range) through the signals that would end it.
fn wait(mut child: Child) -> io::Result<ExitStatus> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    // After the start of the child, because a blocked signal is inherited; before the thread, for the same
    // reason.
    signals.thread_block()?;
    let pid = Pid::from_raw(child.id() as i32);
    std::thread::spawn(move || {
        while let Ok(signal) = signals.wait() {
            // The terminal sends the other two to the command itself.
            if matches!(signal, Signal::SIGTERM | Signal::SIGHUP) {
                let _ = kill(pid, signal);
            }
        }
    });
    child.wait()
}

/// As shells report it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(exit_code(ExitStatus::from_raw(0)), 0);
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
    }

    #[test]
    fn the_command_is_waited_for() {
        let child = Command::new("sh").args(["-c", "exit 5"]).spawn().unwrap();
        assert_eq!(wait(child).unwrap().code(), Some(5));
    }
}
