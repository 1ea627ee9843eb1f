// SPDX-License-Identifier: MIT OR Apache-2.0

//! Runs somebody's command while this process holds something for it, and ends as it does.

#![expect(
    unsafe_code,
    reason = "nothing safe acts between fork and exec, or sets how a signal is taken"
)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, kill, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::failure::{Failure, Result};

/// How the command ended.
pub(crate) struct Ended {
    /// As shells report it.
    pub(crate) code: u8,
    pub(crate) by_signal: bool,
}

/// Runs it to its end. From before its start this process outlives SIGINT, SIGQUIT, SIGTERM and SIGHUP, and passes
/// them on to the command, unless the terminal sent them, which sends them to the command as well.
pub(crate) fn run(
    program: &OsStr,
    arguments: &[OsString],
    prepare: impl FnOnce(&mut Command),
) -> Result<Ended> {
    let mut command = Command::new(program);
    command.args(arguments);
    prepare(&mut command);
    let wait = |error: io::Error| Failure::system("wait for the command", &error);
    let signals = hold_signals(&mut command).map_err(|errno| wait(errno.into()))?;
    let mut child = command.spawn().map_err(|error| {
        let status = if error.kind() == io::ErrorKind::NotFound {
            127
        } else {
            126
        };
        Failure::system(format_args!("run {}", program.to_string_lossy()), &error).exiting(status)
    })?;
    let pid = Pid::from_raw(child.id() as i32);
    let passing = pass_on(signals, pid);
    // Its number is its own until `wait`, and nothing is passed on any more by then.
    let ended = wait_for_end(pid);
    *passing.lock().unwrap_or_else(PoisonError::into_inner) = false;
    ended.map_err(|errno| wait(errno.into()))?;
    let status = child.wait().map_err(wait)?;
    Ok(Ended {
        code: code(status),
        by_signal: status.signal().is_some(),
    })
}

/// Blocks the signals here, and has `command` start with the mask that was.
fn hold_signals(command: &mut Command) -> nix::Result<SignalFd> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    // SAFETY: no handler is installed. Where it was ignored there would be nobody to wait for.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    let before = signals.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let restore = move || Ok(before.thread_set_mask()?);
    // SAFETY: after fork it makes one system call and touches no memory but its own.
    unsafe { command.pre_exec(restore) };
    SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC)
}

/// Passes them on for as long as what it returns says so.
fn pass_on(signals: SignalFd, command: Pid) -> Arc<Mutex<bool>> {
    /// `SI_KERNEL`: the terminal's, for all in its foreground.
    const OF_TERMINAL: i32 = 0x80;
    let passing = Arc::new(Mutex::new(true));
    let still = Arc::clone(&passing);
    std::thread::spawn(move || {
        while let Ok(Some(sent)) = signals.read_signal() {
            let still = still.lock().unwrap_or_else(PoisonError::into_inner);
            let signal = Signal::try_from(sent.ssi_signo as i32).ok();
            if *still && sent.ssi_code != OF_TERMINAL {
                let _ = kill(command, signal);
            }
        }
    });
    passing
}

/// Waits without taking the number away.
fn wait_for_end(child: Pid) -> nix::Result<()> {
    loop {
        match waitid(Id::Pid(child), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) {
            Err(Errno::EINTR) => {}
            result => return result.map(drop),
        }
    }
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
