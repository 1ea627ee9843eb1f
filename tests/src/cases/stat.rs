// SPDX-License-Identifier: MIT OR Apache-2.0

//! STAT of named segments: counts, processes, times, flags.

use super::{READ, SHARED, refused};
use crate::harness::tests;
use crate::sys::process::{park, unshare, until};
use crate::sys::segments::{name, remove};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, CREATE_AUTO_REMOVE, Create, DEADLINE_NEVER, Errno, Gate, Handle, PAGE,
    Process, SEGMENT_AUTO_REMOVE, SEGMENT_REMOVED, Stat, THIS, Target, by_id, by_name, creation, mode, poll,
    realtime_ns,
};

tests![
    a_new_segment_has_every_field,
    a_field_that_is_not_the_target_and_not_zero_is_einval,
    another_segment_is_looked_at_without_attaching,
    by_handle_sees_the_generation_and_by_name_does_not,
    handles_and_mappings_are_counted_in_all_processes,
    holders_and_waiters_are_counted,
    creation_time_is_when_it_was_created,
    attaching_and_mapping_move_the_time_of_attachment,
    changes_move_the_time_of_change,
    reading_and_writing_move_no_time,
    the_creators_process_stays_and_the_last_ones_changes,
    a_mapping_makes_its_process_the_last,
    processes_are_those_of_the_callers_pid_namespace needs [PidNamespace],
    flags_follow_what_happens,
    the_target_that_comes_back_is_name_and_id_alone,
    a_removed_segment_tells_the_name_that_it_had,
    it_works_on_handles_of_every_access_mode,
];

fn pid() -> u32 {
    std::process::id()
}

fn a_new_segment_has_every_field() {
    let before = realtime_ns();
    let handle = Handle::creating("frames", 5000);
    let stat = handle.stat().unwrap();
    let after = realtime_ns();
    assert_eq!(stat.target.name, name("frames"));
    assert_eq!((stat.size, stat.mapped_size), (5000, 2 * PAGE as u64));
    assert_eq!((stat.nattch, stat.handles, stat.generation), (0, 1, 0));
    assert_eq!((stat.holders, stat.waiters, stat.flags), (0, 0, mode().flag));
    assert!((1..=2).contains(&stat.pieces));
    assert_eq!((stat.uid, stat.gid, stat.mode), (0, 0, 0o600));
    assert_eq!((stat.creator_uid, stat.creator_gid), (0, 0));
    assert_eq!((stat.creator_pid, stat.last_pid), (pid(), pid()));
    // The kernel may stamp with a clock that moves with its ticks.
    let from = before - 20_000_000;
    for time in [stat.created_ns, stat.attached_ns, stat.changed_ns] {
        assert!((from..=after).contains(&time), "{from} <= {time} <= {after}");
    }
    assert_eq!(stat.reserved, [0; 12]);
    remove("frames");
}

fn a_field_that_is_not_the_target_and_not_zero_is_einval() {
    let handle = Handle::creating("frames", 100);
    let buffer = crate::sys::Region::anonymous(PAGE);
    for target in [THIS, by_name("frames"), by_id(handle.id())] {
        for place in size_of::<Target>()..size_of::<Stat>() {
            let stat = Stat {
                target,
                ..Stat::default()
            };
            buffer.place(0, &stat);
            buffer.set(place, 1);
            refused(handle.ioctl(crate::sys::IOC_STAT, buffer.at(0)), Errno::EINVAL);
        }
    }
    remove("frames");
}

fn another_segment_is_looked_at_without_attaching() {
    let id = Handle::creating("frames", 100).id();
    let handle = Handle::rw();
    for target in [by_name("frames"), by_id(id)] {
        let stat = handle.stat_of(target).unwrap();
        assert_eq!((stat.target.name, stat.target.id), (name("frames"), id));
        assert_eq!(stat.handles, 0);
    }
    assert_eq!(handle.fdinfo().len(), 1, "attached to nothing");
    let attached = Handle::creating("other", 100);
    assert_eq!(attached.stat_of(by_name("frames")).unwrap().target.id, id);
    assert_eq!(attached.stat().unwrap().target.name, name("other"));
    remove("frames");
    remove("other");
}

fn by_handle_sees_the_generation_and_by_name_does_not() {
    let (reader, writer) = (Handle::creating("frames", 100), Handle::of("frames"));
    writer.pwrite(b"x", 0).unwrap();
    let stranger = Handle::rw();
    assert_eq!(stranger.stat_of(by_name("frames")).unwrap().generation, 1);
    assert!(poll::is_readable(&reader));
    reader.stat_of(by_id(0)).unwrap();
    assert!(poll::is_readable(&reader), "that was another segment");
    assert_eq!(reader.stat().unwrap().generation, 1);
    assert!(!poll::is_readable(&reader));
    remove("frames");
}

fn handles_and_mappings_are_counted_in_all_processes() {
    let handle = Handle::creating("frames", 2 * PAGE as u64);
    let mapping = handle.window(0, PAGE);
    let (ready, go) = (Gate::new(), Gate::new());
    let children: Vec<_> = (0..3)
        .map(|_| {
            Process::fork(|| {
                let own = Handle::of("frames");
                let _mappings = [own.window(0, PAGE), own.window(0, 2 * PAGE)];
                ready.open();
                go.pass();
            })
        })
        .collect();
    children.iter().for_each(|_| ready.pass());
    let stat = Handle::rw().stat_of(by_name("frames")).unwrap();
    // Each child has the mapping that it was born with, and two of its own.
    assert_eq!((stat.handles, stat.nattch), (4, 1 + 3 * 3));
    children.iter().for_each(|_| go.open());
    children.into_iter().for_each(Process::join);
    let stat = handle.stat().unwrap();
    assert_eq!((stat.handles, stat.nattch), (1, 1));
    drop((handle, mapping));
    let stat = Handle::rw().stat_of(by_name("frames")).unwrap();
    assert_eq!((stat.handles, stat.nattch), (0, 0));
    remove("frames");
}

fn holders_and_waiters_are_counted() {
    let (one, other) = (Handle::creating("frames", 100), Handle::of("frames"));
    one.begin(ACCESS_WRITE, 0, 10, 0).unwrap();
    one.begin(ACCESS_READ, 50, 10, 0).unwrap();
    let waiter = Process::fork(|| {
        other.begin(ACCESS_READ, 0, 10, DEADLINE_NEVER).unwrap();
        other.end(ACCESS_READ, 0, 10).unwrap();
    });
    let look = Handle::rw();
    until("it waits", || {
        look.stat_of(by_name("frames")).unwrap().waiters == 1
    });
    assert_eq!(look.stat_of(by_name("frames")).unwrap().holders, 2);
    assert_eq!(look.stat().unwrap().holders, 0, "the default segment has none");
    one.end(ACCESS_WRITE, 0, 10).unwrap();
    waiter.join();
    let stat = look.stat_of(by_name("frames")).unwrap();
    assert_eq!((stat.holders, stat.waiters), (1, 0));
    remove("frames");
}

fn creation_time_is_when_it_was_created() {
    let mut last = 0;
    for _ in 0..5 {
        let handle = Handle::creating("", 100);
        let before = handle.stat().unwrap().created_ns;
        assert!(before >= last, "time runs forward");
        last = before;
        drop(handle.window(0, PAGE));
        handle.set_mode(THIS, 0o640).unwrap();
        handle.resize(THIS, 5000).unwrap();
        assert_eq!(handle.stat().unwrap().created_ns, before);
    }
}

/// Waits until the clock has moved, so that a later time is a larger number.
fn tick() {
    let now = realtime_ns();
    // What the kernel stamps may be as coarse as its ticks.
    until("time passes", || realtime_ns() > now + 12_000_000);
}

fn attaching_and_mapping_move_the_time_of_attachment() {
    let handle = Handle::creating("frames", 100);
    let time = || Handle::rw().stat_of(by_name("frames")).unwrap().attached_ns;
    let start = time();
    tick();
    let second = Handle::of("frames");
    let opened = time();
    assert!(opened > start, "OPEN");
    tick();
    let mapping = handle.window(0, PAGE);
    let mapped = time();
    assert!(mapped > opened, "mmap");
    tick();
    drop((mapping, second));
    assert_eq!(time(), mapped, "going moves nothing");
    let by_create = Handle::rw();
    by_create.create(creation("frames", 100)).unwrap();
    assert!(time() > mapped, "CREATE of one that exists");
    assert!(time() <= realtime_ns());
    remove("frames");
}

fn changes_move_the_time_of_change() {
    let handle = Handle::creating("frames", 100);
    let mut last = handle.stat().unwrap().changed_ns;
    let changes: [(&str, &dyn Fn()); 4] = [
        ("mode", &|| handle.set_mode(THIS, 0o640).unwrap()),
        ("owner", &|| handle.set_owner(THIS, 5, 6).unwrap()),
        ("growth", &|| handle.resize(THIS, 5000).unwrap()),
        ("shrinking", &|| handle.resize(THIS, 10).unwrap()),
    ];
    for (what, change) in changes {
        tick();
        change();
        let stat = handle.stat().unwrap();
        assert!(stat.changed_ns > last, "{what}");
        assert!(stat.attached_ns < stat.changed_ns, "{what} is no attachment");
        last = stat.changed_ns;
    }
    remove("frames");
}

fn reading_and_writing_move_no_time() {
    let handle = Handle::creating("frames", 100);
    let times = || {
        let stat = handle.stat().unwrap();
        (stat.created_ns, stat.attached_ns, stat.changed_ns)
    };
    let before = times();
    tick();
    handle.pwrite(b"x", 0).unwrap();
    handle.pread(&mut [0], 0).unwrap();
    handle.begin(ACCESS_WRITE, 0, 1, 0).unwrap();
    handle.end(ACCESS_WRITE, 0, 1).unwrap();
    handle.list().unwrap();
    assert_eq!(times(), before);
    remove("frames");
}

fn the_creators_process_stays_and_the_last_ones_changes() {
    let creator = Process::fork(|| drop(Handle::creating("frames", 100)));
    let first = creator.pid() as u32;
    creator.join();
    let look = Handle::rw();
    let stat = || look.stat_of(by_name("frames")).unwrap();
    // It has ended and been reaped: its number may be told, or be nobody's any more.
    assert!([0, first].contains(&stat().creator_pid), "{:?}", stat());
    let (ready, go) = (Gate::new(), Gate::new());
    let user = Process::fork(|| {
        let _handle = Handle::of("frames");
        ready.open();
        go.pass();
    });
    ready.pass();
    assert_eq!(stat().last_pid, user.pid() as u32);
    go.open();
    user.join();
    let handle = Handle::of("frames");
    assert_eq!(stat().last_pid, pid());
    drop(handle);
    remove("frames");
    // Its creator is there still.
    let handle = Handle::creating("frames", 100);
    Process::fork(|| drop(Handle::of("frames"))).join();
    assert_eq!(handle.stat().unwrap().creator_pid, pid());
    remove("frames");
}

fn a_mapping_makes_its_process_the_last() {
    let handle = Handle::creating("frames", 100);
    let (ready, go) = (Gate::new(), Gate::new());
    let child = Process::fork(|| {
        assert_eq!(
            handle.stat().unwrap().last_pid,
            std::os::unix::process::parent_id()
        );
        let _mapping = handle.mmap(PAGE, READ, SHARED, 0).unwrap();
        assert_eq!(handle.stat().unwrap().last_pid, pid());
        ready.open();
        go.pass();
    });
    ready.pass();
    assert_eq!(handle.stat().unwrap().last_pid, child.pid() as u32);
    go.open();
    child.join();
    // A thread is its process.
    std::thread::scope(|scope| {
        scope.spawn(|| drop(handle.window(0, PAGE)));
    });
    let stat = handle.stat().unwrap();
    assert_eq!((stat.last_pid, stat.creator_pid), (pid(), pid()));
    remove("frames");
}

fn processes_are_those_of_the_callers_pid_namespace() {
    let handle = Handle::creating("frames", 100);
    let (ready, go) = (Gate::new(), Gate::new());
    let outer = Process::fork(|| {
        unshare(libc::CLONE_NEWPID).unwrap();
        // The first child is number 1 of the namespace.
        let first = Process::fork(|| {
            assert_eq!(pid(), 1);
            let own = Handle::of("frames");
            let stat = own.stat().unwrap();
            assert_eq!((stat.creator_pid, stat.last_pid), (0, 1));
            let stat = own.list().unwrap()[1];
            assert_eq!((stat.creator_pid, stat.last_pid), (0, 1));
            let made = Handle::creating("made", 100);
            assert_eq!(made.stat().unwrap().creator_pid, 1);
            ready.open();
            park();
        });
        go.pass();
        first.kill();
    });
    ready.pass();
    let stat = handle.stat().unwrap();
    assert_eq!(stat.creator_pid, pid());
    assert!(stat.last_pid > 1 && stat.last_pid != pid(), "{stat:?}");
    let stat = handle.stat_of(by_name("made")).unwrap();
    assert!(stat.creator_pid > 1 && stat.creator_pid != pid(), "{stat:?}");
    go.open();
    outer.join();
    remove("frames");
    remove("made");
}

fn flags_follow_what_happens() {
    let handle = Handle::rw();
    let create = Create {
        flags: CREATE_AUTO_REMOVE,
        ..creation("frames", 100)
    };
    handle.create(create).unwrap();
    assert_eq!(handle.stat().unwrap().flags, mode().flag | SEGMENT_AUTO_REMOVE);
    handle.remove(THIS).unwrap();
    assert_eq!(
        handle.stat().unwrap().flags,
        mode().flag | SEGMENT_AUTO_REMOVE | SEGMENT_REMOVED
    );
    assert_eq!(
        Handle::creating("", 100).stat().unwrap().flags & SEGMENT_REMOVED,
        0
    );
}

/// However the segment was asked for.
fn the_target_that_comes_back_is_name_and_id_alone() {
    let handle = Handle::creating("frames", 100);
    let id = handle.id();
    let expected = Target {
        name: name("frames"),
        id,
        ..Target::default()
    };
    for target in [THIS, by_name("frames"), by_id(id)] {
        assert_eq!(handle.stat_of(target).unwrap().target, expected);
    }
    assert_eq!(handle.list().unwrap()[1].target, expected);
    assert_eq!(handle.stat_of(by_id(0)).unwrap().target, THIS);
    // OPEN leaves what it was asked by.
    for target in [by_name("frames"), by_id(id)] {
        let opened = Handle::rw().attach(target).unwrap().target;
        assert_eq!((opened.by, opened.reserved), (target.by, 0));
        assert_eq!((opened.name, opened.id), (expected.name, id));
    }
    remove("frames");
}

fn a_removed_segment_tells_the_name_that_it_had() {
    let handle = Handle::creating("frames", 100);
    let id = handle.id();
    remove("frames");
    let other = Handle::creating("frames", 200);
    for target in [THIS, by_id(id)] {
        let stat = handle.stat_of(target).unwrap();
        assert_eq!((stat.target.name, stat.target.id), (name("frames"), id));
        assert_eq!((stat.size, stat.flags), (100, mode().flag | SEGMENT_REMOVED));
    }
    assert_eq!(handle.fdinfo()["name"], "frames");
    let stat = handle.stat_of(by_name("frames")).unwrap();
    assert_eq!(
        (stat.target.id, stat.size, stat.flags),
        (other.id(), 200, mode().flag)
    );
    remove("frames");
}

fn it_works_on_handles_of_every_access_mode() {
    Handle::creating("frames", 100);
    for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, 3] {
        let handle = Handle::open(flags).unwrap();
        assert_eq!(handle.stat_of(by_name("frames")).unwrap().size, 100);
        handle.attach(by_name("frames")).unwrap();
        assert_eq!(handle.stat().unwrap().size, 100);
    }
    remove("frames");
}
