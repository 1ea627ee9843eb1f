// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask lint`: formatting and clippy, of the workspace with the host's tools, of the module with the kernel's.
//! Reports every failure, not the first alone; changes nothing.

use std::{
    env,
    io::{self, IsTerminal},
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Result, anyhow};

use crate::{
    ctx::Ctx,
    error::{self, Failure, Kind},
    kernel::{self, Kernel, Spec},
    kmod,
    root::Root,
    run as process,
};

/// Runs every check.
pub fn run(ctx: &Ctx) -> Result<ExitCode> {
    let spec = Spec::from_options(ctx, None, None, false)?;
    let root = kernel::root_for(ctx, [&spec])?;
    let kernel = Kernel::ensure(ctx, &root, &spec)?;
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(&ctx.workspace).args(args);
        cargo
    };
    require_components(ctx, cargo)?;
    let mut failed = Vec::new();
    let mut unknown = None;
    let mut check = |name: &'static str, passed: Result<bool>| match passed {
        Ok(true) => {}
        Ok(false) => failed.push(name),
        Err(error) if error::kind(&error) == Kind::Tests => {
            eprintln!("{error:#}");
            failed.push(name);
        }
        Err(error) => _ = unknown.get_or_insert_with(|| error.context(name)),
    };
    ctx.ui.step("cargo fmt --check");
    check(
        "formatting of the workspace",
        process::visible(ctx, &mut cargo(&["fmt", "--all", "--check"])),
    );
    ctx.ui.step("rustfmt --check kmod/");
    check("formatting of the module", rustfmt(ctx, &root));
    ctx.ui.step("cargo clippy");
    let colour = match io::stderr().is_terminal() {
        true => "--color=always",
        false => "--color=never",
    };
    let clippy = [
        "clippy",
        "--quiet",
        colour,
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    check(
        "clippy of the workspace",
        process::judged(ctx, &mut cargo(&clippy), "clippy", |line| {
            line.into_iter().for_each(|line| ctx.ui.line(line));
        }),
    );
    ctx.ui.step("clippy of the module");
    check(
        "clippy of the module",
        kmod::clippy(ctx, &root, &kernel).map(|()| true),
    );
    match (failed.is_empty(), unknown) {
        (true, None) => Ok(ExitCode::SUCCESS),
        (true, Some(error)) => Err(error),
        (false, unknown) => {
            unknown
                .into_iter()
                .for_each(|error| eprintln!("not known: {error:#}"));
            Err(Failure::tests(format!("failed: {}", failed.join(", "))))
        }
    }
}

/// rustfmt and clippy for the host's cargo: of a toolchain of rustup's they are installed.
fn require_components(ctx: &Ctx, cargo: impl Fn(&[&str]) -> Command) -> Result<()> {
    let missing = || {
        ["fmt", "clippy"].into_iter().find(|tool| {
            let found = cargo(&[tool, "--version"]).output();
            !found.is_ok_and(|output| output.status.success())
        })
    };
    if missing().is_none() {
        return Ok(());
    }
    let mut add = Command::new("rustup");
    add.current_dir(&ctx.workspace)
        .args(["component", "add", "rustfmt", "clippy"]);
    let added = match process::is_installed("rustup") {
        true => process::logged(ctx, &mut add, "rustup", |_| ()),
        false => Ok(()),
    };
    match missing() {
        None => Ok(()),
        Some(tool) => Err(added.err().unwrap_or_else(|| anyhow!("there is no rustup")).context(format!(
            "cargo {tool} is missing: install it with `rustup component add rustfmt clippy`, or as your distribution has it"
        ))),
    }
}

/// With the root's rustfmt: what the kernel's own sources are formatted with.
fn rustfmt(ctx: &Ctx, root: &Root) -> Result<bool> {
    let kmod = ctx.workspace.join("kmod");
    let inside = Path::new("/build/kmod");
    let files = rust_files(&kmod)?.into_iter().map(|file| inside.join(file));
    let rustfmt = root
        .command("rustfmt")
        .ro_bind(&kmod, inside)
        .chdir(inside)
        .arg("--check")
        .args(files);
    process::visible(ctx, &mut rustfmt.command())
}

/// Rust files below `dir`, relative to it, in order.
fn rust_files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(next)? {
            let path = entry?.path();
            let plain = !path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && plain && path.file_name() != Some("target".as_ref()) {
                dirs.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && plain {
                found.push(path.strip_prefix(dir)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
