// SPDX-License-Identifier: MIT OR Apache-2.0

//! A segment as a file of fixed size: `read`, `write` and `lseek` through the descriptor. No mapping, no range.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

use crate::error::{TransferError, TransferErrorKind};
use crate::segment::Segment;

impl Segment {
    /// Reads at most `buf.len()` bytes at `offset` and says how many; 0 at and past the end. Takes no range.
    ///
    /// # Errors
    ///
    /// See [`TransferErrorKind`].
    pub fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, TransferError> {
        let len = buf.len();
        let failed = |error| TransferError::new(format_args!("read {len} bytes at {offset}"), error);
        self.file().read_at(buf, offset).map_err(failed)
    }

    /// Reads the `buf.len()` bytes at `offset`, going on after signals.
    ///
    /// # Errors
    ///
    /// See [`TransferErrorKind`]; [`UnexpectedEnd`](TransferErrorKind::UnexpectedEnd) when the segment ends
    /// before, with some of `buf` filled perhaps.
    pub fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> Result<(), TransferError> {
        let operation = format!("read {} bytes at {offset}", buf.len());
        self.file()
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
        self.file().write_at(buf, offset).map_err(failed)
    }

    /// Writes `buf` at `offset`, going on after signals.
    ///
    /// # Errors
    ///
    /// See [`TransferErrorKind`]; [`NoSpace`](TransferErrorKind::NoSpace) when the segment ends before,
    /// with some of `buf` written.
    pub fn write_all_at(&self, buf: &[u8], offset: u64) -> Result<(), TransferError> {
        let failed = |error| TransferError::new(format_args!("write {} bytes at {offset}", buf.len()), error);
        self.file().write_all_at(buf, offset).map_err(failed)
    }
}

/// `Read`, `Write` and `Seek` as a file has them: of the handle, which has one position for all its
/// descriptors.
macro_rules! file_like {
    ($($segment:ty)*) => { $(
        impl Read for $segment {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.file().read(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
                self.file().read_vectored(bufs)
            }
        }

        impl Write for $segment {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.file().write(buf)
            }

            fn write_vectored(&mut self, bufs: &[io::IoSlice<'_>]) -> io::Result<usize> {
                self.file().write_vectored(bufs)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl Seek for $segment {
            fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
                self.file().seek(position)
            }
        }
    )* };
}

file_like! { Segment &Segment }
