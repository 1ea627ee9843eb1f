// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes that wait on words of the default segment.

use crate::sys::process::until;
use crate::sys::{DEADLINE_NEVER, Handle, Process, SIZE};

/// A process that does this, and waits until it sleeps.
pub(super) fn asleep(body: impl FnOnce()) -> Process {
    let process = Process::fork(body);
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    process
}

/// A process that waits on the word while it is 0.
pub(super) fn waiter(offset: u64) -> Process {
    asleep(|| Handle::rw().wait_on(offset, 0, DEADLINE_NEVER).unwrap())
}

/// A process that waits on these words while they are 0, until it is woken on the one of this index.
pub(super) fn waiter_on(offsets: &[u64], woken: u32) -> Process {
    let words: Vec<_> = offsets.iter().map(|&offset| (offset, 0)).collect();
    asleep(|| assert_eq!(Handle::rw().wait_on_any(&words, DEADLINE_NEVER), Ok(woken)))
}

/// A handle of the default segment, which is zero.
pub(super) fn zeroed() -> Handle {
    let handle = Handle::rw();
    handle.pwrite(&vec![0; SIZE], 0).unwrap();
    handle
}

#[track_caller]
pub(super) fn nobody_sleeps(handle: &Handle) {
    assert_eq!(handle.stat().unwrap().sleepers, 0);
}
