// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's unit tests: `cargo test`.

use std::{
    env,
    ffi::OsString,
    io::{self, IsTerminal, Read},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use signal_hook::consts::SIGINT;

use super::{
    outcome::Verdict,
    report::{Counts, Report},
    session::Output,
};
use crate::{ctx::Ctx, run as programs};

/// Where the crate's algorithms are run in every order, which takes nearly all the time of these tests.
const SLOW: [&str; 2] = ["::models::", "::interleavings::"];

/// Runs them, the slow ones too unless it is to be quick, with what they say shown and read.
pub fn run(ctx: &Ctx, filter: Option<&str>, quick: bool, shown: &mut dyn Output) -> Result<Verdict> {
    let mut command = cargo_test(ctx);
    let colour = if io::stdout().is_terminal() {
        "always"
    } else {
        "never"
    };
    command
        .args(["--color", colour])
        .args(filter)
        .args(["--", "--color", colour])
        .args(skipped(quick));
    ctx.ui.command(&command);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo test")?;
    let mut output = child.stdout.take().context("cargo test has no standard output")?;
    let mut report = Report::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match output.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("cannot read what cargo test says"),
            Ok(0) => break,
            Ok(count) => {
                shown.stdout(&buffer[..count])?;
                report.feed(&buffer[..count]);
            }
        }
    }
    let status = child.wait()?;
    let counts = report.total();
    Ok(match (status.code(), counts.failed) {
        (Some(0), 0) if counts.passed > 0 || filter.is_some() => Verdict::Passed(counts),
        (Some(0), _) => Verdict::Machinery("cargo test succeeded without a result line".into()),
        (Some(_), 1..) => Verdict::Failed(counts, None),
        (Some(_), 0) => build_failure(ctx)?,
        (None, _) => match status.signal() {
            Some(signal @ SIGINT) => Verdict::Interrupted(signal),
            _ => Verdict::Machinery(format!("cargo test ended by {status}")),
        },
    })
}

/// Why they do not build: what cargo said went by, so it is asked once more. An error if that is not the code's fault.
fn build_failure(ctx: &Ctx) -> Result<Verdict> {
    let mut command = cargo_test(ctx);
    command.arg("--no-run");
    Ok(match programs::judged(ctx, &mut command, "host-tests", |_| ())? {
        true => Verdict::Machinery("cargo test failed without a result line".into()),
        false => Verdict::Failed(
            Counts::default(),
            Some("the host's tests do not build; what cargo said is above".into()),
        ),
    })
}

/// The host's tests: those of all members. What needs the guest is not among them.
fn cargo_test(ctx: &Ctx) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(&ctx.workspace).args(["test", "--workspace"]);
    command
}

/// Has the tests' programs leave the slow ones out, if it is to be quick.
fn skipped(quick: bool) -> impl Iterator<Item = &'static str> {
    let slow = SLOW.into_iter().filter(move |_| quick);
    slow.flat_map(|part| ["--skip", part])
}

/// Prints their names, those of the slow ones too unless it is to be quick.
pub fn list(ctx: &Ctx, filter: Option<&str>, quick: bool) -> Result<()> {
    let status = cargo_test(ctx)
        .args(filter)
        .args(["--", "--list"])
        .args(skipped(quick))
        .status()
        .context("cannot run cargo test")?;
    if !status.success() {
        bail!("cargo test cannot list the host's tests: {status}");
    }
    Ok(())
}
