// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask`: builds the module, its kernels and its guest, and tests the whole in QEMU.
//!
//! This file parses the command line and hands over; each subcommand is a file of its own.

mod bench;
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
    /// Say nothing but results, warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    #[command(subcommand)]
    command: Task,
}

// What the help says of a subcommand stands on its arguments.
#[derive(Subcommand)]
enum Task {
    /// Make the build root and print where it is
    Root,
    Demo(guest::demo::Args),
    Kernel(kernel::Args),
    Kmod(kmod::Args),
    Vm(guest::vm::Args),
    QemuTest(guest::test::Args),
    Image(guest::image::Args),
    Bench(bench::Args),
    /// Check formatting and run clippy, for the workspace and the module
    Lint,
    /// Write rust-project.json, for rust-analyzer on kmod/
    RustProject,
    Doctor(doctor::Args),
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
    let ctx = Ctx::new(cli.verbose, cli.quiet)?;
    match cli.command {
        Task::Root => {
            println!("{}", root::Root::ensure(&ctx)?.path().display());
            Ok(ExitCode::SUCCESS)
        }
        Task::Kernel(args) => kernel::run(&ctx, &args),
        Task::Kmod(args) => kmod::run(&ctx, &args),
        Task::Lint => lint::run(&ctx),
        Task::RustProject => rust_project::run(&ctx),
        Task::Doctor(args) => doctor::run(&ctx, &args),
        Task::Clean(args) => clean::run(&ctx, &args),
        Task::Demo(args) => guest::demo::run(&ctx, args),
        Task::Vm(args) => guest::vm::run(&ctx, args),
        Task::QemuTest(args) => guest::test::run(&ctx, args),
        Task::Image(args) => guest::image::run(&ctx, args),
        Task::Bench(args) => bench::run(&ctx, args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn help(subcommand: &str) -> String {
        let mut command = Cli::command();
        command.build();
        let found = command.find_subcommand_mut(subcommand).unwrap();
        found.render_long_help().to_string()
    }

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_says_what_a_person_cannot_guess() {
        assert!(help("vm").contains("Ctrl-]"), "{}", help("vm"));
        for subcommand in ["qemu-test", "bench"] {
            assert!(help(subcommand).contains("Exit status"), "{}", help(subcommand));
        }
        for subcommand in Cli::command().get_subcommands() {
            assert!(subcommand.get_about().is_some(), "{}", subcommand.get_name());
        }
    }

    #[test]
    fn help_names_all_kernels_where_that_is_a_word() {
        for subcommand in ["qemu-test", "kernel"] {
            assert!(help(subcommand).contains("or all"), "{}", help(subcommand));
        }
        assert!(!help("vm").contains("or all"), "{}", help("vm"));
    }

    #[test]
    fn options_that_exclude_each_other_are_refused() {
        for line in [
            "xtask qemu-test --list --machinery",
            "xtask qemu-test --quick --machinery",
            "xtask qemu-test --host-only --guest-only",
            "xtask qemu-test --host-only --machinery",
            "xtask qemu-test --guest-only --machinery",
            "xtask vm --kernel 7.3 --kernel-dir /x",
            "xtask vm --param default_size",
            "xtask vm --quiet --verbose",
            "xtask bench --wall --check",
            "xtask bench --wall --bless",
            "xtask bench --quick --bless",
            "xtask bench --check --bless",
            "xtask bench --check --quick",
            "xtask bench --accel kvm",
            "xtask bench --kernel 7.3 --kernel-dir /x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
        for line in [
            "xtask qemu-test --list --host-only",
            "xtask vm -q --param default_size=1M -- true",
            "xtask bench --json f --report d --check attach",
            "xtask bench --wall --accel kvm --kernel 7.2",
        ] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn a_command_without_dashes_in_front_of_it_is_told_of_them() {
        let error = parse("xtask vm true").err().unwrap().to_string();
        assert!(error.contains("`cargo xtask vm -- true`"), "{error}");
    }
}
