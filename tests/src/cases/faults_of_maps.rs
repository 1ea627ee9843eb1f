// SPDX-License-Identifier: MIT OR Apache-2.0

//! Fault injection in page faults: what a touch, a copy, a fork and a pin need of memory fails once, one after the other.
//! A touch that fails is tried again by the kernel; nothing is lost, and nothing is left behind.

use super::injection::{Scarcity, Spared, Sufferer, allowed, every, sweep, sweep_after};
use super::map_huge::{LARGE, is_stamped, stamp};
use super::map_modes::touch;
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
    what_is_had_in_small_pieces_is_mapped_so needs [FaultInjection] within 120,
];

/// Each way to map in which a touch needs memory, and a size that has all kinds of entries.
const WAYS: [(u32, usize); 2] = [(MAP_FAULT, 2 * LARGE), (MAP_HUGE, 2 * LARGE + 3 * PAGE)];

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
                handle.stat().map(|stat| stat.nattch)
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
            || {
                let mapping = handle.window(0, len);
                // Cut up, so that there is something that no large entry fits.
                mapping.protect(PAGE, PAGE, READ).unwrap();
                mapping.protect(PAGE, PAGE, READ | WRITE).unwrap();
                mapping
            },
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
    // Without memory for the child's stack the kernel tells who has memory, and that is the module, too.
    let _spared = Spared::below("dup_task_struct");
    for (map, len) in WAYS {
        let handle = Handle::mapped_as(map, "", len);
        let mapping = handle.window(0, len);
        stamp(&mapping, 0);
        mapping.unmap(LARGE, PAGE).unwrap();
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
        is_stamped(&handle.window(PAGE, len - PAGE), 1);
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
                    .protect(LARGE / 2, PAGE, READ)
                    .and_then(|()| mapping.unmap(LARGE, LARGE / 2));
                (cut, mapping)
            },
            |(cut, mapping)| {
                allowed(cut, &[Errno::ENOMEM]);
                super::map_huge::has_stamps(&mapping, 0, 0..LARGE / PAGE);
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

/// A segment that is made while so many of a hundred large pieces cannot be had.
fn made_of_small_pieces(percent: u32, len: usize) -> Handle {
    let create = Create {
        flags: MAP_HUGE,
        ..creation("", len as u64)
    };
    let handle = Handle::rw();
    let sufferer = Sufferer::new(true);
    let _scarcity = Scarcity::of_blocks(percent);
    // What the kernel needs besides may be more than a page, too.
    let mut attempts = 0..100;
    while allowed(sufferer.during(|| handle.create(create)), &[Errno::ENOMEM]).is_none() {
        assert!(attempts.next().is_some(), "it is refused each time");
    }
    handle
}

fn what_is_had_in_small_pieces_is_mapped_so() {
    const LEN: usize = 8 << 20;
    let mut most = 0;
    for percent in [30, 60, 90, 60, 90, 90] {
        let handle = made_of_small_pieces(percent, LEN);
        let mapping = handle.window(0, LEN);
        most = most.max(handle.stat().unwrap().pieces as usize);
        stamp(&mapping, 0);
        mapping.unmap(LARGE / 2, PAGE).unwrap();
        is_stamped(&handle.window(0, LEN), 0);
        is_stamped(&handle.window(3 * PAGE, LEN - 3 * PAGE), 3);
    }
    assert!(most > 2 * LEN / LARGE, "{most} pieces at most");
    assert_eq!(usage(), (0, 0));
}
