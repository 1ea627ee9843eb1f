// SPDX-License-Identifier: MIT OR Apache-2.0

//! Share memory with other processes, and with the kernel, through `/dev/shmdev`.
//!
//! The device hands out kernel pages: **segments**, which have a name, a size, an owner and a mode, and live
//! until they are removed. A [`Segment`] is a handle of one: map it, lock byte ranges of it, wait for others'
//! writes, or use it as a file. A lock whose holder dies is noticed by the kernel at once.
//!
//! ```no_run
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use std::time::Duration;
//! use shmdev::{Deadline, SegmentOptions};
//!
//! let segment = SegmentOptions::new().create(true).size(64 << 10).open("frames")?;
//! let mapping = segment.map()?;                       // mmap
//!
//! // Exclude others, for at most a second of waiting, and tell them when it is done.
//! let guard = segment.begin_write(0..64, Deadline::after(Duration::from_secs(1)))?;
//! if guard.owner_died() {
//!     mapping.fill(0, 0, 64)?;                        // the last writer was killed half-way
//! }
//! mapping.write_at(b"hello", 0)?;
//! guard.end()?;
//!
//! // Or without any system call.
//! mapping.atomic::<AtomicU64>(64)?.fetch_add(1, Ordering::Relaxed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`SegmentOptions`] opens and creates segments, [`Segment::open_default`] the one that is always there.
//! - [`Device`] lists, changes and removes segments, by name or id.
//! - [`Mapping`] is the memory, [`Cursor`] a file over it.
//! - [`Segment::begin_read`], [`Segment::begin_write`]: shared and exclusive ranges.
//! - [`Segment::wait`], [`Segment::wake`]: sleeping on a word of the memory, as futexes do.
//! - [`sync`]: mutexes, condition variables and the like that lie in an [`Area`], need no system call while nobody has to
//!   wait, and tell of owners that died.
//! - [`ring`]: channels of records between processes, that survive whoever dies.
//! - [`Segment::restrict`] narrows a handle that is passed on; `Segment::try_from` takes one that was.
//!
//! With the feature `tokio`, `Segment::changed`, `ring::Receiver::recv_async`, `ring::Sender::send_async`,
//! `sync::Event::wait_async` and `sync::Semaphore::acquire_async` wait without a thread that sleeps.
//!
//! # What is sound, and what is not promised
//!
//! Others write the memory at any time, so no safe function of this crate makes a `&[u8]` of it: see
//! [`Mapping`]. Ranges are advisory: the kernel keeps those out who ask for one. Descriptors are closed by
//! `exec`. Calls that wait take an absolute [`Deadline`] and go on after signals.
//!
//! Every failed operation says which one it was and keeps the errno: see [`OpError`]. What each call does
//! in the kernel, and when it fails, is in `docs/abi.md` of the project.

#![deny(missing_docs)]
#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("/dev/shmdev is a Linux device");

mod area;
mod change;
#[cfg(feature = "tokio")]
mod changed;
mod cursor;
mod deadline;
mod device;
mod error;
mod eventfd;
mod manage;
mod map;
mod mapping;
mod memory;
mod name;
mod options;
mod range;
#[cfg(feature = "tokio")]
mod readiness;
mod reopen;
pub mod ring;
mod segment;
mod stat;
pub mod sync;
mod sys;
mod transfer;
mod word;
// The tests of the documentation compile the programs in both.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../../README.md")]
mod readmes {}
// Formatted with the kernel module, whose lines are shorter.
#[rustfmt::skip]
pub mod uapi;

/// For what lies in the memory: [`sync::Value`] says what to derive.
pub use zerocopy;

pub use crate::area::Area;
pub use crate::change::{Change, Rights};
pub use crate::cursor::Cursor;
pub use crate::deadline::Deadline;
pub use crate::device::{DEFAULT_PATH, Device, OpenOptions};
pub use crate::error::{
    AccessError, BeginError, BeginErrorKind, EndError, EndErrorKind, EventfdError, EventfdErrorKind, Kind,
    ListError, ListErrorKind, MapError, MapErrorKind, OpError, OpenError, OpenErrorKind, PlaceError,
    PlaceErrorKind, PollError, PollErrorKind, RemoveError, RemoveErrorKind, RequeueError, RequeueErrorKind,
    ResizeError, ResizeErrorKind, RestrictError, RestrictErrorKind, RobustError, RobustErrorKind, SetError,
    SetErrorKind, StatError, StatErrorKind, TransferError, TransferErrorKind, WaitError, WaitErrorKind,
    WakeError, WakeErrorKind,
};
pub use crate::eventfd::Signal;
pub use crate::map::{Map, MapNameError};
pub use crate::mapping::Mapping;
pub use crate::memory::Atomic;
pub use crate::name::{Name, NameError, Target};
pub use crate::options::SegmentOptions;
pub use crate::range::{Access, HeldRange, SyncGuard};
pub use crate::segment::Segment;
pub use crate::stat::{List, Stat};
pub use crate::uapi::Info;
pub use crate::word::{Death, Waited, WaitedAny};
