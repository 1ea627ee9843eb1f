// SPDX-License-Identifier: MIT OR Apache-2.0

//! What a ring's records are: values of one type, or bytes of any length.

use std::fmt;
use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What a ring's records are: [`Slots`] or [`Records`]. Sealed.
pub trait Kind: sealed::Kind + fmt::Debug {}

/// Records are values of one type, one a slot.
///
/// Any type will do that is made of its bytes alone: integers, arrays, and structures that derive
/// [`zerocopy`](crate::zerocopy)'s `FromBytes`, `IntoBytes` and `Immutable`.
pub struct Slots<T>(PhantomData<fn(T) -> T>);

impl<T> fmt::Debug for Slots<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slots")
    }
}

/// Records are bytes, each record as many as it likes.
#[derive(Debug)]
pub struct Records(());

pub(super) mod sealed {
    /// What this module's users rely upon.
    pub trait Kind {
        /// What is sent.
        type Sent: ?Sized + 'static;
        /// What is received.
        type Received;
        /// Records are values of one type.
        const SLOTS: bool;

        fn bytes(sent: &Self::Sent) -> &[u8];
        /// `len` is that of the ring's slots, if it has slots.
        fn zeroed(len: usize) -> Self::Received;
        fn bytes_mut(received: &mut Self::Received) -> &mut [u8];
    }
}

impl<T: FromBytes + IntoBytes + Immutable + 'static> Kind for Slots<T> {}
impl Kind for Records {}

impl<T: FromBytes + IntoBytes + Immutable + 'static> sealed::Kind for Slots<T> {
    type Sent = T;
    type Received = T;
    const SLOTS: bool = true;

    #[inline]
    fn bytes(sent: &T) -> &[u8] {
        sent.as_bytes()
    }

    #[inline]
    fn zeroed(_len: usize) -> T {
        T::new_zeroed()
    }

    #[inline]
    fn bytes_mut(received: &mut T) -> &mut [u8] {
        received.as_mut_bytes()
    }
}

impl sealed::Kind for Records {
    type Sent = [u8];
    type Received = Vec<u8>;
    const SLOTS: bool = false;

    #[inline]
    fn bytes(sent: &[u8]) -> &[u8] {
        sent
    }

    fn zeroed(len: usize) -> Vec<u8> {
        vec![0; len]
    }

    fn bytes_mut(received: &mut Vec<u8>) -> &mut [u8] {
        received
    }
}
