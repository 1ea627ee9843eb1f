// SPDX-License-Identifier: GPL-2.0

//! A stand-in for the few names of `kernel::prelude` that the pure parts use.

use std::cell::Cell;

/// Stands in for `kernel::alloc::Flags`.
#[derive(Clone, Copy)]
pub struct Flags;

#[derive(Debug, PartialEq, Eq)]
pub struct AllocError;
#[derive(Debug)]
pub struct RemoveError;
#[derive(Debug)]
pub struct Error;
pub const EINVAL: Error = Error;
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Self {
        Self
    }
}

thread_local! {
    /// How many allocations succeed before one fails.
    static ALLOCATIONS_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Makes the allocation after the next `count` ones fail; `None`: all succeed.
pub fn fail_allocation_after(count: Option<usize>) {
    ALLOCATIONS_LEFT.set(count);
}

fn allocate() -> std::result::Result<(), AllocError> {
    match ALLOCATIONS_LEFT.get() {
        None => Ok(()),
        Some(0) => {
            ALLOCATIONS_LEFT.set(None);
            Err(AllocError)
        }
        Some(left) => {
            ALLOCATIONS_LEFT.set(Some(left - 1));
            Ok(())
        }
    }
}

/// Stands in for `kernel::alloc::KVec`, with its fallible functions.
#[derive(Debug)]
pub struct KVec<T>(Vec<T>);
pub type KVVec<T> = KVec<T>;

#[allow(clippy::new_without_default)] // As the kernel's.
impl<T> KVec<T> {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    pub fn reserve(&mut self, additional: usize, _: Flags) -> std::result::Result<(), AllocError> {
        allocate()?;
        self.0.reserve_exact(additional);
        Ok(())
    }

    pub fn push_within_capacity(&mut self, value: T) -> std::result::Result<(), T> {
        if self.0.len() == self.0.capacity() {
            return Err(value);
        }
        self.0.push(value);
        Ok(())
    }

    pub fn insert_within_capacity(&mut self, index: usize, value: T) -> std::result::Result<(), T> {
        if self.0.len() == self.0.capacity() || index > self.0.len() {
            return Err(value);
        }
        self.0.insert(index, value);
        Ok(())
    }

    pub fn remove(&mut self, index: usize) -> std::result::Result<T, RemoveError> {
        if index < self.0.len() {
            Ok(self.0.remove(index))
        } else {
            Err(RemoveError)
        }
    }

    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub fn retain(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.0.retain_mut(keep);
    }

    pub fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> std::ops::Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> std::ops::DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}
