// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask`: builds the module, its kernels and its guest, and tests the whole in QEMU.
//!
//! This file parses the command line and hands over; each subcommand is a file of its own.

mod cache;
mod clean;
mod ctx;
mod debian;
mod disk;
mod doctor;
mod error;
mod guest;
mod guest_bins;
mod host;
mod kernel;
mod kmod;
mod lint;
mod mirror;
mod root;
mod run;
mod rust_project;
mod sandbox;
mod ui;
mod userns;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use ctx::Ctx;

/// Builds the module, its kernels and its guest, and tests the whole in QEMU.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// Show commands before they are run
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make the build root and print where it is
    Root,
    /// Show processes and the kernel sharing memory through /dev/shmdev, in a guest
    Demo(guest::demo::Args),
    /// Fetch or build kernels and print where they are
    Kernel {
        /// A series (7.3, the default, or 7.2), debug, or all
        kernel: Option<String>,
    },
    /// Build the module and print where it is
    Kmod(kmod::Args),
    /// Run a command, or a shell, in a guest with the module loaded
    Vm(guest::vm::Args),
    /// Run the host's unit tests, then the guest's tests
    QemuTest(guest::test::Args),
    /// Build the guest's image
    Image(guest::image::Args),
    /// Check formatting and run clippy, for the workspace and the module
    Lint,
    /// Write rust-project.json, for rust-analyzer on kmod/
    RustProject,
    /// Say what this machine has and lacks
    Doctor(doctor::Args),
    /// Remove what was built
    Clean(clean::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            error::exit_code(&error)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let ctx = Ctx::new(cli.verbose)?;
    match cli.command {
        Task::Root => {
            println!("{}", root::Root::ensure(&ctx)?.path().display());
            Ok(ExitCode::SUCCESS)
        }
        Task::Kernel { kernel } => kernel::run(&ctx, kernel.as_deref()),
        Task::Kmod(args) => kmod::run(&ctx, &args),
        Task::Lint => lint::run(&ctx),
        Task::RustProject => rust_project::run(&ctx),
        Task::Doctor(args) => doctor::run(&ctx, &args),
        Task::Clean(args) => clean::run(&ctx, &args),
        Task::Demo(args) => guest::demo::run(&ctx, args),
        Task::Vm(args) => guest::vm::run(&ctx, args),
        Task::QemuTest(args) => guest::test::run(&ctx, args),
        Task::Image(args) => guest::image::run(&ctx, args),
    }
}
