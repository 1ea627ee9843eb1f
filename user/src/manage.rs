// SPDX-License-Identifier: MIT OR Apache-2.0

//! Looking at segments and changing them: another one by name or id, through a [`Device`], or its own,
//! through a [`Segment`]. It does not touch their memory.

use std::fmt::Arguments;
use std::ops::{Bound, RangeBounds};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;

use crate::change::{Change, Rights};
use crate::device::{Device, OpenOptions};
use crate::error::{
    OpenError, RemoveError, ResizeError, ResizeErrorKind, RestrictError, RestrictErrorKind, SetError,
    SetErrorKind, StatError, errno,
};
use crate::name::{NameError, OWN, Target};
use crate::segment::Segment;
use crate::stat::{List, Stat};
use crate::sys;
use crate::uapi::{self, Info, Remove, Resize, Restrict, Set};

impl Device {
    /// What the device says now: [`Info`] with the limits and what of them is used up.
    ///
    /// # Errors
    ///
    /// None that the ABI knows.
    pub fn query(&self) -> Result<Info, StatError> {
        sys::info(self.as_fd()).map_err(|error| StatError::new("query the device", error))
    }

    /// All segments of the handle's IPC namespace, the anonymous, the removed and the default one too.
    ///
    /// ```no_run
    /// # let device = shmdev::Device::open()?;
    /// let bytes: u64 = device.list().map(|segment| segment.map(|s| s.mapped_size)).sum::<Result<_, _>>()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Its items are, once at most, one of [`ListErrorKind`](crate::ListErrorKind).
    pub fn list(&self) -> List<'_> {
        List::new(self)
    }

    /// The state of a segment. No right to it is needed.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::StatErrorKind::NotFound), [`InvalidName`](crate::StatErrorKind::InvalidName),
    /// [`Restricted`](crate::StatErrorKind::Restricted), [`Unsupported`](crate::StatErrorKind::Unsupported).
    /// An id finds a removed segment too, for as long as it lives on.
    pub fn stat<'a>(&self, target: impl Into<Target<'a>>) -> Result<Stat, StatError> {
        let target = target.into();
        stat(self.as_fd(), format_args!("stat {target}"), target.to_abi())
    }

    /// Changes owner, group and mode of a segment: all that `change` names, or nothing. Handles that are
    /// attached already keep what they can do.
    ///
    /// # Errors
    ///
    /// See [`SetErrorKind`].
    pub fn set<'a>(&self, target: impl Into<Target<'a>>, change: Change) -> Result<(), SetError> {
        let target = target.into();
        set(
            self.as_fd(),
            format_args!("set {target}"),
            target.to_abi(),
            change,
        )
    }

    /// Grows or shrinks a segment to `size` bytes. See [`Segment::resize`].
    ///
    /// # Errors
    ///
    /// See [`ResizeErrorKind`].
    pub fn resize<'a>(&self, target: impl Into<Target<'a>>, size: u64) -> Result<(), ResizeError> {
        let target = target.into();
        resize(
            self.as_fd(),
            format_args!("resize {target} to {size} bytes"),
            target.to_abi(),
            size,
        )
    }

    /// Takes a segment's name away at once, and its memory when the last handle attached to it goes. The
    /// name is free for another segment then. Those who use it go on as before; nobody else can attach.
    ///
    /// # Errors
    ///
    /// See [`RemoveErrorKind`](crate::RemoveErrorKind).
    pub fn remove<'a>(&self, target: impl Into<Target<'a>>) -> Result<(), RemoveError> {
        let target = target.into();
        remove(self.as_fd(), format_args!("remove {target}"), target.to_abi())
    }
}

impl Segment {
    /// All segments of this process's IPC namespace: opens `/dev/shmdev` for reading, and lists as
    /// [`Device::list`]. To change or remove others see [`Device`].
    ///
    /// ```no_run
    /// for segment in shmdev::Segment::list()? {
    ///     let segment = segment?;
    ///     println!("{}: {} bytes", segment.id, segment.size);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`]; its items as those of [`Device::list`].
    pub fn list() -> Result<List<'static>, OpenError> {
        Ok(List::owning(OpenOptions::new().write(false).open()?))
    }

    /// The state of the segment now.
    ///
    /// The handle has then seen the generation that is returned, see [`wait_change`](Self::wait_change).
    ///
    /// # Errors
    ///
    /// None that the ABI knows for an attached handle.
    pub fn stat(&self) -> Result<Stat, StatError> {
        stat(self.as_fd(), format_args!("stat"), Ok(OWN))
    }

    /// The size in bytes now, which others may [change](Self::resize): a mapping's
    /// [`len`](crate::Mapping::len) does not follow it. The handle has then seen the generation, as by
    /// [`stat`](Self::stat).
    ///
    /// # Errors
    ///
    /// None that the ABI knows for an attached handle.
    pub fn size(&self) -> Result<u64, StatError> {
        self.stat().map(|stat| stat.size)
    }

    /// Changes owner, group and mode: all that `change` names, or nothing.
    ///
    /// # Errors
    ///
    /// See [`SetErrorKind`].
    pub fn set(&self, change: Change) -> Result<(), SetError> {
        set(self.as_fd(), format_args!("set"), Ok(OWN), change)
    }

    /// Grows or shrinks the segment to `size` bytes.
    ///
    /// Live mappings are safe: one keeps its length and its pages, whatever becomes of the segment. What was
    /// added is zero; to reach it, map again. A segment loses pages only while nobody maps it
    /// ([`InUse`](ResizeErrorKind::InUse)), so no mapping ever reaches past its segment's memory.
    ///
    /// ```no_run
    /// # use shmdev::SegmentOptions;
    /// let segment = SegmentOptions::new().create(true).size(4096).open("log")?;
    /// let old = segment.map()?;
    /// segment.resize(8192)?;
    /// let whole = segment.map()?;
    /// assert_eq!((old.len(), whole.len()), (4096, 8192));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// See [`ResizeErrorKind`].
    pub fn resize(&self, size: u64) -> Result<(), ResizeError> {
        resize(
            self.as_fd(),
            format_args!("resize to {size} bytes"),
            Ok(OWN),
            size,
        )
    }

    /// Takes the segment's name away at once, and its memory when the last handle attached to it, such as
    /// this one, goes.
    ///
    /// # Errors
    ///
    /// See [`RemoveErrorKind`](crate::RemoveErrorKind).
    pub fn remove(&self) -> Result<(), RemoveError> {
        remove(self.as_fd(), format_args!("remove"), Ok(OWN))
    }

    /// Narrows, for good, what can be done with this handle, by everybody who has it: to the bytes of
    /// `range`, and to `rights`. So it can be passed to somebody who is trusted with less.
    ///
    /// Offsets mean the same as before. A range without an end reaches to the end of the segment, however
    /// large that becomes. A mapping needs its pages to lie within the range whole. The handle can no longer
    /// manage segments ([`set`](Self::set), [`resize`](Self::resize), [`remove`](Self::remove)), its own not
    /// either. Mappings that were made before stay as they are.
    ///
    /// ```no_run
    /// use shmdev::{Rights, SegmentOptions};
    /// use std::os::fd::OwnedFd;
    ///
    /// let mut window = SegmentOptions::new().open("frames")?;
    /// window.restrict(0..4096, Rights::Read)?;
    /// let to_be_passed: OwnedFd = window.into();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`](RestrictErrorKind::Invalid) and [`Wider`](RestrictErrorKind::Wider).
    pub fn restrict(&mut self, range: impl RangeBounds<u64>, rights: Rights) -> Result<(), RestrictError> {
        let request = window(&range, rights).ok_or_else(|| {
            let (start, end) = (edge(range.start_bound()), edge(range.end_bound()));
            let operation = format!("restrict to {start}..{end}");
            RestrictError::refused(operation, RestrictErrorKind::Invalid, Errno::EINVAL)
        })?;
        match sys::restrict(self.as_fd(), &request) {
            Ok(()) => {
                self.look_again();
                Ok(())
            }
            Err(error) => {
                let Restrict { offset, len, .. } = request;
                let window = match len {
                    u64::MAX => format!("{offset}:"),
                    _ => format!("{offset}:{len}"),
                };
                Err(RestrictError::new(
                    format_args!("restrict to {window}, {rights:?}"),
                    error,
                ))
            }
        }
    }
}

/// How a call says which segment it is about, if its name is one.
type About = Result<uapi::Target, NameError>;

fn stat(fd: BorrowedFd<'_>, operation: Arguments<'_>, about: About) -> Result<Stat, StatError> {
    let target = about.map_err(|error| StatError::of_name(operation, error))?;
    match sys::stat(fd, target) {
        Ok(stat) => Ok(Stat::from(&stat)),
        Err(error) => Err(StatError::new(operation, error)),
    }
}

fn set(fd: BorrowedFd<'_>, operation: Arguments<'_>, about: About, change: Change) -> Result<(), SetError> {
    let target = about.map_err(|error| SetError::of_name(operation, error))?;
    let request = change
        .to_abi()
        .map_err(|kind| SetError::refused(operation, kind, Errno::EINVAL))?;
    sys::set(fd, &Set { target, ..request }).map_err(|error| match errno(&error) {
        // The kernel has one errno for both.
        Errno::EINVAL if is_default(fd, target) => {
            SetError::of_kind(operation, SetErrorKind::DefaultSegment, error)
        }
        _ => SetError::new(operation, error),
    })
}

fn is_default(fd: BorrowedFd<'_>, target: uapi::Target) -> bool {
    sys::stat(fd, target).is_ok_and(|stat| stat.target.id == 0)
}

fn resize(fd: BorrowedFd<'_>, operation: Arguments<'_>, about: About, size: u64) -> Result<(), ResizeError> {
    let target = about.map_err(|error| ResizeError::of_name(operation, error))?;
    if size == 0 {
        let kind = ResizeErrorKind::InvalidSize;
        return Err(ResizeError::refused(operation, kind, Errno::EINVAL));
    }
    let request = Resize {
        target,
        size,
        ..Resize::default()
    };
    sys::resize(fd, &request).map_err(|error| ResizeError::new(operation, error))
}

fn remove(fd: BorrowedFd<'_>, operation: Arguments<'_>, about: About) -> Result<(), RemoveError> {
    let target = about.map_err(|error| RemoveError::of_name(operation, error))?;
    sys::remove(fd, &Remove { target }).map_err(|error| RemoveError::new(operation, error))
}

/// As it is written in a range.
fn edge(bound: Bound<&u64>) -> String {
    match bound {
        Bound::Included(at) | Bound::Excluded(at) => at.to_string(),
        Bound::Unbounded => String::new(),
    }
}

/// The request for a window; `None` when it is empty or does not fit.
fn window(range: &impl RangeBounds<u64>, rights: Rights) -> Option<Restrict> {
    let offset = match range.start_bound() {
        Bound::Included(&start) => start,
        Bound::Excluded(&before) => before.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let len = match range.end_bound() {
        Bound::Included(&last) => last.checked_sub(offset)?.checked_add(1)?,
        Bound::Excluded(&end) => end.checked_sub(offset)?,
        Bound::Unbounded => u64::MAX,
    };
    // 2^64 - 1 bytes from 0 are what the ABI takes for all of them, and so they are.
    (len > 0).then_some(Restrict {
        offset,
        len,
        access: rights.to_abi(),
        flags: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_what_the_abi_says() {
        let of = |range: (Bound<u64>, Bound<u64>)| window(&range, Rights::Read).map(|w| (w.offset, w.len));
        use Bound::{Excluded, Included, Unbounded};
        assert_eq!(of((Included(0), Excluded(4096))), Some((0, 4096)));
        assert_eq!(of((Included(1), Included(1))), Some((1, 1)));
        assert_eq!(of((Excluded(1), Unbounded)), Some((2, u64::MAX)));
        assert_eq!(of((Unbounded, Unbounded)), Some((0, u64::MAX)));
        for refused in [
            (Included(5), Excluded(5)),
            (Included(6), Excluded(5)),
            (Included(6), Included(5)),
            (Excluded(u64::MAX), Unbounded),
            (Unbounded, Included(u64::MAX)),
        ] {
            assert_eq!(of(refused), None, "{refused:?}");
        }
        let both = window(&(..), Rights::ReadWrite).unwrap();
        assert_eq!((both.access, both.flags), (3, 0));
        assert_eq!(window(&(..), Rights::Write).unwrap().access, 2);
    }
}
