// SPDX-License-Identifier: MIT OR Apache-2.0

//! Eventfds that the kernel signals when somebody is woken on a word, or a write is completed.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::error::EventfdError;
use crate::segment::Segment;
use crate::sys;
use crate::uapi::{EVENTFD_GENERATION, Eventfd};

/// What an eventfd is signalled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Signal {
    /// Each wake-up on the word at this offset, in bytes, whether anybody waits there or not.
    Word(u64),
    /// Each new generation: each write that was completed.
    Generation,
}

impl Signal {
    fn request(self, eventfd: BorrowedFd<'_>) -> Eventfd {
        let (offset, flags) = match self {
            Self::Word(offset) => (offset, 0),
            Self::Generation => (0, EVENTFD_GENERATION),
        };
        Eventfd {
            offset,
            fd: eventfd.as_raw_fd(),
            flags,
        }
    }
}

impl Segment {
    /// Has the kernel add 1 to an eventfd whenever `signal` says, until this handle goes or
    /// [`remove_eventfd`](Self::remove_eventfd). The descriptor may be closed meanwhile, if there are others of it.
    ///
    /// For event loops that wait for eventfds, of `epoll` or `io_uring`, and to wait for words beside
    /// descriptors. One call that wakes adds 1, however many it wakes. Look at the word after adding the
    /// eventfd: what was woken before was not signalled.
    ///
    /// # Errors
    ///
    /// [`TooMany`](crate::EventfdErrorKind::TooMany), [`Invalid`](crate::EventfdErrorKind::Invalid),
    /// [`NotOpen`](crate::EventfdErrorKind::NotOpen), [`Denied`](crate::EventfdErrorKind::Denied),
    /// [`NoMemory`](crate::EventfdErrorKind::NoMemory), [`Unsupported`](crate::EventfdErrorKind::Unsupported).
    pub fn add_eventfd(&self, signal: Signal, eventfd: impl AsFd) -> Result<(), EventfdError> {
        sys::eventfd_add(self.as_fd(), &signal.request(eventfd.as_fd()))
            .map_err(|error| EventfdError::new("add an eventfd", error))
    }

    /// Takes back what [`add_eventfd`](Self::add_eventfd) did through this handle.
    ///
    /// # Errors
    ///
    /// [`NotAdded`](crate::EventfdErrorKind::NotAdded), [`Invalid`](crate::EventfdErrorKind::Invalid),
    /// [`NotOpen`](crate::EventfdErrorKind::NotOpen), [`Unsupported`](crate::EventfdErrorKind::Unsupported).
    pub fn remove_eventfd(&self, signal: Signal, eventfd: impl AsFd) -> Result<(), EventfdError> {
        sys::eventfd_del(self.as_fd(), &signal.request(eventfd.as_fd()))
            .map_err(|error| EventfdError::new("remove an eventfd", error))
    }
}
