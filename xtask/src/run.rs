// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs programs and turns their failures into errors that name the command and show the end of its output.

use std::{
    collections::VecDeque,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::fd::OwnedFd,
    path::Path,
    process::{Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use rustix::pipe::PipeFlags;

use crate::{cache::Log, ctx::Ctx, error::Failure, ui};

/// How many lines of a failed command's output are shown.
const TAIL: usize = 20;

/// What programs say when it is their surroundings that failed, and what to do then.
const SURROUNDINGS: [(&str, &str); 5] = [
    ("No space left on device", DISK_FULL),
    ("failed to download", UNREACHABLE),
    ("download of config.json failed", UNREACHABLE),
    ("failed to query replaced source", UNREACHABLE),
    ("--offline was specified", UNREACHABLE),
];

const DISK_FULL: &str =
    "a disk is full, so free some or set SHMDEV_CACHE to a directory on a larger one, and try again";

const UNREACHABLE: &str = "a registry of crates cannot be reached, so check the network and try again";

/// A command's standard output; an error if it does not exit with 0.
pub fn output(ctx: &Ctx, command: &mut Command) -> Result<String> {
    ctx.ui.command(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| cannot_start(command))?;
    if !output.status.success() {
        return Err(failed(command, &output));
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} wrote something odd", ui::describe(command)))
}

/// Runs a command with the person's own terminal; whether it exits with 0.
pub fn visible(ctx: &Ctx, command: &mut Command) -> Result<bool> {
    ctx.ui.command(command);
    Ok(command.status().with_context(|| cannot_start(command))?.success())
}

/// Runs a command whose output goes to a log, calling `watch` for each line and, with `None`, four times a second. The end
/// of the log is shown when the command fails, and the error says where the rest is.
pub fn logged(
    ctx: &Ctx,
    command: &mut Command,
    log: &str,
    mut watch: impl FnMut(Option<&str>),
) -> Result<()> {
    let mut tail = VecDeque::new();
    let result = watched(ctx, command, log, |line| {
        watch(line);
        tail.extend(line.map(str::to_owned));
        if tail.len() > TAIL {
            tail.pop_front();
        }
    });
    if result.is_err() {
        tail.iter().for_each(|line| ctx.ui.line(&format!("    | {line}")));
    }
    result
}

/// As [`logged`], and shows nothing: that is left to `watch`.
pub fn watched(ctx: &Ctx, command: &mut Command, log: &str, watch: impl FnMut(Option<&str>)) -> Result<()> {
    let end = watch_to_end(ctx, command, log, watch)?;
    match end.status.success() {
        true => Ok(()),
        false => Err(end.failure(command)),
    }
}

/// As [`watched`], of a program that judges code; whether it found nothing wrong. An error if it could not judge, for its
/// surroundings failed.
pub fn judged(ctx: &Ctx, command: &mut Command, log: &str, watch: impl FnMut(Option<&str>)) -> Result<bool> {
    let end = watch_to_end(ctx, command, log, watch)?;
    match (end.status.success(), end.advice) {
        (false, Some(_)) => Err(end.failure(command)),
        (found_nothing, _) => Ok(found_nothing),
    }
}

/// How a command ended.
struct End {
    status: ExitStatus,
    /// What to do, if its output blames its surroundings.
    advice: Option<&'static str>,
    log: Log,
}

impl End {
    fn failure(&self, command: &Command) -> anyhow::Error {
        let advice = self.advice.map_or(String::new(), |advice| format!(": {advice}"));
        Failure::machinery(format!(
            "{} failed ({}){advice}; the log is {}",
            ui::brief(command),
            self.status,
            self.log.display()
        ))
    }
}

fn watch_to_end(
    ctx: &Ctx,
    command: &mut Command,
    log: &str,
    mut watch: impl FnMut(Option<&str>),
) -> Result<End> {
    ctx.ui.command(command);
    let log = ctx.cache.log(&ctx.ui, log)?;
    let mut file = File::create(&*log).with_context(|| format!("cannot write {}", log.display()))?;
    let _ = writeln!(file, "+ {}", ui::describe(command));
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().with_context(|| cannot_start(command))?;
    // The command holds the pipe's other ends: closed here, so that the reader sees the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let lines = read_lines(reader);
    let mut advice = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(250)) {
            Ok(line) => {
                let _ = writeln!(file, "{line}");
                advice = advice.or_else(|| blamed(&line));
                watch(Some(&line));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => watch(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait()?;
    Ok(End { status, advice, log })
}

/// What to do, if a line of a program's output blames its surroundings.
fn blamed(line: &str) -> Option<&'static str> {
    let found = SURROUNDINGS.iter().find(|(said, _)| line.contains(said));
    found.map(|(_, advice)| *advice)
}

/// Whether a program is in `PATH`.
pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| is_executable(&dir.join(program)))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

fn read_lines(reader: OwnedFd) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(File::from(reader));
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().to_string_lossy())
}

fn failed(command: &Command, output: &Output) -> anyhow::Error {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.trim_end().lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
    anyhow!("{tail}\n{} ({})", ui::brief(command), output.status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cache::Cache, error, ui::Ui};

    const FULL: &str = "tar: x: Cannot write: No space left on device";
    const NO_NETWORK: &str = "error: failed to download from `https://example.org/x`";

    #[test]
    fn surroundings_that_fail_are_told_from_what_is_judged() {
        let dir = tempfile::tempdir().unwrap();
        let ctx = Ctx {
            workspace: dir.path().into(),
            cache: Cache::at(dir.path()),
            ui: Ui::silent(),
        };
        let saying = |said: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("echo '{said}'; exit 2")]);
            command
        };
        let told = |said| {
            let error = logged(&ctx, &mut saying(said), "test", |_| ()).unwrap_err();
            error.to_string()
        };
        assert!(told(FULL).contains("SHMDEV_CACHE"));
        assert!(!told("tar: x: Cannot open: Permission denied").contains("SHMDEV_CACHE"));

        let judged = |said| judged(&ctx, &mut saying(said), "test", |_| ());
        for (said, advice) in [(FULL, "SHMDEV_CACHE"), (NO_NETWORK, "network")] {
            let error = judged(said).unwrap_err();
            assert!(error.to_string().contains(advice), "{error}");
            assert_eq!(error::kind(&error), error::Kind::Machinery);
        }
        assert!(!judged("error[E0308]: mismatched types").unwrap());
        // What could not even be started has judged nothing.
        assert!(super::judged(&ctx, &mut Command::new("/none"), "test", |_| ()).is_err());
    }
}
