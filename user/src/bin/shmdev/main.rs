// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `shmdev` command: what the library does, for shells and operators. A subcommand is a file; this one
//! parses and dispatches.
//!
//! Exit status: 0, or 1 when it failed, or 2 when the command line is wrong; `lock` passes on its command's.

#![deny(unsafe_code)]

mod dump;
mod failure;
mod info;
mod lock;
mod parse;
mod read;
mod stat;
mod wait_change;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shmdev::{DEFAULT_PATH, OpenOptions};

use crate::failure::{Failure, Result};

/// Share memory between processes through /dev/shmdev
///
/// Sizes and offsets are in bytes: 4096, 0x1000, 64K, 1MiB (powers of 1024), 1MB (powers of 1000).
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Args {
    /// The device
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH, global = true)]
    device: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Info(info::Args),
    Stat(stat::Args),
    Read(read::Args),
    Write(write::Args),
    Dump(dump::Args),
    Lock(lock::Args),
    WaitChange(wait_change::Args),
}

fn main() -> ExitCode {
    let Args { device, command } = Args::parse();
    let mut options = OpenOptions::new();
    options.path(device);
    match run(&options, command) {
        Ok(status) => status,
        Err(Failure::ClosedPipe) => ExitCode::from(failure::SIGPIPE_STATUS),
        Err(Failure::Told { message, status }) => {
            eprintln!("shmdev: {message}");
            ExitCode::from(status)
        }
    }
}

fn run(options: &OpenOptions, command: Command) -> Result<ExitCode> {
    match command {
        Command::Info(args) => info::run(options, &args)?,
        Command::Stat(args) => stat::run(options, &args)?,
        Command::Read(args) => read::run(options, &args)?,
        Command::Write(args) => write::run(options, &args)?,
        Command::Dump(args) => dump::run(options, &args)?,
        Command::WaitChange(args) => wait_change::run(options, &args)?,
        Command::Lock(args) => return lock::run(options, args),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_command_to_lock_for_may_have_options_of_its_own() {
        let args = Args::try_parse_from(["shmdev", "lock", "--shared", "--range", "0:4K", "--", "ls", "-l"]);
        assert!(matches!(args.map(|args| args.command), Ok(Command::Lock(_))));
        let args = Args::try_parse_from(["shmdev", "lock", "ls", "-l", "--json"]);
        assert!(matches!(args.map(|args| args.command), Ok(Command::Lock(_))));
        assert!(Args::try_parse_from(["shmdev", "lock"]).is_err());
    }
}
