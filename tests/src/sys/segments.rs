// SPDX-License-Identifier: MIT OR Apache-2.0

//! The calls about segments: create, find, change, list, remove, restrict.

use super::argument::Argument;
use super::handle::Handle;
use super::{
    BY_HANDLE, BY_ID, BY_NAME, Create, LIST_MAX, List, NAME_SIZE, Open, Remove, Resize, Restrict, Result,
    Set, Stat, Target,
};

/// The segment that the handle is attached to.
pub(crate) const THIS: Target = Target {
    name: [0; NAME_SIZE],
    id: 0,
    by: BY_HANDLE,
    reserved: 0,
};

/// A name as its field holds it; any bytes that fit, good or bad.
pub(crate) fn name(text: impl AsRef<[u8]>) -> [u8; NAME_SIZE] {
    let (text, mut field) = (text.as_ref(), [0; NAME_SIZE]);
    field[..text.len()].copy_from_slice(text);
    field
}

/// The segment of this name.
pub(crate) fn by_name(text: impl AsRef<[u8]>) -> Target {
    Target {
        name: name(text),
        by: BY_NAME,
        ..THIS
    }
}

/// The segment of this number.
pub(crate) fn by_id(id: u64) -> Target {
    Target {
        id,
        by: BY_ID,
        ..THIS
    }
}

/// What CREATE takes for a segment that its owner alone may use.
pub(crate) fn creation(text: impl AsRef<[u8]>, size: u64) -> Create {
    Create {
        name: name(text),
        size,
        mode: 0o600,
        ..Create::default()
    }
}

impl Handle {
    /// Open for reading and writing, with a new segment of this name (none when empty), mode 0600.
    pub(crate) fn creating(text: &str, size: u64) -> Handle {
        let handle = Handle::rw();
        let made = handle.create(creation(text, size)).expect("CREATE");
        assert_eq!(made.status, super::STATUS_CREATED, "{text} existed already");
        handle
    }

    /// As [`Handle::creating`], mapped in this way (`MAP_*`) whatever the run's is.
    pub(crate) fn mapped_as(map: u32, text: &str, size: usize) -> Handle {
        let handle = Handle::rw();
        let create = Create {
            flags: map,
            ..creation(text, size as u64)
        };
        let made = handle.create(create).expect("CREATE");
        assert_eq!(made.status, super::STATUS_CREATED, "{text} existed already");
        handle
    }

    /// Open for reading and writing, with the segment of this name.
    pub(crate) fn of(text: &str) -> Handle {
        let handle = Handle::rw();
        handle.attach(by_name(text)).expect("OPEN");
        handle
    }

    fn returned<T: Argument>(&self, mut argument: T) -> Result<T> {
        self.call(&mut argument).map(|()| argument)
    }

    /// CREATE. What the call takes no notice of has a value that would show.
    pub(crate) fn create(&self, create: Create) -> Result<Create> {
        self.returned(Create {
            id: u64::MAX,
            status: u32::MAX,
            ..create
        })
    }

    /// OPEN.
    pub(crate) fn attach(&self, target: Target) -> Result<Open> {
        self.returned(Open {
            target,
            size: u64::MAX,
            reserved: 0,
        })
    }

    /// STAT of this or of another segment.
    pub(crate) fn stat_of(&self, target: Target) -> Result<Stat> {
        self.returned(Stat {
            target,
            ..Stat::default()
        })
    }

    /// The number of this handle's segment.
    pub(crate) fn id(&self) -> u64 {
        self.stat().expect("STAT").target.id
    }

    /// SET.
    pub(crate) fn set(&self, set: Set) -> Result<()> {
        self.returned(set).map(drop)
    }

    /// SET of the permission bits alone.
    pub(crate) fn set_mode(&self, target: Target, mode: u32) -> Result<()> {
        self.set(Set {
            target,
            fields: super::SET_MODE,
            mode,
            ..Set::default()
        })
    }

    /// SET of owner and group.
    pub(crate) fn set_owner(&self, target: Target, uid: u32, gid: u32) -> Result<()> {
        self.set(Set {
            target,
            fields: super::SET_UID | super::SET_GID,
            uid,
            gid,
            ..Set::default()
        })
    }

    /// RESIZE.
    pub(crate) fn resize(&self, target: Target, size: u64) -> Result<()> {
        self.returned(Resize {
            target,
            size,
            reserved: 0,
        })
        .map(drop)
    }

    /// REMOVE.
    pub(crate) fn remove(&self, target: Target) -> Result<()> {
        self.returned(Remove { target }).map(drop)
    }

    /// One LIST.
    pub(crate) fn list_from(&self, cursor: u64) -> Result<(u64, Vec<Stat>)> {
        let list = self.returned(List {
            cursor,
            count: u32::MAX,
            flags: 0,
            segments: [Stat::default(); LIST_MAX],
        })?;
        let count = list.count as usize;
        assert!(count <= LIST_MAX, "{count} segments in one answer");
        Ok((list.cursor, list.segments[..count].to_vec()))
    }

    /// All that LIST has to say, from the first segment to the last.
    pub(crate) fn list(&self) -> Result<Vec<Stat>> {
        let (mut cursor, mut all) = (0, Vec::new());
        loop {
            let (next, some) = self.list_from(cursor)?;
            if some.is_empty() {
                return Ok(all);
            }
            assert!(next > cursor, "the cursor does not move on from {cursor}");
            cursor = next;
            all.extend(some);
        }
    }

    /// RESTRICT to a window and to kinds of access.
    pub(crate) fn restrict(&self, offset: u64, len: u64, access: u32) -> Result<()> {
        self.returned(Restrict {
            offset,
            len,
            access,
            flags: 0,
        })
        .map(drop)
    }
}

/// What counts against the limits: segments, and bytes.
pub(crate) fn usage() -> (u64, u64) {
    let info = Handle::rw().info().expect("INFO");
    (info.segments, info.total_bytes)
}

/// Takes the name away.
#[track_caller]
pub(crate) fn remove(text: &str) {
    Handle::rw().remove(by_name(text)).expect("REMOVE");
}
