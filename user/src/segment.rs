// SPDX-License-Identifier: MIT OR Apache-2.0

//! A handle that is attached to a segment: how to get one, its mappings, and waiting for others. Ranges are in
//! `range`, file I/O in `transfer`, what manages segments in `manage`.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

use memmap2::MmapOptions;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::deadline::Deadline;
use crate::device::{Device, OpenOptions};
use crate::error::{MapError, MapErrorKind, OpenError, PollError, PollErrorKind};
use crate::mapping::Mapping;
use crate::name::{OWN, Target};
use crate::options::SegmentOptions;
use crate::sys;
use crate::uapi::{ACCESS_READ, Info};

/// A handle of the device, attached to a segment.
///
/// It is a file of fixed size ([`Read`](std::io::Read), [`Write`](std::io::Write), [`Seek`](std::io::Seek),
/// [`read_at`](Self::read_at), [`write_at`](Self::write_at)), memory ([`map`](Self::map)), a lock on byte
/// ranges ([`begin_read`](Self::begin_read), [`begin_write`](Self::begin_write)) and a source of events
/// ([`wait_change`](Self::wait_change), or its descriptor in `poll` and `epoll`).
///
/// ```no_run
/// use shmdev::{Deadline, Segment};
///
/// let segment = Segment::open_default()?;
/// let mapping = segment.map()?;
/// let guard = segment.begin_write(0..5, Deadline::Never)?;
/// mapping.write_at(b"hello", 0)?;
/// let generation = guard.end()?;
/// println!("write number {generation} of this segment");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Segment {
    device: Device,
    created: bool,
}

impl Segment {
    /// `device` is attached.
    pub(crate) fn new(device: Device, created: bool) -> Self {
        Self { device, created }
    }

    /// Opens a segment that exists, by name or id, for reading and writing. For more see [`SegmentOptions`].
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::open`].
    pub fn open<'a>(target: impl Into<Target<'a>>) -> Result<Self, OpenError> {
        SegmentOptions::new().open(target)
    }

    /// Creates a segment of `size` bytes that did not exist, mode 0o600, and opens it for reading and writing.
    /// For more see [`SegmentOptions`].
    ///
    /// ```no_run
    /// use shmdev::Segment;
    ///
    /// let frames = Segment::create("frames", 64 << 10)?;
    /// frames.map()?.write_at(b"hello", 0)?;
    /// drop(frames);
    /// // It stays until somebody removes it.
    /// Segment::open("frames")?.remove()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`SegmentOptions::open`]: [`Exists`](crate::OpenErrorKind::Exists) above all.
    pub fn create(name: &str, size: u64) -> Result<Self, OpenError> {
        SegmentOptions::new().create_new(true).size(size).open(name)
    }

    /// Opens `/dev/shmdev` for reading and writing and attaches to the default segment.
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open_default`].
    pub fn open_default() -> Result<Self, OpenError> {
        OpenOptions::new().open_default()
    }

    /// Whether this handle's opening created the segment: then its memory is all zero, and it is this
    /// program that others expect to fill it.
    #[must_use]
    pub fn was_created(&self) -> bool {
        self.created
    }

    /// What the device said of itself and of this handle when it was opened, taken or last
    /// [restricted](Self::restrict): page size, features, limits, token, what can be done with it.
    #[must_use]
    pub fn info(&self) -> &Info {
        self.device.info()
    }

    /// The handle itself, to ask about other segments.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn file(&self) -> &File {
        &self.device.file
    }

    /// Learns what the handle can do now. Asking is not known to fail; then it knows what it knew.
    pub(crate) fn look_again(&mut self) {
        if let Ok(info) = self.device.query() {
            self.device.info = info;
        }
    }

    /// Maps the whole segment for reading and writing. The length is the segment's size in bytes, and stays
    /// so when the segment is [resized](Self::resize). The handle has then seen the generation, as by
    /// [`stat`](Self::stat); [`map_range`](Self::map_range) leaves it unseen.
    ///
    /// # Errors
    ///
    /// [`Denied`](MapErrorKind::Denied) when the handle is not open for both, or was
    /// [restricted](Self::restrict) to less or to a part; [`PastEnd`](MapErrorKind::PastEnd) when somebody
    /// shrinks the segment meanwhile; [`NoMemory`](MapErrorKind::NoMemory),
    /// [`NotPermitted`](MapErrorKind::NotPermitted).
    pub fn map(&self) -> Result<Mapping, MapError> {
        self.map_window(Window {
            offset: 0,
            len: self.size_to_map()?,
            how: How::Write,
        })
    }

    /// Maps the whole segment for reading. Else as [`map`](Self::map).
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map), but the handle need not be open for writing.
    pub fn map_read_only(&self) -> Result<Mapping, MapError> {
        self.map_window(Window {
            offset: 0,
            len: self.size_to_map()?,
            how: How::Read,
        })
    }

    /// Maps `len` bytes at `offset`, a multiple of the [page size](Info::page_size), for reading and writing.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map), with [`Denied`](MapErrorKind::Denied) only for what is mapped;
    /// [`Empty`](MapErrorKind::Empty), [`Unaligned`](MapErrorKind::Unaligned), and
    /// [`PastEnd`](MapErrorKind::PastEnd) of the segment's last page.
    pub fn map_range(&self, offset: u64, len: usize) -> Result<Mapping, MapError> {
        self.map_window(Window {
            offset,
            len: len as u64,
            how: How::Write,
        })
    }

    /// Maps `len` bytes at `offset`, a multiple of the [page size](Info::page_size), for reading.
    ///
    /// # Errors
    ///
    /// As [`map_range`](Self::map_range), but the handle need not be open for writing.
    pub fn map_range_read_only(&self, offset: u64, len: usize) -> Result<Mapping, MapError> {
        self.map_window(Window {
            offset,
            len: len as u64,
            how: How::Read,
        })
    }

    /// Maps the whole segment as a private copy, for reading and writing: as Python's `ACCESS_COPY`. What is written to it
    /// is seen by nobody else, and a page shows what others write until something is written to it here. Else as
    /// [`map`](Self::map).
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map), but the handle need not be open for writing; [`NoCopies`](MapErrorKind::NoCopies) for
    /// segments that are not [`Map::Fault`](crate::Map::Fault).
    ///
    /// ```no_run
    /// use shmdev::{Map, SegmentOptions};
    ///
    /// let plan = SegmentOptions::new().create(true).size(4096).map(Map::Fault).open("plan")?;
    /// let draft = plan.map_copy()?;
    /// draft.write_at(b"what if", 0)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map_copy(&self) -> Result<Mapping, MapError> {
        self.map_window(Window {
            offset: 0,
            len: self.size_to_map()?,
            how: How::Copy,
        })
    }

    fn size_to_map(&self) -> Result<u64, MapError> {
        sys::stat(self.as_fd(), OWN)
            .map(|stat| stat.size)
            .map_err(|error| MapError::new("map the segment", error))
    }

    fn map_window(&self, window: Window) -> Result<Mapping, MapError> {
        let len = window.check(self.info().page_size)?;
        let mut options = MmapOptions::new();
        // Always with a length: memmap2's own comes from fstat, which says 0 for a device.
        options.offset(window.offset).len(len);
        let raw = match window.how {
            How::Write => options.map_raw(self.file()),
            How::Read => options.map_raw_read_only(self.file()),
            How::Copy => sys::map_copy(&options, self.file()),
        };
        let raw = raw.map_err(|error| MapError::new(window.operation(), error))?;
        Ok(Mapping::new(raw, window.offset, window.how != How::Read))
    }

    /// Waits until a write was completed that this handle has not seen; `false` when none was until
    /// `deadline`.
    ///
    /// A handle sees the generation when it attaches, and by [`stat`](Self::stat), [`size`](Self::size), the
    /// begin and the end of ranges, reads, and [mapping](Self::map) the whole segment. This call does not see
    /// it: call one of those before waiting again. Writes of this handle do not count. A signal does not end
    /// the wait. A handle that somebody else has [restricted](Self::restrict) to writing is told of nothing:
    /// give a deadline.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # use shmdev::{Deadline, Segment};
    /// # let segment = Segment::open_default()?;
    /// while segment.wait_change(Deadline::after(Duration::from_secs(60)))? {
    ///     println!("generation {}", segment.stat()?.generation);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Denied`](PollErrorKind::Denied) when the handle is not open for reading, or was restricted to
    /// writing; [`Gone`](PollErrorKind::Gone), [`NoMemory`](PollErrorKind::NoMemory).
    pub fn wait_change(&self, deadline: Deadline) -> Result<bool, PollError> {
        const OPERATION: &str = "wait for a change";
        if self.info().access & ACCESS_READ == 0 {
            return Err(PollError::refused(OPERATION, PollErrorKind::Denied, Errno::EBADF));
        }
        loop {
            let timeout = deadline.remaining().map(TimeSpec::from_duration);
            let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match ppoll(&mut fds, timeout, None) {
                Ok(0) => return Ok(false),
                Ok(_) => {
                    let events = fds[0].revents().unwrap_or(PollFlags::POLLERR);
                    if events.contains(PollFlags::POLLIN) {
                        return Ok(true);
                    }
                    return Err(PollError::refused(OPERATION, PollErrorKind::Gone, Errno::EIDRM));
                }
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(PollError::new(OPERATION, errno.into())),
            }
        }
    }
}

/// A window to map, as it was asked for.
#[derive(Clone, Copy, Debug)]
struct Window {
    offset: u64,
    len: u64,
    how: How,
}

/// What a window is mapped for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Write,
    Read,
    Copy,
}

impl Window {
    fn operation(self) -> String {
        let how = match self.how {
            How::Write => "",
            How::Read => " read-only",
            How::Copy => " as a private copy",
        };
        format!("map {} bytes at {}{how}", self.len, self.offset)
    }

    /// Refuses what memmap2 would quietly change (it rounds offsets down, and maps a byte where none was
    /// asked for), and what the address space cannot hold.
    fn check(self, page_size: u32) -> Result<usize, MapError> {
        if self.len == 0 {
            return Err(MapError::refused(
                self.operation(),
                MapErrorKind::Empty,
                Errno::EINVAL,
            ));
        }
        if self.offset % u64::from(page_size.max(1)) != 0 {
            let operation = format!("{} (pages have {page_size})", self.operation());
            return Err(MapError::refused(
                operation,
                MapErrorKind::Unaligned,
                Errno::EINVAL,
            ));
        }
        // `off_t` and `isize` are signed.
        let end = self
            .offset
            .checked_add(self.len)
            .and_then(|end| i64::try_from(end).ok());
        match (end, isize::try_from(self.len)) {
            (Some(_), Ok(len)) => Ok(len.unsigned_abs()),
            _ => Err(MapError::refused(
                self.operation(),
                MapErrorKind::PastEnd,
                Errno::EOVERFLOW,
            )),
        }
    }
}

impl TryFrom<OwnedFd> for Segment {
    type Error = OpenError;

    /// Takes a descriptor that was opened elsewhere: inherited, or received over a socket. It is the same
    /// handle as the descriptors it is a duplicate of. A handle that is attached to nothing becomes one of
    /// the default segment.
    ///
    /// ```no_run
    /// use std::os::fd::OwnedFd;
    /// use shmdev::Segment;
    ///
    /// # fn receive() -> OwnedFd { unimplemented!() }
    /// let received: OwnedFd = receive();
    /// let segment = Segment::try_from(received)?;
    /// # Ok::<(), shmdev::OpenError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Device::from_fd`] and [`Device::into_default_segment`]. The descriptor is closed then.
    fn try_from(fd: OwnedFd) -> Result<Self, OpenError> {
        Device::from_fd(fd)?.into_default_segment()
    }
}

impl AsFd for Segment {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

impl AsRawFd for Segment {
    fn as_raw_fd(&self) -> RawFd {
        self.device.as_raw_fd()
    }
}

impl IntoRawFd for Segment {
    fn into_raw_fd(self) -> RawFd {
        self.device.into_raw_fd()
    }
}

impl From<Segment> for OwnedFd {
    fn from(segment: Segment) -> Self {
        segment.device.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offset: u64, len: u64) -> Result<usize, (MapErrorKind, String)> {
        let window = Window {
            offset,
            len,
            how: How::Write,
        };
        window
            .check(4096)
            .map_err(|error| (error.kind(), error.to_string()))
    }

    #[test]
    fn windows_of_whole_pages_pass_whatever_their_length() {
        assert_eq!(check(0, 1), Ok(1));
        assert_eq!(check(4096, 4097), Ok(4097));
        assert_eq!(check(0, i64::MAX as u64), Ok(isize::MAX as usize));
    }

    #[test]
    fn an_empty_window_is_refused_before_memmap2_maps_a_byte() {
        let (kind, message) = check(4096, 0).unwrap_err();
        assert_eq!(kind, MapErrorKind::Empty);
        assert_eq!(
            message,
            "map 0 bytes at 4096: nothing to map; a mapping has at least one byte (EINVAL)"
        );
    }

    #[test]
    fn an_unaligned_window_is_refused_before_memmap2_rounds_it() {
        let (kind, message) = check(100, 10).unwrap_err();
        assert_eq!(kind, MapErrorKind::Unaligned);
        assert_eq!(
            message,
            "map 10 bytes at 100 (pages have 4096): the offset is not a multiple of the page size (EINVAL)"
        );
    }

    #[test]
    fn a_window_that_overflows_is_past_the_end() {
        for (offset, len) in [
            (1 << 63, 4096),
            (0, u64::MAX),
            (u64::MAX - 4095, 4096),
            ((1 << 63) - 4096, 4096),
        ] {
            let (kind, message) = check(offset, len).unwrap_err();
            assert_eq!(kind, MapErrorKind::PastEnd, "{offset} {len}");
            assert!(message.ends_with("(EOVERFLOW)"), "{message}");
        }
    }
}
