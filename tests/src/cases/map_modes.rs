// SPDX-License-Identifier: MIT OR Apache-2.0

//! The ways to map a segment: how one is chosen and told, and that each does and refuses what the table in
//! `docs/abi.md` says, whatever the run's own is.

use std::collections::BTreeMap;

use shmdev::{Map, MapErrorKind, OpenErrorKind, SegmentOptions};

use super::command::{bad, good};
use super::debugfs::segments;
use super::{PRIVATE, READ, SHARED, WRITE, agrees, refused};
use crate::harness::tests;
use crate::sys::mode::modes;
use crate::sys::module::{self, Reloaded};
use crate::sys::process::park;
use crate::sys::segments::remove;
use crate::sys::tracing::page_faults;
use crate::sys::{
    CREATE_AUTO_REMOVE, CREATE_EXCLUSIVE, Create, Errno, Handle, MAP_FAULT, MAP_HUGE, MAP_PFN, PAGE, Process,
    Region, SEGMENT_AUTO_REMOVE, SEGMENT_REMOVED, THIS, by_name, creation, hostile, mode, signal, usage,
};

tests![
    a_segment_is_mapped_as_was_asked_for,
    what_is_not_asked_for_is_the_modules_default,
    an_existing_name_that_is_mapped_otherwise_is_eopnotsupp,
    resizing_and_removing_change_nothing_of_it,
    #[slow] each_does_and_refuses_what_is_documented,
    #[slow] each_lets_a_debugger_write_as_the_mapping_allows,
    #[slow] each_takes_the_faults_that_are_documented needs [Tracepoints],
    each_counts_for_the_resident_size_or_does_not,
    #[slow] a_core_has_what_is_resident_if_it_is_asked_for,
    each_counts_mappings_alike,
    debugfs_has_a_column_for_it needs [Debugfs],
    #[slow] the_default_is_a_parameter needs [ModuleFile],
    #[slow] a_default_that_there_is_not_does_not_load needs [ModuleFile],
    the_crate_asks_and_tells,
    the_crate_makes_private_copies,
    #[slow] the_command_asks_and_tells needs [ShmdevCommand],
];

fn a_segment_is_mapped_as_was_asked_for() {
    let default = mode().flag;
    for mode in modes() {
        for text in ["frames", ""] {
            let handle = Handle::mapped_as(mode.flag, text, 5000);
            let flags = mode.flag | if text.is_empty() { SEGMENT_AUTO_REMOVE } else { 0 };
            assert_eq!(handle.stat().unwrap().flags, flags, "{}", mode.name);
            assert_eq!(Handle::ro().list().unwrap()[1].flags, flags);
            assert_eq!(handle.info().unwrap().default_map, default);
            handle.remove(THIS).unwrap();
        }
        let handle = Handle::mapped_as(mode.flag | CREATE_AUTO_REMOVE | CREATE_EXCLUSIVE, "frames", 1);
        assert_eq!(handle.stat().unwrap().flags, mode.flag | SEGMENT_AUTO_REMOVE);
    }
    assert_eq!(usage(), (0, 0));
}

fn what_is_not_asked_for_is_the_modules_default() {
    let default = mode().flag;
    assert_eq!(Handle::rw().info().unwrap().default_map, default);
    assert_eq!(Handle::rw().stat().unwrap().flags, default);
    let of = |text| Handle::creating(text, 1).stat().unwrap().flags;
    assert_eq!(of(""), default | SEGMENT_AUTO_REMOVE);
    assert_eq!(of("frames"), default);
    remove("frames");
}

fn an_existing_name_that_is_mapped_otherwise_is_eopnotsupp() {
    let create = |map, size, flags| {
        let create = Create {
            flags: map | flags,
            ..creation("frames", size)
        };
        Handle::rw().create(create).map(|made| made.status)
    };
    for there in modes() {
        let handle = Handle::mapped_as(there.flag, "frames", 5000);
        for asked in modes() {
            if asked.flag == there.flag {
                assert_eq!(create(asked.flag, 5000, 0), Ok(0));
            } else {
                refused(create(asked.flag, 5000, 0), Errno::EOPNOTSUPP);
                refused(create(asked.flag, 5000, CREATE_EXCLUSIVE), Errno::EEXIST);
            }
        }
        assert_eq!(create(0, 5000, 0), Ok(0), "whatever it is");
        let stat = handle.stat().unwrap();
        assert_eq!((stat.flags, stat.handles), (there.flag, 1));
        remove("frames");
    }
}

fn resizing_and_removing_change_nothing_of_it() {
    for mode in modes() {
        let handle = Handle::mapped_as(mode.flag, "frames", 5000);
        for size in [3 << 20, 100, 5 << 20] {
            handle.resize(THIS, size).unwrap();
            assert_eq!(handle.stat().unwrap().flags, mode.flag);
        }
        let mapping = handle.window(0, 5 << 20);
        mapping.set((5 << 20) - 1, 1);
        remove("frames");
        assert_eq!(handle.stat().unwrap().flags, mode.flag | SEGMENT_REMOVED);
        agrees(handle.mmap(PAGE, READ | WRITE, PRIVATE, 0), mode.copies);
    }
}

fn each_does_and_refuses_what_is_documented() {
    let me = i32::try_from(std::process::id()).unwrap();
    for mode in modes() {
        let handle = Handle::mapped_as(mode.flag, "", 4 << 20);
        let mapping = handle.window(0, 4 << 20);
        mapping.fill(7);
        agrees(handle.mmap(PAGE, WRITE, PRIVATE, 0), mode.copies);
        let private = handle.mmap(PAGE, READ, PRIVATE, 0).unwrap();
        agrees(private.protect(0, PAGE, READ | WRITE), mode.copies_later);
        agrees(hostile::process_vm_read(me, mapping.at(0), 8), mode.pins);
        agrees(mapping.advise(libc::MADV_DONTNEED), mode.forgets);
        agrees(mapping.advise_part(PAGE, PAGE, libc::MADV_DONTNEED), mode.forgets);
        agrees(mapping.advise(libc::MADV_POPULATE_READ), mode.populates);
        agrees(mapping.advise(libc::MADV_POPULATE_WRITE), mode.populates);
        assert!(mapping.is_all(7), "{}", mode.name);
        refused(hostile::futex_wait(mapping.at(0), 1, false), Errno::EFAULT);
        assert!(hostile::userfault(&mapping).is_err());
        refused(handle.mmap(PAGE, READ | super::EXEC, SHARED, 0), Errno::EPERM);
        refused(mapping.protect(0, PAGE, READ | super::EXEC), Errno::EACCES);
    }
}

fn each_lets_a_debugger_write_as_the_mapping_allows() {
    for mode in modes() {
        let handle = Handle::mapped_as(mode.flag, "", 4 << 20);
        let mapping = handle.window(0, 4 << 20);
        let view = handle.mmap(4 << 20, READ, SHARED, 0).unwrap();
        let private = handle.mmap(4 << 20, READ, PRIVATE, 0).unwrap();
        let child = Process::fork(|| park());
        let poke = |at: &Region| hostile::ptrace_poke(child.pid(), at.at(PAGE), -2);
        poke(&mapping).unwrap();
        assert_eq!(hostile::ptrace_peek(child.pid(), view.at(PAGE)), Ok(-2));
        mapping.fill(0);
        refused(poke(&view), Errno::EIO);
        agrees(poke(&private), mode.copies_for_debuggers);
        mapping.protect(0, 4 << 20, READ).unwrap();
        assert!(mapping.is_all(0), "{}", mode.name);
        child.kill();
    }
}

fn each_takes_the_faults_that_are_documented() {
    for mode in modes() {
        // Less than a large entry maps, for that is what `huge` has by `mmap`.
        let handle = Handle::mapped_as(mode.flag, "", 1 << 20);
        let mapping = handle.window(0, 1 << 20);
        let expected = (mode.faults)(mapping.at(0).get()..mapping.at(1 << 20).get());
        assert_eq!(
            page_faults(&mapping, || touch(&mapping)),
            expected,
            "{}",
            mode.name
        );
        let populated = handle.mmap(1 << 20, READ | WRITE, SHARED | libc::MAP_POPULATE, 0);
        let populated = populated.unwrap();
        assert_eq!(page_faults(&populated, || touch(&populated)), 0, "{}", mode.name);
    }
}

/// Writes to each page.
pub(super) fn touch(mapping: &Region) {
    (0..mapping.len())
        .step_by(PAGE)
        .for_each(|offset| mapping.set(offset, 1));
}

fn each_counts_for_the_resident_size_or_does_not() {
    for mode in modes() {
        let mapping = Handle::mapped_as(mode.flag, "", 4 << 20).window(0, 4 << 20);
        touch(&mapping);
        let expected = if mode.is_resident { 4 << 20 } else { 0 };
        assert_eq!(mapping.smaps("Rss"), expected, "{}", mode.name);
        assert_eq!(mapping.smaps("Size"), 4 << 20);
        // What else tells of page tables can be read, too.
        for file in ["pagemap", "numa_maps", "smaps_rollup", "clear_refs"] {
            let path = format!("/proc/self/{file}");
            match file {
                "clear_refs" => (1..=4).for_each(|kind| _ = std::fs::write(&path, kind.to_string())),
                "pagemap" => _ = pagemap(&mapping),
                _ => _ = std::fs::read(&path),
            }
        }
        touch(&mapping);
    }
}

/// The entries of a mapping, as the kernel shows them.
fn pagemap(mapping: &Region) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut entries = vec![0; mapping.len() / PAGE * 8];
    let place = (mapping.at(0).get() / PAGE * 8) as u64;
    let file = std::fs::File::open("/proc/self/pagemap").unwrap();
    file.read_exact_at(&mut entries, place).unwrap();
    entries
}

fn a_core_has_what_is_resident_if_it_is_asked_for() {
    const PATTERN: &str = "/proc/sys/kernel/core_pattern";
    let before = std::fs::read_to_string(PATTERN).unwrap();
    let path = format!("/tmp/shmdev-core-{}", std::process::id());
    std::fs::write(PATTERN, &path).unwrap();
    let mut seen = BTreeMap::new();
    for (mode, byte) in modes().iter().zip(0xa7..) {
        // Others each time, for what was read of the core before is in this one.
        let mapping = Handle::mapped_as(mode.flag, "", 2 * PAGE).window(0, 2 * PAGE);
        mapping.fill(byte);
        let child = Process::fork(|| {
            std::fs::write("/proc/self/coredump_filter", "0xff").unwrap();
            signal::limit(libc::RLIMIT_CORE, u64::MAX);
            std::process::abort();
        });
        child.wait();
        let core = std::fs::read(&path);
        let _ = std::fs::remove_file(&path);
        let dumped = core.map(|core| {
            core.windows(PAGE)
                .any(|page| page.iter().all(|&seen| seen == byte))
        });
        seen.insert(mode.name, dumped);
        assert!(mapping.is_all(byte));
    }
    std::fs::write(PATTERN, before).unwrap();
    for mode in modes() {
        let dumped = seen[mode.name].as_ref().expect("a core");
        assert_eq!(*dumped, mode.is_resident, "{}", mode.name);
    }
}

fn each_counts_mappings_alike() {
    for mode in modes() {
        let handle = Handle::mapped_as(mode.flag, "", 6 << 20);
        let mapping = handle.window(0, 6 << 20);
        touch(&mapping);
        mapping.unmap(1 << 20, 3 << 20).unwrap();
        assert_eq!(handle.nattch(), 2, "{}", mode.name);
        Process::fork(|| {
            assert_eq!(handle.nattch(), 4);
            mapping.unmap(5 << 20, PAGE).unwrap();
            assert_eq!(handle.nattch(), 5);
        })
        .join();
        assert_eq!(handle.nattch(), 2);
        drop(mapping);
        assert_eq!(handle.nattch(), 0);
    }
    assert_eq!(usage(), (0, 0));
}

fn debugfs_has_a_column_for_it() {
    let handles: Vec<_> = modes()
        .iter()
        .map(|mode| Handle::mapped_as(mode.flag, mode.name, 1))
        .collect();
    for row in segments() {
        let expected = if row["name"] == "(default)" {
            mode().name
        } else {
            &row["name"]
        };
        assert_eq!(row["map"], expected);
    }
    assert_eq!(segments().len(), handles.len() + 1);
    modes().iter().for_each(|mode| remove(mode.name));
}

fn the_default_is_a_parameter() {
    const FILE: &str = "/sys/module/shmdev/parameters/default_map";
    for mode in modes() {
        let _module = Reloaded::with(&format!("default_map={}", mode.name));
        assert_eq!(std::fs::read_to_string(FILE).unwrap(), format!("{}\n", mode.name));
        assert!(std::fs::write(FILE, "pfn").is_err(), "it is for loading alone");
        let handle = Handle::rw();
        assert_eq!(handle.info().unwrap().default_map, mode.flag);
        assert_eq!(handle.stat().unwrap().flags, mode.flag, "the default segment's");
        let made = Handle::creating("", 1).stat().unwrap();
        assert_eq!(made.flags, mode.flag | SEGMENT_AUTO_REMOVE);
        agrees(handle.mmap(PAGE, READ | WRITE, PRIVATE, 0), mode.copies);
    }
}

fn a_default_that_there_is_not_does_not_load() {
    let _module = Reloaded::afterwards();
    module::unload().unwrap();
    for word in [
        "default_map=pages",
        "default_map=PFN",
        "default_map=",
        "default_map=3",
        "default_map",
    ] {
        refused(module::load(word), Errno::EINVAL);
        assert!(!module::is_loaded());
    }
}

fn the_crate_asks_and_tells() {
    let options = |map| {
        let mut options = SegmentOptions::new();
        options.create(true).size(5000).map(map);
        options
    };
    for (map, flag) in [
        (Map::Pfn, MAP_PFN),
        (Map::Fault, MAP_FAULT),
        (Map::Huge, MAP_HUGE),
    ] {
        let segment = options(map).open("frames").unwrap();
        assert_eq!(segment.stat().unwrap().map, map);
        assert_eq!(Handle::rw().stat_of(by_name("frames")).unwrap().flags, flag);
        assert!(!options(map).open("frames").unwrap().was_created());
        let other = if map == Map::Pfn { Map::Huge } else { Map::Pfn };
        let error = options(other).open("frames").unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::MappedOtherwise);
        segment.map().unwrap().write_at(b"hello", 0).unwrap();
        segment.remove().unwrap();
    }
    let device = shmdev::Device::open().unwrap();
    assert_eq!(Map::from_abi(device.info().default_map).to_string(), mode().name);
}

fn the_crate_makes_private_copies() {
    for map in [Map::Pfn, Map::Fault, Map::Huge] {
        let mut options = SegmentOptions::new();
        let segment = options.create(true).size(5000).map(map).open("frames").unwrap();
        segment.write_at(b"theirs", 0).unwrap();
        let reader = SegmentOptions::new().write(false).open("frames").unwrap();
        for handle in [&segment, &reader] {
            match handle.map_copy() {
                Ok(copy) => {
                    assert_eq!((map, copy.len()), (Map::Fault, 5000));
                    assert_eq!(copy.to_vec(0, 6).unwrap(), b"theirs");
                    copy.write_at(b"mine", 0).unwrap();
                    assert_eq!(copy.to_vec(0, 6).unwrap(), b"miners");
                }
                Err(error) => {
                    assert_ne!(map, Map::Fault);
                    assert_eq!(error.kind(), MapErrorKind::NoCopies);
                    assert_eq!(error.raw_os_error(), Some(libc::EOPNOTSUPP));
                }
            }
            let mut bytes = [0; 6];
            segment.read_at(&mut bytes, 0).unwrap();
            assert_eq!(&bytes, b"theirs");
        }
        segment.remove().unwrap();
    }
}

fn the_command_asks_and_tells() {
    for mode in modes() {
        let name = mode.name;
        good(&format!("create frames 64K --map {name}"));
        assert_eq!(Handle::of("frames").stat().unwrap().flags, mode.flag);
        assert!(
            good("stat frames").contains(&format!("\nmapped         {name}: ")),
            "{name}"
        );
        for arguments in ["stat frames --json", "ls --json"] {
            let said: String = good(arguments).split_whitespace().collect();
            assert!(said.contains(&format!("\"map\":\"{name}\"")), "{said}");
        }
        assert_eq!(good(&format!("create frames 64K --or-open --map {name}")), "");
        let other = if name == "pfn" { "fault" } else { "pfn" };
        let said = bad(&format!("create frames 64K --or-open --map {other}"), 1);
        assert!(said.contains("EOPNOTSUPP"), "{said}");
        good("rm frames");
    }
    assert!(bad("create frames 64K --map pages", 2).contains("pfn, fault, huge"));
    let default = mode().name;
    assert!(good("info").contains(&format!("as {default} where nothing else is asked for")));
    good("create frames 64K");
    assert_eq!(Handle::of("frames").stat().unwrap().flags, mode().flag);
    good("rm frames");
}
