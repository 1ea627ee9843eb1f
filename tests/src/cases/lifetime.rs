// SPDX-License-Identifier: MIT OR Apache-2.0

//! How long segments live: with a name, without one, with `CREATE_AUTO_REMOVE`, and what the memory of the dead
//! becomes.

use std::os::fd::AsFd;

use super::refused;
use crate::harness::tests;
use crate::sys::module::{self, Reloaded};
use crate::sys::process::{park, until};
use crate::sys::segments::remove;
use crate::sys::{
    ACCESS_WRITE, CREATE_AUTO_REMOVE, Create, Errno, Gate, Handle, PAGE, Process, SEGMENT_AUTO_REMOVE,
    STATUS_CREATED, STATUS_OWNER_DIED, THIS, by_id, by_name, creation, file, mode, signal, usage,
};

tests![
    a_named_segment_outlives_who_made_it,
    a_named_segment_outlives_a_killed_maker,
    an_anonymous_segment_goes_with_its_last_handle,
    an_anonymous_segment_is_shared_by_fork,
    an_anonymous_segment_is_shared_by_passing_the_descriptor,
    a_mapping_alone_keeps_an_anonymous_segment,
    auto_remove_goes_with_the_last_handle,
    auto_remove_is_opened_by_its_name_meanwhile,
    auto_remove_goes_with_a_killed_process,
    auto_remove_frees_its_name_at_once,
    auto_remove_that_was_removed_goes_on_until_the_last_handle,
    a_segment_in_the_queue_of_a_socket_lives,
    marks_outlive_the_writer_and_not_the_segment,
    #[slow] unloading_takes_all_segments_with_it needs [ModuleFile],
    #[slow] memory_of_removed_segments_is_given_back,
];

fn auto_removed(text: &str, size: u64) -> Handle {
    let handle = Handle::rw();
    let create = Create {
        flags: CREATE_AUTO_REMOVE,
        ..creation(text, size)
    };
    assert_eq!(handle.create(create).unwrap().status, STATUS_CREATED);
    handle
}

fn a_named_segment_outlives_who_made_it() {
    Process::fork(|| {
        let handle = Handle::creating("frames", 5000);
        handle.pwrite(b"left for others", 0).unwrap();
    })
    .join();
    assert_eq!(usage(), (1, 2 * PAGE as u64));
    Process::fork(|| {
        let handle = Handle::of("frames");
        assert_eq!((handle.generation(), handle.stat().unwrap().handles), (1, 1));
        let mut bytes = [0; 15];
        handle.pread(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"left for others");
        handle.window(0, PAGE).write(0, b"read");
    })
    .join();
    assert_eq!(Handle::of("frames").window(0, PAGE).read(0, 5), b"read ");
    assert_eq!(Handle::rw().stat_of(by_name("frames")).unwrap().handles, 0);
    remove("frames");
    assert_eq!(usage(), (0, 0));
}

fn a_named_segment_outlives_a_killed_maker() {
    let ready = Gate::new();
    let maker = Process::fork(|| {
        let handle = Handle::creating("frames", 5000);
        let mapping = handle.window(0, PAGE);
        mapping.write(0, b"kept");
        ready.open();
        park();
    });
    ready.pass();
    maker.kill();
    let handle = Handle::of("frames");
    let stat = handle.stat().unwrap();
    assert_eq!((stat.nattch, stat.handles), (0, 1));
    assert_eq!(handle.window(0, PAGE).read(0, 4), b"kept");
    remove("frames");
}

fn an_anonymous_segment_goes_with_its_last_handle() {
    let handle = Handle::creating("", 3 * PAGE as u64);
    let id = handle.id();
    let twin = handle.dup();
    drop(handle);
    assert_eq!(usage(), (1, 3 * PAGE as u64));
    drop(twin);
    assert_eq!(usage(), (0, 0));
    refused(Handle::rw().stat_of(by_id(id)), Errno::ENOENT);
}

fn an_anonymous_segment_is_shared_by_fork() {
    let handle = Handle::creating("", 5000);
    let mapping = handle.window(0, 2 * PAGE);
    Process::fork(|| {
        mapping.write(0, b"by the child's mapping");
        handle.pwrite(b"by the child's handle", 100).unwrap();
        assert_eq!(handle.stat().unwrap().nattch, 2);
    })
    .join();
    assert_eq!(mapping.read(0, 22), b"by the child's mapping");
    assert_eq!(mapping.read(100, 21), b"by the child's handle");
    // The child keeps it when its maker lets go.
    let (go, done) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        go.pass();
        assert_eq!(handle.stat().unwrap().size, 5000);
        done.open();
        go.pass();
    });
    drop((handle, mapping));
    go.open();
    done.pass();
    assert_eq!(usage(), (1, 2 * PAGE as u64));
    go.open();
    child.join();
    assert_eq!(usage(), (0, 0));
}

fn an_anonymous_segment_is_shared_by_passing_the_descriptor() {
    let (here, there) = file::sockets();
    let child = Process::fork(|| {
        let handle = Handle::from(file::receive_fd(&there));
        signal::become_nobody();
        assert_eq!(handle.stat().unwrap().size, 5000);
        handle.window(PAGE, PAGE).write(0, b"by a stranger");
        refused(Handle::open(libc::O_RDWR), Errno::EACCES);
    });
    let handle = Handle::creating("", 5000);
    file::send_fd(&here, handle.as_fd());
    child.join();
    assert_eq!(handle.window(PAGE, PAGE).read(0, 13), b"by a stranger");
}

fn a_mapping_alone_keeps_an_anonymous_segment() {
    for text in ["", "frames"] {
        let handle = auto_removed(text, 2 * PAGE as u64);
        let mapping = handle.window(0, 2 * PAGE);
        drop(handle);
        mapping.fill(9);
        mapping.unmap(0, PAGE).unwrap();
        assert_eq!(usage(), (1, 2 * PAGE as u64));
        assert_eq!(mapping.get(PAGE), 9);
        drop(mapping);
        assert_eq!(usage(), (0, 0));
    }
}

fn auto_remove_goes_with_the_last_handle() {
    let handle = auto_removed("frames", 5000);
    let stat = handle.stat().unwrap();
    assert_eq!(stat.flags, mode().flag | SEGMENT_AUTO_REMOVE);
    drop(handle);
    assert_eq!(usage(), (0, 0));
    refused(Handle::rw().attach(by_name("frames")), Errno::ENOENT);
    refused(Handle::rw().attach(by_id(stat.target.id)), Errno::ENOENT);
    // A flag that changes nothing for one without a name.
    assert_eq!(auto_removed("", 100).stat().unwrap().size, 100);
    assert_eq!(usage(), (0, 0));
}

fn auto_remove_is_opened_by_its_name_meanwhile() {
    let first = auto_removed("frames", 5000);
    let second = Handle::of("frames");
    first.pwrite(b"shared", 0).unwrap();
    drop(first);
    let third = Handle::of("frames");
    drop(second);
    let mut bytes = [0; 6];
    third.pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"shared");
    Handle::rw().stat_of(by_name("frames")).unwrap();
    drop(third);
    refused(Handle::rw().stat_of(by_name("frames")), Errno::ENOENT);
    assert_eq!(usage(), (0, 0));
}

fn auto_remove_goes_with_a_killed_process() {
    for _ in 0..5 {
        let ready = Gate::new();
        let process = Process::fork(|| {
            let handle = auto_removed("frames", 5000);
            let _mapping = handle.window(0, PAGE);
            handle.begin(ACCESS_WRITE, 0, 100, 0).unwrap();
            ready.open();
            park();
        });
        ready.pass();
        assert_eq!(usage(), (1, 2 * PAGE as u64));
        process.kill();
        // News of an exit under way may keep the handle a moment longer.
        until("it is gone", || usage() == (0, 0));
    }
}

fn auto_remove_frees_its_name_at_once() {
    let mut last = 0;
    for _ in 0..100 {
        let handle = auto_removed("frames", 100);
        assert!(handle.window(0, PAGE).is_all(0));
        handle.pwrite(b"dirt", 0).unwrap();
        let id = handle.id();
        assert!(id > last);
        last = id;
    }
    // The handle goes while another opens the name: it gets the segment, whole, or nothing.
    for _ in 0..100 {
        let (handle, opener) = (auto_removed("frames", 5000), Handle::rw());
        std::thread::scope(|scope| {
            scope.spawn(move || drop(handle));
            match opener.attach(by_name("frames")) {
                Ok(opened) => assert_eq!((opened.size, opener.stat().unwrap().size), (5000, 5000)),
                Err(error) => assert_eq!(error, Errno::ENOENT),
            }
        });
    }
    assert_eq!(usage(), (0, 0));
}

fn auto_remove_that_was_removed_goes_on_until_the_last_handle() {
    let handle = auto_removed("frames", 100);
    handle.remove(THIS).unwrap();
    refused(handle.remove(THIS), Errno::EIDRM);
    handle.pwrite(b"x", 0).unwrap();
    let new = auto_removed("frames", 200);
    drop(handle);
    assert_eq!(
        Handle::of("frames").id(),
        new.id(),
        "the old one takes no name away"
    );
    drop(new);
    assert_eq!(usage(), (0, 0));
}

fn a_segment_in_the_queue_of_a_socket_lives() {
    let (here, there) = file::sockets();
    let handle = Handle::creating("", 5000);
    handle.pwrite(b"in a queue", 0).unwrap();
    file::send_fd(&here, handle);
    assert_eq!(usage(), (1, 2 * PAGE as u64));
    let handle = Handle::from(file::receive_fd(&there));
    let mut bytes = [0; 10];
    handle.pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"in a queue");
    file::send_fd(&here, handle);
    drop((here, there));
    until("the queue is gone", || usage() == (0, 0));
}

fn marks_outlive_the_writer_and_not_the_segment() {
    let die = || {
        Process::fork(|| {
            let handle = Handle::of("frames");
            handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
            crate::sys::process::exit_now(0);
        })
        .join();
    };
    Handle::creating("frames", 100);
    die();
    let status = Handle::of("frames").begin(ACCESS_WRITE, 0, 1, 0).unwrap().status;
    assert_eq!(status, STATUS_OWNER_DIED);
    die();
    remove("frames");
    let new = Handle::creating("frames", 100);
    assert_eq!(new.begin(ACCESS_WRITE, 0, 100, 0).unwrap().status, 0);
    drop(new);
    remove("frames");
}

fn unloading_takes_all_segments_with_it() {
    let _module = Reloaded::afterwards();
    for round in 0..3 {
        for index in 0..20 {
            Handle::creating(&format!("frames-{index}"), 5000 * (index + 1));
        }
        assert_eq!(usage().0, 20, "round {round}");
        module::reload("").unwrap();
        assert_eq!(usage(), (0, 0));
        assert_eq!(Handle::rw().list().unwrap().len(), 1, "the default one");
        refused(Handle::rw().attach(by_name("frames-1")), Errno::ENOENT);
    }
}

fn memory_of_removed_segments_is_given_back() {
    const SEGMENT: u64 = 1 << 20;
    let round = |index: u64| {
        let handle = Handle::creating("frames", SEGMENT + index % 5 * PAGE as u64);
        handle.window(0, PAGE).set(0, 1);
        if index % 2 == 0 {
            drop(handle);
            remove("frames");
        } else {
            remove("frames");
            handle.resize(THIS, 2 * SEGMENT).unwrap();
        }
    };
    (0..8).for_each(round);
    // Segments lost would be 150 MiB; the rest of the system moves by less.
    super::memory::gives_back(|| (0..100).for_each(round), 24 << 20, 2 << 20);
    assert_eq!(usage(), (0, 0));
}
