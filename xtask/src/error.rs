// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong, as far as the exit status tells it. Owns the exit codes; must not print.

use std::{fmt, process::ExitCode};

/// The kinds of failure that a caller of `cargo xtask` can tell apart by the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Tests ran and failed, or code does not build or pass lints: exit 1.
    Tests,
    /// The command line asks for something that does not exist: exit 2.
    Usage,
    /// The machinery or its surroundings failed, nothing is known about the code: exit 69 (`EX_UNAVAILABLE`).
    Machinery,
}

impl Kind {
    /// The exit status.
    pub fn code(self) -> u8 {
        match self {
            Kind::Tests => 1,
            Kind::Usage => 2,
            Kind::Machinery => 69,
        }
    }
}

/// An error with a [`Kind`]. Everything else that reaches `main` counts as [`Kind::Machinery`].
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    /// A failure of `kind`; `message` is one paragraph that says what to do.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Failure {
            kind,
            message: message.into(),
        }
    }

    /// Tests or checks of the project's own code failed.
    pub fn tests(message: impl Into<String>) -> anyhow::Error {
        Failure::new(Kind::Tests, message).into()
    }

    /// The user asked for something that does not exist.
    pub fn usage(message: impl Into<String>) -> anyhow::Error {
        Failure::new(Kind::Usage, message).into()
    }

    /// The machinery or its surroundings failed.
    pub fn machinery(message: impl Into<String>) -> anyhow::Error {
        Failure::new(Kind::Machinery, message).into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The kind of an error, wherever in its chain it is told.
pub fn kind(error: &anyhow::Error) -> Kind {
    let told = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Failure>())
        .map(|failure| failure.kind);
    told.unwrap_or(Kind::Machinery)
}

/// The exit status for an error that reached `main`.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(kind(error).code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_kind_survives_added_context() {
        let error = Err::<(), _>(Failure::usage("no such kernel"))
            .context("while looking")
            .unwrap_err();
        assert_eq!(exit_code(&error), ExitCode::from(2));
    }

    #[test]
    fn an_unclassified_error_is_the_machinerys() {
        assert_eq!(exit_code(&anyhow::anyhow!("disk on fire")), ExitCode::from(69));
    }
}
