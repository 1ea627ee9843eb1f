// SPDX-License-Identifier: MIT OR Apache-2.0

//! Why an operation on a ring failed: as the algorithms say it, and as callers are told.

use std::{error, fmt, io};

use super::core::Corrupt;
use crate::sync::CallError;
use crate::sync::seam::Stop;

/// Why an operation on a ring failed, where `E` is what the kernel said.
#[derive(Debug)]
pub(super) enum Failure<E> {
    WouldBlock,
    TimedOut,
    TooLong { len: usize, max: usize },
    Corrupt(Corrupt),
    Call(E),
}

impl<E> From<Corrupt> for Failure<E> {
    fn from(corrupt: Corrupt) -> Self {
        Self::Corrupt(corrupt)
    }
}

impl<E> From<Stop<E>> for Failure<E> {
    fn from(stop: Stop<E>) -> Self {
        match stop {
            Stop::Busy => Self::WouldBlock,
            Stop::TimedOut => Self::TimedOut,
            Stop::Call(error) => Self::Call(error),
        }
    }
}

/// An operation on a ring failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum RingError {
    /// It would have to wait: for room, for a record, or for somebody else who is just sending or receiving.
    WouldBlock,
    /// The deadline came first.
    TimedOut,
    /// Somebody living has the role already: a ring that was not made for several has one sender and one receiver.
    Busy,
    /// The record is longer than one of this ring can be.
    TooLong {
        /// Length of the record in bytes.
        len: usize,
        /// Length of the longest in bytes.
        max: usize,
    },
    /// What was [peeked](super::Receiver::peek) at was overwritten meanwhile. What was read of it is nothing.
    Overwritten,
    /// What lies in the memory is no ring: somebody wrote there who should not. Says what was found.
    Corrupt(&'static str),
    /// A call to the kernel failed.
    Call(CallError),
}

impl From<Failure<CallError>> for RingError {
    fn from(failure: Failure<CallError>) -> Self {
        match failure {
            Failure::WouldBlock => Self::WouldBlock,
            Failure::TimedOut => Self::TimedOut,
            Failure::TooLong { len, max } => Self::TooLong { len, max },
            Failure::Corrupt(Corrupt(what)) => Self::Corrupt(what),
            Failure::Call(error) => Self::Call(error),
        }
    }
}

impl From<CallError> for RingError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("the ring would have to be waited for"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Busy => f.write_str("somebody living has this role in the ring"),
            Self::TooLong { len, max } => {
                write!(
                    f,
                    "a record of {len} bytes is longer than the ring's longest, {max}"
                )
            }
            Self::Overwritten => f.write_str("the record was overwritten meanwhile"),
            Self::Corrupt(what) => write!(f, "the ring is corrupt: {what}"),
            Self::Call(error) => error.fmt(f),
        }
    }
}

impl error::Error for RingError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Call(error) => error.source(),
            _ => None,
        }
    }
}

impl From<RingError> for io::Error {
    fn from(error: RingError) -> Self {
        let kind = match &error {
            RingError::WouldBlock | RingError::Overwritten => io::ErrorKind::WouldBlock,
            RingError::TimedOut => io::ErrorKind::TimedOut,
            RingError::Busy => io::ErrorKind::ResourceBusy,
            RingError::TooLong { .. } => io::ErrorKind::InvalidInput,
            RingError::Corrupt(_) => io::ErrorKind::InvalidData,
            RingError::Call(error) => error.io_kind(),
        };
        Self::new(kind, error)
    }
}
