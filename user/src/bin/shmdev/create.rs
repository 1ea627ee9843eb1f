// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev create`: makes a segment, and perhaps runs a command that it lives as long as.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use shmdev::{Change, Map, Name, Segment};

use crate::Node;
use crate::child;
use crate::failure::{Failure, Result};
use crate::parse::{self, Owner};

/// Create a segment, zeroed
///
/// It is an error if there is one of that name, unless --or-open is given.
///
/// With a COMMAND, runs that while holding the segment open, and ends as it does: with --auto-remove the segment
/// is there for the command and those who open it meanwhile, and gone after the last of them, however they end. Signals
/// are passed on to the command, as `shmdev lock` does.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// 1 to 63 of A-Z a-z 0-9 . _ -
    name: Name,
    /// Size in bytes: 4096, 64K, 1MiB
    #[arg(value_parser = parse::positive_size)]
    size: u64,
    /// Permission bits
    #[arg(long, short, value_name = "OCTAL", value_parser = parse::mode, default_value = "600")]
    mode: u32,
    /// Give it to somebody else: USER, USER:GROUP or :GROUP, by name or number
    #[arg(long, short, value_name = "OWNER", value_parser = parse::owner)]
    owner: Option<Owner>,
    /// How it is mapped: pfn (all at once), fault (pages when they are touched: O_DIRECT and private copies work) or huge
    /// (entries of 2 MiB) [default: the module's]
    #[arg(long, value_name = "HOW", value_parser = maps())]
    map: Option<Map>,
    /// If there is one of that name that you may read, with that many bytes or more, and mapped as asked for if --map is
    /// given, leave it as it is
    #[arg(long)]
    or_open: bool,
    /// Remove it when nobody has it open any more
    #[arg(long, requires = "command")]
    auto_remove: bool,
    /// A command to run meanwhile, and its arguments
    #[arg(last = true, value_hint = clap::ValueHint::CommandWithArguments)]
    command: Vec<OsString>,
}

fn maps() -> impl TypedValueParser<Value = Map> {
    PossibleValuesParser::new(["pfn", "fault", "huge"]).try_map(|word| word.parse::<Map>())
}

pub(crate) fn run(node: &Node, args: &Args) -> Result<ExitCode> {
    let mut options = node.options();
    if let Some(map) = args.map {
        options.map(map);
    }
    let segment = options
        .write(false)
        .create(true)
        .create_new(!args.or_open)
        .size(args.size)
        .mode(args.mode)
        .auto_remove(args.auto_remove)
        .open(&args.name)?;
    if let (Some(owner), true) = (&args.owner, segment.was_created()) {
        give(&segment, owner, &args.name)?;
    }
    match args.command.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        [program, arguments @ ..] => {
            let ended = child::run(program, arguments, |_| ())?;
            Ok(ExitCode::from(ended.code))
        }
    }
}

/// All or nothing: what cannot be given away as asked for is not left behind.
fn give(segment: &Segment, owner: &Owner, name: &Name) -> Result {
    let change = owner.change(Change::new());
    segment.set(change).map_err(|error| {
        let removed = match segment.remove() {
            Ok(()) => String::new(),
            Err(error) => format!("; it stays, because: {error}"),
        };
        Failure::told(format_args!("create {name:?}: {error}{removed}"), 1)
    })
}
