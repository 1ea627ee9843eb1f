// SPDX-License-Identifier: MIT OR Apache-2.0

//! Primitives that lie in a segment and survive the death of any process that uses them.
//!
//! Each is found by its offset in an [`Area`](crate::Area): `at` makes it where the first 8 bytes are zero, and takes
//! the one that is there otherwise; who comes first initialises it, and if he dies over it, the next one
//! does. Something else being there is an error. None of them needs a system call while nobody has to wait.
//!
//! | | waits for | when a process dies |
//! |---|---|---|
//! | [`Mutex`] | the one owner to let go | its lock is free, and the next owner is told |
//! | [`RwLock`] | readers, or the writer, to leave | as a reader it has left, as a writer as above |
//! | [`Condvar`] | a notification, or one to all | a notification for it goes to another |
//! | [`Semaphore`] | a permit | permits that it took are gone; one that it was woken for goes to another |
//! | [`Barrier`] | as many as it is for | it is waited for |
//! | [`Once`] | who does it, to have done it | the next one does it |
//! | [`Event`] | it to be set | nothing is lost |

mod barrier;
mod condvar;
mod error;
mod event;
mod flag;
mod gathering;
pub(crate) mod header;
pub(crate) mod lock_word;
#[cfg(test)]
pub(crate) mod models;
mod mutex;
mod once;
mod once_word;
mod permits;
mod rwlock;
pub(crate) mod seam;
mod semaphore;
mod sequence;
mod slots;
mod value;

pub use barrier::Barrier;
pub use condvar::{Condvar, Waiting};
pub use error::{BlockedError, LockError, ReleaseError};
pub use event::{Event, Reset};
pub use mutex::{Mutex, MutexGuard};
pub use once::{Once, OnceState};
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use seam::CallError;
pub use semaphore::Semaphore;
pub use value::Value;
