// SPDX-License-Identifier: MIT OR Apache-2.0

//! 32-bit callers: the same structures, the same results, the same errnos.

use super::refused;
use crate::harness::tests;
use crate::sys::{
    ABI_VERSION, ACCESS_WRITE, Addr, Errno, Handle, IOC_INFO, IOC_STAT, IOC_SYNC, Info, PAGE, Region, SIZE,
    SYNC_BEGIN, SYNC_END, Stat, compat,
};

tests![
    info_and_stat_are_the_same needs [Compat],
    sync_is_the_same needs [Compat],
    unknown_commands_are_enotty_too needs [Compat],
    bad_pointers_are_efault_too needs [Compat],
    offsets_beyond_4_gib_are_not_cut_off needs [Compat],
];

fn info_and_stat_are_the_same() {
    let handle = Handle::rw();
    let low = Region::low(PAGE);
    for (command, size) in [(IOC_INFO, size_of::<Info>()), (IOC_STAT, size_of::<Stat>())] {
        let prepare = || {
            low.fill(0xee);
            low.place(0, &Stat::default());
        };
        prepare();
        assert_eq!(compat::ioctl(&handle, command, low.at(0)), Ok(0));
        let by_32_bits = low.read(0, PAGE);
        prepare();
        handle.ioctl(command, low.at(0)).unwrap();
        assert_eq!(by_32_bits, low.read(0, PAGE));
        assert!(
            by_32_bits[size.max(size_of::<Stat>())..]
                .iter()
                .all(|&byte| byte == 0xee)
        );
    }
    handle.ioctl(IOC_INFO, low.at(0)).unwrap();
    assert_eq!(low.read(0, 4), ABI_VERSION.to_ne_bytes());
}

fn sync_is_the_same() {
    let handle = Handle::rw();
    let low = Region::low(PAGE);
    let ask = |op: u32, offset: u64, len: u64| {
        low.fill(0);
        low.write(0, &offset.to_ne_bytes());
        low.write(8, &len.to_ne_bytes());
        low.write(32, &op.to_ne_bytes());
        low.write(36, &ACCESS_WRITE.to_ne_bytes());
        compat::ioctl(&handle, IOC_SYNC, low.at(0))
    };
    assert_eq!(ask(SYNC_BEGIN, 0, SIZE as u64), Ok(0));
    assert_eq!(handle.stat().unwrap().holders, 1);
    refused(Handle::rw().begin(ACCESS_WRITE, 5, 1, 0), Errno::EAGAIN);
    refused(ask(SYNC_BEGIN, 0, 1), Errno::EDEADLK);
    assert_eq!(ask(SYNC_END, 0, SIZE as u64), Ok(0));
    refused(ask(SYNC_END, 0, SIZE as u64), Errno::ENOENT);
    refused(ask(SYNC_BEGIN, u64::MAX, 2), Errno::EINVAL);
    // 2^32 bytes further is another place, not the same one.
    refused(ask(SYNC_BEGIN, 1 << 32, 1), Errno::EINVAL);
}

fn unknown_commands_are_enotty_too() {
    let handle = Handle::rw();
    let low = Region::low(PAGE);
    for command in [
        IOC_SYNC + 1,
        IOC_INFO ^ 0x100,
        IOC_STAT ^ (3 << 30),
        IOC_INFO + (8 << 16),
    ] {
        refused(compat::ioctl(&handle, command, low.at(0)), Errno::ENOTTY);
    }
}

fn bad_pointers_are_efault_too() {
    let handle = Handle::rw();
    let low = Region::low(2 * PAGE);
    low.unmap(PAGE, PAGE).unwrap();
    for command in [IOC_INFO, IOC_STAT, IOC_SYNC] {
        refused(compat::ioctl(&handle, command, Addr::NULL), Errno::EFAULT);
        refused(compat::ioctl(&handle, command, low.at(PAGE)), Errno::EFAULT);
        refused(compat::ioctl(&handle, command, low.at(PAGE - 8)), Errno::EFAULT);
    }
}

fn offsets_beyond_4_gib_are_not_cut_off() {
    let handle = Handle::rw();
    handle.pwrite(b"start", 0).unwrap();
    let low = Region::low(PAGE);
    assert_eq!(compat::pread(&handle, low.at(0), 5, 0), Ok(5));
    assert_eq!(low.read(0, 5), b"start");
    assert_eq!(
        compat::pread(&handle, low.at(0), 5, 1 << 32),
        Ok(0),
        "that is past the end"
    );
}
