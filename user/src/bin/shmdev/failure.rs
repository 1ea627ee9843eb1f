// SPDX-License-Identifier: MIT OR Apache-2.0

//! How a subcommand fails: what is said, and with which exit status.

use std::fmt::Display;
use std::io::{self, Write, stderr};

/// As a shell reports a program that SIGPIPE killed.
pub(crate) const SIGPIPE_STATUS: u8 = 128 + 13;

pub(crate) type Result<T = (), E = Failure> = std::result::Result<T, E>;

#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody reads our output any more: `shmdev dump | head`. Not worth a word.
    ClosedPipe,
    /// To be told on standard error.
    Told { message: String, status: u8 },
}

impl Failure {
    pub(crate) fn told(message: impl Display, status: u8) -> Self {
        Self::Told {
            message: message.to_string(),
            status,
        }
    }

    /// Writing our own output failed.
    pub(crate) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::told(format_args!("write to standard output: {error}"), 1),
        }
    }
}

/// Errors of the library name their operation; nothing is to be added.
impl<K: shmdev::Kind> From<shmdev::OpError<K>> for Failure {
    fn from(error: shmdev::OpError<K>) -> Self {
        Self::told(error, 1)
    }
}

/// Says something on standard error, if anybody is there to read it.
pub(crate) fn tell(message: impl Display) {
    let _ = writeln!(stderr(), "shmdev: {message}");
}
