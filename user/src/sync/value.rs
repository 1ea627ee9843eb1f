// SPDX-License-Identifier: MIT OR Apache-2.0

//! The value that a lock protects: where it lies, and the copy of it that a guard works on.
//!
//! Others can write the memory whatever the lock says, so no reference to it is ever made.

use std::marker::PhantomData;
use std::thread;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::area::Area;

/// What a lock can protect: a type that is made of its bytes alone.
///
/// Any type that derives [`zerocopy`](crate::zerocopy)'s `FromBytes`, `IntoBytes` and `Immutable` is one:
/// then all bytes that another process may have put there are a value. Use `()` to protect other bytes of the
/// segment.
pub trait Value: FromBytes + IntoBytes + Immutable {}

impl<T: FromBytes + IntoBytes + Immutable> Value for T {}

/// Where the value lies.
pub(crate) struct Place<T> {
    area: Area,
    offset: usize,
    value: PhantomData<fn(T) -> T>,
}

const IN_BOUNDS: &str = "a value of an object that was placed here";

impl<T: Value> Place<T> {
    /// The value lies in an object that was placed in the area.
    pub(crate) fn new(area: &Area, offset: usize) -> Self {
        Self {
            area: area.clone(),
            offset,
            value: PhantomData,
        }
    }

    pub(crate) fn read(&self) -> T {
        self.area.mapping().get(self.offset).expect(IN_BOUNDS)
    }

    pub(crate) fn write(&self, value: &T) {
        self.area.mapping().set(self.offset, value).expect(IN_BOUNDS);
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
    pub(crate) fn of(place: &Place<T>) -> Self {
        Self {
            value: place.read(),
            changed: false,
            panicking: thread::panicking(),
        }
    }

    pub(crate) fn get(&self) -> &T {
        &self.value
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.changed = true;
        &mut self.value
    }

    /// Writes it back if it was changed.
    pub(crate) fn commit(&mut self, place: &Place<T>) {
        if self.changed {
            place.write(&self.value);
            self.changed = false;
        }
    }

    /// Writes it back, unless the guard ends by a panic.
    pub(crate) fn end(&mut self, place: &Place<T>) {
        if self.panicking || !thread::panicking() {
            self.commit(place);
        }
    }

    /// Forgets what was changed.
    pub(crate) fn roll_back(&mut self, place: &Place<T>) {
        self.value = place.read();
        self.changed = false;
    }
}
