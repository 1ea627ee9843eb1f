// SPDX-License-Identifier: MIT OR Apache-2.0

//! One test in a process of its own: started, watched, and cleared away with everything it started.
//!
//! The runner is a subreaper, so whatever a test leaves behind becomes a child of the runner, whatever group or
//! session it moved to, and can be found and killed.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::sys::{file, process};

/// More output than this is dropped: a test that runs wild must not take the guest's memory.
const OUTPUT_LIMIT: usize = 128 << 10;

/// What became of the process.
pub(super) struct Outcome {
    /// Standard output and standard error, in the order in which they came.
    pub(super) output: String,
    /// What speaks against the test, a paragraph each; none for a test that passed.
    pub(super) complaints: Vec<String>,
}

/// Runs the named test and waits until it and all it started are gone.
pub(super) fn run(name: &str, limit: Duration) -> std::io::Result<Outcome> {
    let (mut reader, writer) = file::pipe();
    let mut child = Command::new("/proc/self/exe")
        .args(["--child", "--exact", name])
        // Without restartable sequences: the kernel writes to their area when it returns from a call, and kills who
        // has no memory for that just then, as tests of such failures have.
        .env("GLIBC_TUNABLES", "glibc.pthread.rseq=0")
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    process::set_nonblocking(reader.as_fd())?;

    let deadline = Instant::now() + limit;
    let mut output = Vec::new();
    let status = watch(&mut child, &mut reader, &mut output, deadline)?;
    let timed_out = status.is_none();
    let strays = process::kill_descendants();
    let status = status.map_or_else(|| child.wait().ok(), Some);
    drain(&mut reader, &mut output)?;

    let mut complaints = Vec::new();
    if timed_out {
        complaints.push(format!(
            "the test was killed: it had not ended after {} s",
            limit.as_secs()
        ));
    } else if let Some(complaint) = status.and_then(complaint) {
        complaints.push(complaint);
    } else if !strays.is_empty() {
        complaints.push(format!("the test left processes behind: {}", strays.join(", ")));
    }
    if output.len() >= OUTPUT_LIMIT {
        output.extend_from_slice(b"\n(more output was dropped)\n");
    }
    Ok(Outcome {
        output: String::from_utf8_lossy(&output).into_owned(),
        complaints,
    })
}

/// Reads output until the process ends (its status) or the deadline passes (nothing).
fn watch(
    child: &mut Child,
    reader: &mut File,
    output: &mut Vec<u8>,
    deadline: Instant,
) -> std::io::Result<Option<ExitStatus>> {
    let pidfd = process::pidfd_open(child.id())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let [output_ready, ended] = process::wait_readable([reader.as_raw_fd(), pidfd.as_raw_fd()], left)?;
        if output_ready {
            drain(reader, output)?;
        }
        if ended {
            return child.wait().map(Some);
        }
    }
}

/// Takes what is in the pipe now.
fn drain(reader: &mut File, output: &mut Vec<u8>) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let room = OUTPUT_LIMIT.saturating_sub(output.len());
                output.extend_from_slice(&buffer[..count.min(room)]);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

/// What an exit status says against the test.
fn complaint(status: ExitStatus) -> Option<String> {
    match (status.code(), status.signal()) {
        (Some(0), _) => None,
        (Some(code), _) => Some(format!("the test ended with exit status {code}")),
        (None, Some(signal)) => Some(format!("the test was killed by signal {signal}")),
        (None, None) => Some(format!("the test ended strangely: {status:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::complaint;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn only_exit_status_zero_is_good() {
        assert_eq!(complaint(ExitStatus::from_raw(0)), None);
        assert!(complaint(ExitStatus::from_raw(101 << 8)).unwrap().contains("101"));
        assert!(complaint(ExitStatus::from_raw(9)).unwrap().contains("signal 9"));
    }
}
