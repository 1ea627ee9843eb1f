// SPDX-License-Identifier: MIT OR Apache-2.0
//! Not written yet.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::ctx::Ctx;

/// Arguments of the subcommand.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the subcommand.
pub fn run(_ctx: &Ctx, _args: Args) -> Result<ExitCode> {
    bail!("not written yet")
}
