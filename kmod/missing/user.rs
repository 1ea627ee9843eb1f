// SPDX-License-Identifier: GPL-2.0

//! A few words of user memory, without the calls and loops that are for any number of bytes.

use super::ffi;
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    transmute::FromBytes, //
};

/// Reads a structure of 2, 3, 5 or 6 words to `place`: others do not compile. Fails with `EFAULT`.
#[inline]
pub(crate) fn read<T>(address: usize, place: &mut MaybeUninit<T>) -> Result<&T>
where
    T: FromBytes,
{
    const { assert!(align_of::<T>() == align_of::<u64>()) };
    let get = const {
        match size_of::<T>() {
            16 => ffi::shmdev_get_2_words,
            24 => ffi::shmdev_get_3_words,
            40 => ffi::shmdev_get_5_words,
            48 => ffi::shmdev_get_6_words,
            _ => panic!("nothing reads so many words"),
        }
    };
    // SAFETY: There are as many aligned words to be written, and it writes those or fails. Any address
    // of the user's will do.
    if !unsafe { get(place.as_mut_ptr().cast(), address) } {
        return Err(EFAULT);
    }
    // SAFETY: All bytes were written, and any are a `T`.
    Ok(unsafe { place.assume_init_ref() })
}

/// Writes a word. Fails with `EFAULT`.
#[inline]
pub(crate) fn write(address: usize, word: u64) -> Result {
    // SAFETY: Any address of the user's will do.
    if !unsafe { ffi::shmdev_put_word(address, word) } {
        return Err(EFAULT);
    }
    Ok(())
}
