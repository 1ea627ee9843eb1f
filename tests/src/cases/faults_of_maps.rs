// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fault injection in page faults: what a touch, a copy, a fork and a pin need of memory fails once, one after the other.
//! A touch that fails is tried again by the kernel; nothing is lost, and nothing is left behind.

use super::injection::{Scarcity, Sufferer, allowed, every, sweep, sweep_after};
use super::map_huge::{LARGE, is_stamped, stamp};
use super::map_modes::{takes_faults, touch};
use super::{PRIVATE, READ, SHARED, WRITE};
use crate::harness::tests;
use crate::sys::uring::Uring;
use crate::sys::{
    Create, Errno, Handle, MAP_FAULT, MAP_HUGE, PAGE, Process, Region, Result, creation, usage,
};

tests![
    making_mapping_and_touching_survive_failures needs [FaultInjection] within 240,
    touching_survives_failures needs [FaultInjection] within 240,
    copying_survives_failures needs [FaultInjection] within 240,
    forking_survives_failures needs [FaultInjection] within 400,
    cutting_up_survives_failures needs [FaultInjection] within 240,
    pinning_survives_failures needs [FaultInjection] within 240,
    without_large_pieces_it_is_mapped_in_small_ones needs [FaultInjection] within 120,
    with_some_large_pieces_the_rest_is_mapped_in_small_ones needs [FaultInjection] within 120,
];

/// Each way to map in which a touch needs memory, and a size that has all kinds of entries.
const WAYS: [(u32, usize); 2] = [(MAP_FAULT, 64 * PAGE), (MAP_HUGE, 2 * LARGE + 3 * PAGE)];

/// First each in turn, then fewer.
fn sparser(nth: u32) -> u32 {
    nth + 1 + nth / 24
}

fn made(map: u32, len: usize) -> Result<(Handle, Region)> {
    let handle = Handle::open(libc::O_RDWR)?;
    let create = Create {
        flags: map,
        ..creation("", len as u64)
    };
    handle.create(create)?;
    let mapping = handle.mmap(len, READ | WRITE, SHARED, 0)?;
    Ok((handle, mapping))
}

fn making_mapping_and_touching_survive_failures() {
    for (map, len) in WAYS {
        sweep(
            sparser,
            || {
                let (handle, mapping) = made(map, len)?;
                touch(&mapping);
                drop(mapping);
                Ok(handle.nattch())
            },
            |outcome| {
                // ENFILE is what the kernel says when it has no memory for a file.
                let left = allowed(outcome, &[Errno::ENOMEM, Errno::EFAULT, Errno::ENFILE]);
                assert!(left.is_none_or(|nattch| nattch == 0));
                assert_eq!(usage(), (0, 0));
            },
        );
    }
}

fn touching_survives_failures() {
    for (map, len) in WAYS {
        let handle = Handle::mapped_as(map, "", len);
        stamp(&handle.window(0, len), 0);
        sweep_after(
            every,
            || handle.window(0, len),
            |mapping| {
                is_stamped(&mapping, 0);
                stamp(&mapping, 0);
                mapping
            },
            |mapping| is_stamped(&mapping, 0),
        );
        assert_eq!(handle.nattch(), 0);
    }
}

fn copying_survives_failures() {
    const LEN: usize = 8 * PAGE;
    let handle = Handle::mapped_as(MAP_FAULT, "", LEN);
    let shared = handle.window(0, LEN);
    shared.fill(1);
    for read_before in [false, true] {
        sweep_after(
            every,
            || {
                let copy = handle.mmap(LEN, READ | WRITE, PRIVATE, 0).unwrap();
                if read_before {
                    copy.get(0);
                }
                copy
            },
            |copy| {
                copy.fill(2);
                copy
            },
            |copy| assert!(copy.is_all(2) && shared.is_all(1)),
        );
    }
    assert_eq!(handle.nattch(), 1);
}

fn forking_survives_failures() {
    for (map, len) in WAYS {
        let handle = Handle::mapped_as(map, "", len);
        let mapping = handle.window(0, len);
        stamp(&mapping, 0);
        mapping.unmap(len / 2, PAGE).unwrap();
        sweep(
            sparser,
            || Process::try_fork(|| mapping.set(0, 1)),
            |outcome| {
                if let Some(child) = allowed(outcome, &[Errno::ENOMEM, Errno::EAGAIN]) {
                    child.join();
                }
                assert_eq!(handle.nattch(), 2);
            },
        );
        is_stamped(&handle.window(PAGE, len / 2 - PAGE), 1);
    }
}

fn cutting_up_survives_failures() {
    for (map, len) in WAYS {
        let handle = Handle::mapped_as(map, "", len);
        stamp(&handle.window(0, len), 0);
        sweep_after(
            every,
            || {
                let mapping = handle.window(0, len);
                is_stamped(&mapping, 0);
                mapping
            },
            |mapping| {
                let cut = mapping
                    .protect(len / 4, PAGE, READ)
                    .and_then(|()| mapping.unmap(len / 2, len / 4));
                (cut, mapping)
            },
            |(cut, mapping)| {
                allowed(cut, &[Errno::ENOMEM]);
                super::map_huge::has_stamps(&mapping, 0, 0..len / 2 / PAGE);
                drop(mapping);
                assert_eq!(handle.nattch(), 0);
            },
        );
    }
}

fn pinning_survives_failures() {
    let handle = Handle::mapped_as(MAP_FAULT, "", 64 * PAGE);
    sweep_after(
        sparser,
        || (Uring::new(), handle.window(0, 64 * PAGE)),
        |(mut ring, mapping)| (ring.pin(&mapping), mapping),
        |(pinned, mapping)| {
            allowed(pinned, &[Errno::ENOMEM, Errno::EFAULT]);
            touch(&mapping);
        },
    );
    drop(handle);
    assert_eq!(usage(), (0, 0));
}

/// A segment that is made while so many of a hundred large pieces cannot be had, and its mapping.
fn made_of_small_pieces(percent: u32) -> (Handle, Region) {
    const LEN: usize = 8 << 20;
    let sufferer = Sufferer::new(true);
    let scarcity = Scarcity::of_blocks(percent);
    let (handle, create) = (
        Handle::rw(),
        Create {
            flags: MAP_HUGE,
            ..creation("", LEN as u64)
        },
    );
    sufferer.during(|| handle.create(create)).unwrap();
    drop(scarcity);
    let mapping = handle.window(0, LEN);
    (handle, mapping)
}

fn without_large_pieces_it_is_mapped_in_small_ones() {
    let (handle, mapping) = made_of_small_pieces(100);
    assert_eq!(handle.stat().unwrap().pieces as usize, mapping.len() / PAGE);
    // All is there after mmap.
    takes_faults(0, || touch(&mapping));
    stamp(&mapping, 0);
    is_stamped(&handle.window(0, mapping.len()), 0);
}

fn with_some_large_pieces_the_rest_is_mapped_in_small_ones() {
    for _ in 0..8 {
        let (handle, mapping) = made_of_small_pieces(60);
        stamp(&mapping, 0);
        mapping.unmap(LARGE / 2, PAGE).unwrap();
        let again = handle.window(0, mapping.len());
        is_stamped(&again, 0);
        let rest = handle.window(3 * PAGE, mapping.len() - 3 * PAGE);
        is_stamped(&rest, 3);
    }
}
