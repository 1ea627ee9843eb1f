// SPDX-License-Identifier: MIT OR Apache-2.0

//! The debugfs files when there is much to show, while everything changes, and while the module goes.

use std::fs::File;
use std::io::{Read, Seek};
use std::sync::atomic::Ordering;

use super::debugfs::{number, path, ranges, segments, text};
use super::module::in_use;
use crate::harness::tests;
use crate::sys::module::{self, Reloaded};
use crate::sys::segments::remove;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, Handle, PAGE, Process, Region, THIS};

tests![
    many_segments_are_read_in_small_pieces needs [Debugfs],
    many_ranges_are_read_whole needs [Debugfs],
    reading_races_with_everything needs [Debugfs] within 120,
    #[slow] unloading_while_a_file_is_open_is_refused_and_safe needs [Debugfs, ModuleFile],
    #[slow] the_folder_goes_with_the_module needs [Debugfs, ModuleFile],
];

fn many_segments_are_read_in_small_pieces() {
    const COUNT: usize = 150;
    let handles: Vec<_> = (0..COUNT).map(|_| Handle::creating("", 100)).collect();
    let whole = text("segments");
    assert_eq!(whole.lines().count(), COUNT + 2);
    for size in [37, 1000, 4096] {
        let (mut file, mut pieces) = (File::open(path("segments")).unwrap(), Vec::new());
        let mut buffer = vec![0; size];
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => break,
                count => pieces.extend_from_slice(&buffer[..count]),
            }
        }
        assert!(pieces == whole.as_bytes(), "in pieces of {size} bytes");
        // And from the start again.
        file.rewind().unwrap();
        let mut again = String::new();
        file.read_to_string(&mut again).unwrap();
        assert_eq!(again, whole);
    }
    drop(handles);
}

fn many_ranges_are_read_whole() {
    let handle = Handle::creating("frames", 1 << 20);
    for index in 0..1000 {
        handle.begin(ACCESS_WRITE, index * 16, 8, 0).unwrap();
    }
    let starts: Vec<_> = ranges().iter().map(|row| number(row, "start")).collect();
    assert_eq!(starts, (0..1000).map(|index| index * 16).collect::<Vec<_>>());
    remove("frames");
}

fn reading_races_with_everything() {
    let stop = Region::shared(PAGE);
    let busy: Vec<_> = (0..3)
        .map(|worker| {
            let stop = &stop;
            Process::fork(move || {
                let text = format!("busy-{worker}");
                while stop.u32(0).load(Ordering::Relaxed) == 0 {
                    let handle = Handle::creating(&text, 5000);
                    let _mapping = handle.window(0, PAGE);
                    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
                    let anonymous = Handle::creating("", 100);
                    anonymous.begin(ACCESS_READ, 0, 8, 0).unwrap();
                    handle.resize(THIS, 9000).unwrap();
                    handle.end(ACCESS_WRITE, 0, 8).unwrap();
                    remove(&text);
                }
            })
        })
        .collect();
    for _ in 0..60 {
        let rows = segments();
        assert_eq!(
            rows.iter().filter(|row| row["id"] == "0").count(),
            1,
            "the default one, once"
        );
        ranges();
        assert!(text("usage").starts_with("segments "));
    }
    stop.u32(0).store(1, Ordering::Relaxed);
    busy.into_iter().for_each(Process::join);
}

fn unloading_while_a_file_is_open_is_refused_and_safe() {
    let _module = Reloaded::afterwards();
    for file in ["segments", "ranges", "usage"] {
        let mut open = File::open(path(file)).unwrap();
        in_use();
        let mut read = String::new();
        open.read_to_string(&mut read).unwrap();
        assert!(!read.is_empty());
        open.rewind().unwrap();
        in_use();
        drop(open);
        // Read in part, and closed in the middle.
        let handle = Handle::creating("frames", 100);
        let mut open = File::open(path(file)).unwrap();
        open.read_exact(&mut [0; 3]).unwrap();
        drop(handle);
        in_use();
        drop(open);
        module::unload().expect("nobody uses it any more");
        module::load("").unwrap();
    }
}

fn the_folder_goes_with_the_module() {
    let _module = Reloaded::afterwards();
    for _ in 0..3 {
        module::unload().unwrap();
        assert!(!path("").exists());
        module::load("").unwrap();
        assert_eq!(segments().len(), 1);
    }
}
