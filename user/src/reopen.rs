// SPDX-License-Identifier: MIT OR Apache-2.0

//! Another handle of the same segment: an identity of its own for a child of `fork`, a thread, or whoever was passed
//! a descriptor.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::device::Device;
use crate::error::{OpenError, OpenErrorKind, errno};
use crate::segment::Segment;
use crate::sys;
use crate::uapi::{BY_DESCRIPTOR, Open, Target};

impl Segment {
    /// Opens the device again, for the same access, and attaches to the same segment, also if that is anonymous or
    /// was removed meanwhile.
    ///
    /// The new handle has a [token](crate::Info::token) of its own, holds nothing, and has seen the generation of
    /// now. After `fork` parent and child share each handle: they are one to every lock, so the child does this
    /// before it uses one. Its memory is that of [`map`](Self::map) of the new handle; mappings that it inherited
    /// keep the old one.
    ///
    /// ```no_run
    /// use shmdev::SegmentOptions;
    ///
    /// let segment = SegmentOptions::new().size(64 << 10).anonymous()?;
    /// # let fork = || 0;
    /// if fork() == 0 {
    ///     let segment = segment.reopen()?;
    ///     // ...
    /// }
    /// # Ok::<(), shmdev::OpenError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SegmentDenied`](OpenErrorKind::SegmentDenied) if the segment's mode does not allow it any more, or this handle was
    /// [restricted](Self::restrict); [`Denied`](OpenErrorKind::Denied) if the node does not allow it to this
    /// process, and [`NotFound`](OpenErrorKind::NotFound) where `/proc` is not mounted;
    /// [`OtherNamespace`](OpenErrorKind::OtherNamespace),
    /// [`NamespaceGone`](OpenErrorKind::NamespaceGone), [`NoMemory`](OpenErrorKind::NoMemory),
    /// [`TooMany`](OpenErrorKind::TooMany), [`Unsupported`](OpenErrorKind::Unsupported).
    pub fn reopen(&self) -> Result<Self, OpenError> {
        const OPERATION: &str = "open the segment again";
        let flags =
            fcntl(self, FcntlArg::F_GETFL).map_err(|error| OpenError::new(OPERATION, error.into()))?;
        let access = OFlag::from_bits_truncate(flags) & OFlag::O_ACCMODE;
        let fd = self.as_raw_fd();
        let file = OpenOptions::new()
            .read(access != OFlag::O_WRONLY)
            .write(access != OFlag::O_RDONLY)
            .open(format!("/proc/self/fd/{fd}"))
            .map_err(|error| OpenError::new(OPERATION, error))?;
        let device = Device::from_fd(file.into())?;
        let mut open = Open {
            target: Target {
                // A descriptor is at least 0.
                id: fd.unsigned_abs().into(),
                by: BY_DESCRIPTOR,
                ..Target::default()
            },
            ..Open::default()
        };
        match sys::open(device.as_fd(), &mut open) {
            Ok(()) => Ok(Self::new(device, false)),
            Err(error) => {
                let kind = match errno(&error) {
                    // A module that does not know this way.
                    Errno::EINVAL => OpenErrorKind::Unsupported,
                    errno => OpenErrorKind::of_attaching(errno),
                };
                Err(OpenError::of_kind(OPERATION, kind, error))
            }
        }
    }
}
