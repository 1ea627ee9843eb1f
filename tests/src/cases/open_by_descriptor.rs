// SPDX-License-Identifier: MIT OR Apache-2.0

//! OPEN of the segment that another handle is attached to: how a child of `fork`, or whoever was passed a descriptor,
//! gets an identity of its own.

use std::fs::File;
use std::os::fd::AsRawFd;

use super::open_by::everywhere;
use super::refused;
use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::namespace::in_ipc_namespace;
use crate::sys::segments::{name, remove};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, BY_DESCRIPTOR, Errno, Handle, Open, PAGE, Process, Result, Target, by_name,
    creation, file, usage,
};

tests![
    an_anonymous_segment_is_opened_again,
    a_child_gets_an_identity_of_its_own,
    named_default_and_removed_segments_are_opened_again,
    the_mode_decides_as_it_does_by_name,
    a_restricted_handle_leads_nowhere,
    what_is_no_attached_handle_is_refused,
    another_ipc_namespace_is_exdev needs [IpcNamespace],
    only_open_takes_a_descriptor,
    a_file_in_debugfs_is_no_handle needs [Debugfs],
    #[slow] handles_come_and_go_while_others_open_by_them within 120,
];

fn of(handle: &Handle) -> Target {
    by_number(handle.fd())
}

fn by_number(fd: i32) -> Target {
    Target {
        id: u64::try_from(fd).unwrap_or(u64::MAX),
        by: BY_DESCRIPTOR,
        ..Target::default()
    }
}

/// A new handle, attached to the same segment.
fn again(handle: &Handle) -> Result<(Handle, Open)> {
    let new = Handle::rw();
    let opened = new.attach(of(handle))?;
    Ok((new, opened))
}

fn an_anonymous_segment_is_opened_again() {
    let first = Handle::creating("", 5000);
    first.pwrite(b"the same", 100).unwrap();
    let (second, opened) = again(&first).unwrap();
    assert_eq!((opened.target.id, opened.size), (first.id(), 5000));
    assert_eq!((opened.target.name, opened.target.by), ([0; 64], BY_DESCRIPTOR));
    assert_eq!(first.stat().unwrap().handles, 2);
    assert_ne!(first.info().unwrap().token, second.info().unwrap().token);
    // It lives on with the second, and goes with that.
    drop(first);
    let mut bytes = [0; 8];
    second.pread(&mut bytes, 100).unwrap();
    assert_eq!(&bytes, b"the same");
    let (third, _) = again(&second).unwrap();
    drop(second);
    assert_eq!(usage(), (1, 2 * PAGE as u64));
    drop(third);
    assert_eq!(usage(), (0, 0));
}

fn a_child_gets_an_identity_of_its_own() {
    let handle = Handle::creating("", 100);
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    Process::fork(|| {
        refused(handle.begin(ACCESS_WRITE, 0, 8, 0), Errno::EDEADLK);
        let (own, _) = again(&handle).unwrap();
        refused(own.begin(ACCESS_WRITE, 0, 8, 0), Errno::EAGAIN);
        own.begin(ACCESS_WRITE, 8, 8, 0).unwrap();
        own.window(0, PAGE).write(0, b"child");
    })
    .join();
    let mut bytes = [0; 5];
    handle.pread(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"child");
}

fn named_default_and_removed_segments_are_opened_again() {
    let named = Handle::creating("frames", 100);
    let (_, opened) = again(&named).unwrap();
    assert_eq!(opened.target.name, name("frames"));
    remove("frames");
    let (_, opened) = again(&named).unwrap();
    assert_eq!(opened.target.id, named.id());
    let default = Handle::rw();
    default.stat().unwrap();
    let (other, opened) = again(&default).unwrap();
    assert_eq!(opened.target.id, 0);
    assert_eq!(other.stat().unwrap().handles, 2);
    // For less than the other is open for, too.
    for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR] {
        let new = Handle::open(flags).unwrap();
        new.attach(of(&named)).unwrap();
    }
}

fn the_mode_decides_as_it_does_by_name() {
    let _node = OpenNode::new();
    for (mode, allowed) in [(0o600, false), (0o604, false), (0o606, true)] {
        let handle = Handle::rw();
        let mut create = creation("", 100);
        create.mode = mode;
        handle.create(create).unwrap();
        let outcome = User::new(1000, 1000).act(|| again(&handle).map(drop));
        assert_eq!(outcome, if allowed { Ok(()) } else { Err(Errno::EACCES) });
    }
    let handle = Handle::rw();
    let mut create = creation("", 100);
    create.mode = 0o604;
    handle.create(create).unwrap();
    User::new(1000, 1000).act(|| Handle::ro().attach(of(&handle)).map(drop).unwrap());
}

fn a_restricted_handle_leads_nowhere() {
    let handle = Handle::creating("", 5000);
    handle.restrict(0, 100, ACCESS_READ).unwrap();
    refused(again(&handle), Errno::EACCES);
    refused(again(&handle.dup()), Errno::EACCES);
    assert_eq!(handle.stat().unwrap().handles, 1);
}

fn what_is_no_attached_handle_is_refused() {
    let attach = |target| Handle::rw().attach(target).map(drop);
    refused(attach(of(&Handle::rw())), Errno::ENOENT);
    let own = Handle::rw();
    refused(own.attach(of(&own)), Errno::ENOENT);
    own.attach(crate::sys::by_id(0)).unwrap();
    refused(own.attach(of(&own)), Errno::EBUSY);
    let mut closed = of(&own);
    for number in [u64::MAX, 1 << 32, u64::from(u32::MAX), 1 << 31, 1_000_000] {
        closed.id = number;
        refused(attach(closed), Errno::EBADF);
    }
    let (reader, _writer) = file::pipe();
    refused(attach(by_number(reader.as_raw_fd())), Errno::EINVAL);
    for node in [c"/dev/null", c"/dev/shmdev"] {
        // SAFETY: the path is a C string.
        let fd = Errno::result(unsafe { libc::open(node.as_ptr(), libc::O_PATH) }).unwrap();
        refused(attach(by_number(fd)), Errno::EBADF);
    }
    let with = |change: fn(&mut Target)| {
        let handle = Handle::creating("", 100);
        let mut target = of(&handle);
        change(&mut target);
        attach(target)
    };
    refused(with(|target| target.reserved = 1), Errno::EINVAL);
    refused(with(|target| target.name[0] = b'x'), Errno::EINVAL);
    assert_eq!(with(|_| ()), Ok(()));
}

fn another_ipc_namespace_is_exdev() {
    let handle = Handle::creating("", 100);
    in_ipc_namespace(|| refused(again(&handle), Errno::EXDEV)).join();
    // It is the handle's namespace that counts, not the caller's.
    let new = Handle::rw();
    in_ipc_namespace(|| new.attach(of(&handle)).map(drop).unwrap()).join();
    assert_eq!(handle.stat().unwrap().handles, 2);
}

fn only_open_takes_a_descriptor() {
    let handle = Handle::creating("frames", 100);
    let [opened, others @ ..] = everywhere(of(&handle));
    assert_eq!(opened, ("OPEN", Ok(())));
    for (call, outcome) in others {
        assert_eq!(outcome, Err(Errno::EINVAL), "{call}");
    }
    remove("frames");
}

/// Which has the same owner.
fn a_file_in_debugfs_is_no_handle() {
    let table = File::open("/sys/kernel/debug/shmdev/usage").unwrap();
    refused(Handle::rw().attach(by_number(table.as_raw_fd())), Errno::EINVAL);
}

fn handles_come_and_go_while_others_open_by_them() {
    const ROUNDS: u32 = 2000;
    let handle = Handle::creating("frames", 100);
    std::thread::scope(|scope| {
        let (send, receive) = std::sync::mpsc::sync_channel::<Handle>(4);
        scope.spawn(move || {
            // Closed while the other opens by its number, which may by then be another file's.
            for _ in 0..ROUNDS {
                let Ok(next) = receive.recv() else { return };
                drop(next);
            }
        });
        for _ in 0..ROUNDS {
            let (next, _) = again(&handle).unwrap();
            let target = of(&next);
            send.send(next).unwrap();
            match Handle::rw().attach(target) {
                Ok(opened) => assert_eq!(opened.target.id, handle.id()),
                // By then it was closed, or is a handle that is not attached yet.
                Err(Errno::EBADF | Errno::ENOENT | Errno::EBUSY) => (),
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_eq!(handle.stat().unwrap().handles, 1);
    Handle::rw().remove(by_name("frames")).unwrap();
}
