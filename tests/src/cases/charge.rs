// SPDX-License-Identifier: MIT OR Apache-2.0

//! Who pays for segments: the memory cgroup of whoever creates and lets grow. A full one is ENOMEM, without a death
//! and without a word in the log.

use super::{READ, SHARED, refused};
use crate::harness::tests;
use crate::sys::cgroup::Group;
use crate::sys::limits::Limits;
use crate::sys::process::{unshare, until};
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_READ, Errno, Gate, Handle, PAGE, Process, THIS, by_id, by_name, creation, poll, usage,
};

tests![
    a_segment_is_charged_to_its_creators_cgroup needs [MemoryCgroup],
    growth_is_charged_to_the_callers_cgroup needs [MemoryCgroup],
    a_cgroup_that_is_full_is_enomem_and_kills_nobody needs [MemoryCgroup],
    growth_in_a_full_cgroup_is_enomem_and_changes_nothing needs [MemoryCgroup],
    any_limit_is_enomem_or_success_and_kills_nobody needs [MemoryCgroup] within 120,
    #[slow] small_segments_fill_a_cgroup_and_kill_nobody needs [MemoryCgroup] within 120,
    #[slow] many_ranges_fill_a_cgroup_and_kill_nobody needs [MemoryCgroup] within 120,
    a_machine_that_is_too_small_is_enomem,
    a_default_segment_that_does_not_fit_is_enomem needs [MemoryCgroup, IpcNamespace],
    #[slow] a_creator_that_is_killed_leaves_nothing within 120,
];

const MIB: u64 = 1 << 20;

/// Does this in a process of the group.
fn within(group: &Group, body: impl FnOnce()) -> Process {
    Process::fork(|| {
        group.enter();
        body();
    })
}

fn a_segment_is_charged_to_its_creators_cgroup() {
    let group = Group::new("shmdev-charge", "memory");
    within(&group, || drop(Handle::creating("frames", 16 * MIB))).join();
    let charged = group.number("memory.current");
    assert!(charged >= 16 * MIB, "{charged} bytes are charged");
    // Who uses it pays nothing.
    drop(Handle::of("frames").window(0, 16 << 20));
    remove("frames");
    let left = group.number("memory.current");
    assert!(left < 8 * MIB, "{left} bytes are charged still");
}

fn growth_is_charged_to_the_callers_cgroup() {
    let creators = Group::new("shmdev-creators", "memory");
    let growers = Group::new("shmdev-growers", "memory");
    within(&creators, || drop(Handle::creating("frames", 4 * MIB))).join();
    within(&growers, || {
        Handle::rw().resize(by_name("frames"), 20 * MIB).unwrap();
    })
    .join();
    let [first, second] = [&creators, &growers].map(|group| group.number("memory.current"));
    assert!(first < 12 * MIB, "{first} bytes for 4 MiB");
    assert!(second >= 16 * MIB, "{second} bytes for 16 MiB");
    remove("frames");
    let left = growers.number("memory.current");
    assert!(left < 8 * MIB, "{left} bytes are charged still");
}

fn a_cgroup_that_is_full_is_enomem_and_kills_nobody() {
    let group = Group::new("shmdev-full", "memory");
    group.set("memory.max", "8M");
    within(&group, || {
        for text in ["frames", "", "frames"] {
            let handle = Handle::rw();
            refused(handle.create(creation(text, 32 * MIB)), Errno::ENOMEM);
            refused(handle.create(creation(text, 9 * MIB)), Errno::ENOMEM);
            assert_eq!(usage(), (0, 0));
            handle.create(creation("", 4096)).expect("what fits is had");
        }
    })
    .join();
    assert_eq!(group.field("memory.events", "oom_kill"), 0);
    let left = group.number("memory.current");
    assert!(left < 8 * MIB, "{left} bytes are charged still");
}

fn growth_in_a_full_cgroup_is_enomem_and_changes_nothing() {
    let group = Group::new("shmdev-growth", "memory");
    group.set("memory.max", "8M");
    let handle = Handle::creating("frames", 5000);
    handle.pwrite(&[7; 5000], 0).unwrap();
    within(&group, || {
        for size in [32 * MIB, 9 * MIB] {
            refused(Handle::rw().resize(by_name("frames"), size), Errno::ENOMEM);
        }
    })
    .join();
    assert_eq!(group.field("memory.events", "oom_kill"), 0);
    let stat = handle.stat().unwrap();
    assert_eq!((stat.size, stat.mapped_size), (5000, 2 * PAGE as u64));
    assert_eq!(usage(), (1, 2 * PAGE as u64));
    let mapping = handle.window(0, 2 * PAGE);
    assert!(mapping.read(0, 5000).iter().all(|&byte| byte == 7));
    drop(mapping);
    handle
        .resize(THIS, 32 * MIB)
        .expect("outside of the group there is room");
    remove("frames");
}

/// Wherever the limit is met, in the segment's pages or in what goes with them, it is met without a death.
fn any_limit_is_enomem_or_success_and_kills_nobody() {
    const SEGMENT: u64 = 4 * MIB;
    let group = Group::new("shmdev-limits", "memory");
    within(&group, || {
        let create = || Handle::rw().create(creation("", SEGMENT)).map(drop);
        // Once without a limit: all that this process itself needs for it is charged afterwards.
        create().unwrap();
        let on_the_way = (2..8).map(|index| index * MIB / 2 + index * 13 * PAGE as u64);
        let around = (0..10).map(|index| SEGMENT + index * 24 * PAGE as u64);
        for limit in on_the_way.chain(around).chain([8 * SEGMENT]) {
            group.set("memory.max", &limit.to_string());
            match create() {
                Ok(()) => assert!(
                    limit > SEGMENT,
                    "{SEGMENT} bytes were had with a limit of {limit}"
                ),
                outcome => {
                    refused(outcome, Errno::ENOMEM);
                    assert!(limit < 8 * SEGMENT, "there was room enough");
                }
            }
            assert_eq!(usage(), (0, 0));
            assert_eq!(group.field("memory.events", "oom_kill"), 0, "{limit} bytes");
        }
    })
    .join();
    assert_eq!(group.field("memory.events", "oom_kill"), 0);
}

/// Of a small one, what goes with the pages is as likely as these to meet the limit.
fn small_segments_fill_a_cgroup_and_kill_nobody() {
    const COUNT: usize = 300;
    let group = Group::new("shmdev-small", "memory");
    for round in 0..10 {
        within(&group, || {
            // What this process itself needs is charged before there is a limit.
            let handles: Vec<_> = (0..COUNT).map(|_| Handle::rw()).collect();
            let limit = group.number("memory.current") + 256 * 1024 + round * 3 * PAGE as u64;
            group.set("memory.max", &limit.to_string());
            let made = handles
                .iter()
                .map_while(|handle| match handle.create(creation("", 1)) {
                    Err(error) => {
                        assert_eq!(error, Errno::ENOMEM);
                        None
                    }
                    made => made.ok(),
                })
                .count();
            assert!((1..COUNT).contains(&made), "{made} were made");
            let grown = (0..COUNT as u64).map_while(|pages| {
                let result = handles[0].resize(THIS, pages * PAGE as u64 + 2);
                result.map_err(|error| assert_eq!(error, Errno::ENOMEM)).ok()
            });
            assert!(grown.count() < COUNT);
        })
        .join();
        assert_eq!(group.field("memory.events", "oom_kill"), 0);
        group.set("memory.max", "max");
    }
}

/// The segment's table of ranges grows on account of whoever begins one.
fn many_ranges_fill_a_cgroup_and_kill_nobody() {
    const HANDLES: u64 = 14;
    const EACH: u64 = 1024;
    let group = Group::new("shmdev-ranges", "memory");
    for round in 0..16 {
        within(&group, || {
            // What this process itself needs, and a handle for its first range, is charged before there is a limit.
            let handles: Vec<_> = (0..HANDLES).map(|_| Handle::rw()).collect();
            for handle in &handles {
                handle.begin(ACCESS_READ, 0, 1, 0).unwrap();
            }
            let limit = group.number("memory.current") + (1 + round) * 3 * PAGE as u64;
            group.set("memory.max", &limit.to_string());
            let begun = (0..HANDLES * (EACH - 1)).map_while(|index| {
                let handle = &handles[(index / (EACH - 1)) as usize];
                let begun = handle.begin(ACCESS_READ, 2 + index * 2, 1, 0);
                begun.map_err(|error| assert_eq!(error, Errno::ENOMEM)).ok()
            });
            assert!((1..HANDLES * (EACH - 1)).contains(&(begun.count() as u64)));
            // Whoever is at the limit can still end what was begun.
            handles[0].end(ACCESS_READ, 2, 1).unwrap();
        })
        .join();
        assert_eq!(group.field("memory.events", "oom_kill"), 0);
        group.set("memory.max", "max");
    }
}

fn a_machine_that_is_too_small_is_enomem() {
    let limits = Limits::with("max_total_bytes", u64::MAX);
    limits.set("max_bytes_per_uid", u64::MAX);
    let handle = Handle::rw();
    for size in [1 << 40, 1 << 39, 1 << 37] {
        refused(handle.create(creation("frames", size)), Errno::ENOMEM);
        assert_eq!(usage(), (0, 0));
    }
    handle.create(creation("", 4096)).unwrap();
    refused(handle.resize(THIS, 1 << 39), Errno::ENOMEM);
    assert_eq!(usage(), (1, 4096));
}

/// Whatever would have attached to it.
fn a_default_segment_that_does_not_fit_is_enomem() {
    let group = Group::new("shmdev-default", "memory");
    within(&group, || {
        unshare(libc::CLONE_NEWIPC).unwrap();
        let all = |handle: &Handle| {
            [
                handle.pread(&mut [0], 0).map(drop),
                handle.pwrite(b"x", 0).map(drop),
                handle.mmap(PAGE, READ, SHARED, 0).map(drop),
                handle.seek(0, libc::SEEK_END).map(drop),
                handle.stat().map(drop),
                handle.restrict(0, 1, ACCESS_READ),
                handle.begin(ACCESS_READ, 0, 1, 0).map(drop),
                handle.attach(by_id(0)).map(drop),
            ]
        };
        // All that this process itself needs is charged before there is a limit.
        let (handle, limits) = (Handle::rw(), Limits::with("max_segments", 0));
        assert_eq!(all(&handle), [Err(Errno::ENOSPC); 8]);
        assert_eq!(poll::poll(&handle, 0), libc::POLLERR);
        drop(limits);
        group.set("memory.max", &MIB.to_string());
        assert_eq!(all(&handle), [Err(Errno::ENOMEM); 8]);
        assert_eq!(poll::poll(&handle, 0), libc::POLLERR);
        assert_eq!((usage(), handle.fdinfo().len()), ((0, 0), 1));
        group.set("memory.max", "max");
        handle.pread(&mut [0], 0).expect("there is room for it");
    })
    .join();
    assert_eq!(group.field("memory.events", "oom_kill"), 0);
    until("the namespace is gone", || usage() == (0, 0));
}

/// Killed while it creates or lets grow something large: EINTR, if there were anybody left to be told.
fn a_creator_that_is_killed_leaves_nothing() {
    for round in 0..16 {
        let ready = Gate::new();
        let process = Process::fork(|| {
            let handle = Handle::creating("", 4096);
            ready.open();
            loop {
                if round % 2 == 0 {
                    Handle::rw().create(creation("", 48 * MIB)).unwrap();
                } else {
                    handle.resize(THIS, 48 * MIB).unwrap();
                    handle.resize(THIS, 4096).unwrap();
                }
            }
        });
        ready.pass();
        for _ in 0..round * 4000 {
            std::hint::spin_loop();
        }
        process.kill();
        until("it is given back", || usage() == (0, 0));
    }
}
