// SPDX-License-Identifier: MIT OR Apache-2.0

//! The end of IPC namespaces: what goes with them, what stays for whom, and races with it.

use std::os::fd::{AsFd, OwnedFd};

use super::ipcns::all_gone;
use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::module::{self, Reloaded};
use crate::sys::namespace::{Mounted, enter, in_ipc_namespace, keep};
use crate::sys::poll::LONG_MS;
use crate::sys::process::{park, unshare, until};
use crate::sys::segments::name;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, Errno, Gate, Handle, PAGE, Process, SEGMENT_REMOVED, SIZE, THIS, by_id,
    by_name, creation, file, poll, usage,
};

tests![
    segments_go_when_their_namespace_goes needs [IpcNamespace],
    a_killed_namespace_leaves_nothing needs [IpcNamespace],
    a_namespace_that_somebody_keeps_keeps_its_segments needs [IpcNamespace],
    a_mounted_mqueue_file_system_keeps_its_namespace needs [IpcNamespace],
    an_open_message_queue_keeps_its_namespace needs [IpcNamespace],
    a_handle_passed_elsewhere_keeps_its_segment needs [IpcNamespace],
    a_mapping_lives_on_when_the_namespace_goes needs [IpcNamespace],
    attaching_when_the_namespace_has_gone_is_enxio needs [IpcNamespace],
    what_is_left_of_a_namespace_is_seen_through_its_handles needs [IpcNamespace],
    #[slow] many_namespaces_come_and_go needs [IpcNamespace] within 120,
    #[slow] creation_races_with_the_end_of_the_namespace needs [IpcNamespace] within 120,
    #[slow] unloading_while_a_namespace_has_segments_is_safe needs [IpcNamespace, ModuleFile],
    #[slow] unloading_races_with_the_end_of_a_namespace needs [IpcNamespace, ModuleFile],
];

/// Gives a namespace that is kept, with one segment of two pages, the time in which one that nobody keeps goes.
#[track_caller]
fn one_that_nobody_keeps_has_gone() {
    in_ipc_namespace(|| drop(Handle::creating("other", 5000))).join();
    until("the other one is gone", || usage() == (1, 2 * PAGE as u64));
}

fn segments_go_when_their_namespace_goes() {
    in_ipc_namespace(|| {
        for index in 0..20 {
            Handle::creating(&format!("frames-{index}"), 5000);
        }
        let handle = Handle::creating("", 100);
        handle.pwrite(b"x", 0).unwrap();
        assert_eq!(usage().0, 21);
    })
    .join();
    all_gone();
}

fn a_killed_namespace_leaves_nothing() {
    let ready = Gate::new();
    let child = in_ipc_namespace(|| {
        let handle = Handle::creating("frames", 5000);
        let _mapping = handle.window(0, PAGE);
        let _default = Handle::rw().whole();
        ready.open();
        park();
    });
    ready.pass();
    assert_eq!(usage(), (2, (SIZE + 2 * PAGE) as u64));
    child.kill();
    all_gone();
}

fn a_namespace_that_somebody_keeps_keeps_its_segments() {
    let (here, there) = file::sockets();
    in_ipc_namespace(|| {
        Handle::creating("frames", 5000).pwrite(b"kept", 0).unwrap();
        file::send_fd(&there, keep("ipc"));
    })
    .join();
    let namespace: OwnedFd = file::receive_fd(&here);
    one_that_nobody_keeps_has_gone();
    Process::fork(|| {
        enter(&namespace).unwrap();
        let mut bytes = [0; 4];
        Handle::of("frames").pread(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"kept");
    })
    .join();
    drop(namespace);
    all_gone();
}

fn a_mounted_mqueue_file_system_keeps_its_namespace() {
    let place = Mounted::at(&format!("/tmp/shmdev-mqueue-{}", std::process::id()));
    in_ipc_namespace(|| {
        place.mount("mqueue");
        Handle::creating("frames", 5000);
    })
    .join();
    one_that_nobody_keeps_has_gone();
    drop(place);
    all_gone();
}

fn an_open_message_queue_keeps_its_namespace() {
    let (here, there) = file::sockets();
    in_ipc_namespace(|| {
        Handle::creating("frames", 5000);
        file::send_fd(&there, file::message_queue(c"/shmdev"));
    })
    .join();
    let queue = file::receive_fd(&here);
    one_that_nobody_keeps_has_gone();
    drop(queue);
    all_gone();
}

fn a_handle_passed_elsewhere_keeps_its_segment() {
    let (here, there) = file::sockets();
    in_ipc_namespace(|| {
        let handle = Handle::creating("frames", 5000);
        handle.pwrite(b"from inside", 0).unwrap();
        file::send_fd(&there, handle.as_fd());
    })
    .join();
    let handle = Handle::from(file::receive_fd(&here));
    until("the namespace has gone", || {
        handle.stat().unwrap().flags & SEGMENT_REMOVED != 0
    });
    let mut bytes = [0; 11];
    handle.pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"from inside");
    let mapping = handle.mmap(2 * PAGE, READ | WRITE, SHARED, 0).unwrap();
    mapping.write(0, b"from without");
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    handle.end(ACCESS_WRITE, 0, 8).unwrap();
    refused(handle.remove(THIS), Errno::EIDRM);
    assert_eq!(usage().1, 2 * PAGE as u64);
    drop((handle, mapping));
    // Who takes the namespace's end may still be at it.
    all_gone();
}

fn a_mapping_lives_on_when_the_namespace_goes() {
    let (ready, go) = (Gate::new(), Gate::new());
    // The child leaves the namespace that it made, and keeps a mapping alone.
    let child = Process::fork(|| {
        let outside = keep("ipc");
        unshare(libc::CLONE_NEWIPC).unwrap();
        let mapping = Handle::creating("frames", 5000).window(0, 2 * PAGE);
        mapping.fill(3);
        enter(&outside).unwrap();
        ready.open();
        go.pass();
        assert!(mapping.is_all(3));
        mapping.fill(4);
    });
    ready.pass();
    in_ipc_namespace(|| drop(Handle::creating("other", 100))).join();
    until("the other namespace is gone", || usage().1 == 2 * PAGE as u64);
    go.open();
    child.join();
    all_gone();
}

fn attaching_when_the_namespace_has_gone_is_enxio() {
    let (here, there) = file::sockets();
    const COUNT: usize = 8;
    in_ipc_namespace(|| {
        Handle::creating("frames", 5000);
        (0..COUNT).for_each(|_| file::send_fd(&there, Handle::rw()));
    })
    .join();
    let handles: Vec<_> = (0..COUNT)
        .map(|_| Handle::from(file::receive_fd(&here)))
        .collect();
    all_gone();
    for handle in &handles {
        refused(handle.create(creation("frames", 100)), Errno::ENXIO);
        refused(handle.create(creation("", 100)), Errno::ENXIO);
        refused(handle.attach(by_id(0)), Errno::ENXIO);
        refused(handle.attach(by_name("frames")), Errno::ENXIO);
        // What attaches to the default segment.
        refused(handle.pread(&mut [0], 0), Errno::ENXIO);
        refused(handle.pwrite(b"x", 0), Errno::ENXIO);
        refused(handle.mmap(PAGE, READ, SHARED, 0), Errno::ENXIO);
        refused(handle.seek(0, libc::SEEK_END), Errno::ENXIO);
        refused(handle.stat(), Errno::ENXIO);
        refused(handle.begin(ACCESS_READ, 0, 1, 0), Errno::ENXIO);
        refused(handle.restrict(0, 1, ACCESS_READ), Errno::ENXIO);
        assert_eq!(poll::poll(handle, LONG_MS), libc::POLLERR);
        handle.info().expect("that is about no segment");
        assert_eq!(handle.fdinfo().len(), 1);
    }
    assert_eq!(usage(), (0, 0));
}

/// What handles are attached to is there by its number, and removed.
fn what_is_left_of_a_namespace_is_seen_through_its_handles() {
    let (here, there) = file::sockets();
    in_ipc_namespace(|| {
        let default = Handle::rw();
        default.pwrite(b"x", 0).unwrap();
        let used = Handle::creating("used", 5000);
        assert_eq!(Handle::creating("unused", 100).id(), used.id() + 1);
        for handle in [default, used, Handle::creating("", 100), Handle::rw()] {
            file::send_fd(&there, handle);
        }
    })
    .join();
    let [default, used, anonymous, free] = [(); 4].map(|()| Handle::from(file::receive_fd(&here)));
    until("the namespace has gone", || {
        used.stat().unwrap().flags & SEGMENT_REMOVED != 0
    });
    let (first, unused, last) = (used.id(), used.id() + 1, anonymous.id());
    let stats = free.list().unwrap();
    let listed: Vec<_> = stats.iter().map(|stat| stat.target.id).collect();
    assert_eq!(listed, [0, first, last]);
    for stat in stats {
        assert_ne!(stat.flags & SEGMENT_REMOVED, 0, "{stat:?}");
        assert_eq!(free.stat_of(by_id(stat.target.id)), Ok(stat));
    }
    assert_eq!(free.stat_of(by_id(first)).unwrap().target.name, name("used"));
    refused(free.stat(), Errno::ENXIO);
    for handle in [&free, &used] {
        for (target, errno) in [
            (by_name("used"), Errno::ENOENT),
            (by_id(unused), Errno::ENOENT),
            (by_id(first), Errno::EIDRM),
            (by_id(last), Errno::EIDRM),
            (by_id(0), Errno::EIDRM),
        ] {
            if errno == Errno::ENOENT {
                refused(handle.stat_of(target), errno);
            }
            refused(handle.set_mode(target, 0o666), errno);
            refused(handle.resize(target, 100), errno);
            refused(handle.remove(target), errno);
        }
    }
    used.resize(THIS, 100).expect("what is attached goes on");
    used.set_mode(THIS, 0o640).unwrap();
    drop((default, used, anonymous));
    assert_eq!(free.list().unwrap(), []);
    refused(free.stat_of(by_id(0)), Errno::ENOENT);
    // Who takes the namespace's end may still be at it.
    all_gone();
}

fn many_namespaces_come_and_go() {
    for _ in 0..4 {
        let children: Vec<_> = (0..12)
            .map(|index| {
                in_ipc_namespace(move || {
                    Handle::creating("frames", 1 + 1000 * index);
                    Handle::rw().pwrite(b"x", 0).unwrap();
                    assert_eq!(Handle::rw().list().unwrap().len(), 2);
                })
            })
            .collect();
        children.into_iter().for_each(Process::join);
    }
    all_gone();
}

/// The last process of a namespace goes while another, outside, creates through a handle of it.
fn creation_races_with_the_end_of_the_namespace() {
    for round in 0..40 {
        let (here, there) = file::sockets();
        let child = in_ipc_namespace(|| {
            file::send_fd(&there, Handle::rw());
            for _ in 0..round % 8 * 50 {
                std::hint::spin_loop();
            }
        });
        let handle = Handle::from(file::receive_fd(&here));
        let outcome = match round % 3 {
            0 => handle.create(creation("frames", 5000)).map(drop),
            1 => handle.create(creation("", 5000)).map(drop),
            _ => handle.attach(by_id(0)).map(drop),
        };
        match outcome {
            Ok(()) => _ = handle.pwrite(b"usable", 0).unwrap(),
            Err(error) => assert_eq!(error, Errno::ENXIO),
        }
        child.join();
    }
    all_gone();
}

fn unloading_while_a_namespace_has_segments_is_safe() {
    let _module = Reloaded::afterwards();
    for _ in 0..3 {
        let (ready, go) = (Gate::new(), Gate::new());
        let child = in_ipc_namespace(|| {
            drop(Handle::creating("frames", 5000));
            Handle::rw().pwrite(b"x", 0).unwrap();
            ready.open();
            go.pass();
            // The module that is there now knows nothing of it.
            assert_eq!(Handle::rw().list().unwrap(), []);
            drop(Handle::creating("frames", 100));
        });
        ready.pass();
        module::unload().expect("nobody uses it, but for its segments");
        module::load("").unwrap();
        assert_eq!(usage(), (0, 0));
        go.open();
        child.join();
        all_gone();
    }
}

fn unloading_races_with_the_end_of_a_namespace() {
    let _module = Reloaded::afterwards();
    for round in 0..6 {
        let (ready, go) = (Gate::new(), Gate::new());
        let children: Vec<_> = (0..2)
            .map(|_| {
                in_ipc_namespace(|| {
                    drop(Handle::creating("frames", 5000));
                    ready.open();
                    go.pass();
                })
            })
            .collect();
        children.iter().for_each(|_| ready.pass());
        children.iter().for_each(|_| go.open());
        for _ in 0..round % 6 * 2000 {
            std::hint::spin_loop();
        }
        module::unload().expect("nobody uses it, but for its segments");
        children.into_iter().for_each(Process::join);
        module::load("").unwrap();
    }
    assert_eq!(usage(), (0, 0));
}
