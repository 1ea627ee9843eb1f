// SPDX-License-Identifier: MIT OR Apache-2.0

//! Channels that lie in a segment: rings of records, between processes.
//!
//! A ring has [slots](Slots) of one type, or [records](Records) of any length. One process sends and one receives, each
//! as long as it lives: such a ring has no locks. Or [many do](Options::many_senders), and take turns. When it is full,
//! who sends waits; or [overwrites](Options::overwrite) what is oldest. No system call is made unless one side sleeps.
//!
//! ```no_run
//! use shmdev::{Area, SegmentOptions, ring};
//!
//! let size = ring::Options::slots_size::<[f64; 4]>(1024)?;
//! let segment = SegmentOptions::new().create(true).size(size as u64).open("samples")?;
//! let ring = ring::Options::new().slots::<[f64; 4]>(&Area::new(segment)?, 0, 1024)?;
//! // In one process,
//! let mut sender = ring.sender()?;
//! sender.send(&[1.0, 2.0, 3.0, 4.0])?;
//! // and in another one, which opened the ring in the same way,
//! let mut receiver = ring.receiver()?;
//! let sample = receiver.recv()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # When somebody dies
//!
//! - A **sender** that dies while it sends leaves nothing behind: a record is there when all of it is. What it was
//!   just writing, or had written of a batch, is lost, and [counted](Stats::lost_sending) by the next sender that takes
//!   the role or the lock.
//! - A **receiver** that dies while it copies a record leaves that to the next one. No record is received twice: the
//!   copy died with the receiver. Only one that dies between giving a record's room back and counting it takes the
//!   record along, which the next receiver [counts](Stats::lost_receiving); one that dies later has received it.
//! - Roles and locks of the dead are free at once, and so is everybody who waits for them.
//!
//! # What others can do
//!
//! Whoever can write the segment can write anything into a ring. That makes operations fail with
//! [`RingError::Corrupt`], or deliver bytes that nobody sent, but does nothing worse: positions and lengths are
//! checked before they are used. What is received is to be believed as much as those are who can write there.

#[cfg(feature = "tokio")]
mod asynchronous;
mod consumer;
mod core;
mod failure;
mod kind;
mod layout;
mod placed;
mod position;
mod producer;
mod reader;
mod receiver;
mod record;
mod role;
mod seam;
mod sender;
mod shared;
mod stats;
#[cfg(test)]
mod tests;
mod writer;

pub use self::failure::RingError;
pub use self::kind::{Kind, Records, Slots};
pub use self::receiver::{Peeked, Receiver};
pub use self::sender::{Reservation, Sender};
pub use self::shared::{Options, Ring};
pub use self::stats::Stats;
