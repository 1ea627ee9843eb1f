// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev lock`: runs a command while holding a range, as flock(1) does with a file.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use shmdev::{Access, BeginErrorKind};

use crate::Node;
use crate::child;
use crate::failure::{Failure, Result, tell};
use crate::parse;
use crate::which::Which;

/// Run a command while holding a range of a segment, as flock(1) with a file
///
/// The exit status is the command's; 128 + N when signal N killed it, 126 and 127 when it could not be run
/// or found, and 1 when the range could not be had.
///
/// The range is held for as long as the command runs: SIGINT, SIGQUIT, SIGTERM and SIGHUP do not end shmdev then but are
/// passed on to the command (those of a terminal, such as Ctrl-C, it gets from the terminal). If shmdev is killed by
/// SIGKILL or another signal, the range is given up, and the command goes on.
///
/// If the command of an exclusive lock is killed by a signal, the range is left as by a writer that died: the
/// next to take it is told, and if that is this command again, its own command finds SHMDEV_OWNER_DIED=1 in
/// its environment.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Let others hold it too that ask for --shared
    #[arg(long, short)]
    shared: bool,
    /// What to hold; OFFSET: alone reaches to the end
    #[arg(long, short, value_name = "OFFSET:LEN", value_parser = parse::range, default_value = "0:")]
    range: parse::Range,
    /// For how long to wait; 0 does not wait; without it, for as long as it takes
    #[arg(long, short, value_name = "TIME", value_parser = parse::timeout)]
    timeout: Option<Duration>,
    /// Exit status when the range was not free in time
    #[arg(long, short = 'E', value_name = "STATUS", default_value_t = 1)]
    conflict_exit_code: u8,
    /// The command and its arguments
    #[arg(required = true, last = true, value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

pub(crate) fn run(node: &Node, args: &Args) -> Result<ExitCode> {
    let access = if args.shared { Access::Read } else { Access::Write };
    let bounds = args.range.bounds().map_err(|error| Failure::told(error, 2))?;
    let [program, arguments @ ..] = args.command.as_slice() else {
        return Err(Failure::told("lock: no command", 2));
    };
    let segment = node
        .options()
        .read(args.shared)
        .write(!args.shared)
        .open(args.which.target())?;
    let guard = segment
        .begin(bounds, access, parse::deadline(args.timeout))
        .map_err(|error| {
            let late = matches!(error.kind(), BeginErrorKind::Busy | BeginErrorKind::TimedOut);
            let status = if late { args.conflict_exit_code } else { 1 };
            Failure::told(format_args!("{}: {error}", args.which.target()), status)
        })?;
    let owner_died = guard.owner_died();
    if owner_died {
        let (target, range) = (args.which.target(), guard.range());
        tell(format_args!(
            "{target}: lock {range}: a writer died here before; bytes may be half written"
        ));
    }
    let ended = child::run(program, arguments, |command| {
        command.env_remove("SHMDEV_OWNER_DIED");
        if owner_died {
            command.env("SHMDEV_OWNER_DIED", "1");
        }
    })?;
    if ended.by_signal {
        // Not ended: the kernel drops it when this process exits, and marks it if it was for writing.
        let _ = guard.into_range();
    } else {
        guard.end().map_err(|error| args.which.failure(&error))?;
    }
    Ok(ExitCode::from(ended.code))
}
