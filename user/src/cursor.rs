// SPDX-License-Identifier: MIT OR Apache-2.0

//! A mapping as a file with a position. Position arithmetic only; the bytes are the mapping's.

use std::borrow::Borrow;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::ops::RangeBounds;

use nix::errno::Errno;

use crate::error::AccessError;
use crate::mapping::Mapping;
use crate::segment::Segment;

/// How many bytes [`BufRead::fill_buf`] shows at a time.
const PEEK: usize = 1024;

/// A position in a mapping, and what files and Python's `mmap` can do with one.
///
/// It owns its mapping or borrows it (`M` is `Mapping`, `&Mapping`, `Arc<Mapping>`, …). The mapping is a
/// file of fixed size: reads at the end return nothing, writes that reach past it are short and at it fail
/// with `ENOSPC`, and the position is never past the end: seeking there fails with `EINVAL`, as on the
/// device.
///
/// Nothing is kept back: a write is in the shared memory when it returns, `flush` has nothing to do, and
/// every read sees the bytes as they are then. [`BufRead`] shows a fresh copy each time it is asked.
///
/// ```
/// use std::io::{BufRead, Read, Seek, SeekFrom, Write};
/// use shmdev::{Cursor, Mapping};
///
/// let mapping = Mapping::anonymous(4096)?;
/// let mut cursor = Cursor::new(&mapping);
/// cursor.write_all(b"Hello, shared memory!\nsecond line\n")?;
/// assert_eq!(cursor.tell(), 34);
///
/// cursor.rewind()?;
/// let mut line = String::new();
/// cursor.read_line(&mut line)?;
/// assert_eq!(line, "Hello, shared memory!\n");
///
/// assert_eq!(cursor.find(b"line"), Some(29));
/// cursor.seek(SeekFrom::End(-1))?;
/// cursor.write_byte(b'!')?;
/// assert_eq!(mapping.get::<u8>(4095)?, b'!');
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cursor<M> {
    mapping: M,
    /// At most the length of the mapping.
    position: usize,
    /// What `fill_buf` showed last.
    peeked: Vec<u8>,
}

impl<M: Borrow<Mapping>> Cursor<M> {
    /// At the start of `mapping`.
    pub fn new(mapping: M) -> Self {
        Self {
            mapping,
            position: 0,
            peeked: Vec::new(),
        }
    }

    /// The mapping.
    pub fn mapping(&self) -> &Mapping {
        self.mapping.borrow()
    }

    /// What the cursor was made of.
    pub fn into_inner(self) -> M {
        self.mapping
    }

    /// The position: bytes from the start of the mapping.
    pub fn tell(&self) -> usize {
        self.position
    }

    /// Length of the mapping in bytes. It does not follow the segment when somebody resizes that.
    pub fn size(&self) -> usize {
        self.mapping().len()
    }

    /// How many bytes there are from the position to the end.
    pub fn remaining(&self) -> usize {
        self.size() - self.position
    }

    /// Reads a byte and moves past it.
    ///
    /// # Errors
    ///
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) at the end.
    pub fn read_byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    /// Writes a byte and moves past it.
    ///
    /// # Errors
    ///
    /// `ENOSPC` at the end, [`PermissionDenied`](io::ErrorKind::PermissionDenied) when the mapping is
    /// read-only.
    pub fn write_byte(&mut self, byte: u8) -> io::Result<()> {
        self.write_all(&[byte])
    }

    /// Offset of the first `needle` from the position on. The position stays.
    #[must_use]
    pub fn find(&self, needle: &[u8]) -> Option<usize> {
        self.find_in(needle, self.position..)
    }

    /// Offset of the last `needle` from the position on. The position stays.
    #[must_use]
    pub fn rfind(&self, needle: &[u8]) -> Option<usize> {
        self.rfind_in(needle, self.position..)
    }

    /// As [`Mapping::find`].
    #[must_use]
    pub fn find_in(&self, needle: &[u8], range: impl RangeBounds<usize>) -> Option<usize> {
        self.mapping().find(needle, range)
    }

    /// As [`Mapping::rfind`].
    #[must_use]
    pub fn rfind_in(&self, needle: &[u8], range: impl RangeBounds<usize>) -> Option<usize> {
        self.mapping().rfind(needle, range)
    }

    /// Copies `len` bytes at `from` to `to`, as `memmove`; Python's `mmap.move`. The position stays.
    ///
    /// # Errors
    ///
    /// As [`Mapping::copy_within`].
    pub fn copy_within(&mut self, from: usize, to: usize, len: usize) -> Result<(), AccessError> {
        self.mapping().copy_within(from, to, len)
    }
}

impl Cursor<Mapping> {
    /// Resizes the segment, of which this has a mapping, to `size` bytes and maps it anew, for reading and
    /// writing, as `mmap.resize` of Python does. The position stays, or becomes the end that there is now.
    ///
    /// ```no_run
    /// # use shmdev::{Cursor, SegmentOptions};
    /// let segment = SegmentOptions::new().create(true).size(4096).open("log")?;
    /// let mut cursor = Cursor::new(segment.map()?);
    /// cursor = cursor.resize(&segment, 8192)?;
    /// assert_eq!(cursor.size(), 8192);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Segment::resize`], such as `EBUSY` where the segment would lose pages and somebody else maps
    /// it, and of [`Segment::map`]. The mapping is gone then.
    pub fn resize(self, segment: &Segment, size: u64) -> io::Result<Self> {
        let position = self.position;
        // A segment loses pages only while nobody maps it.
        drop(self);
        segment.resize(size)?;
        let mut cursor = Self::new(segment.map()?);
        cursor.position = position.min(cursor.size());
        Ok(cursor)
    }
}

impl<M: Borrow<Mapping>> Read for Cursor<M> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = buf.len().min(self.remaining());
        self.mapping().read_at(&mut buf[..len], self.position)?;
        self.position += len;
        Ok(len)
    }
}

impl<M: Borrow<Mapping>> BufRead for Cursor<M> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let mut peeked = std::mem::take(&mut self.peeked);
        peeked.resize(self.remaining().min(PEEK), 0);
        let result = self.mapping().read_at(&mut peeked, self.position);
        self.peeked = peeked;
        result?;
        Ok(&self.peeked)
    }

    fn consume(&mut self, amount: usize) {
        self.position += amount.min(self.remaining());
    }
}

impl<M: Borrow<Mapping>> Write for Cursor<M> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let len = buf.len().min(self.remaining());
        if len == 0 && !buf.is_empty() {
            return Err(Errno::ENOSPC.into());
        }
        self.mapping().write_at(&buf[..len], self.position)?;
        self.position += len;
        Ok(len)
    }

    /// Nothing to do: what was written is shared already.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<M: Borrow<Mapping>> Seek for Cursor<M> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => usize::try_from(offset).ok(),
            SeekFrom::Current(delta) => add(self.position, delta),
            SeekFrom::End(delta) => add(self.size(), delta),
        };
        match position {
            Some(position) if position <= self.size() => {
                self.position = position;
                Ok(position as u64)
            }
            _ => Err(Errno::EINVAL.into()),
        }
    }
}

fn add(base: usize, delta: i64) -> Option<usize> {
    base.checked_add_signed(isize::try_from(delta).ok()?)
}
