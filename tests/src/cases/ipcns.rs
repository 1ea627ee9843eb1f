// SPDX-License-Identifier: MIT OR Apache-2.0

//! IPC namespaces: what one has, another cannot see; what is left in it goes when it goes.

use std::os::fd::{AsFd, OwnedFd};

use super::{READ, SHARED, WRITE, refused};
use crate::harness::tests;
use crate::sys::limits::Limits;
use crate::sys::namespace::{Mounted, enter, in_ipc_namespace, keep};
use crate::sys::process::{park, unshare, until};
use crate::sys::segments::{name, remove};
use crate::sys::{
    CREATE_EXCLUSIVE, Create, Errno, Gate, Handle, PAGE, Process, SEGMENT_REMOVED, SIZE, STATUS_CREATED,
    THIS, by_id, by_name, creation, file, usage,
};

tests![
    segments_of_another_namespace_cannot_be_seen needs [IpcNamespace],
    the_same_name_is_another_segment_in_each needs [IpcNamespace],
    each_has_a_default_segment_of_its_own needs [IpcNamespace],
    segments_go_when_their_namespace_goes needs [IpcNamespace],
    a_killed_namespace_leaves_nothing needs [IpcNamespace],
    a_namespace_that_somebody_keeps_keeps_its_segments needs [IpcNamespace],
    a_mounted_mqueue_file_system_keeps_its_namespace needs [IpcNamespace],
    a_handle_belongs_where_it_was_opened needs [IpcNamespace],
    a_handle_passed_elsewhere_keeps_its_segment needs [IpcNamespace],
    a_mapping_lives_on_when_the_namespace_goes needs [IpcNamespace],
    attaching_when_the_namespace_has_gone_is_enxio needs [IpcNamespace],
    a_default_segment_over_the_limit_is_enospc needs [IpcNamespace],
    the_default_segment_of_a_namespace_counts needs [IpcNamespace],
    many_namespaces_come_and_go needs [IpcNamespace] within 120,
    creation_races_with_the_end_of_the_namespace needs [IpcNamespace] within 120,
];

/// Waits until everything of other namespaces has gone.
fn all_gone() {
    until("the namespaces are gone", || usage() == (0, 0));
}

fn segments_of_another_namespace_cannot_be_seen() {
    let id = Handle::creating("outside", 100).id();
    let (ready, go) = (Gate::new(), Gate::new());
    let child = in_ipc_namespace(|| {
        let handle = Handle::rw();
        refused(handle.attach(by_name("outside")), Errno::ENOENT);
        let by_its_id = [
            handle.attach(by_id(id)).map(drop),
            handle.stat_of(by_id(id)).map(drop),
            handle.set_mode(by_id(id), 0o666),
            handle.resize(by_id(id), 200),
            handle.remove(by_id(id)),
        ];
        assert_eq!(by_its_id, [Err(Errno::ENOENT); 5]);
        Handle::creating("inside", 100);
        let stats = handle.list().unwrap();
        assert!(stats.iter().any(|stat| stat.target.name == name("inside")));
        assert!(stats.iter().all(|stat| stat.target.name != name("outside")));
        ready.open();
        go.pass();
    });
    ready.pass();
    let look = Handle::rw();
    refused(look.attach(by_name("inside")), Errno::ENOENT);
    for other in id + 1..id + 10 {
        let outcome = look.stat_of(by_id(other));
        assert!(matches!(outcome, Err(Errno::ENOENT)), "{outcome:?}");
    }
    let ids: Vec<_> = look.list().unwrap().iter().map(|stat| stat.target.id).collect();
    assert_eq!(ids, [0, id]);
    go.open();
    child.join();
    remove("outside");
    all_gone();
}

fn the_same_name_is_another_segment_in_each() {
    let exclusive = Create {
        flags: CREATE_EXCLUSIVE,
        ..creation("frames", 100)
    };
    let outside = Handle::creating("frames", 100);
    outside.pwrite(b"outside", 0).unwrap();
    in_ipc_namespace(|| {
        let handle = Handle::rw();
        assert_eq!(handle.create(exclusive).unwrap().status, STATUS_CREATED);
        assert!(handle.window(0, PAGE).is_all(0));
        handle.pwrite(b"inside!", 0).unwrap();
        refused(Handle::rw().create(exclusive), Errno::EEXIST);
        remove("frames");
        refused(Handle::rw().attach(by_name("frames")), Errno::ENOENT);
    })
    .join();
    let mut bytes = [0; 7];
    Handle::of("frames").pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"outside");
    remove("frames");
    drop(outside);
    all_gone();
}

fn each_has_a_default_segment_of_its_own() {
    let outside = Handle::rw();
    outside.pwrite(&[7; 64], 0).unwrap();
    in_ipc_namespace(|| {
        let handle = Handle::rw();
        let mapping = handle.whole();
        assert!(mapping.is_all(0), "a new one");
        mapping.write(0, &[8; 64]);
        let stat = handle.stat().unwrap();
        assert_eq!((stat.target.id, stat.size as usize, stat.mode), (0, SIZE, 0o666));
        assert_eq!((stat.handles, stat.nattch), (1, 1));
        assert_eq!(Handle::rw().attach(by_id(0)).unwrap().target.id, 0);
    })
    .join();
    assert_eq!(outside.window(0, PAGE).read(0, 64), [7; 64]);
    all_gone();
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
    // Time enough for a namespace that nobody keeps.
    in_ipc_namespace(|| drop(Handle::creating("other", 5000))).join();
    until("the other one is gone", || usage() == (1, 2 * PAGE as u64));
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
    // Time enough for a namespace that nothing keeps.
    in_ipc_namespace(|| drop(Handle::creating("other", 100))).join();
    until("the other one is gone", || usage() == (1, 2 * PAGE as u64));
    drop(place);
    all_gone();
}

fn a_handle_belongs_where_it_was_opened() {
    Handle::creating("outside", 100);
    let (before, attached) = (Handle::rw(), Handle::of("outside"));
    Process::fork(|| {
        unshare(libc::CLONE_NEWIPC).unwrap();
        before.attach(by_name("outside")).expect("it was opened outside");
        attached.pwrite(b"x", 0).unwrap();
        refused(Handle::rw().attach(by_name("outside")), Errno::ENOENT);
        // A handle of outside creates outside.
        let third = Handle::rw();
        third.create(creation("inside", 100)).unwrap();
        refused(before.stat_of(by_name("inside")), Errno::ENOENT);
    })
    .join();
    remove("outside");
    drop((before, attached));
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
    handle.begin(crate::sys::ACCESS_WRITE, 0, 8, 0).unwrap();
    handle.end(crate::sys::ACCESS_WRITE, 0, 8).unwrap();
    refused(handle.remove(THIS), Errno::EIDRM);
    assert_eq!(usage().1, 2 * PAGE as u64);
    drop((handle, mapping));
    assert_eq!(usage(), (0, 0));
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
        refused(handle.begin(crate::sys::ACCESS_READ, 0, 1, 0), Errno::ENXIO);
        refused(handle.restrict(0, 1, crate::sys::ACCESS_READ), Errno::ENXIO);
        handle.info().expect("that is about no segment");
        assert_eq!(handle.fdinfo().len(), 1);
    }
    assert_eq!(usage(), (0, 0));
}

fn a_default_segment_over_the_limit_is_enospc() {
    let limits = Limits::with("max_segments", 0);
    in_ipc_namespace(|| {
        let handle = Handle::rw();
        refused(handle.pread(&mut [0], 0), Errno::ENOSPC);
        refused(handle.mmap(PAGE, READ, SHARED, 0), Errno::ENOSPC);
        refused(handle.stat(), Errno::ENOSPC);
        refused(handle.attach(by_id(0)), Errno::ENOSPC);
        limits.set("max_segments", 1);
        limits.set("max_total_bytes", SIZE as u64 - 1);
        refused(handle.pread(&mut [0], 0), Errno::ENOSPC);
        limits.set("max_total_bytes", SIZE as u64);
        handle.pread(&mut [0], 0).expect("there is room for it");
    })
    .join();
    all_gone();
    limits.set("max_segments", 0);
    Handle::rw()
        .pread(&mut [0], 0)
        .expect("the one that was made at loading is there");
}

fn the_default_segment_of_a_namespace_counts() {
    let (ready, go) = (Gate::new(), Gate::new());
    let child = in_ipc_namespace(|| {
        assert_eq!(usage(), (0, 0), "nobody has needed it yet");
        let handle = Handle::rw();
        handle.info().unwrap();
        handle.list().unwrap();
        handle.pread(&mut [0], 0).unwrap();
        assert_eq!(usage(), (1, SIZE as u64));
        assert_eq!(Handle::rw().info().unwrap().uid_bytes, SIZE as u64);
        drop(handle);
        assert_eq!(usage(), (1, SIZE as u64), "it stays with the namespace");
        ready.open();
        go.pass();
    });
    ready.pass();
    assert_eq!(usage(), (1, SIZE as u64), "seen from outside, too");
    go.open();
    child.join();
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
