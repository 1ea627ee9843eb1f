// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask demo`: from nothing to a guest in which processes and the kernel share memory.

use std::process::ExitCode;

use anyhow::Result;

use super::{
    image::{self, KernelArgs},
    machine::MachineArgs,
    vm,
};
use crate::{ctx::Ctx, guest_bins::Purpose};

/// Show processes and the kernel sharing memory through /dev/shmdev, in a guest
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    kernel: KernelArgs,
}

/// Runs the subcommand.
pub fn run(ctx: &Ctx, args: Args) -> Result<ExitCode> {
    let spec = args.kernel.spec(ctx)?;
    let parts = image::prepare(ctx, &spec, Purpose::Demo)?;
    ctx.ui
        .step(&format!("starting a guest with {}", parts.kernel.release));
    let command = vec![b"/usr/local/bin/shmdev-demo".to_vec()];
    vm::run_command(ctx, &parts, &MachineArgs::default(), None, String::new(), command)
}
