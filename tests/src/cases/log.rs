// SPDX-License-Identifier: MIT OR Apache-2.0

//! The kernel log: a line at loading and unloading, and nothing that a user does adds one.

use super::{EXEC, PRIVATE, READ, SHARED, WRITE, kill_a_user};
use crate::harness::{LogReader, tests};
use crate::sys::module::Reloaded;
use crate::sys::{ACCESS_WRITE, Addr, Handle, IOC_INFO, IOC_STAT, IOC_SYNC, PAGE, Region, SIZE, SyncRange};

tests![
    #[slow] a_noisy_user_adds_nothing_to_the_log,
    #[slow] loading_and_unloading_say_so needs [ModuleFile],
];

fn a_noisy_user_adds_nothing_to_the_log() {
    let mut log = LogReader::from_now().unwrap();
    let buffer = Region::anonymous(PAGE);
    for round in 0..30 {
        let handle = Handle::rw();
        for prot in [READ, WRITE, EXEC, READ | WRITE | EXEC] {
            for flags in [SHARED, PRIVATE] {
                for (len, offset) in [
                    (0, 0),
                    (PAGE, 0),
                    (PAGE, SIZE as u64),
                    (SIZE + 1, 0),
                    (PAGE, 1 << 60),
                ] {
                    drop(handle.mmap(len, prot, flags, offset));
                }
            }
        }
        for command in [IOC_INFO, IOC_STAT, IOC_SYNC, IOC_SYNC + 1, 0, u32::MAX] {
            for address in [Addr::NULL, Addr::KERNEL, buffer.at(0), buffer.at(PAGE - 4)] {
                let _ = handle.ioctl(command, address);
            }
        }
        for word in [0, 1, 2, 3, u32::MAX] {
            let wild = u64::from(word) << 30 | u64::from(word);
            let range = SyncRange {
                offset: wild,
                len: wild,
                op: word,
                access: word,
                flags: word,
                ..SyncRange::default()
            };
            let _ = handle.sync(range);
        }
        for offset in [-1, 0, SIZE as i64, i64::MAX] {
            let _ = handle.pread(&mut [0; 64], offset);
            let _ = handle.pwrite(&[0; 64], offset);
            let _ = handle.seek(offset, round % 8);
        }
        kill_a_user();
        handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
        handle.end(ACCESS_WRITE, 0, 8).unwrap();
    }
    assert_eq!(log.news().unwrap(), Vec::<String>::new());
}

fn loading_and_unloading_say_so() {
    let mut log = LogReader::from_now().unwrap();
    let module = Reloaded::with("default_size=8192");
    let mut lines = log.news().unwrap();
    lines.retain(|line| line.contains("shmdev:"));
    let [unloaded, loaded] = &lines[..] else {
        panic!("a line at unloading and one at loading: {lines:?}");
    };
    assert!(unloaded.ends_with("shmdev: unloaded"), "{unloaded}");
    assert!(
        loaded.ends_with("shmdev: loaded, default segment of 8192 bytes"),
        "{loaded}"
    );
    drop(module);
}
