// SPDX-License-Identifier: MIT OR Apache-2.0

//! The `shmdev` command: what the library does, for shells and operators. A subcommand is a file; this one
//! parses and dispatches.

#![deny(unsafe_code)]

mod accounts;
mod channel;
mod child;
mod create;
mod dump;
mod failure;
mod generate;
mod human;
mod info;
mod lock;
mod ls;
mod parse;
mod read;
mod recv;
mod report;
mod resize;
mod ring;
mod rm;
mod screen;
mod send;
mod set;
mod stat;
mod table;
mod terminal;
mod top;
mod wait;
mod wait_change;
mod wake;
mod watch;
mod which;
mod word;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use shmdev::{DEFAULT_PATH, Device, OpenOptions, SegmentOptions};

use crate::failure::{Failure, Result};

/// Share memory between processes through /dev/shmdev
///
/// A segment is memory with a name, a size, an owner and a mode; it lives until it is removed. Commands take the
/// segment's NAME, or its number with --id; many of them are about the default segment, which is always
/// there, when neither is given.
///
/// Sizes and offsets are in bytes: 4096, 0x1000, 64K, 1MiB (powers of 1024), 1MB (powers of 1000). Times are
/// 10, 2.5 (seconds), 500ms, 2m, 1h.
#[derive(Parser)]
#[command(name = "shmdev", version, max_term_width = 100, after_long_help = AFTER_HELP)]
struct Args {
    /// The device
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH, global = true, value_hint = clap::ValueHint::FilePath)]
    device: PathBuf,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  shmdev create frames 64K --mode 640
  echo hello | shmdev write frames
  shmdev dump frames --len 16
  shmdev lock frames -- ./update-frames
  shmdev watch
  shmdev wait frames --offset 64 --until 1 && echo ready
  shmdev wake frames --offset 64 --set 1 --all
  shmdev top
  tail -f log | shmdev send frames --offset 4K
  shmdev recv frames --offset 4K --follow
  shmdev rm frames

Exit status: 0; 1 when it failed, with a line on standard error that says why; 2 when the command line is wrong; \
141 when nobody reads its output any more (a closed pipe). `lock`, and `create` with a command, end as their \
command does.";

#[derive(Subcommand)]
enum Command {
    Ls(ls::Args),
    Create(create::Args),
    Stat(stat::Args),
    Set(set::Args),
    Resize(resize::Args),
    Rm(rm::Args),
    Read(read::Args),
    Write(write::Args),
    Dump(dump::Args),
    Watch(watch::Args),
    Lock(lock::Args),
    WaitChange(wait_change::Args),
    Wait(wait::Args),
    Wake(wake::Args),
    Top(top::Args),
    Send(send::Args),
    Recv(recv::Args),
    Ring(ring::Args),
    Info(info::Args),
    Completions(generate::Completions),
    Man(generate::Man),
}

/// The device node that the command line names.
struct Node(PathBuf);

impl Node {
    /// A handle to ask with. Reading is what anybody who may open the node at all is allowed first.
    fn device(&self) -> Result<Device> {
        Ok(OpenOptions::new().path(&self.0).write(false).open()?)
    }

    /// To open or create a segment.
    fn options(&self) -> SegmentOptions {
        let mut options = SegmentOptions::new();
        options.path(&self.0);
        options
    }
}

fn main() -> ExitCode {
    let done = match Args::try_parse() {
        Ok(Args { device, command }) => run(&Node(device), command),
        Err(answer) => say(&answer),
    };
    match done {
        Ok(status) => status,
        Err(Failure::ClosedPipe) => ExitCode::from(failure::SIGPIPE_STATUS),
        Err(Failure::Told { message, status }) => {
            failure::tell(message);
            ExitCode::from(status)
        }
    }
}

/// What the parser has to say instead: help, the version, or what is wrong with the command line.
fn say(answer: &clap::Error) -> Result<ExitCode> {
    match answer.print() {
        Err(error) if !answer.use_stderr() => Err(Failure::output(error)),
        // If nobody reads standard error, there is still the exit status.
        _ => Ok(ExitCode::from(answer.exit_code() as u8)),
    }
}

fn run(node: &Node, command: Command) -> Result<ExitCode> {
    match command {
        Command::Ls(args) => ls::run(node, &args)?,
        Command::Create(args) => return create::run(node, &args),
        Command::Stat(args) => stat::run(node, &args)?,
        Command::Set(args) => set::run(node, &args)?,
        Command::Resize(args) => resize::run(node, &args)?,
        Command::Rm(args) => return rm::run(node, &args),
        Command::Read(args) => read::run(node, &args)?,
        Command::Write(args) => write::run(node, &args)?,
        Command::Dump(args) => dump::run(node, &args)?,
        Command::Watch(args) => watch::run(node, &args)?,
        Command::Lock(args) => return lock::run(node, &args),
        Command::WaitChange(args) => wait_change::run(node, &args)?,
        Command::Wait(args) => wait::run(node, &args)?,
        Command::Wake(args) => wake::run(node, &args)?,
        Command::Top(args) => top::run(node, &args)?,
        Command::Send(args) => send::run(node, &args)?,
        Command::Recv(args) => recv::run(node, &args)?,
        Command::Ring(args) => ring::run(node, &args)?,
        Command::Info(args) => info::run(node, &args)?,
        Command::Completions(args) => generate::completions(&args)?,
        Command::Man(args) => generate::man(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> std::result::Result<Command, clap::Error> {
        Args::try_parse_from(line.split(' ')).map(|args| args.command)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_command_to_lock_for_may_have_options_of_its_own() {
        for line in [
            "shmdev lock --shared --range 0:4K frames -- ls -l --json",
            "shmdev lock frames --timeout 5 -- true",
            "shmdev lock --id 3 -- true",
            "shmdev lock -- ls -l",
            "shmdev create frames 64K --auto-remove -- ./server --port 5",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        for line in [
            "shmdev lock",
            "shmdev lock frames",
            "shmdev lock frames --",
            "shmdev lock --id 3 frames -- true",
            "shmdev create frames 64K --auto-remove",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_segment_is_named_or_numbered() {
        for line in [
            "shmdev stat",
            "shmdev stat frames",
            "shmdev stat --id 3",
            "shmdev resize frames 64K",
            "shmdev resize --id 3 64K",
            "shmdev rm a b --id 3 --id 4",
            "shmdev rm --all-mine",
            "shmdev set frames --mode 640",
            "shmdev set --id 3 --owner 1000:44",
            "shmdev read frames --offset 1K --len 16",
            "shmdev wait-change frames --since 4 --timeout 1m",
            "shmdev wait",
            "shmdev wait frames --offset 64 --while 0x40000000 --timeout 1m",
            "shmdev wait --id 3 -o 64 --until 5",
            "shmdev wake frames -o 64 --count 3 --set 0xffffffff",
            "shmdev wake --id 3 --all",
            "shmdev top frames other --interval 100ms",
            "shmdev send frames --offset 4K --size 1M --overwrite --null --timeout 5",
            "shmdev send --id 3 --many --whole",
            "shmdev recv frames --count 3 --no-wait",
            "shmdev recv frames --follow --null --timeout 5",
            "shmdev recv --whole --no-wait",
            "shmdev ring frames --many --json",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
        for line in [
            "shmdev stat a/b",
            "shmdev stat frames --id 3",
            "shmdev stat --id frames",
            "shmdev resize 64K",
            "shmdev resize frames",
            "shmdev resize frames 0",
            "shmdev rm",
            "shmdev rm a --all-mine",
            "shmdev set frames",
            "shmdev set --mode 640",
            "shmdev set frames --mode 1000",
            "shmdev set frames --mode rw",
            "shmdev create frames",
            "shmdev create 64K",
            "shmdev create frames 0",
            "shmdev wait frames 64",
            "shmdev wait frames --offset 6",
            "shmdev wait frames --while 1 --until 2",
            "shmdev wait frames --until 4294967296",
            "shmdev wake frames --set -1",
            "shmdev wake frames --count 2147483648",
            "shmdev wake frames --count 1 --all",
            "shmdev top --interval 1ms",
            "shmdev send frames --whole --null",
            "shmdev recv frames --follow --count 3",
            "shmdev recv frames --follow --no-wait",
            "shmdev recv frames --timeout 5 --no-wait",
            "shmdev recv frames --whole --count 3",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
