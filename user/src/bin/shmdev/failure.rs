// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is said on standard output, and how a subcommand fails: what is said then, and with which exit status.

use std::fmt::Display;
use std::io::{self, Write, stderr, stdout};

use nix::errno::Errno;

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

    /// What the system said to `operation`, in the form of the library's errors.
    pub(crate) fn system(operation: impl Display, error: &io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(errno) => Self::told(format_args!("{operation}: {} ({errno:?})", errno.desc()), 1),
            None => Self::told(format_args!("{operation}: {error}"), 1),
        }
    }

    /// As [`system`](Self::system), of what is written to somebody who may have gone.
    pub(crate) fn written(operation: impl Display, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ClosedPipe,
            _ => Self::system(operation, error),
        }
    }

    /// Writing our own output failed.
    pub(crate) fn output(error: io::Error) -> Self {
        Self::written("write to standard output", &error)
    }

    /// The same, with this exit status.
    pub(crate) fn exiting(self, status: u8) -> Self {
        match self {
            Self::Told { message, .. } => Self::Told { message, status },
            Self::ClosedPipe => Self::ClosedPipe,
        }
    }
}

/// Errors of the library name their operation; nothing is to be added.
impl<K: shmdev::Kind> From<shmdev::OpError<K>> for Failure {
    fn from(error: shmdev::OpError<K>) -> Self {
        Self::told(error, 1)
    }
}

/// All of the output, or a part of it that shall be seen at once.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result {
    let mut stdout = stdout().lock();
    stdout
        .write_all(text.as_ref())
        .and_then(|()| stdout.flush())
        .map_err(Failure::output)
}

/// Says something on standard error, if anybody is there to read it.
pub(crate) fn tell(message: impl Display) {
    let _ = writeln!(stderr(), "shmdev: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_reads_as_what_the_library_says() {
        let told = |error: io::Error| match Failure::output(error) {
            Failure::Told { message, status: 1 } => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            told(Errno::ENOSPC.into()),
            "write to standard output: No space left on device (ENOSPC)"
        );
        assert_eq!(told(io::Error::other("odd")), "write to standard output: odd");
        assert!(matches!(
            Failure::output(Errno::EPIPE.into()),
            Failure::ClosedPipe
        ));
    }
}
