// SPDX-License-Identifier: GPL-2.0

//! Whose a segment is, and what that allows: the rules of System V IPC (`ipcperms()` in
//! `ipc/util.c`).

use crate::missing::creds::{
    Capability,
    Kgid,
    Kuid,
    UserNamespace, //
};

/// Owner, creator and mode of a segment.
#[derive(Clone, Copy)]
pub(crate) struct Owners {
    pub(crate) uid: Kuid,
    pub(crate) gid: Kgid,
    pub(crate) creator_uid: Kuid,
    pub(crate) creator_gid: Kgid,
    /// At most 0777.
    pub(crate) mode: u16,
}

impl Owners {
    /// Of what the current task creates.
    pub(crate) fn current(mode: u16) -> Self {
        Self::new(Kuid::current_effective(), Kgid::current_effective(), mode)
    }

    /// Of what belongs to nobody in particular in an IPC namespace that `namespace` owns, and is
    /// for all.
    pub(crate) fn everybody(namespace: &UserNamespace) -> Self {
        Self::new(Kuid::root_of(namespace), Kgid::root_of(namespace), 0o666)
    }

    fn new(uid: Kuid, gid: Kgid, mode: u16) -> Self {
        Self {
            uid,
            gid,
            creator_uid: uid,
            creator_gid: gid,
            mode,
        }
    }

    /// Whether the current task may read, write or both, in an IPC namespace that `namespace` owns.
    pub(crate) fn allow(&self, read: bool, write: bool, namespace: &UserNamespace) -> bool {
        let granted = if self.are_current() {
            self.mode >> 6
        } else if self.gid.has_current() || self.creator_gid.has_current() {
            self.mode >> 3
        } else {
            self.mode
        };
        let wanted = u16::from(read) << 2 | u16::from(write) << 1;
        wanted & !granted == 0 || namespace.grants(Capability::IpcOwner)
    }

    /// Whether the current task may change or remove it.
    pub(crate) fn allow_management(&self, namespace: &UserNamespace) -> bool {
        self.are_current() || namespace.grants(Capability::SysAdmin)
    }

    fn are_current(&self) -> bool {
        let user = Kuid::current_effective();
        user == self.uid || user == self.creator_uid
    }
}
