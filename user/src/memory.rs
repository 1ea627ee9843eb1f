// SPDX-License-Identifier: MIT OR Apache-2.0

//! Bytes that others write at any time: the only file that touches them.
//!
//! A mapping is seen here as `&[AtomicU8]`, and every access to it is an atomic one with relaxed ordering,
//! or [one that the compiler does not see](bulk), so a writer in another thread is no data race and a writer in
//! another process changes nothing that the compiler relies upon. Copies go word by word where the addresses allow.
//!
//! Rust's memory model gives no meaning to two *racing* accesses of different sizes to the same bytes. LLVM's,
//! to which they are compiled, and those of the architectures define each byte by itself, and that is what is
//! relied upon here: nothing can keep memory that other programs write free of such races.
//!
//! A read-only mapping sees relaxed loads of at most a machine word and nothing else: those are the atomic
//! accesses that `core::sync::atomic` allows on memory that cannot be written.

#![expect(unsafe_code, reason = "views of mapped memory")]

use std::ops::Deref;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::Relaxed,
};

use memmap2::MmapRaw;

use crate::error::AccessError;

use crate::area::Area;
use crate::mapping::Mapping;

pub(crate) mod bulk;

/// An atomic integer that [`Mapping::atomic`](crate::Mapping::atomic) can find in shared memory.
///
/// Implemented for the signed and unsigned ones of 8 to 64 bits, for which every bit pattern is a value.
/// Sealed.
pub trait Atomic: Sealed {}

/// What this file relies upon.
///
/// # Safety
///
/// The type is an integer in an `UnsafeCell`: no padding, every bit pattern valid, alignment equal to its
/// size.
pub unsafe trait Sealed: Sized + Sync {}

macro_rules! atomic {
    ($($atomic:ty)*) => { $(
        // SAFETY: that is how `core::sync::atomic` documents the type ("same size and bit validity as the
        // underlying integer, alignment always equal to its size").
        unsafe impl Sealed for $atomic {}
        impl Atomic for $atomic {}
    )* };
}

atomic! { AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicI8 AtomicI16 AtomicI32 AtomicI64 }

// SAFETY: as above. Not `Atomic`: what lies in memory that programs of several word sizes share has a fixed
// size.
unsafe impl Sealed for AtomicUsize {}

/// The bytes of a mapping.
#[inline]
pub(crate) fn cells(map: &MmapRaw) -> &[AtomicU8] {
    let start = map.as_ptr().cast::<AtomicU8>();
    // SAFETY: `map` keeps these bytes mapped and readable as long as it is borrowed; `AtomicU8` is a byte
    // with interior mutability, so others may write them meanwhile; memmap2 keeps lengths below
    // `isize::MAX`.
    unsafe { slice::from_raw_parts(start, map.len()) }
}

/// The `len` bytes of `cells` from `offset` on.
#[inline]
pub(crate) fn part(cells: &[AtomicU8], offset: usize, len: usize) -> Result<&[AtomicU8], AccessError> {
    let out_of_bounds = AccessError::OutOfBounds {
        offset,
        len,
        mapped: cells.len(),
    };
    let end = offset.checked_add(len).ok_or(out_of_bounds)?;
    cells.get(offset..end).ok_or(out_of_bounds)
}

/// The aligned middle of `cells` as words, and what is left on both sides.
fn split<T: Sealed>(cells: &[AtomicU8]) -> (&[AtomicU8], &[T], &[AtomicU8]) {
    // SAFETY: `Sealed` promises that any bytes are a `T` and that it is interior mutable as `AtomicU8` is.
    unsafe { cells.align_to::<T>() }
}

/// `cells` as values of `T`; `None` when they are not aligned for it or not a whole number of them.
pub(crate) fn cast<T: Atomic>(cells: &[AtomicU8]) -> Option<&[T]> {
    match split(cells) {
        ([], words, []) => Some(words),
        _ => None,
    }
}

/// Copies one size of word at a time and gives what is not aligned for it to the next smaller size, so an
/// aligned value of 2, 4 or (on 64-bit machines) 8 bytes is copied by one access.
macro_rules! levels {
    ($($copy_out:ident $copy_in:ident $atomic:ty: $int:ty, then $next_out:ident $next_in:ident;)*) => { $(
        fn $copy_out(from: &[AtomicU8], to: &mut [u8]) {
            let (head, words, tail) = split::<$atomic>(from);
            let (to_head, to) = to.split_at_mut(head.len());
            let (to_words, to_tail) = to.split_at_mut(size_of_val(words));
            if !head.is_empty() {
                $next_out(head, to_head);
            }
            let done = bulk::copy_out(bytes(words), to_words);
            let (words, to_words) = (&words[done / size_of::<$int>()..], &mut to_words[done..]);
            for (word, to) in words.iter().zip(to_words.chunks_exact_mut(size_of::<$int>())) {
                to.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
            }
            if !tail.is_empty() {
                $next_out(tail, to_tail);
            }
        }

        fn $copy_in(from: &[u8], to: &[AtomicU8]) {
            let (head, words, tail) = split::<$atomic>(to);
            let (from_head, from) = from.split_at(head.len());
            let (from_words, from_tail) = from.split_at(size_of_val(words));
            if !head.is_empty() {
                $next_in(from_head, head);
            }
            let done = bulk::copy_in(from_words, bytes(words));
            let (from_words, words) = (&from_words[done..], &words[done / size_of::<$int>()..]);
            for (from, word) in from_words.chunks_exact(size_of::<$int>()).zip(words) {
                let mut bytes = [0; size_of::<$int>()];
                bytes.copy_from_slice(from);
                word.store(<$int>::from_ne_bytes(bytes), Relaxed);
            }
            if !tail.is_empty() {
                $next_in(from_tail, tail);
            }
        }
    )* };
}

levels! {
    copy_out_any copy_in_any AtomicUsize: usize, then copy_out_4 copy_in_4;
    copy_out_4 copy_in_4 AtomicU32: u32, then copy_out_2 copy_in_2;
    copy_out_2 copy_in_2 AtomicU16: u16, then copy_out_1 copy_in_1;
}

/// `cells`, if they are an aligned `T`.
#[inline]
fn one<T: Sealed>(cells: &[AtomicU8]) -> Option<&T> {
    let start = cells.as_ptr().cast::<T>();
    // SAFETY: as many bytes, aligned for it; `Sealed` promises that any bytes are a `T` and that it is interior mutable as
    // `AtomicU8` is.
    (cells.len() == size_of::<T>() && start.is_aligned()).then(|| unsafe { &*start })
}

/// Copies `from`, which is as long as `to`.
#[inline]
pub(crate) fn copy_out(from: &[AtomicU8], to: &mut [u8]) {
    debug_assert_eq!(from.len(), to.len());
    if let Some(word) = one::<AtomicUsize>(from) {
        to.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
    } else if let Some(word) = one::<AtomicU32>(from) {
        to.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
    } else if !to.is_empty() {
        copy_out_any(from, to);
    }
}

/// Copies `from`, which is as long as `to`.
#[inline]
pub(crate) fn copy_in(from: &[u8], to: &[AtomicU8]) {
    debug_assert_eq!(from.len(), to.len());
    if let (Some(word), Ok(bytes)) = (one::<AtomicUsize>(to), from.try_into()) {
        word.store(usize::from_ne_bytes(bytes), Relaxed);
    } else if let (Some(word), Ok(bytes)) = (one::<AtomicU32>(to), from.try_into()) {
        word.store(u32::from_ne_bytes(bytes), Relaxed);
    } else if !from.is_empty() {
        copy_in_any(from, to);
    }
}

fn copy_out_1(from: &[AtomicU8], to: &mut [u8]) {
    for (from, to) in from.iter().zip(to) {
        *to = from.load(Relaxed);
    }
}

fn copy_in_1(from: &[u8], to: &[AtomicU8]) {
    for (from, to) in from.iter().zip(to) {
        to.store(*from, Relaxed);
    }
}

/// Sets every byte.
pub(crate) fn fill(cells: &[AtomicU8], byte: u8) {
    let (head, words, tail) = split::<AtomicUsize>(cells);
    for cell in head.iter().chain(tail) {
        cell.store(byte, Relaxed);
    }
    for word in words {
        word.store(usize::from_ne_bytes([byte; size_of::<usize>()]), Relaxed);
    }
}

/// A plain view of the bytes.
///
/// # Safety
///
/// Nobody, in whatever process, writes any of `cells` while the view lives.
pub(crate) unsafe fn as_slice(cells: &[AtomicU8]) -> &[u8] {
    // SAFETY: the same bytes, and the caller promises that nobody writes them.
    unsafe { slice::from_raw_parts(cells.as_ptr().cast::<u8>(), cells.len()) }
}

/// A plain view of the bytes, for writing.
///
/// # Safety
///
/// The memory is writable, and nobody else, in whatever process, reads or writes any of `cells` while the
/// view lives.
#[expect(
    clippy::mut_from_ref,
    reason = "the cells are interior mutable, and the caller promises that the view is alone"
)]
pub(crate) unsafe fn as_mut_slice(cells: &[AtomicU8]) -> &mut [u8] {
    // SAFETY: the same bytes, with interior mutability, and the caller promises that nobody else uses them.
    unsafe { slice::from_raw_parts_mut(cells.as_ptr().cast::<u8>().cast_mut(), cells.len()) }
}

/// Words as bytes.
#[inline]
pub(crate) fn bytes<T: Sealed>(cells: &[T]) -> &[AtomicU8] {
    let start = cells.as_ptr().cast::<AtomicU8>();
    // SAFETY: the same bytes; `AtomicU8` is interior mutable as every `Sealed` is, and no more aligned.
    unsafe { slice::from_raw_parts(start, size_of_val(cells)) }
}

/// A part of an area's mapping, found once, and kept mapped.
///
/// # Invariant
///
/// `part` lies in the mapping of `area`.
pub(crate) struct Kept<T: ?Sized> {
    part: NonNull<T>,
    area: Area,
}

impl<T: ?Sized> Kept<T> {
    /// What `find` finds: it is given a mapping that may live no longer than the call, so all that it can return is a
    /// part of it, or lives for ever.
    pub(crate) fn new<E>(
        area: &Area,
        find: impl for<'a> FnOnce(&'a Mapping) -> Result<&'a T, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            part: NonNull::from(find(area.mapping())?),
            area: area.clone(),
        })
    }

    #[inline]
    pub(crate) fn area(&self) -> &Area {
        &self.area
    }
}

impl<T: ?Sized> Deref for Kept<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: by the invariant this lies in the mapping that the area keeps where it is, and `T` was borrowed from
        // it, shared, when it was found.
        unsafe { self.part.as_ref() }
    }
}

// SAFETY: it is a shared reference and what keeps that valid.
unsafe impl<T: ?Sized + Sync> Send for Kept<T> {}
// SAFETY: so, too.
unsafe impl<T: ?Sized + Sync> Sync for Kept<T> {}
