// SPDX-License-Identifier: MIT OR Apache-2.0

//! Opening the device. A [`Device`] is a handle that is not attached to a segment yet; attaching makes a
//! [`Segment`] of it.

use std::fs;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{OpenError, OpenErrorKind, errno};
use crate::name::OWN;
use crate::segment::Segment;
use crate::sys;
use crate::uapi::{ABI_VERSION, Info};

/// Where the device node is: `/dev/shmdev`.
pub const DEFAULT_PATH: &str = "/dev/shmdev";

/// How to open the device: for reading and writing, at [`DEFAULT_PATH`], unless told otherwise.
///
/// ```no_run
/// let device = shmdev::OpenOptions::new().write(false).open()?;
/// println!("{}", device.info().token);
/// # Ok::<(), shmdev::OpenError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    path: PathBuf,
    read: bool,
    write: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Reading and writing, at [`DEFAULT_PATH`].
    #[must_use]
    pub fn new() -> Self {
        Self {
            path: DEFAULT_PATH.into(),
            read: true,
            write: true,
        }
    }

    /// Another device node.
    pub fn path(&mut self, path: impl AsRef<Path>) -> &mut Self {
        self.path = path.as_ref().to_owned();
        self
    }

    /// Whether to open for reading. Every mapping needs it, and so does a READ range.
    pub fn read(&mut self, read: bool) -> &mut Self {
        self.read = read;
        self
    }

    /// Whether to open for writing. A writable mapping and a WRITE range need it.
    pub fn write(&mut self, write: bool) -> &mut Self {
        self.write = write;
        self
    }

    /// Opens the device. The descriptor is closed by `exec` (`O_CLOEXEC`).
    ///
    /// # Errors
    ///
    /// [`NotFound`](OpenErrorKind::NotFound), [`Denied`](OpenErrorKind::Denied),
    /// [`NoAccess`](OpenErrorKind::NoAccess), [`NoMemory`](OpenErrorKind::NoMemory),
    /// [`TooMany`](OpenErrorKind::TooMany), [`NoNamespaces`](OpenErrorKind::NoNamespaces), and
    /// [`NotShmdev`](OpenErrorKind::NotShmdev) or [`AbiMismatch`](OpenErrorKind::AbiMismatch) for what cannot
    /// be used as the device.
    pub fn open(&self) -> Result<Device, OpenError> {
        let operation = format!("open {}", self.path.display());
        match fs::OpenOptions::new()
            .read(self.read)
            .write(self.write)
            .open(&self.path)
        {
            Ok(file) => Device::identify(file, &operation),
            Err(error) => Err(OpenError::new(operation, error)),
        }
    }

    /// Opens the device and attaches to the default segment.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and as [`Device::into_default_segment`].
    pub fn open_default(&self) -> Result<Segment, OpenError> {
        self.open()?.into_default_segment()
    }
}

/// A handle: one opening of the device, not attached to a segment by this program.
///
/// It asks about segments and manages them, by name or id: [`list`](Self::list), [`stat`](Self::stat),
/// [`set`](Self::set), [`resize`](Self::resize), [`remove`](Self::remove). To use one's memory attach to it:
/// [`SegmentOptions`](crate::SegmentOptions).
///
/// ```no_run
/// use shmdev::{Change, Device};
///
/// let device = Device::open()?;
/// for segment in device.list() {
///     let segment = segment?;
///     if let Some(name) = segment.name {
///         println!("{name}: {} bytes, {} mappings", segment.size, segment.nattch);
///     }
/// }
/// device.set("frames", Change::new().mode(0o640))?;
/// device.remove("frames")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A handle is what owns ranges and remembers which generation it saw. Threads that shall exclude one
/// another, or notice each other's writes, open the device once each. It belongs to the IPC namespace in
/// which it was opened, and sees the segments of that one alone.
#[derive(Debug)]
pub struct Device {
    pub(crate) file: File,
    pub(crate) info: Info,
}

impl Device {
    /// Opens `/dev/shmdev` for reading and writing.
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`].
    pub fn open() -> Result<Self, OpenError> {
        OpenOptions::new().open()
    }

    /// Takes a descriptor of the device that was opened elsewhere: inherited, or received over a socket.
    ///
    /// It is the same handle as the descriptors it is a duplicate of: they share ranges and the generation
    /// last seen.
    ///
    /// # Errors
    ///
    /// [`NotShmdev`](OpenErrorKind::NotShmdev) or [`AbiMismatch`](OpenErrorKind::AbiMismatch) for what
    /// cannot be used as the device. The descriptor is closed then.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, OpenError> {
        Self::identify(fd.into(), "use a received descriptor")
    }

    fn identify(file: File, operation: &str) -> Result<Self, OpenError> {
        let info = sys::info(file.as_fd()).map_err(|error| OpenError::new(operation, error))?;
        if info.abi_version == ABI_VERSION {
            return Ok(Self { file, info });
        }
        let versions = format!("{operation} (version {}, not {ABI_VERSION})", info.abi_version);
        Err(OpenError::refused(
            versions,
            OpenErrorKind::AbiMismatch,
            Errno::EPROTO,
        ))
    }

    /// What the device said of itself and of this handle when it was opened or taken: page size, features,
    /// limits, token, what can be done with it. [`query`](Self::query) asks again.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Attaches the handle to the default segment, `default_size` bytes that everybody who may open the
    /// device shares. For other segments see [`SegmentOptions::open_with`](crate::SegmentOptions::open_with).
    ///
    /// From then on [`Segment::wait_change`] reports what others write. A handle that came from elsewhere and
    /// is attached already stays with its segment.
    ///
    /// # Errors
    ///
    /// In an IPC namespace that has no default segment yet: `NoMemory`, `Limit`, `Interrupted` and
    /// `NamespaceGone` of [`OpenErrorKind`]. `Attached` while somebody else who has the handle attaches it.
    pub fn into_default_segment(self) -> Result<Segment, OpenError> {
        // `STAT` attaches a handle that has no segment to the default one.
        match sys::stat(self.as_fd(), OWN) {
            Ok(_) => Ok(Segment::new(self, false)),
            Err(error) => {
                let kind = OpenErrorKind::of_attaching(errno(&error));
                Err(OpenError::of_kind("open the default segment", kind, error))
            }
        }
    }
}

impl TryFrom<OwnedFd> for Device {
    type Error = OpenError;

    /// As [`Device::from_fd`].
    fn try_from(fd: OwnedFd) -> Result<Self, OpenError> {
        Self::from_fd(fd)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Device {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl IntoRawFd for Device {
    fn into_raw_fd(self) -> RawFd {
        self.file.into_raw_fd()
    }
}

impl From<Device> for OwnedFd {
    fn from(device: Device) -> Self {
        device.file.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_else_than_the_device_is_told_apart() {
        let error = OpenOptions::new().path("/dev/null").open().unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::NotShmdev);
        assert_eq!(error.to_string(), "open /dev/null: not a shmdev device (ENOTTY)");

        let error = Device::from_fd(File::open("/dev/null").unwrap().into()).unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::NotShmdev);
    }

    #[test]
    fn a_missing_device_is_told_with_its_path() {
        let error = OpenOptions::new()
            .path("/nonexistent/shmdev")
            .open_default()
            .unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::NotFound);
        assert!(
            error
                .to_string()
                .starts_with("open /nonexistent/shmdev: no such device"),
            "{error}"
        );
    }

    #[test]
    fn asking_for_no_access_is_refused() {
        let error = OpenOptions::new()
            .path("/dev/null")
            .read(false)
            .write(false)
            .open()
            .unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::NoAccess);
        assert!(error.to_string().ends_with("(EINVAL)"), "{error}");
    }
}
