// SPDX-License-Identifier: MIT OR Apache-2.0

//! A handle that is attached to a segment: state, mappings, file I/O, notification. Ranges are in `sync`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;

use memmap2::MmapOptions;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use crate::deadline::Deadline;
use crate::device::{Device, Mode, OpenOptions};
use crate::error::{
    MapError, MapErrorKind, OpenError, PollError, PollErrorKind, StatError, TransferError, TransferErrorKind,
};
use crate::mapping::Mapping;
use crate::sys;
use crate::uapi::{Info, Stat, Target};

/// A handle of the device, attached to a segment.
///
/// It is a file of fixed size ([`Read`], [`Write`], [`Seek`], [`read_at`](Self::read_at),
/// [`write_at`](Self::write_at)), memory ([`map`](Self::map)), a lock on byte ranges
/// ([`begin_read`](Self::begin_read), [`begin_write`](Self::begin_write)) and a source of events
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
    file: File,
    info: Info,
    mode: Mode,
}

impl Segment {
    /// Opens `/dev/shmdev` for reading and writing and attaches to the default segment.
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`].
    pub fn open_default() -> Result<Self, OpenError> {
        OpenOptions::new().open_default()
    }

    /// `STAT` attaches a handle that has no segment to the default one.
    pub(crate) fn attach(Device { file, info, mode }: Device) -> Result<Self, StatError> {
        let segment = Self { file, info, mode };
        segment.stat()?;
        Ok(segment)
    }

    /// What the device said of itself and of this handle when it was opened: page size, features, limits,
    /// token.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The state of the segment now: size, mappings, handles, generation, ranges.
    ///
    /// The handle has then seen the generation that is returned, see [`wait_change`](Self::wait_change).
    ///
    /// # Errors
    ///
    /// None that the ABI knows for an attached handle.
    pub fn stat(&self) -> Result<Stat, StatError> {
        sys::stat(self.as_fd(), Target::default()).map_err(|error| StatError::new("stat", error))
    }

    /// Maps the whole segment for reading and writing. The length is the segment's size in bytes.
    ///
    /// # Errors
    ///
    /// [`Denied`](MapErrorKind::Denied) when the handle is not open for both,
    /// [`NoMemory`](MapErrorKind::NoMemory), [`NotPermitted`](MapErrorKind::NotPermitted).
    pub fn map(&self) -> Result<Mapping, MapError> {
        self.map_window(Window {
            offset: 0,
            len: self.size("map the segment")?,
            writable: true,
        })
    }

    /// Maps the whole segment for reading.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map), but the handle need not be open for writing.
    pub fn map_read_only(&self) -> Result<Mapping, MapError> {
        self.map_window(Window {
            offset: 0,
            len: self.size("map the segment")?,
            writable: false,
        })
    }

    /// Maps `len` bytes at `offset`, a multiple of the [page size](Info::page_size), for reading and writing.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map), and [`Empty`](MapErrorKind::Empty), [`Unaligned`](MapErrorKind::Unaligned) and
    /// [`PastEnd`](MapErrorKind::PastEnd) (the end of the last whole page).
    pub fn map_range(&self, offset: u64, len: usize) -> Result<Mapping, MapError> {
        self.map_window(Window {
            offset,
            len: len as u64,
            writable: true,
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
            writable: false,
        })
    }

    fn size(&self, operation: &str) -> Result<u64, MapError> {
        sys::stat(self.as_fd(), Target::default())
            .map(|stat| stat.size)
            .map_err(|error| MapError::new(operation, error))
    }

    fn map_window(&self, window: Window) -> Result<Mapping, MapError> {
        let len = window.check(self.info.page_size)?;
        let mut options = MmapOptions::new();
        // Always with a length: memmap2's own comes from fstat, which says 0 for a device.
        options.offset(window.offset).len(len);
        let raw = match window.writable {
            true => options.map_raw(&self.file),
            false => options.map_raw_read_only(&self.file),
        };
        let raw = raw.map_err(|error| MapError::new(window.operation(), error))?;
        Ok(Mapping::new(raw, window.offset, window.writable))
    }

    /// Reads at most `buf.len()` bytes at `offset` and says how many; 0 at and past the end. Takes no range.
    ///
    /// # Errors
    ///
    /// See [`TransferErrorKind`].
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, TransferError> {
        let len = buf.len();
        let failed = |error| TransferError::new(format_args!("read {len} bytes at {offset}"), error);
        self.file.read_at(buf, offset).map_err(failed)
    }

    /// Reads the `buf.len()` bytes at `offset`, going on after signals.
    ///
    /// # Errors
    ///
    /// See [`TransferErrorKind`]; [`UnexpectedEnd`](TransferErrorKind::UnexpectedEnd) when the segment ends
    /// before, with some of `buf` filled perhaps.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), TransferError> {
        let operation = format!("read {} bytes at {offset}", buf.len());
        self.file
            .read_exact_at(buf, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => {
                    TransferError::refused(operation, TransferErrorKind::UnexpectedEnd, Errno::ENODATA)
                }
                _ => TransferError::new(operation, error),
            })
    }

    /// Writes some of `buf` at `offset` and says how many bytes: fewer when the segment ends before. Takes
    /// no range. It completes a write: the generation grows by one.
    ///
    /// # Errors
    ///
    /// See [`TransferErrorKind`]; [`NoSpace`](TransferErrorKind::NoSpace) at and past the end.
    pub fn write_at(&self, buf: &[u8], offset: u64) -> Result<usize, TransferError> {
        let failed = |error| TransferError::new(format_args!("write {} bytes at {offset}", buf.len()), error);
        self.file.write_at(buf, offset).map_err(failed)
    }

    /// Writes `buf` at `offset`, going on after signals.
    ///
    /// # Errors
    ///
    /// See [`TransferErrorKind`]; [`NoSpace`](TransferErrorKind::NoSpace) when the segment ends before,
    /// with some of `buf` written.
    pub fn write_all_at(&self, buf: &[u8], offset: u64) -> Result<(), TransferError> {
        let failed = |error| TransferError::new(format_args!("write {} bytes at {offset}", buf.len()), error);
        self.file.write_all_at(buf, offset).map_err(failed)
    }

    /// Waits until a write was completed that this handle has not seen; `false` when none was until
    /// `deadline`.
    ///
    /// A handle sees the generation when it attaches, and by [`stat`](Self::stat), the begin and the end of
    /// ranges, and reads. This call does not see it: call one of those before waiting again. Writes of this
    /// handle do not count. A signal does not end the wait.
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
    /// [`Denied`](PollErrorKind::Denied) when the handle is not open for reading,
    /// [`Gone`](PollErrorKind::Gone).
    pub fn wait_change(&self, deadline: Deadline) -> Result<bool, PollError> {
        const OPERATION: &str = "wait for a change";
        if !self.mode.read {
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
    writable: bool,
}

impl Window {
    fn operation(self) -> String {
        let how = if self.writable { "" } else { " read-only" };
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

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Segment {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl From<Segment> for OwnedFd {
    fn from(segment: Segment) -> Self {
        segment.file.into()
    }
}

/// `Read`, `Write` and `Seek` as a file has them: of the handle, which has one position for all its
/// descriptors.
macro_rules! file_like {
    ($($segment:ty)*) => { $(
        impl Read for $segment {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                (&self.file).read(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
                (&self.file).read_vectored(bufs)
            }
        }

        impl Write for $segment {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                (&self.file).write(buf)
            }

            fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
                (&self.file).write_vectored(bufs)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Seek for $segment {
            fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
                (&self.file).seek(position)
            }
        }
    )* };
}

file_like! { Segment &Segment }

#[cfg(test)]
mod tests {
    use super::*;

    fn check(offset: u64, len: u64) -> Result<usize, (MapErrorKind, String)> {
        let window = Window {
            offset,
            len,
            writable: true,
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
