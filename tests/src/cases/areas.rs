// SPDX-License-Identifier: MIT OR Apache-2.0

//! Where the tests of primitives place them.

use shmdev::sync::LockError;
use shmdev::{Area, Segment};

/// A handle of this process and the whole default segment. Each process makes its own.
pub(super) fn area() -> Area {
    Area::new(Segment::open_default().expect("opening the default segment")).expect("mapping it")
}

/// As [`area`], with the segment cleared.
pub(super) fn cleared() -> Area {
    let area = area();
    let mapping = area.mapping();
    mapping.fill(0, 0, mapping.len()).unwrap();
    area
}

/// The guard, and whether an owner died.
#[track_caller]
pub(super) fn told<G>(locked: Result<G, LockError<G>>) -> (G, bool) {
    match locked {
        Ok(guard) => (guard, false),
        Err(LockError::OwnerDied(guard)) => (guard, true),
        Err(error) => panic!("{error}"),
    }
}
