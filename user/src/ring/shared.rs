// SPDX-License-Identifier: MIT OR Apache-2.0

//! A ring in a segment, before anybody sends or receives: how it is made or found, and what it tells.

use std::fmt;
use std::marker::PhantomData;

use nix::errno::Errno;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::core::Core;
use super::failure::RingError;
use super::kind::{Kind, Records, Slots};
use super::layout::{ALIGN, HEAD, READERS, SHAPE, Shape, TAIL, UNITS, WRITERS};
use super::placed::Placed;
use super::reader::Reader;
use super::receiver::Receiver;
use super::role::Role;
use super::sender::Sender;
use super::stats::Stats;
use super::writer::Writer;
use crate::area::Area;
use crate::error::{PlaceError, PlaceErrorKind, RobustError};
use crate::sync::header::{self, Layout};

/// How to make a ring, or which one to find: all who use it say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    overwrite: bool,
    many_senders: bool,
    many_receivers: bool,
}

impl Options {
    /// One sender, one receiver, and who sends waits when the ring is full.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Who sends never waits for room, but overwrites the oldest records. Those are [counted](Stats::overwritten).
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Any number of senders, which take a lock while they write a record.
    #[must_use]
    pub fn many_senders(mut self, many: bool) -> Self {
        self.many_senders = many;
        self
    }

    /// Any number of receivers, which take a lock while they copy a record. Each record is received by one of them.
    #[must_use]
    pub fn many_receivers(mut self, many: bool) -> Self {
        self.many_receivers = many;
        self
    }

    /// How many bytes a ring of `count` values takes in a segment.
    ///
    /// # Errors
    ///
    /// [`Invalid`](PlaceErrorKind::Invalid) for a count that is not a power of two, and when the values have more than
    /// 2^30 bytes.
    pub fn slots_size<T>(count: usize) -> Result<usize, PlaceError> {
        Ok(UNITS + slots_shape::<T>(count)?.bytes())
    }

    /// How many bytes a ring takes in a segment whose records have `bytes` bytes together, with headers of 8 bytes each.
    ///
    /// # Errors
    ///
    /// [`Invalid`](PlaceErrorKind::Invalid) for a number that is not a power of two from 64 to 2^30.
    pub fn records_size(bytes: usize) -> Result<usize, PlaceError> {
        Ok(UNITS + records_shape(bytes)?.bytes())
    }

    /// Finds the ring of `count` values at `offset`, a multiple of 64, or makes it where the first 8 bytes are zero.
    ///
    /// # Errors
    ///
    /// As [`slots_size`](Self::slots_size), and when something else is there: see [`PlaceErrorKind`].
    pub fn slots<T: FromBytes + IntoBytes + Immutable + 'static>(
        self,
        area: &Area,
        offset: usize,
        count: usize,
    ) -> Result<Ring<Slots<T>>, PlaceError> {
        self.ring(area, offset, slots_shape::<T>(count)?)
    }

    /// Finds the ring of records that have `bytes` bytes together, at `offset`, a multiple of 64, or makes it where the
    /// first 8 bytes are zero. A record can have half of that, without one header.
    ///
    /// # Errors
    ///
    /// As [`records_size`](Self::records_size), and when something else is there: see [`PlaceErrorKind`].
    pub fn records(self, area: &Area, offset: usize, bytes: usize) -> Result<Ring<Records>, PlaceError> {
        self.ring(area, offset, records_shape(bytes)?)
    }

    fn ring<K: Kind>(self, area: &Area, offset: usize, shape: Shape) -> Result<Ring<K>, PlaceError> {
        let shape = shape.used_by(self.many_senders, self.many_receivers, self.overwrite);
        place(area, offset, &shape)?;
        Ok(Ring {
            area: area.clone(),
            offset,
            shape,
            kind: PhantomData,
        })
    }
}

fn slots_shape<T>(count: usize) -> Result<Shape, PlaceError> {
    Shape::slots(count, size_of::<T>()).ok_or_else(|| {
        invalid(format_args!(
            "a ring of {count} values of {} bytes",
            size_of::<T>()
        ))
    })
}

fn records_shape(bytes: usize) -> Result<Shape, PlaceError> {
    Shape::records(bytes).ok_or_else(|| invalid(format_args!("a ring of records of {bytes} bytes together")))
}

fn invalid(what: fmt::Arguments<'_>) -> PlaceError {
    PlaceError::refused(what, PlaceErrorKind::Invalid, Errno::EINVAL)
}

/// Makes the ring, or checks that the one that is there has this shape.
fn place(area: &Area, offset: usize, shape: &Shape) -> Result<(), PlaceError> {
    let layout = Layout {
        kind: header::Kind::Ring,
        version: 1,
        size: UNITS + shape.bytes(),
        align: ALIGN,
        value_size: 0,
        value_align: 1,
    };
    let words = shape.words();
    header::place(area, offset, &layout, || {
        for (index, word) in words.iter().enumerate() {
            area.mapping()
                .set(offset + SHAPE + 4 * index, word)
                .expect("it lies in the ring");
        }
    })?;
    match area.mapping().get::<[u32; 3]>(offset + SHAPE) {
        Ok(found) if found == words => Ok(()),
        _ => Err(PlaceError::refused(
            format_args!("place a ring at {offset}"),
            PlaceErrorKind::OtherLayout,
            Errno::EEXIST,
        )),
    }
}

/// A ring in a segment: where senders and receivers come from.
///
/// It keeps the [`Area`], as they do.
#[derive(Debug)]
pub struct Ring<K> {
    area: Area,
    offset: usize,
    shape: Shape,
    kind: PhantomData<K>,
}

impl<K> Clone for Ring<K> {
    fn clone(&self) -> Self {
        Self {
            area: self.area.clone(),
            ..*self
        }
    }
}

impl<K: Kind> Ring<K> {
    /// Sends from now on, until the sender is dropped or this process dies.
    ///
    /// # Errors
    ///
    /// [`Busy`](RingError::Busy) when the ring has one sender, and that lives; [`Call`](RingError::Call) when the kernel
    /// has no room for three [robust words](crate::Segment::add_robust) more, [`Corrupt`](RingError::Corrupt).
    pub fn sender(&self) -> Result<Sender<K>, RingError> {
        let role = self.role(WRITERS, TAIL, HEAD, self.shape.many_senders)?;
        let writer = Writer::claim(self.core(), self.area.token())?.ok_or(RingError::Busy)?;
        Ok(Sender::new(writer, role))
    }

    /// Receives from now on, until the receiver is dropped or this process dies.
    ///
    /// # Errors
    ///
    /// As [`sender`](Self::sender).
    pub fn receiver(&self) -> Result<Receiver<K>, RingError> {
        let role = self.role(READERS, HEAD, TAIL, self.shape.many_receivers)?;
        let reader = Reader::claim(self.core(), self.area.token())?.ok_or(RingError::Busy)?;
        Ok(Receiver::new(reader, role))
    }

    /// What the ring tells of itself.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.core())
    }

    /// The most bytes that a record can have.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.shape.max_len()
    }

    fn role(&self, lock: usize, moves: usize, waits_for: usize, many: bool) -> Result<Role, RingError> {
        let at = |word| self.offset + word;
        Role::tend(&self.area, at(lock), at(moves), at(waits_for), many).map_err(call)
    }

    fn core(&self) -> Core<Placed> {
        let memory = Placed::new(&self.area, self.offset, &self.shape).expect("it was placed here");
        Core {
            memory,
            shape: self.shape,
        }
    }
}

fn call(error: RobustError) -> RingError {
    RingError::Call(error.into())
}
