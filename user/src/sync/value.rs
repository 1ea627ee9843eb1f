// SPDX-License-Identifier: MIT OR Apache-2.0

//! The value that a lock protects: where it lies, and the copy of it that a guard works on.
//!
//! Others can write the memory whatever the lock says, so no reference to it is ever made.

use std::marker::PhantomData;
use std::sync::atomic::AtomicU8;
use std::thread;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::area::Area;
use crate::memory::{self, Kept};

/// What a lock can protect: a type that is made of its bytes alone.
///
/// Any type that derives [`zerocopy`](crate::zerocopy)'s `FromBytes`, `IntoBytes` and `Immutable` is one:
/// then all bytes that another process may have put there are a value. Use `()` to protect other bytes of the
/// segment.
///
/// ```
/// use shmdev::zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
/// #[zerocopy(crate = "shmdev::zerocopy")] // where zerocopy itself is no dependency
/// #[repr(C)]
/// struct Point {
///     x: i32,
///     y: i32,
/// }
///
/// fn is_a_value<T: shmdev::sync::Value>() {}
/// is_a_value::<Point>();
/// ```
pub trait Value: FromBytes + IntoBytes + Immutable {}

impl<T: FromBytes + IntoBytes + Immutable> Value for T {}

/// Where the value lies.
pub(crate) struct Place<T> {
    cells: Kept<[AtomicU8]>,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Value> Place<T> {
    /// The value lies in an object that was placed in the area.
    pub(crate) fn new(area: &Area, offset: usize) -> Self {
        let cells = Kept::new(area, |mapping| mapping.atomics(offset, size_of::<T>()));
        Self {
            cells: cells.expect("a value of an object that was placed here"),
            value: PhantomData,
        }
    }

    /// So many as the value has: the compiler is to know the number.
    #[inline]
    fn cells(&self) -> &[AtomicU8] {
        &self.cells[..size_of::<T>()]
    }

    #[inline]
    pub(crate) fn read(&self) -> T {
        let mut value = T::new_zeroed();
        memory::copy_out(self.cells(), value.as_mut_bytes());
        value
    }

    #[inline]
    pub(crate) fn write(&self, value: &T) {
        memory::copy_in(value.as_bytes(), self.cells());
    }
}

/// A guard's copy of the value.
pub(crate) struct Copied<T> {
    value: T,
    changed: bool,
    /// The guard was made by a destructor that a panic runs: then going on panicking means nothing.
    panicking: bool,
}

impl<T: Value> Copied<T> {
    #[inline]
    pub(crate) fn of(place: &Place<T>) -> Self {
        Self {
            value: place.read(),
            changed: false,
            panicking: thread::panicking(),
        }
    }

    #[inline]
    pub(crate) fn get(&self) -> &T {
        &self.value
    }

    #[inline]
    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }

    /// Writes it back if it was changed.
    #[inline]
    pub(crate) fn commit(&mut self, place: &Place<T>) {
        if self.changed {
            place.write(&self.value);
            self.changed = false;
        }
    }

    /// Writes it back, unless the guard ends by a panic.
    #[inline]
    pub(crate) fn end(&mut self, place: &Place<T>) {
        if self.panicking || !thread::panicking() {
            self.commit(place);
        }
    }

    /// Forgets what was changed.
    #[inline]
    pub(crate) fn roll_back(&mut self, place: &Place<T>) {
        self.value = place.read();
        self.changed = false;
    }
}
