// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who a process is: users, groups, capabilities, and the node that ordinary users may open.

use std::os::unix::fs::PermissionsExt;

use super::{Errno, Result};

/// Passes the checks of owner, group and mode.
pub(crate) const CAP_IPC_OWNER: u32 = 15;
/// Administers what others own.
pub(crate) const CAP_SYS_ADMIN: u32 = 21;

/// Stands for "leave it" in calls that set several ids.
const SAME: u32 = u32::MAX;

/// A user to be for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Supplementary groups.
    pub(crate) groups: &'static [u32],
    /// The only capabilities in effect.
    pub(crate) capabilities: &'static [u32],
}

impl User {
    /// A user without further groups and without capabilities.
    pub(crate) const fn new(uid: u32, gid: u32) -> User {
        User {
            uid,
            gid,
            groups: &[],
            capabilities: &[],
        }
    }

    /// The same one with a capability.
    pub(crate) const fn with(self, capabilities: &'static [u32]) -> User {
        User { capabilities, ..self }
    }

    /// Does this with the user's effective ids, as root would: it must be called by root, and leaves this process
    /// root again, whatever happens.
    pub(crate) fn act<T>(&self, body: impl FnOnce() -> T) -> T {
        /// Root again.
        struct Back;
        impl Drop for Back {
            fn drop(&mut self) {
                change(0, 0, &[]);
            }
        }
        let _back = Back;
        change(self.uid, self.gid, self.groups);
        set_effective_capabilities(self.capabilities).expect("capset");
        body()
    }

    /// Becomes this user for good, in all ids; the capabilities go. The process may look at itself in `/proc` still.
    pub(crate) fn become_for_good(&self) {
        set_groups(self.groups);
        // SAFETY: the call takes integers.
        let group = unsafe { libc::setresgid(self.gid, self.gid, self.gid) };
        // SAFETY: as above.
        let user = unsafe { libc::setresuid(self.uid, self.uid, self.uid) };
        assert_eq!((group, user), (0, 0), "setresgid, setresuid: {}", Errno::last());
        // SAFETY: the option takes an integer.
        let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };
        assert_eq!(result, 0, "PR_SET_DUMPABLE");
    }
}

/// Sets the effective ids and the supplementary groups; the saved user id must be root's. Root has all capabilities
/// afterwards that it is permitted.
fn change(uid: u32, gid: u32, groups: &[u32]) {
    // SAFETY: the call takes integers.
    let root = unsafe { libc::setresuid(SAME, 0, SAME) };
    assert_eq!(root, 0, "setresuid: {}", Errno::last());
    // Who was root all along, without them, does not get them back by becoming root.
    set_effective(|permitted, _| permitted).expect("capset");
    set_groups(groups);
    // SAFETY: as above.
    let group = unsafe { libc::setresgid(SAME, gid, SAME) };
    // SAFETY: as above.
    let user = unsafe { libc::setresuid(SAME, uid, SAME) };
    assert_eq!((group, user), (0, 0), "setresgid, setresuid: {}", Errno::last());
}

fn set_groups(groups: &[u32]) {
    // SAFETY: as many groups as are there.
    let result = unsafe { libc::setgroups(groups.len(), groups.as_ptr()) };
    assert_eq!(result, 0, "setgroups: {}", Errno::last());
}

/// Makes these capabilities, which this thread is permitted, the only ones in effect.
pub(crate) fn set_effective_capabilities(capabilities: &[u32]) -> Result<()> {
    set_effective(|_, half| {
        capabilities
            .iter()
            .filter(|capability| **capability / 32 == half)
            .fold(0, |set, capability| set | 1 << (capability % 32))
    })
}

/// Puts those capabilities in effect that the function chooses of the permitted ones: the lower 32, then the upper.
fn set_effective(choose: impl Fn(u32, u32) -> u32) -> Result<()> {
    /// `struct __user_cap_header_struct` of version 3.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    /// `struct __user_cap_data_struct`: the lower half of each set, then the upper one.
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let mut header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: a header of version 3 goes with two halves; both outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    for (index, half) in (0..).zip(&mut data) {
        half.effective = choose(half.permitted, index);
    }
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) }).map(drop)
}

/// The node open to everybody, until this is dropped.
pub(crate) struct OpenNode(());

const NODE: &str = "/dev/shmdev";
/// The mode that the module gives the node.
const MODE: u32 = 0o600;

impl OpenNode {
    pub(crate) fn new() -> OpenNode {
        set_node_mode(0o666).expect("chmod of the node");
        OpenNode(())
    }
}

impl Drop for OpenNode {
    fn drop(&mut self) {
        if let Err(error) = close_node() {
            eprintln!("{NODE}: {error}");
        }
    }
}

/// Gives the node the mode that it has when the module is loaded.
pub(crate) fn close_node() -> std::io::Result<()> {
    set_node_mode(MODE)
}

fn set_node_mode(mode: u32) -> std::io::Result<()> {
    std::fs::set_permissions(NODE, std::fs::Permissions::from_mode(mode))
}
