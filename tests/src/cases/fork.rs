// SPDX-License-Identifier: MIT OR Apache-2.0

//! Mappings and handles over `fork`, `exec` and the end of processes.

use std::os::fd::AsFd;

use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::cgroup::Group;
use crate::sys::process::{self, End, exit_now, park, until};
use crate::sys::{Errno, Gate, Handle, PAGE, Process, SIZE, file, signal};

tests![
    a_child_has_the_mapping_too,
    a_child_writes_after_its_parent_is_gone,
    a_killed_process_gives_its_mappings_back,
    exec_drops_mappings,
    a_child_that_is_told_not_to_has_no_mapping,
    #[slow] a_hundred_children_are_counted,
    fork_of_split_mappings_counts_each_part,
    fork_that_fails_changes_no_count needs [PidsCgroup],
    a_passed_descriptor_maps_the_same_bytes,
    a_descriptor_in_a_dead_queue_is_given_back,
    a_vforked_program_does_not_count,
    threads_that_share_an_address_space_share_its_mappings,
];

fn a_child_has_the_mapping_too() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    let (ready, go) = (Gate::new(), Gate::new());
    mapping.set(7, 1);
    let child = Process::fork(|| {
        assert_eq!(mapping.get(7), 1);
        mapping.set(7, 2);
        ready.open();
        go.pass();
        assert_eq!(mapping.get(7), 3);
    });
    ready.pass();
    assert_eq!(handle.nattch(), 2);
    assert_eq!(mapping.get(7), 2);
    mapping.set(7, 3);
    go.open();
    child.join();
    assert_eq!(handle.nattch(), 1);
}

fn a_child_writes_after_its_parent_is_gone() {
    process::become_subreaper().unwrap();
    let observer = Handle::rw();
    observer.pwrite(&[0; 8], 0).unwrap();
    let (go, done) = (Gate::new(), Gate::new());
    let parent = Process::fork(|| {
        let mapping = Handle::rw().whole();
        let child = Process::fork(|| {
            go.pass();
            mapping.write(0, b"orphan");
            done.open();
        });
        // Exits without waiting: the child goes to the test, which reaps orphans.
        std::mem::forget(child);
        exit_now(0);
    });
    parent.join();
    assert_eq!(observer.nattch(), 1, "the orphan has it still");
    go.open();
    done.pass();
    let mut bytes = [0; 6];
    observer.pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"orphan");
    until("the orphan's mapping is gone", || observer.nattch() == 0);
    assert!(process::kill_descendants().len() <= 1, "the orphan alone");
    assert_eq!(observer.stat().unwrap().handles, 1);
}

fn a_killed_process_gives_its_mappings_back() {
    let observer = Handle::rw();
    let ready = Gate::new();
    let child = Process::fork(|| {
        let handle = Handle::rw();
        let _mappings: Vec<_> = (0..50).map(|page| handle.window(page * PAGE, PAGE)).collect();
        ready.open();
        park();
    });
    ready.pass();
    assert_eq!((observer.nattch(), observer.stat().unwrap().handles), (50, 2));
    child.kill();
    assert_eq!((observer.nattch(), observer.stat().unwrap().handles), (0, 1));
}

fn exec_drops_mappings() {
    let observer = Handle::rw();
    let (ready, go) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        let _mapping = Handle::rw().whole();
        ready.open();
        go.pass();
        // Any program will do that ends by itself.
        signal::exec(c"/proc/self/exe", &[c"shmdev-tests", c"--help"]).unwrap();
    });
    ready.pass();
    assert_eq!(observer.nattch(), 1);
    go.open();
    assert_eq!(child.wait(), End::Exit(0));
    assert_eq!((observer.nattch(), observer.stat().unwrap().handles), (0, 1));
}

fn a_child_that_is_told_not_to_has_no_mapping() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    mapping.advise(libc::MADV_DONTFORK).unwrap();
    let (ready, go) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        super::faults(|| _ = mapping.get(0));
        ready.open();
        go.pass();
    });
    ready.pass();
    assert_eq!(handle.nattch(), 1);
    go.open();
    child.join();
}

fn a_hundred_children_are_counted() {
    let handle = Handle::rw();
    let _mapping = handle.whole();
    let children: Vec<_> = (0..100).map(|_| Process::fork(|| park())).collect();
    assert_eq!(handle.nattch(), 101);
    for (gone, child) in children.into_iter().enumerate() {
        child.kill();
        assert_eq!(handle.nattch(), 100 - gone as u64);
    }
}

fn fork_of_split_mappings_counts_each_part() {
    let handle = Handle::rw();
    let mapping = handle.window(0, 5 * PAGE);
    mapping.unmap(PAGE, PAGE).unwrap();
    mapping.unmap(3 * PAGE, PAGE).unwrap();
    assert_eq!(handle.nattch(), 3);
    let child = Process::fork(|| {
        assert_eq!(handle.nattch(), 6);
        mapping.unmap(0, 5 * PAGE).unwrap();
        assert_eq!(handle.nattch(), 3);
    });
    child.join();
    assert_eq!(handle.nattch(), 3);
}

/// The pids controller refuses a process after its address space has been copied: the copy is undone again.
fn fork_that_fails_changes_no_count() {
    let handle = Handle::rw();
    let mapping = handle.whole();
    mapping.unmap(PAGE, PAGE).unwrap();
    let group = Group::new("shmdev-pids", "pids");
    group.set("pids.max", "1");
    Process::fork(|| {
        group.enter();
        assert_eq!(handle.nattch(), 4);
        for _ in 0..20 {
            match Process::try_fork(|| ()) {
                Err(error) => assert_eq!(error, Errno::EAGAIN),
                Ok(_) => panic!("the limit of processes holds"),
            }
            assert_eq!(handle.nattch(), 4);
        }
        mapping.set(0, 1);
    })
    .join();
    assert_eq!(handle.nattch(), 2);
}

fn a_passed_descriptor_maps_the_same_bytes() {
    let (here, there) = file::sockets();
    let child = Process::fork(|| {
        let handle = Handle::from(file::receive_fd(&there));
        handle.window(PAGE, PAGE).write(0, b"by a passed descriptor");
        refused(handle.mmap(SIZE, READ, SHARED, PAGE as u64), Errno::EINVAL);
    });
    let handle = Handle::rw();
    file::send_fd(&here, handle.as_fd());
    child.join();
    assert_eq!(handle.window(PAGE, PAGE).read(0, 22), b"by a passed descriptor");
}

fn a_descriptor_in_a_dead_queue_is_given_back() {
    let observer = Handle::rw();
    observer.stat().unwrap();
    let (here, there) = file::sockets();
    let handle = Handle::rw();
    handle.stat().unwrap();
    file::send_fd(&here, &handle);
    drop(handle);
    assert_eq!(observer.stat().unwrap().handles, 2, "it lives in the queue");
    drop((here, there));
    until("the handle in the queue is gone", || {
        observer.stat().unwrap().handles == 1
    });
}

fn a_vforked_program_does_not_count() {
    let handle = Handle::rw();
    let _mapping = handle.whole();
    let mut child = signal::spawn_self(&["--help"]);
    assert!(child.wait().unwrap().success());
    let stat = handle.stat().unwrap();
    assert_eq!((stat.nattch, stat.handles), (1, 1));
}

fn threads_that_share_an_address_space_share_its_mappings() {
    let handle = Handle::rw();
    let mapping = handle.mmap(PAGE, READ | WRITE, SHARED, 0).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| mapping.set(0, 5));
    });
    assert_eq!((mapping.get(0), handle.nattch()), (5, 1));
    std::thread::scope(|scope| {
        // Mapping and unmapping in several threads while others count.
        for first in 0..4 {
            let handle = &handle;
            scope.spawn(move || {
                for round in 0..100 {
                    let window = handle.window((first * 16 + round % 16) * PAGE, PAGE);
                    assert!((2..=5).contains(&handle.nattch()));
                    drop(window);
                }
            });
        }
    });
    assert_eq!(handle.nattch(), 1);
}
