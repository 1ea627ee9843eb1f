// SPDX-License-Identifier: MIT OR Apache-2.0

//! What each object that lies in a segment begins with: it says what is there, so that nobody takes it for
//! something else, and has it initialised once. What follows it is the object's own business.
//!
//! | byte | what |
//! |---|---|
//! | 0 | state: a word of `once_word` |
//! | 4 | [`MAGIC`] |
//! | 8 | [`Kind`] |
//! | 10 | version of the kind's layout |
//! | 12 | alignment of the value |
//! | 16 | size of the whole object |
//! | 24 | size of the value |
//!
//! An object whose first 8 bytes are zero is one that nobody has initialised: whatever follows is cleared.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;
use std::{fmt, io};

use nix::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::once_word::{self, Claim, Doing};
use super::seam::{CallError, SegmentWord, Stop, Word};
use crate::area::{Area, Tended};
use crate::deadline::Deadline;
use crate::error::{PlaceError, PlaceErrorKind};
use crate::word::Death;

/// Size of a header in bytes.
pub(crate) const SIZE: usize = 32;

/// Every object begins at a multiple of this; those whose value wants more, at a multiple of that.
pub(crate) const ALIGN: usize = 8;

/// "shmo", to tell an object from other bytes whatever its state.
const MAGIC: u32 = u32::from_ne_bytes(*b"shmo");

/// How long to wait for somebody else to complete the initialisation: far longer than it can take, but an end
/// where bytes that are no object look like one that is being initialised.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an object is. Numbers are never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Kind {
    Mutex = 1,
    RwLock = 2,
    Condvar = 3,
    Semaphore = 4,
    Barrier = 5,
    Once = 6,
    /// An `Event` that stays set.
    Event = 7,
    /// An `Event` that one waiter resets.
    AutoEvent = 8,
    Ring = 16,
}

/// What a header says of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) kind: Kind,
    /// Of the kind's layout.
    pub(crate) version: u16,
    /// Of the whole object, with the header, in bytes; at least [`SIZE`].
    pub(crate) size: usize,
    /// What the object must be aligned to, if that is more than [`ALIGN`].
    pub(crate) align: usize,
    /// Size of the values in it, in bytes; 0 if it has none.
    pub(crate) value_size: usize,
    /// Alignment of the values in it; 1 if it has none.
    pub(crate) value_align: usize,
}

impl Layout {
    /// Of an object without a value.
    pub(crate) fn plain(kind: Kind, size: usize) -> Self {
        Self {
            kind,
            version: 1,
            size,
            align: ALIGN,
            value_size: 0,
            value_align: 1,
        }
    }

    /// Of an object around a value.
    pub(crate) fn around<T>(kind: Kind, size: usize, align: usize) -> Self {
        Self {
            align,
            value_size: size_of::<T>(),
            value_align: align_of::<T>(),
            ..Self::plain(kind, size)
        }
    }
}

/// Finds the object at `offset`, or makes it: who comes first, or next after one who died over it, clears its
/// bytes and calls `init` to write those behind the header that are not to be zero. When this returns, the
/// object is what `layout` says, and all that `init` wrote is seen.
pub(crate) fn place(
    area: &Area,
    offset: usize,
    layout: &Layout,
    init: impl FnOnce(),
) -> Result<(), PlaceError> {
    let at = Place { area, offset, layout };
    at.check_bounds()?;
    let word = area.word(offset);
    // Nearly always it has been initialised long ago.
    if word.load(Acquire) == once_word::DONE {
        return at.check();
    }
    at.check_magic()?;
    // Before anything that a death could leave half done.
    let _tended = tend(area, offset, Death::Mark)?;
    match once_word::claim(&word, area.token(), Deadline::after(PATIENCE)) {
        Ok(Claim::Done) => at.check(),
        Ok(Claim::Ours { .. }) => at.initialise(&word, init),
        Err(stop) => Err(at.stopped(stop)),
    }
}

const IN_BOUNDS: &str = "the bounds were checked, and the mapping is writable";

struct Place<'a> {
    area: &'a Area,
    offset: usize,
    layout: &'a Layout,
}

impl Place<'_> {
    fn check_bounds(&self) -> Result<(), PlaceError> {
        let align = ALIGN.max(self.layout.align);
        if self.offset % align != 0 {
            let why = format!("{self} (wants a multiple of {align})");
            return Err(PlaceError::refused(why, PlaceErrorKind::Unaligned, Errno::EINVAL));
        }
        let end = self.offset.checked_add(self.layout.size);
        match end {
            Some(end) if end <= self.area.mapping().len() => Ok(()),
            _ => Err(self.refused(PlaceErrorKind::OutOfBounds, Errno::EINVAL)),
        }
    }

    /// Bytes that are not an object's are told from one that is being initialised.
    fn check_magic(&self) -> Result<(), PlaceError> {
        match self.magic() {
            0 | MAGIC => Ok(()),
            _ => Err(self.refused(PlaceErrorKind::NotAnObject, Errno::EEXIST)),
        }
    }

    fn initialise(&self, word: &SegmentWord<'_>, init: impl FnOnce()) -> Result<(), PlaceError> {
        let doing = Doing::new(word);
        // One who died over it may have left some; but the state stays, and so does a magic number that is there:
        // others look at it meanwhile, and never see a part of it.
        let mapping = self.area.mapping();
        mapping
            .fill(0, self.offset + 8, self.layout.size - 8)
            .expect(IN_BOUNDS);
        let layout = self.layout;
        self.area.word(self.offset + 4).store(MAGIC, Relaxed);
        self.set(8, layout.kind as u16);
        self.set(10, layout.version);
        self.set(12, layout.value_align as u32);
        self.set(16, layout.size as u64);
        self.set(24, layout.value_size as u64);
        init();
        doing.complete().map_err(|error| self.stopped(Stop::Call(error)))
    }

    fn check(&self) -> Result<(), PlaceError> {
        let layout = self.layout;
        let kind = match () {
            () if self.magic() != MAGIC => PlaceErrorKind::NotAnObject,
            () if self.get::<u16>(8) != layout.kind as u16 => PlaceErrorKind::OtherKind,
            () if self.get::<u16>(10) != layout.version => PlaceErrorKind::OtherVersion,
            () if self.get::<u32>(12) != layout.value_align as u32
                || self.get::<u64>(16) != layout.size as u64
                || self.get::<u64>(24) != layout.value_size as u64 =>
            {
                PlaceErrorKind::OtherLayout
            }
            () => return Ok(()),
        };
        Err(self.refused(kind, Errno::EEXIST))
    }

    fn magic(&self) -> u32 {
        self.area.word(self.offset + 4).load(Relaxed)
    }

    fn get<T: FromBytes + IntoBytes>(&self, field: usize) -> T {
        self.area.mapping().get(self.offset + field).expect(IN_BOUNDS)
    }

    fn set<T: IntoBytes + Immutable>(&self, field: usize, value: T) {
        self.area
            .mapping()
            .set(self.offset + field, &value)
            .expect(IN_BOUNDS);
    }

    fn refused(&self, kind: PlaceErrorKind, errno: Errno) -> PlaceError {
        PlaceError::refused(self, kind, errno)
    }

    /// What the kernel said.
    fn failed(&self, errno: Option<i32>) -> PlaceError {
        PlaceError::new(
            self,
            io::Error::from_raw_os_error(errno.unwrap_or(Errno::EINVAL as i32)),
        )
    }

    fn stopped(&self, stop: Stop<CallError>) -> PlaceError {
        match stop {
            Stop::Busy | Stop::TimedOut => self.refused(PlaceErrorKind::TimedOut, Errno::ETIMEDOUT),
            Stop::Call(error) => self.failed(error.raw_os_error()),
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Layout { kind, size, .. } = self.layout;
        write!(f, "place a {kind:?} of {size} bytes at {}", self.offset)
    }
}

/// What an object holds on to while it is used: that the kernel tends its words. Errors are those of placing
/// it.
pub(crate) fn tend(area: &Area, offset: usize, death: Death) -> Result<Tended, PlaceError> {
    Tended::add(area, offset, death).map_err(|error| {
        let errno = error.raw_os_error().unwrap_or(Errno::EINVAL as i32);
        PlaceError::new(error.operation(), io::Error::from_raw_os_error(errno))
    })
}
