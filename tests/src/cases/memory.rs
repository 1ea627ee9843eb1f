// SPDX-License-Identifier: MIT OR Apache-2.0

//! The segment's memory: zeroed before anyone sees it, charged to whoever loads the module, given back in full.

use std::path::Path;
use std::time::{Duration, Instant};

use super::refused;
use crate::harness::{on_debug_kernel, tests};
use crate::sys::cgroup::Group;
use crate::sys::module::{self, Reloaded};
use crate::sys::{ACCESS_WRITE, Errno, Handle, MAP_FAULT, MAP_HUGE, MAP_PFN, PAGE, Process, SIZE};

tests![
    #[slow] memory_of_an_earlier_segment_is_never_seen needs [ModuleFile],
    #[slow] the_rest_of_the_last_page_is_zero needs [ModuleFile],
    #[slow] the_segment_is_charged_to_its_cgroup needs [ModuleFile, MemoryCgroup],
    #[slow] a_cgroup_that_is_full_is_enomem_and_kills_nobody needs [ModuleFile, MemoryCgroup],
    #[slow] a_cgroup_of_any_limit_is_enomem_or_success_and_kills_nobody needs [ModuleFile, MemoryCgroup],
    #[slow] a_hundred_loads_leave_no_memory_behind needs [ModuleFile] within 240,
    #[slow] thousands_of_handles_and_mappings_leave_no_memory_behind within 120,
    #[slow] thousands_of_segments_leave_no_page_behind within 120,
    kmemleak_finds_nothing_while_all_is_in_use needs [ModuleFile, Kmemleak] within 120,
    a_debug_kernel_watches_free_pages needs [Kmemleak],
];

/// Says something only where the kernel does not zero every allocation by itself: the runner boots with
/// `init_on_alloc=0`.
fn memory_of_an_earlier_segment_is_never_seen() {
    let _module = Reloaded::afterwards();
    // The same sizes again get the same pages; others get parts of them.
    for (round, size) in [SIZE, SIZE, SIZE, 3 * SIZE, SIZE + PAGE, 5 * PAGE, 3 * SIZE, SIZE]
        .into_iter()
        .enumerate()
    {
        module::reload(&format!("default_size={size}")).unwrap();
        let handle = Handle::rw();
        let mapping = handle.window(0, size);
        assert!(mapping.is_all(0), "round {round}: the mapping shows old bytes");
        let mut bytes = vec![1; size];
        assert_eq!(handle.pread(&mut bytes, 0), Ok(size));
        assert!(
            bytes.iter().all(|&byte| byte == 0),
            "round {round}: a read shows old bytes"
        );
        mapping.fill(0xa5);
    }
}

fn the_rest_of_the_last_page_is_zero() {
    let _module = Reloaded::afterwards();
    for round in 0..3 {
        for size in [1_usize, 5000, 8191] {
            module::reload(&format!("default_size={size}")).unwrap();
            let mapping = Handle::rw().window(0, size.next_multiple_of(PAGE));
            assert!(mapping.is_all(0), "round {round}, {size} bytes");
            mapping.fill(0x5a);
        }
    }
}

fn the_segment_is_charged_to_its_cgroup() {
    const CHARGED: u64 = 16 << 20;
    let module = Reloaded::afterwards();
    module::unload().unwrap();
    let group = Group::new("shmdev-charge", "memory");
    Process::fork(|| {
        group.enter();
        module::load(&format!("default_size={CHARGED}")).unwrap();
    })
    .join();
    let charged = group.number("memory.current");
    assert!(charged >= CHARGED, "{charged} bytes are charged for {CHARGED}");
    module::unload().unwrap();
    let left = group.number("memory.current");
    assert!(left < CHARGED / 2, "{left} bytes are charged still");
    drop(module);
}

fn a_cgroup_that_is_full_is_enomem_and_kills_nobody() {
    let module = Reloaded::afterwards();
    module::unload().unwrap();
    let group = Group::new("shmdev-full", "memory");
    group.set("memory.max", "16M");
    Process::fork(|| {
        group.enter();
        for _ in 0..3 {
            refused(module::load("default_size=67108864"), Errno::ENOMEM);
        }
        module::load("default_size=4096").expect("what fits loads");
        module::unload().unwrap();
    })
    .join();
    assert_eq!(group.field("memory.events", "oom_kill"), 0);
    let left = group.number("memory.current");
    assert!(left < 16 << 20, "{left} bytes are charged still");
    drop(module);
}

/// Wherever in the segment's pages the limit is met, it is met without a death. A little above, it would be met by what the
/// kernel itself allocates for the device's node, and for that it kills.
fn a_cgroup_of_any_limit_is_enomem_or_success_and_kills_nobody() {
    const MIB: u64 = 1 << 20;
    const SEGMENT: u64 = 16 * MIB;
    let module = Reloaded::afterwards();
    module::unload().unwrap();
    let group = Group::new("shmdev-limits", "memory");
    Process::fork(|| {
        group.enter();
        let load = || module::load("default_size=16777216");
        // Once without a limit: all that this process itself needs for it is charged afterwards.
        load().unwrap();
        module::unload().unwrap();
        // Odd numbers of pages on the way up, and small steps to where the segment itself would just fit.
        let on_the_way = (4..16).map(|index| index * MIB + index * 13 * PAGE as u64);
        let last = (0..10).rev().map(|index| SEGMENT - index * 24 * PAGE as u64);
        for limit in on_the_way.chain(last).chain([4 * SEGMENT]) {
            group.set("memory.max", &limit.to_string());
            match load() {
                Ok(()) => {
                    assert!(
                        limit > SEGMENT,
                        "{SEGMENT} bytes were had with a limit of {limit}"
                    );
                    module::unload().unwrap();
                }
                outcome => {
                    refused(outcome, Errno::ENOMEM);
                    assert!(limit < 4 * SEGMENT, "there was room enough");
                }
            }
            assert_eq!(group.field("memory.events", "oom_kill"), 0, "{limit} bytes");
        }
    })
    .join();
    assert_eq!(group.field("memory.events", "oom_kill"), 0);
    drop(module);
}

/// A line of /proc/meminfo, in bytes.
fn meminfo(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// KASAN keeps what was freed for a while, to find uses of it, unless a cache is told to shrink.
fn empty_quarantine() {
    for cache in std::fs::read_dir("/sys/kernel/slab").unwrap() {
        // Caches come and go.
        let _ = std::fs::write(cache.unwrap().path().join("shrink"), "1");
    }
}

/// Fails if so much less memory is free after the rounds, or so much more is in slabs.
#[track_caller]
pub(super) fn gives_back(mut rounds: impl FnMut(), free: i64, slabs: i64) {
    let look = || {
        // What may be given back is given back, so that two looks can be compared.
        if on_debug_kernel() {
            empty_quarantine();
        }
        std::fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
        (meminfo("MemFree") as i64, meminfo("SUnreclaim") as i64)
    };
    let before = look();
    rounds();
    // For a while each processor keeps pages that were freed on it.
    let give_up = Instant::now() + Duration::from_secs(40);
    loop {
        let now = look();
        let (lost, more) = (before.0 - now.0, now.1 - before.1);
        if lost < free && more < slabs {
            return;
        }
        let left = format!("{lost} bytes less are free, and {more} bytes more in slabs");
        assert!(Instant::now() < give_up, "{left}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// One load with everything used, and unload.
fn cycle() {
    module::reload("").unwrap();
    let handle = Handle::rw();
    let mapping = handle.whole();
    mapping.fill(1);
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    handle.pwrite(b"x", 0).unwrap();
    drop((handle, mapping));
    module::unload().unwrap();
}

fn a_hundred_loads_leave_no_memory_behind() {
    let _module = Reloaded::afterwards();
    (0..3).for_each(|_| cycle());
    let leaks = Leaks::watch();
    // A segment lost each time would be 200 MiB; the rest of the system moves by less.
    gives_back(|| (0..100).for_each(|_| cycle()), 24 << 20, 2 << 20);
    leaks.are_none();
}

fn thousands_of_segments_leave_no_page_behind() {
    let modes = [MAP_PFN, MAP_FAULT, MAP_HUGE];
    let rounds = |count: usize| {
        for round in 0..count {
            let pages = 1 + round % 17;
            let handle = Handle::mapped_as(modes[round % 3], "", pages * PAGE);
            handle.window(0, pages * PAGE).set(0, 1);
        }
    };
    rounds(500);
    // A page lost of each would be 40 MiB.
    gives_back(|| rounds(10_000), 24 << 20, 2 << 20);
}

fn thousands_of_handles_and_mappings_leave_no_memory_behind() {
    let rounds = |count: u64| {
        for round in 0..count {
            let handle = Handle::rw();
            let mapping = handle.window(0, 2 * PAGE);
            mapping.unmap(0, PAGE).unwrap();
            handle.begin(ACCESS_WRITE, round % 1000, 8, 0).unwrap();
            if round % 2 == 0 {
                handle.end(ACCESS_WRITE, round % 1000, 8).unwrap();
            }
        }
    };
    rounds(500);
    // Less than 180 bytes for each handle.
    gives_back(|| rounds(6000), i64::MAX, 1 << 20);
}

/// What the kernel itself finds of memory that was allocated after this was made and that nothing leads to any more;
/// nothing where the kernel has no kmemleak.
pub(super) struct Leaks {
    is_watched: bool,
}

impl Leaks {
    const REPORT: &str = "/sys/kernel/debug/kmemleak";

    pub(super) fn watch() -> Leaks {
        let is_watched = Path::new(Self::REPORT).exists();
        if is_watched {
            std::fs::write(Self::REPORT, "scan").unwrap();
            std::fs::write(Self::REPORT, "clear").unwrap();
        }
        Leaks { is_watched }
    }

    #[track_caller]
    pub(super) fn are_none(self) {
        if !self.is_watched {
            return;
        }
        // An object counts as lost when it is some seconds old and two scans have not found it.
        for _ in 0..2 {
            std::thread::sleep(Duration::from_secs(6));
            std::fs::write(Self::REPORT, "scan").unwrap();
        }
        assert_eq!(std::fs::read_to_string(Self::REPORT).unwrap(), "");
    }
}

fn kmemleak_finds_nothing_while_all_is_in_use() {
    let leaks = Leaks::watch();
    module::reload("").unwrap();
    let handle = Handle::rw();
    let _mapping = handle.whole();
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    leaks.are_none();
}

fn a_debug_kernel_watches_free_pages() {
    let line = std::fs::read_to_string("/proc/cmdline").unwrap();
    assert!(line.contains("page_poison=1"), "{line}");
    // The file gives one page's owner at a time, and no part of that.
    let mut text = [0; 4096];
    let mut owners = std::fs::File::open("/sys/kernel/debug/page_owner").unwrap();
    let count = std::io::Read::read(&mut owners, &mut text).unwrap();
    assert!(text[..count].starts_with(b"Page allocated via order"));
}
