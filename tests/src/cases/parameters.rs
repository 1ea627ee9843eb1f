// SPDX-License-Identifier: MIT OR Apache-2.0

//! The limits as parameters of the module: their defaults, at loading, and as files at run time.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::refused;
use crate::harness::tests;
use crate::sys::limits::{LIMITS, Limits, all, put};
use crate::sys::module::{self, Reloaded};
use crate::sys::{Errno, Handle, Process, creation, signal};

tests![
    limits_have_their_defaults,
    limits_are_files_that_root_alone_may_write,
    other_parameters_cannot_be_changed_at_run_time,
    info_tells_the_limits_as_they_are,
    what_is_no_number_is_refused_and_changes_nothing,
    #[slow] limits_are_taken_at_loading needs [ModuleFile],
    #[slow] limits_out_of_range_do_not_load needs [ModuleFile],
];

const FOLDER: &str = "/sys/module/shmdev/parameters";

/// All limits as INFO tells them.
fn told() -> [u64; 4] {
    let info = Handle::rw().info().unwrap();
    [
        info.max_segments,
        info.max_segment_bytes,
        info.max_total_bytes,
        info.max_bytes_per_uid,
    ]
}

fn limits_have_their_defaults() {
    let [segments, each, total, user] = told();
    assert_eq!((segments, each), (4096, 1 << 40));
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let memory: u64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    // What the kernel itself took at boot is counted by one of the two and not by the other.
    let (memory, slack) = (memory * 1024, memory * 1024 / 16);
    assert!(total.abs_diff(memory / 2) < slack, "{total} of {memory} bytes");
    assert!(user.abs_diff(memory / 4) < slack, "{user} of {memory} bytes");
    assert_eq!((total % 4096, user % 4096), (0, 0));
}

fn limits_are_files_that_root_alone_may_write() {
    for name in LIMITS {
        let stat = std::fs::metadata(Path::new(FOLDER).join(name)).unwrap();
        assert_eq!(stat.uid(), 0);
        let mode = stat.permissions().mode() & 0o777;
        assert!(mode & 0o600 == 0o600 && mode & 0o133 == 0, "{name}: {mode:o}");
    }
    Process::fork(|| {
        signal::become_nobody();
        for name in LIMITS {
            refused(put(name, "1"), Errno::EACCES);
        }
    })
    .join();
}

fn other_parameters_cannot_be_changed_at_run_time() {
    let before = (Handle::rw().info().unwrap().max_ranges, told());
    for name in ["default_size", "mode", "max_ranges"] {
        let outcome = std::fs::OpenOptions::new()
            .write(true)
            .open(Path::new(FOLDER).join(name))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"1"));
        assert!(outcome.is_err(), "{name} was written");
    }
    assert_eq!((Handle::rw().info().unwrap().max_ranges, told()), before);
}

fn info_tells_the_limits_as_they_are() {
    assert_eq!(told(), all());
    let limits = Limits::with("max_segments", 7);
    limits.set("max_segment_bytes", 1 << 20);
    limits.set("max_total_bytes", 5 << 20);
    limits.set("max_bytes_per_uid", 3 << 20);
    assert_eq!(told(), [7, 1 << 20, 5 << 20, 3 << 20]);
    assert_eq!(all(), [7, 1 << 20, 5 << 20, 3 << 20]);
    // In other notations, as the kernel's parser takes them.
    put("max_segments", "0x10").unwrap();
    put("max_total_bytes", "8192\n").unwrap();
    assert_eq!((told()[0], told()[2]), (16, 8192));
    limits.set("max_segments", u64::from(u32::MAX));
    assert_eq!(told()[0], u64::from(u32::MAX));
}

fn what_is_no_number_is_refused_and_changes_nothing() {
    let before = all();
    for name in LIMITS {
        for value in [
            "many",
            "-1",
            "",
            "18446744073709551616",
            "1 2",
            "4096k",
            "0x",
            "1e3",
        ] {
            let outcome = put(name, value);
            // Writing nothing is no write at all.
            assert!(
                matches!(outcome, Err(Errno::EINVAL | Errno::ERANGE)) || value.is_empty(),
                "{name} = {value:?}: {outcome:?}"
            );
        }
    }
    let outcome = put("max_segments", "4294967296");
    assert!(
        matches!(outcome, Err(Errno::EINVAL | Errno::ERANGE)),
        "{outcome:?}"
    );
    assert_eq!(all(), before);
}

fn limits_are_taken_at_loading() {
    let _module =
        Reloaded::with("max_segments=2 max_segment_bytes=8192 max_total_bytes=12288 max_bytes_per_uid=4096");
    assert_eq!(told(), [2, 8192, 12288, 4096]);
    let handle = Handle::rw();
    refused(handle.create(creation("", 4097)), Errno::ENOSPC);
    handle.create(creation("", 4096)).unwrap();
    drop(handle);
    // The largest number stands for the default.
    let most = u64::MAX;
    module::reload(&format!("max_total_bytes={most} max_bytes_per_uid={most}")).unwrap();
    let [_, _, total, user] = told();
    assert!(
        total < 1 << 45 && user.abs_diff(total / 2) <= 4096,
        "{total}, {user}"
    );
    // None of them keeps the module from loading, nor its default segment from being there.
    module::reload("max_segments=0 max_segment_bytes=0 max_total_bytes=0 max_bytes_per_uid=0").unwrap();
    assert_eq!(told(), [0; 4]);
    let handle = Handle::rw();
    handle.pread(&mut [0], 0).unwrap();
    refused(Handle::rw().create(creation("", 1)), Errno::ENOSPC);
    put("max_segments", "1").unwrap();
    for name in &LIMITS[1..] {
        put(name, "4096").unwrap();
    }
    Handle::rw().create(creation("", 1)).unwrap();
}

fn limits_out_of_range_do_not_load() {
    let _module = Reloaded::afterwards();
    module::unload().unwrap();
    for parameters in [
        "max_segments=4294967296",
        "max_segments=-1",
        "max_segments=x",
        "max_segment_bytes=18446744073709551616",
        "max_total_bytes=half",
        "max_bytes_per_uid=-4096",
        "max_bytes_per_uid=",
    ] {
        let outcome = module::load(parameters);
        assert!(
            matches!(outcome, Err(Errno::EINVAL | Errno::ERANGE)),
            "{parameters}: {outcome:?}"
        );
        assert!(!module::is_loaded(), "{parameters}");
    }
    module::load("").unwrap();
}
