// SPDX-License-Identifier: MIT OR Apache-2.0

//! INFO, and STAT of the default segment.

use crate::harness::tests;
use crate::sys::{
    ABI_VERSION, ACCESS_READ, ACCESS_WRITE, FEATURE_EVENTFD, FEATURE_MAP, FEATURE_POLL, FEATURE_RESTRICT,
    FEATURE_ROBUST, FEATURE_SEGMENTS, FEATURE_SYNC, FEATURE_WAIT, FEATURE_WAITV, Handle, IOC_INFO, IOC_STAT,
    Info, PAGE, Region, SIZE, Stat, THIS, mode,
};

tests![
    info_tells_version_limits_and_token,
    info_and_stat_write_their_whole_structures_and_no_more,
    every_access_mode_may_ask,
    info_tells_what_the_handle_can_reach,
    stat_of_the_untouched_segment,
    stat_counts_mappings_ranges_and_writes,
];

fn info_tells_version_limits_and_token() {
    let info = Handle::rw().info().unwrap();
    assert_eq!(info.abi_version, ABI_VERSION);
    assert_eq!(info.page_size as usize, PAGE);
    assert_eq!(
        info.features,
        FEATURE_SYNC
            | FEATURE_POLL
            | FEATURE_SEGMENTS
            | FEATURE_RESTRICT
            | FEATURE_WAIT
            | FEATURE_WAITV
            | FEATURE_ROBUST
            | FEATURE_EVENTFD
            | FEATURE_MAP
    );
    assert_eq!(info.default_size as usize, SIZE);
    assert_eq!(info.default_map, mode().flag);
    assert_eq!(info.max_ranges, 1024);
    assert_ne!(info.token, 0);
    assert_eq!(
        (info.segments, info.total_bytes, info.uid_bytes),
        (0, 0, 0),
        "the default segment does not count"
    );
    assert_eq!(info.reserved, Info::default().reserved);
}

fn info_and_stat_write_their_whole_structures_and_no_more() {
    let handle = Handle::rw();
    let buffer = Region::anonymous(PAGE);
    let size = size_of::<Info>();
    let read = |fill| {
        buffer.fill(fill);
        handle.ioctl(IOC_INFO, buffer.at(0)).unwrap();
        assert!(
            buffer.read(size, PAGE - size).iter().all(|&byte| byte == fill),
            "INFO wrote past its structure"
        );
        buffer.read(0, size)
    };
    assert_eq!(read(0), read(0xff), "some bytes of INFO are not written");
    buffer.fill(0xff);
    buffer.place(0, &Stat::default());
    handle.ioctl(IOC_STAT, buffer.at(0)).unwrap();
    let size = size_of::<Stat>();
    assert!(
        buffer.read(size, PAGE - size).iter().all(|&byte| byte == 0xff),
        "STAT wrote past its structure"
    );
}

fn every_access_mode_may_ask() {
    for handle in [Handle::ro(), Handle::wo(), Handle::rw()] {
        handle.info().unwrap();
        assert_eq!(handle.stat().unwrap().size as usize, SIZE);
    }
}

fn info_tells_what_the_handle_can_reach() {
    let both = ACCESS_READ | ACCESS_WRITE;
    let told = |handle: &Handle| {
        let info = handle.info().unwrap();
        (info.window_start, info.window_end, info.access, info.restricted)
    };
    for (flags, access) in [
        (libc::O_RDONLY, ACCESS_READ),
        (libc::O_WRONLY, ACCESS_WRITE),
        (libc::O_RDWR, both),
        (3, 0),
    ] {
        let handle = Handle::open(flags).unwrap();
        assert_eq!(told(&handle), (0, u64::MAX, access, 0));
    }
    let handle = Handle::rw();
    handle.restrict(0, u64::MAX, both).unwrap();
    assert_eq!(told(&handle), (0, u64::MAX, both, 1));
    handle.restrict(100, u64::MAX, both).unwrap();
    assert_eq!(told(&handle), (100, u64::MAX, both, 1));
    handle.restrict(200, 50, ACCESS_READ).unwrap();
    assert_eq!(told(&handle.dup()), (200, 250, ACCESS_READ, 1));
    assert_eq!(told(&Handle::rw()), (0, u64::MAX, both, 0));
}

fn stat_of_the_untouched_segment() {
    let stat = Handle::rw().stat().unwrap();
    assert_eq!((stat.target.name, stat.target.id), (THIS.name, 0));
    assert_eq!(stat.size as usize, SIZE);
    assert_eq!(stat.mapped_size as usize, SIZE);
    assert_eq!(
        (stat.nattch, stat.handles, stat.holders, stat.waiters),
        (0, 1, 0, 0)
    );
    assert!(
        (1..=(SIZE / PAGE) as u32).contains(&stat.pieces),
        "{} pieces",
        stat.pieces
    );
    assert_eq!((stat.uid, stat.gid, stat.mode), (0, 0, 0o666));
    assert_eq!((stat.flags, stat.reserved), (mode().flag, [0; 12]));
}

fn stat_counts_mappings_ranges_and_writes() {
    let handle = Handle::rw();
    let before = handle.stat().unwrap();
    let mappings = [handle.window(0, PAGE), handle.window(PAGE, PAGE), handle.whole()];
    handle.begin(ACCESS_READ, 0, 8, 0).unwrap();
    handle.begin(ACCESS_WRITE, 8, 8, 0).unwrap();
    let stat = handle.stat().unwrap();
    assert_eq!(
        (stat.nattch, stat.holders, stat.generation),
        (3, 2, before.generation)
    );
    handle.end(ACCESS_READ, 0, 8).unwrap();
    handle.end(ACCESS_WRITE, 8, 8).unwrap();
    handle.pwrite(b"x", 0).unwrap();
    drop(mappings);
    let stat = handle.stat().unwrap();
    assert_eq!(
        (stat.nattch, stat.holders, stat.generation),
        (0, 0, before.generation + 2)
    );
}
