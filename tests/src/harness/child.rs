// SPDX-License-Identifier: MIT OR Apache-2.0

//! One test in a process of its own: started, watched, and cleared away with everything it started.
//!
//! The runner is a subreaper, so whatever a test leaves behind becomes a child of the runner, whatever group or
//! session it moved to, and can be found and killed.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use super::Test;
use crate::sys::file;
use crate::sys::process::{self, End, Process};

/// More output than this is dropped: a test that runs wild must not take the guest's memory.
const OUTPUT_LIMIT: usize = 128 << 10;

/// What became of the process.
pub(super) struct Outcome {
    /// Standard output and standard error, in the order in which they came.
    pub(super) output: String,
    /// What speaks against the test, a paragraph each; none for a test that passed.
    pub(super) complaints: Vec<String>,
}

/// Runs the test and waits until it and all it started are gone. The process is forked from this one, which has no other
/// threads: starting the program anew would take longer than most tests.
pub(super) fn run(test: &Test, limit: Duration) -> std::io::Result<Outcome> {
    let (mut reader, writer) = file::pipe();
    let nothing = File::open("/dev/null")?;
    let child = Process::fork(|| {
        process::stand_alone(nothing.as_fd(), writer.as_fd()).expect("a process on its own");
        (test.function)();
        std::io::stdout().flush().expect("standard output");
    });
    drop((nothing, writer));
    process::set_nonblocking(reader.as_fd())?;

    let deadline = Instant::now() + limit;
    let mut output = Vec::new();
    let ended = watch(&child, &mut reader, &mut output, deadline)?;
    if !ended {
        child.signal(libc::SIGKILL);
    }
    let end = child.wait();
    let strays = process::kill_descendants();
    drain(&mut reader, &mut output)?;

    let mut complaints = Vec::new();
    if !ended {
        complaints.push(format!(
            "the test was killed: it had not ended after {} s",
            limit.as_secs()
        ));
    } else if let Some(complaint) = complaint(end) {
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

/// Reads output until the process has ended or the deadline has passed; whether it has ended.
fn watch(
    child: &Process,
    reader: &mut File,
    output: &mut Vec<u8>,
    deadline: Instant,
) -> std::io::Result<bool> {
    let pidfd = process::pidfd_open(child.pid())?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let [output_ready, ended] = process::wait_readable([reader.as_raw_fd(), pidfd.as_raw_fd()], left)?;
        if output_ready {
            drain(reader, output)?;
        }
        if ended {
            return Ok(true);
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

/// What the end of the process says against the test.
fn complaint(end: End) -> Option<String> {
    match end {
        End::Exit(0) => None,
        End::Exit(code) => Some(format!("the test ended with exit status {code}")),
        End::Signal(signal) => Some(format!("the test was killed by signal {signal}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{End, complaint};

    #[test]
    fn only_exit_status_zero_is_good() {
        assert_eq!(complaint(End::Exit(0)), None);
        assert!(complaint(End::Exit(101)).unwrap().contains("101"));
        assert!(complaint(End::Signal(9)).unwrap().contains("signal 9"));
    }
}
