// SPDX-License-Identifier: MIT OR Apache-2.0

//! Tracepoints: every event shows, with what it is about, in the order in which things happen.

use super::refused;
use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::module::{self, Reloaded};
use crate::sys::process::{park, until};
use crate::sys::segments::remove;
use crate::sys::tracing::{Event, Trace};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, Create, DEADLINE_NEVER, Errno, Gate, Handle, IOC_SYNC, PAGE, Process, Region,
    SYNC_BEGIN, SyncRange, THIS, creation, in_ms,
};

tests![
    creation_opening_and_removal_are_traced needs [Tracepoints],
    #[slow] mappings_are_traced needs [Tracepoints],
    ranges_are_traced_with_their_outcome needs [Tracepoints],
    #[slow] ranges_that_are_dropped_are_traced_as_given_back needs [Tracepoints],
    #[slow] waiting_is_traced_when_it_ends needs [Tracepoints],
    #[slow] words_are_traced needs [Tracepoints],
    an_owner_that_dies_is_traced needs [Tracepoints],
    #[slow] a_segment_that_goes_by_itself_is_traced_as_removed needs [Tracepoints],
    what_is_refused_is_no_event needs [Tracepoints],
    #[slow] nothing_is_traced_when_nobody_listens needs [Tracepoints],
    #[slow] unloading_while_events_are_on_is_safe needs [Tracepoints, ModuleFile],
];

/// The names of events.
fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn creation_opening_and_removal_are_traced() {
    let _node = OpenNode::new();
    let trace = Trace::new();
    let handle = User::new(1000, 1000).act(|| {
        let handle = Handle::rw();
        let create = Create {
            mode: 0o640,
            ..creation("frames", 5000)
        };
        handle.create(create).unwrap();
        handle
    });
    let other = Handle::of("frames");
    let anonymous = Handle::creating("", 100);
    remove("frames");
    let events = trace.events();
    assert_eq!(
        names(&events),
        ["create", "open", "open", "create", "open", "remove"]
    );
    let [create, open, other_open, nameless, _, removal] = events.try_into().unwrap();
    let id = handle.id() as i64;
    assert_eq!(create.pid, std::process::id());
    assert_eq!((create.number("id"), create.field("name")), (id, "frames"));
    assert_eq!((create.number("size"), create.field("mode")), (5000, "0640"));
    assert_eq!(create.number("uid"), 1000);
    for (event, handle) in [(open, &handle), (other_open, &other)] {
        let token = handle.info().unwrap().token;
        assert_eq!((event.number("id"), event.number("token")), (id, token.into()));
    }
    assert_eq!(nameless.number("id"), anonymous.id() as i64);
    assert!(["", "-"].contains(&nameless.field("name")), "{nameless:?}");
    assert_eq!((removal.number("id"), removal.field("name")), (id, "frames"));
}

fn mappings_are_traced() {
    let handle = Handle::creating("frames", 3 * PAGE as u64);
    let trace = Trace::new();
    let mapping = handle.window(0, 3 * PAGE);
    mapping.unmap(PAGE, PAGE).unwrap();
    Process::fork(|| ()).join();
    drop(mapping);
    let events = trace.events();
    let id = handle.id() as i64;
    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event.number("id"), id);
            (event.name.as_str(), event.number("nattch"))
        })
        .collect();
    // Mapped, cut in two, copied by fork, given back by the child, and by its parent.
    assert_eq!(seen.first(), Some(&("attach", 1)));
    assert_eq!(seen.last(), Some(&("detach", 0)));
    let count = |name| seen.iter().filter(|(event, _)| *event == name).count();
    assert_eq!(count("attach"), count("detach"));
    let mut now = 0;
    for (name, nattch) in seen {
        now += if name == "attach" { 1 } else { -1 };
        assert_eq!(nattch, now);
    }
    remove("frames");
}

fn ranges_are_traced_with_their_outcome() {
    let (one, other) = (Handle::creating("frames", 5000), Handle::of("frames"));
    let trace = Trace::new();
    one.begin(ACCESS_WRITE, 100, 50, 0).unwrap();
    refused(other.begin(ACCESS_READ, 0, 4096, 0), Errno::EAGAIN);
    refused(other.begin(ACCESS_READ, 0, 4096, in_ms(1)), Errno::ETIMEDOUT);
    refused(one.begin(ACCESS_READ, 149, 1, 0), Errno::EDEADLK);
    one.end(ACCESS_WRITE, 100, 50).unwrap();
    other.begin(ACCESS_READ, 0, 4096, 0).unwrap();
    other.end(ACCESS_READ, 0, 4096).unwrap();
    let [first, second] = [&one, &other].map(|handle| i64::from(handle.info().unwrap().token));
    let expected = [
        ("lock", first, [100, 150], "write", 0),
        ("lock", second, [0, 4096], "read", -libc::EAGAIN),
        ("lock", second, [0, 4096], "read", -libc::ETIMEDOUT),
        ("lock", first, [149, 150], "read", -libc::EDEADLK),
        ("unlock", first, [100, 150], "write", 0),
        ("lock", second, [0, 4096], "read", 0),
        ("unlock", second, [0, 4096], "read", 0),
    ];
    let events = trace.events();
    assert_eq!(events.len(), expected.len(), "{events:?}");
    for (event, (name, token, range, access, ret)) in events.iter().zip(expected) {
        assert_eq!(event.name, name);
        assert_eq!(
            (event.number("id"), event.number("token")),
            (one.id() as i64, token)
        );
        assert_eq!([event.number("start"), event.number("end")], range);
        assert_eq!(event.field("access"), access);
        if name == "lock" {
            assert_eq!(event.number("ret"), ret.into(), "{event:?}");
        }
    }
    remove("frames");
}

/// By a process that was killed, by a handle that went, and by a BEGIN that could not say that it had succeeded.
fn ranges_that_are_dropped_are_traced_as_given_back() {
    let handle = Handle::creating("frames", 100);
    let trace = Trace::new();
    let held = Gate::new();
    let holder = Process::fork(|| {
        handle.begin(ACCESS_WRITE, 0, 10, 0).unwrap();
        held.open();
        park();
    });
    held.pass();
    holder.kill();
    let other = Handle::of("frames");
    other.begin(ACCESS_READ, 50, 10, 0).unwrap();
    drop(other);
    let range = SyncRange {
        op: SYNC_BEGIN,
        access: ACCESS_READ,
        offset: 20,
        len: 10,
        ..SyncRange::default()
    };
    let unwritable = Region::anonymous(PAGE);
    unwritable.place(0, &range);
    unwritable.protect(0, PAGE, super::READ).unwrap();
    refused(handle.ioctl(IOC_SYNC, unwritable.at(0)), Errno::EFAULT);
    let events = trace.events();
    assert_eq!(
        names(&events),
        ["lock", "unlock", "open", "lock", "unlock", "lock", "unlock"]
    );
    for (index, range, access) in [
        (1, [0, 10], "write"),
        (4, [50, 60], "read"),
        (6, [20, 30], "read"),
    ] {
        let event = &events[index];
        assert_eq!([event.number("start"), event.number("end")], range);
        assert_eq!(event.field("access"), access);
        assert_eq!(event.number("token"), events[index - 1].number("token"));
    }
    remove("frames");
}

fn waiting_is_traced_when_it_ends() {
    let (holder, handle) = (Handle::creating("frames", 100), Handle::of("frames"));
    holder.begin(ACCESS_WRITE, 0, 10, 0).unwrap();
    let trace = Trace::new();
    let waiter = Process::fork(|| {
        handle.begin(ACCESS_WRITE, 5, 10, DEADLINE_NEVER).unwrap();
        handle.end(ACCESS_WRITE, 5, 10).unwrap();
    });
    until("it waits", || holder.stat().unwrap().waiters == 1);
    assert_eq!(names(&trace.events()), [""; 0], "it waits still");
    holder.end(ACCESS_WRITE, 0, 10).unwrap();
    let pid = waiter.pid() as u32;
    waiter.join();
    let events = trace.events();
    // The waiter goes on when the range is given back, before or after its holder has told of that.
    let (of_waiter, of_holder): (Vec<Event>, Vec<Event>) =
        events.into_iter().partition(|event| event.pid == pid);
    assert_eq!(names(&of_waiter), ["lock", "unlock"]);
    assert_eq!(names(&of_holder), ["unlock"]);
    assert_eq!(of_waiter[0].number("ret"), 0);
    remove("frames");
}

fn words_are_traced() {
    let handle = Handle::creating("frames", 5000);
    let (id, token) = (handle.id() as i64, i64::from(handle.info().unwrap().token));
    let process = Process::fork(|| Handle::of("frames").wait_on(8, 0, DEADLINE_NEVER).unwrap());
    until("it waits", || process.sleeps_in(libc::SYS_ioctl));
    let trace = Trace::new();
    refused(handle.wait_on(8, 1, 0), Errno::EAGAIN);
    refused(handle.wait_on_any(&[(16, 0), (8, 0)], 0), Errno::ETIMEDOUT);
    assert_eq!(handle.requeue(8, 0, 0, 64, 5), Ok(1));
    assert_eq!(handle.wake(64, 3), Ok(1));
    process.join();
    let events: Vec<_> = trace
        .events()
        .into_iter()
        .filter(|event| ["wait", "wake"].contains(&event.name.as_str()))
        .collect();
    assert_eq!(names(&events), ["wait", "wait", "wake", "wake", "wait"]);
    assert!(events.iter().all(|event| event.number("id") == id));
    let waits = |index: usize| ["offset", "token", "ret"].map(|field| events[index].number(field));
    assert_eq!(waits(0), [8, token, -i64::from(libc::EAGAIN)]);
    assert_eq!(waits(1), [16, token, -i64::from(libc::ETIMEDOUT)]);
    let wakes = |index: usize| ["offset", "woken", "moved"].map(|field| events[index].number(field));
    assert_eq!((wakes(2), wakes(3)), ([8, 0, 1], [64, 1, 0]));
    let [offset, other_token, ret] = waits(4);
    assert_eq!((offset, ret), (64, 0));
    assert_ne!(other_token, token);
    remove("frames");
}

fn an_owner_that_dies_is_traced() {
    let handle = Handle::creating("frames", 5000);
    let token = handle.info().unwrap().token;
    handle.pwrite(&token.to_ne_bytes(), 12).unwrap();
    // The second is nobody's.
    for offset in [12, 16] {
        handle.robust_add(offset, 0).unwrap();
    }
    let id = handle.id() as i64;
    let trace = Trace::new();
    drop(handle);
    let events = trace.events();
    let died: Vec<_> = events.iter().filter(|event| event.name == "owner_died").collect();
    assert_eq!(died.len(), 1, "{events:?}");
    let fields = ["id", "token", "offset"].map(|field| died[0].number(field));
    assert_eq!(fields, [id, token.into(), 12]);
    remove("frames");
}

fn a_segment_that_goes_by_itself_is_traced_as_removed() {
    let trace = Trace::new();
    let handle = Handle::creating("", 100);
    let id = handle.id() as i64;
    trace.clear();
    drop(handle);
    let events = trace.events();
    assert_eq!(names(&events), ["remove"]);
    assert_eq!(events[0].number("id"), id);
    // Removed by name and then let go: once.
    let handle = Handle::creating("frames", 100);
    trace.clear();
    remove("frames");
    drop(handle);
    assert_eq!(names(&trace.events()), ["remove"]);
}

fn what_is_refused_is_no_event() {
    let handle = Handle::creating("frames", 100);
    let trace = Trace::new();
    refused(Handle::rw().create(creation("frames", 101)), Errno::EINVAL);
    refused(Handle::rw().create(creation("a/b", 100)), Errno::EINVAL);
    refused(Handle::rw().create(creation("", u64::MAX)), Errno::ENOSPC);
    refused(handle.create(creation("other", 100)), Errno::EBUSY);
    refused(handle.mmap(PAGE, super::READ, super::SHARED, 4096), Errno::EINVAL);
    refused(handle.end(ACCESS_READ, 0, 1), Errno::ENOENT);
    refused(handle.resize(THIS, 0), Errno::EINVAL);
    handle.stat().unwrap();
    handle.list().unwrap();
    handle.pwrite(b"x", 0).unwrap();
    assert_eq!(names(&trace.events()), [""; 0]);
    remove("frames");
}

fn nothing_is_traced_when_nobody_listens() {
    let trace = Trace::new();
    trace.clear();
    drop(Handle::creating("", 100));
    assert!(!trace.events().is_empty());
    drop(trace);
    drop(Handle::creating("", 100));
    assert_eq!(Trace::new().events(), []);
}

fn unloading_while_events_are_on_is_safe() {
    let _module = Reloaded::afterwards();
    for _ in 0..3 {
        let trace = Trace::new();
        let handle = Handle::creating("frames", 100);
        drop(handle.window(0, PAGE));
        drop(handle);
        module::unload().expect("listening is no use of it");
        // What is left of the events, if anything, can be looked at.
        trace.text();
        drop(trace);
        module::load("").unwrap();
    }
}
