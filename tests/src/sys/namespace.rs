// SPDX-License-Identifier: MIT OR Apache-2.0

//! Processes in namespaces of their own: users, System V IPC, process numbers.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};

use super::process::{Gate, Process, unshare};
use super::{Errno, Result};

/// Runs the closure in a child that is in a new user namespace, with these lines in its maps of user and group ids
/// (inside, outside, count), and in new namespaces of the kinds in `flags`. It begins with all capabilities there,
/// and with the ids that its maker has outside.
pub(crate) fn in_user_namespace(flags: i32, uids: &str, gids: &str, body: impl FnOnce()) -> Process {
    let (unshared, mapped) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        unshare(libc::CLONE_NEWUSER | flags).expect("a user namespace");
        unshared.open();
        mapped.pass();
        body();
    });
    unshared.pass();
    for (file, lines) in [("uid_map", uids), ("gid_map", gids)] {
        std::fs::write(format!("/proc/{}/{file}", child.pid()), lines)
            .unwrap_or_else(|error| panic!("{file} {lines:?}: {error}"));
    }
    mapped.open();
    child
}

/// Runs the closure in a child that is in a new IPC namespace.
pub(crate) fn in_ipc_namespace(body: impl FnOnce()) -> Process {
    Process::fork(|| {
        unshare(libc::CLONE_NEWIPC).expect("an IPC namespace");
        body();
    })
}

/// Something that keeps a namespace of this process: `ipc`, `user`, ...
pub(crate) fn keep(kind: &str) -> OwnedFd {
    std::fs::File::open(format!("/proc/self/ns/{kind}"))
        .expect("namespaces")
        .into()
}

/// Enters a namespace that somebody has kept.
pub(crate) fn enter(namespace: &OwnedFd) -> Result<()> {
    // SAFETY: the call takes integers.
    Errno::result(unsafe { libc::setns(namespace.as_raw_fd(), 0) }).map(drop)
}

/// Becomes this user and group of the user namespace, which must know them, in all ids.
pub(crate) fn become_inside(uid: u32, gid: u32) {
    // SAFETY: the call takes integers.
    let group = unsafe { libc::setresgid(gid, gid, gid) };
    // SAFETY: as above.
    let user = unsafe { libc::setresuid(uid, uid, uid) };
    assert_eq!((group, user), (0, 0), "setresgid, setresuid: {}", Errno::last());
}

/// A folder to mount a file system on; unmounted and removed when dropped.
pub(crate) struct Mounted(CString);

impl Mounted {
    /// The folder, with nothing mounted yet.
    pub(crate) fn at(path: &str) -> Mounted {
        std::fs::create_dir(path).expect("a folder");
        Mounted(CString::new(path).expect("a path without NUL"))
    }

    /// Mounts a file system of this kind, of the namespaces that this process is in.
    pub(crate) fn mount(&self, kind: &str) {
        let kind = CString::new(kind).expect("a kind without NUL");
        let (kind, nothing) = (kind.as_ptr(), std::ptr::null());
        // SAFETY: C strings, and no data.
        let result = unsafe { libc::mount(kind, self.0.as_ptr(), kind, 0, nothing) };
        assert_eq!(result, 0, "mount: {}", Errno::last());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // SAFETY: a C string. If nothing was mounted, that is no harm.
        unsafe { libc::umount2(self.0.as_ptr(), libc::MNT_DETACH) };
        let _ = std::fs::remove_dir(self.0.to_str().expect("UTF-8"));
    }
}
