// SPDX-License-Identifier: MIT OR Apache-2.0

//! LIST: every segment of the namespace, in the order of the ids, some at a time.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::refused;
use crate::harness::tests;
use crate::sys::segments::{name, remove};
use crate::sys::{
    CREATE_AUTO_REMOVE, Create, Errno, Handle, LIST_MAX, List, PAGE, Process, Region, SEGMENT_AUTO_REMOVE,
    SEGMENT_REMOVED, SIZE, Stat, THIS, by_id, creation, mode, poll,
};

tests![
    without_any_there_is_the_default_segment,
    segments_come_in_the_order_of_their_ids,
    more_than_a_hundred_come_some_at_a_time,
    a_cursor_may_be_any_number,
    it_says_what_stat_says,
    anonymous_and_removed_ones_are_among_them,
    what_is_not_taken_is_ignored,
    flags_that_are_not_zero_are_einval,
    what_is_not_filled_in_tells_nothing,
    it_attaches_nothing_and_looks_at_nothing,
    every_access_mode_may_list,
    what_exists_throughout_is_listed_once_while_others_come_and_go within 120,
    a_list_goes_on_after_the_one_at_its_cursor_went,
];

fn ids(stats: &[Stat]) -> Vec<u64> {
    stats.iter().map(|stat| stat.target.id).collect()
}

fn without_any_there_is_the_default_segment() {
    let (cursor, stats) = Handle::rw().list_from(0).unwrap();
    assert_eq!(ids(&stats), [0]);
    assert_eq!((stats[0].size as usize, stats[0].mode), (SIZE, 0o666));
    let (_, stats) = Handle::rw().list_from(cursor).unwrap();
    assert_eq!(stats, []);
}

fn segments_come_in_the_order_of_their_ids() {
    let names = ["zebra", "apple", "m", "Z", "0"];
    let made: Vec<_> = names
        .iter()
        .map(|text| Handle::creating(text, 100).id())
        .collect();
    let stats = Handle::rw().list().unwrap();
    assert_eq!(ids(&stats[1..]), made);
    for (stat, text) in stats[1..].iter().zip(names) {
        assert_eq!(stat.target.name, name(text));
    }
    names.into_iter().for_each(remove);
}

fn more_than_a_hundred_come_some_at_a_time() {
    const COUNT: usize = 130;
    let mut expected = vec![0];
    expected.extend((0..COUNT).map(|index| Handle::creating(&format!("frames-{index}"), 1).id()));
    let handle = Handle::rw();
    let (mut cursor, mut all, mut calls) = (0, Vec::new(), 0);
    loop {
        let (next, some) = handle.list_from(cursor).unwrap();
        calls += 1;
        if some.is_empty() {
            break;
        }
        let last = some.last().unwrap().target.id;
        assert!(next > last, "{next} after {last}");
        cursor = next;
        all.extend(ids(&some));
    }
    assert_eq!(all, expected);
    assert!(calls <= expected.len().div_ceil(LIST_MAX) + 2, "{calls} calls");
    for id in &expected[1..] {
        handle.remove(by_id(*id)).unwrap();
    }
}

fn a_cursor_may_be_any_number() {
    let made: Vec<_> = (0..5)
        .map(|index| Handle::creating(&format!("frames-{index}"), 1).id())
        .collect();
    let handle = Handle::rw();
    for (index, id) in made.iter().enumerate() {
        let (_, some) = handle.list_from(*id).unwrap();
        assert_eq!(ids(&some), made[index..]);
    }
    let (_, some) = handle.list_from(1).unwrap();
    assert_eq!(ids(&some), made);
    for cursor in [made[4] + 1, 1 << 32, 1 << 63, u64::MAX] {
        let (next, some) = handle.list_from(cursor).unwrap();
        assert_eq!(
            (some.len(), next >= cursor),
            (0, true),
            "from {cursor}: on to {next}"
        );
    }
    for id in made {
        handle.remove(by_id(id)).unwrap();
    }
}

fn it_says_what_stat_says() {
    let (one, two) = (Handle::creating("one", 5000), Handle::creating("two", 100));
    let _mapping = one.window(0, PAGE);
    two.pwrite(b"x", 0).unwrap();
    two.begin(crate::sys::ACCESS_WRITE, 0, 1, 0).unwrap();
    two.set_owner(THIS, 1000, 2000).unwrap();
    let look = Handle::rw();
    for listed in look.list().unwrap() {
        assert_eq!(look.stat_of(by_id(listed.target.id)), Ok(listed));
    }
    remove("one");
    remove("two");
}

fn anonymous_and_removed_ones_are_among_them() {
    let anonymous = Handle::creating("", 100);
    let removed = Handle::creating("frames", 100);
    remove("frames");
    let auto = Handle::rw();
    let create = Create {
        flags: CREATE_AUTO_REMOVE,
        ..creation("auto", 100)
    };
    auto.create(create).unwrap();
    let stats = Handle::rw().list().unwrap();
    assert_eq!(ids(&stats), [0, anonymous.id(), removed.id(), auto.id()]);
    assert_eq!(stats[1].target.name, THIS.name);
    assert_eq!(stats[2].flags, mode().flag | SEGMENT_REMOVED);
    assert_eq!(stats[2].target.name, name("frames"), "that it had");
    assert_eq!(stats[3].flags, mode().flag | SEGMENT_AUTO_REMOVE);
    drop((anonymous, removed, auto));
    assert_eq!(Handle::rw().list().unwrap().len(), 1);
}

fn what_is_not_taken_is_ignored() {
    let pages = Region::anonymous(2 * PAGE);
    pages.fill(0xff);
    // Cursor and flags are taken, the rest is whatever it is.
    pages.write(0, &[0; 8]);
    pages.write(std::mem::offset_of!(List, flags), &[0; 4]);
    Handle::rw().ioctl(crate::sys::IOC_LIST, pages.at(0)).unwrap();
    let list: List = pages.fetch(0);
    assert_eq!((list.count, list.segments[0].target.id), (1, 0));
}

fn flags_that_are_not_zero_are_einval() {
    for flags in (0..32).map(|bit| 1 << bit).chain([u32::MAX]) {
        let mut list = List {
            cursor: 0,
            count: 0,
            flags,
            segments: [Stat::default(); LIST_MAX],
        };
        refused(Handle::rw().call(&mut list), Errno::EINVAL);
    }
}

/// No byte of the kernel's own memory comes along.
fn what_is_not_filled_in_tells_nothing() {
    let pages = Region::anonymous(2 * PAGE);
    for round in 0..20 {
        pages.fill(0xee);
        pages.write(0, &[0; 16]);
        Handle::rw().ioctl(crate::sys::IOC_LIST, pages.at(0)).unwrap();
        let rest = size_of::<Stat>() + 16;
        let bytes = pages.read(rest, 2 * PAGE - rest);
        let (inside, outside) = bytes.split_at(size_of::<List>() - rest);
        assert!(
            outside.iter().all(|&byte| byte == 0xee),
            "it wrote past its structure"
        );
        let untold = [0, 0xee]
            .iter()
            .any(|value| inside.iter().all(|byte| byte == value));
        assert!(untold, "round {round}: neither zero nor left alone");
    }
}

fn it_attaches_nothing_and_looks_at_nothing() {
    let (reader, writer) = (Handle::creating("frames", 100), Handle::of("frames"));
    let fresh = Handle::rw();
    writer.pwrite(b"x", 0).unwrap();
    assert!(poll::is_readable(&reader));
    for handle in [&reader, &fresh] {
        let stats = handle.list().unwrap();
        assert_eq!((stats[1].handles, stats[1].generation), (2, 1));
    }
    assert!(poll::is_readable(&reader), "LIST is no look at it");
    assert_eq!(fresh.fdinfo().len(), 1);
    fresh.create(creation("", 1)).expect("it is not attached");
    remove("frames");
}

fn every_access_mode_may_list() {
    Handle::creating("frames", 100);
    for flags in [libc::O_RDONLY, libc::O_WRONLY, libc::O_RDWR, 3] {
        assert_eq!(Handle::open(flags).unwrap().list().unwrap().len(), 2);
    }
    remove("frames");
}

fn what_exists_throughout_is_listed_once_while_others_come_and_go() {
    const STAY: usize = 60;
    let stop = Region::shared(PAGE);
    let mut stay = vec![0];
    let mut between = Vec::new();
    for index in 0..STAY {
        stay.push(Handle::creating(&format!("stays-{index}"), 1).id());
        // Some that go from between those that stay.
        between.push(Handle::creating(&format!("goes-{index}"), 1).id());
    }
    let busy: Vec<_> = (0..2)
        .map(|worker| {
            let stop = &stop;
            Process::fork(move || {
                let text = format!("busy-{worker}");
                while stop.u32(0).load(Ordering::Relaxed) == 0 {
                    let handles: Vec<_> = (0..7).map(|_| Handle::creating("", 1)).collect();
                    Handle::creating(&text, 1);
                    drop(handles);
                    remove(&text);
                }
            })
        })
        .collect();
    let handle = Handle::rw();
    for round in 0..40 {
        let seen = ids(&handle.list().unwrap());
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "{seen:?}");
        let set: BTreeSet<_> = seen.iter().copied().collect();
        let missing: Vec<_> = stay.iter().filter(|id| !set.contains(id)).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?} are missing");
        if let Some(id) = between.pop() {
            handle.remove(by_id(id)).unwrap();
        }
    }
    stop.u32(0).store(1, Ordering::Relaxed);
    busy.into_iter().for_each(Process::join);
    for id in stay[1..].iter().chain(&between) {
        handle.remove(by_id(*id)).unwrap();
    }
}

fn a_list_goes_on_after_the_one_at_its_cursor_went() {
    let made: Vec<_> = (0..40)
        .map(|index| Handle::creating(&format!("frames-{index}"), 1).id())
        .collect();
    let handle = Handle::rw();
    let (cursor, first) = handle.list_from(0).unwrap();
    let mut seen = ids(&first);
    // The last that was seen and the next two go.
    let last = first.last().unwrap().target.id;
    for id in last..last + 3 {
        handle.remove(by_id(id)).unwrap();
    }
    let (mut cursor, mut rest) = handle.list_from(cursor).unwrap();
    while !rest.is_empty() {
        seen.extend(ids(&rest));
        (cursor, rest) = handle.list_from(cursor).unwrap();
    }
    let expected: Vec<u64> = std::iter::once(0)
        .chain(
            made.iter()
                .copied()
                .filter(|id| !(last + 1..last + 3).contains(id)),
        )
        .collect();
    assert_eq!(seen, expected);
    for id in made.into_iter().filter(|id| !(last..last + 3).contains(id)) {
        handle.remove(by_id(id)).unwrap();
    }
}
