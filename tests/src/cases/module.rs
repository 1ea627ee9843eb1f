// SPDX-License-Identifier: MIT OR Apache-2.0

//! Loading and unloading: parameters, refusals, and that the module stays for as long as somebody uses it.

use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use super::{EndOf, kill_a_user, refused};
use crate::harness::{rmmod_path, tests};
use crate::sys::module::{self, Reloaded};
use crate::sys::process::until;
use crate::sys::{
    ACCESS_WRITE, DEADLINE_NEVER, Errno, Gate, Handle, MAP_MASK, MAP_PFN, PAGE, Process, SIZE, file, poll,
    signal,
};

tests![
    #[slow] unloading_while_open_is_refused needs [ModuleFile],
    unloading_while_only_mapped_is_refused needs [ModuleFile],
    unloading_while_a_child_has_the_mapping_is_refused needs [ModuleFile],
    unloading_while_somebody_waits_is_refused needs [ModuleFile],
    unloading_while_somebody_polls_is_refused needs [ModuleFile],
    unloading_while_a_descriptor_is_in_a_queue_is_refused needs [ModuleFile],
    the_rmmod_command_says_in_use needs [ModuleFile, Rmmod],
    #[slow] unloading_takes_the_node_away needs [ModuleFile],
    loading_twice_is_eexist needs [ModuleFile],
    #[slow] without_parameters_the_segment_has_one_mib needs [ModuleFile],
    #[slow] sizes_out_of_range_are_einval needs [ModuleFile],
    #[slow] limits_out_of_range_are_einval needs [ModuleFile],
    #[slow] modes_out_of_range_are_einval needs [ModuleFile],
    #[slow] memory_that_cannot_be_had_is_enomem needs [ModuleFile] within 120,
    #[slow] sizes_of_all_kinds_load needs [ModuleFile],
    #[slow] the_mode_is_the_nodes needs [ModuleFile],
    #[slow] a_new_segment_starts_at_generation_zero needs [ModuleFile],
    #[slow] unloading_right_after_a_death_is_safe needs [ModuleFile],
    #[slow] loading_and_unloading_race_with_users needs [ModuleFile] within 120,
];

/// The system call says EAGAIN of a module that is in use (EWOULDBLOCK, to be exact); `rmmod` looks first and says
/// that it is in use.
#[track_caller]
pub(super) fn in_use() {
    let outcome = module::unload();
    assert!(
        matches!(outcome, Err(Errno::EBUSY | Errno::EAGAIN)),
        "expected a refusal, got {outcome:?}"
    );
}

fn unloading_while_open_is_refused() {
    let _module = Reloaded::afterwards();
    let handle = Handle::open(libc::O_RDONLY).unwrap();
    for _ in 0..5 {
        in_use();
    }
    handle.info().expect("it works as before");
    drop(handle);
    module::unload().expect("nobody uses it any more");
}

fn unloading_while_only_mapped_is_refused() {
    let _module = Reloaded::afterwards();
    let handle = Handle::rw();
    let mapping = handle.whole();
    drop(handle);
    in_use();
    mapping.write(SIZE - 4, b"used");
    mapping.unmap(PAGE, PAGE).unwrap();
    mapping.unmap(0, PAGE).unwrap();
    in_use();
    drop(mapping);
    module::unload().expect("nobody uses it any more");
}

fn unloading_while_a_child_has_the_mapping_is_refused() {
    let _module = Reloaded::afterwards();
    let mapping = Handle::rw().whole();
    let (ready, go) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        ready.open();
        go.pass();
        mapping.set(0, 1);
    });
    ready.pass();
    drop(mapping);
    in_use();
    go.open();
    child.join();
    module::unload().expect("nobody uses it any more");
}

fn unloading_while_somebody_waits_is_refused() {
    let _module = Reloaded::afterwards();
    let holder = Handle::rw();
    holder.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    let waiter = Process::fork(|| _ = Handle::rw().begin(ACCESS_WRITE, 0, 1, DEADLINE_NEVER));
    until("it waits", || holder.stat().unwrap().waiters == 1);
    in_use();
    waiter.kill();
    in_use();
    drop(holder);
    module::unload().expect("nobody uses it any more");
}

fn unloading_while_somebody_polls_is_refused() {
    let _module = Reloaded::afterwards();
    let ready = Gate::new();
    let poller = Process::fork(|| {
        let handle = Handle::ro();
        ready.open();
        poll::poll_for(&handle, libc::POLLIN, poll::LONG_MS);
    });
    ready.pass();
    in_use();
    let epoll = poll::Epoll::watching(Handle::ro(), libc::EPOLLIN);
    poller.kill();
    drop(epoll);
    module::unload().expect("nobody uses it any more");
}

fn unloading_while_a_descriptor_is_in_a_queue_is_refused() {
    let _module = Reloaded::afterwards();
    let (here, there) = file::sockets();
    file::send_fd(&here, Handle::rw());
    in_use();
    drop((here, there));
    until("the queue is gone", || module::unload().is_ok());
}

fn the_rmmod_command_says_in_use() {
    let handle = Handle::rw();
    let rmmod = rmmod_path().expect("rmmod");
    let output = Command::new(rmmod).arg("shmdev").output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && words.contains("in use"), "{words}");
    handle.stat().unwrap();
}

fn unloading_takes_the_node_away() {
    let _module = Reloaded::afterwards();
    module::unload().unwrap();
    until("the node is gone", || refused_with(Errno::ENOENT));
    refused(module::unload(), Errno::ENOENT);
    module::load("").unwrap();
    Handle::rw().stat().unwrap();
}

fn refused_with(errno: Errno) -> bool {
    Handle::open(libc::O_RDWR).err() == Some(errno)
}

fn loading_twice_is_eexist() {
    refused(module::load(""), Errno::EEXIST);
    Handle::rw().stat().unwrap();
}

/// None of these must load, and none leave anything that keeps a good one from loading. What is a number of the
/// parameter's type is refused by the device, with EINVAL; what is none is refused by the kernel's own parser.
fn none_loads(numbers: &[&str], others: &[&str]) {
    let _module = Reloaded::afterwards();
    module::unload().unwrap();
    for (parameters, errnos) in [
        (numbers, &[Errno::EINVAL][..]),
        (others, &[Errno::EINVAL, Errno::ERANGE]),
    ] {
        for parameter in parameters {
            let outcome = module::load(parameter);
            assert!(
                outcome.is_err_and(|error| errnos.contains(&error)),
                "{parameter}: {outcome:?}"
            );
            assert!(!module::is_loaded(), "{parameter}");
            assert!(refused_with(Errno::ENOENT), "{parameter}: there is a node");
        }
    }
    module::load("").expect("good parameters load afterwards");
}

fn sizes_out_of_range_are_einval() {
    none_loads(
        &[
            "default_size=0",
            "default_size=1099511627777",
            "default_size=18446744073709551615",
        ],
        &[
            "default_size=18446744073709551616",
            "default_size=-1",
            "default_size=many",
            "default_size=",
        ],
    );
}

fn without_parameters_the_segment_has_one_mib() {
    let _module = Reloaded::afterwards();
    module::unload().unwrap();
    module::load_with_only("").unwrap();
    let handle = Handle::rw();
    assert_eq!(handle.info().unwrap().default_size, 1 << 20);
    let stat = handle.stat().unwrap();
    assert_eq!((stat.size, stat.flags & MAP_MASK), (1 << 20, MAP_PFN));
}

fn limits_out_of_range_are_einval() {
    none_loads(
        &["max_ranges=0", "max_ranges=16385", "max_ranges=4294967295"],
        &["max_ranges=4294967296", "max_ranges=-1", "max_ranges=x"],
    );
}

fn modes_out_of_range_are_einval() {
    none_loads(
        &["mode=0", "mode=01000", "mode=010666", "mode=65535"],
        &["mode=65536", "mode=-1", "mode=rw"],
    );
}

fn memory_that_cannot_be_had_is_enomem() {
    let _module = Reloaded::afterwards();
    module::unload().unwrap();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    for size in [1 << 40, total * 1024 * 4] {
        refused(module::load(&format!("default_size={size}")), Errno::ENOMEM);
        assert!(refused_with(Errno::ENOENT), "there is a node");
    }
    module::load("default_size=4096").expect("what can be had loads");
}

fn sizes_of_all_kinds_load() {
    let _module = Reloaded::afterwards();
    for size in [
        1_u64,
        4095,
        4096,
        4097,
        65536,
        (1 << 20) + 1,
        3 << 20,
        5_000_000,
        16 << 20,
    ] {
        module::reload(&format!("default_size={size}")).unwrap();
        let handle = Handle::rw();
        let stat = handle.stat().unwrap();
        assert_eq!((stat.size, stat.mapped_size), (size, size.next_multiple_of(4096)));
        assert_eq!(handle.info().unwrap().default_size, size);
        let pages = stat.mapped_size / 4096;
        assert!(
            (1..=pages).contains(&stat.pieces.into()),
            "{} pieces for {pages} pages",
            stat.pieces
        );
        let mapping = handle.window(0, stat.mapped_size as usize);
        for page in 0..pages as usize {
            mapping.u64(page * PAGE).store(page as u64 + 1, Ordering::Relaxed);
        }
        // Every page is a page of its own, and reads see them in their order.
        let mut word = [0; 8];
        for page in 0..pages {
            let offset = page * 4096;
            let read = handle.pread(&mut word, offset as i64).unwrap();
            assert_eq!(read as u64, 8.min(size - offset), "page {page} of {size} bytes");
            assert_eq!(word[0], (page + 1) as u8);
        }
    }
}

fn the_mode_is_the_nodes() {
    let _module = Reloaded::afterwards();
    for (parameter, mode) in [("mode=0666", 0o666), ("mode=0640", 0o640), ("mode=0400", 0o400)] {
        module::reload(parameter).unwrap();
        assert_eq!(std::fs::metadata("/dev/shmdev").unwrap().mode() & 0o7777, mode);
        Process::fork(move || {
            signal::become_nobody();
            assert_eq!(Handle::open(libc::O_RDWR).is_ok(), mode == 0o666);
        })
        .join();
    }
}

fn a_new_segment_starts_at_generation_zero() {
    Handle::rw().pwrite(b"x", 0).unwrap();
    let _module = Reloaded::with("");
    let stat = Handle::rw().stat().unwrap();
    assert_eq!((stat.generation, stat.holders, stat.nattch), (0, 0, 0));
}

/// What is told of an exit is told later, by the kernel's own thread: unloading must wait for that.
fn unloading_right_after_a_death_is_safe() {
    let _module = Reloaded::afterwards();
    for _ in 0..10 {
        module::reload("").unwrap();
        kill_a_user();
        module::unload().expect("the dead use nothing");
    }
}

fn loading_and_unloading_race_with_users() {
    let _module = Reloaded::afterwards();
    let (stop, uses) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let Ok(handle) = Handle::open(libc::O_RDWR) else {
                        std::thread::yield_now();
                        continue;
                    };
                    let mapping = handle.window(0, PAGE);
                    handle.begin(ACCESS_WRITE, 0, 8, DEADLINE_NEVER).unwrap();
                    handle.end(ACCESS_WRITE, 0, 8).unwrap();
                    drop(handle);
                    mapping.set(0, 1);
                    drop(mapping);
                    uses.fetch_add(1, Ordering::Relaxed);
                    // However slow the machine is, nobody uses it for some of the time.
                    std::thread::sleep(began.elapsed() * 2);
                }
            });
        }
        let _stop = EndOf(&stop);
        // The module goes when nobody happens to use it, and comes back at once.
        let mut unloaded = 0;
        while unloaded < 15 || uses.load(Ordering::Relaxed) < 15 {
            if module::unload().is_ok() {
                unloaded += 1;
                module::load("").unwrap();
            }
            std::thread::yield_now();
        }
    });
}
