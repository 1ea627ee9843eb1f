// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs somebody's command while this process holds something for it, and ends as it does.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::failure::{Failure, Result};

/// How the command ended.
pub(crate) struct Ended {
    /// As shells report it.
    pub(crate) code: u8,
    pub(crate) by_signal: bool,
}

/// Runs it to its end. SIGTERM and SIGHUP are passed on to it; SIGINT and SIGQUIT, which the terminal sends
/// to both, do not end this process.
pub(crate) fn run(
    program: &OsStr,
    arguments: &[OsString],
    prepare: impl FnOnce(&mut Command),
) -> Result<Ended> {
    let mut command = Command::new(program);
    command.args(arguments);
    prepare(&mut command);
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
    Ok(Ended {
        code: code(status),
        by_signal: status.signal().is_some(),
    })
}

/// Waits for the command, staying alive through the signals that would end it.
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

fn code(status: ExitStatus) -> u8 {
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
        assert_eq!(code(ExitStatus::from_raw(0)), 0);
        assert_eq!(code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code(ExitStatus::from_raw(9)), 137);
    }

    #[test]
    fn the_command_is_waited_for() {
        let ended = run(OsStr::new("sh"), &["-c".into(), "exit 5".into()], |_| ()).unwrap();
        assert_eq!((ended.code, ended.by_signal), (5, false));
        let ended = run(OsStr::new("sh"), &["-c".into(), "kill -9 $$".into()], |_| ()).unwrap();
        assert_eq!((ended.code, ended.by_signal), (137, true));
    }

    #[test]
    fn what_cannot_be_run_is_told_as_by_a_shell() {
        for (program, expected) in [("/nonexistent", 127), ("/dev/null", 126)] {
            let result = run(OsStr::new(program), &[], |_| ());
            assert!(
                matches!(result, Err(Failure::Told { status, .. }) if status == expected),
                "{program}"
            );
        }
    }
}
