// SPDX-License-Identifier: MIT OR Apache-2.0

//! The guest's benchmarks: what the device costs, and what its peers cost in the same run.
//!
//! - `run` takes subjects in turn and says what their batches cost, `statistics` boils those down, `clock` counts.
//! - `measures` has a file for each group of measures; what each of them is, is said in the catalogue, `MEASURES` of the
//!   crate `shmdev-bench-model`.
//! - `sys` calls the system; nothing outside it is `unsafe`.
//!
//! Our side goes through the `shmdev` crate as a user's program does, and what the crate does around a call is counted.
//! Peers are called through libc, as their man pages say, without anything around the call.

#![deny(unsafe_code)]

mod arguments;
mod clock;
mod measures;
mod output;
mod run;
mod statistics;
#[expect(unsafe_code, reason = "the one module that calls the system")]
mod sys;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use crate::arguments::Arguments;
use crate::run::Run;

fn main() -> ExitCode {
    match bench(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shmdev-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(arguments: &Arguments) -> Result<()> {
    arguments.check()?;
    // Whether one who is woken runs at once would else follow from how much everybody has run before.
    sys::process::run_in_turn()?;
    clock::choose(arguments.wall)?;
    output::guest()?;
    measures::all(&mut Run::new(arguments))?;
    output::done()
}
