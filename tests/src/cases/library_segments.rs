// SPDX-License-Identifier: MIT OR Apache-2.0

//! The crate's named segments against the real device: what its own tests cannot show without one.

use std::os::fd::{AsFd, OwnedFd};

use shmdev::{
    Access, BeginErrorKind, Change, Deadline, Device, MapErrorKind, OpenErrorKind, PollErrorKind,
    RemoveErrorKind, ResizeErrorKind, RestrictErrorKind, Rights, Segment, SegmentOptions, SetErrorKind,
    StatErrorKind, Target, TransferErrorKind,
};

use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::{ACCESS_READ, ACCESS_WRITE, PAGE, Process, file, usage};

tests![
    a_segment_is_created_found_and_removed,
    options_do_what_they_say,
    errors_say_which_segment_and_keep_the_errno,
    live_mappings_outlive_a_resize,
    a_restricted_handle_can_be_passed_on,
    a_passed_descriptor_becomes_a_segment,
    a_passed_handle_knows_what_it_can_do,
    a_device_lists_and_changes_segments,
    names_that_are_none_are_refused_before_the_kernel_is_asked,
];

fn a_segment_is_created_found_and_removed() {
    let made = Segment::create("frames", 5000).unwrap();
    assert!(made.was_created());
    made.map().unwrap().write_at(b"hello", 0).unwrap();
    Process::fork(|| {
        let found = Segment::open("frames").unwrap();
        assert!(!found.was_created());
        assert_eq!(found.size().unwrap(), 5000);
        let mapping = found.map_read_only().unwrap();
        assert_eq!(
            (mapping.len(), mapping.to_vec(0, 5).unwrap()),
            (5000, b"hello".to_vec())
        );
        let guard = found.begin(0..5, Access::Write, Deadline::Now).unwrap();
        found.write_at(b"HELLO", 0).unwrap();
        guard.end().unwrap();
    })
    .join();
    assert_eq!(made.map().unwrap().to_vec(0, 5).unwrap(), b"HELLO");
    assert_eq!(made.stat().unwrap().generation, 2);
    made.remove().unwrap();
    assert_eq!(made.remove().unwrap_err().kind(), RemoveErrorKind::Removed);
    assert_eq!(
        Segment::open("frames").unwrap_err().kind(),
        OpenErrorKind::NoSegment
    );
    let stat = made.stat().unwrap();
    assert!(stat.removed && stat.handles == 1);
    drop(made);
    assert_eq!(usage(), (0, 0));
}

fn options_do_what_they_say() {
    let mut options = SegmentOptions::new();
    options.create(true).size(4097).mode(0o640).auto_remove(true);
    let first = options.open("frames").unwrap();
    let second = options.clone().size(1).open("frames").unwrap();
    assert_eq!((first.was_created(), second.was_created()), (true, false));
    let stat = second.stat().unwrap();
    assert_eq!((stat.size, stat.mapped_size, stat.mode), (4097, 8192, 0o640));
    assert!(stat.auto_remove && stat.name.is_some_and(|name| name.as_str() == "frames"));
    assert_eq!(
        options.create_new(true).open("frames").unwrap_err().kind(),
        OpenErrorKind::Exists
    );
    let reader = SegmentOptions::new().write(false).open("frames").unwrap();
    assert_eq!(reader.map().unwrap_err().kind(), MapErrorKind::Denied);
    reader.map_read_only().unwrap();
    let by_number = Segment::open(Target::Id(stat.id)).unwrap();
    assert_eq!(by_number.stat().unwrap().handles, 4);
    drop((first, second, reader, by_number));
    assert_eq!(usage(), (0, 0));
    let anonymous = SegmentOptions::new().size(100).anonymous().unwrap();
    assert_eq!(anonymous.stat().unwrap().name, None);
    assert!(anonymous.was_created());
}

fn errors_say_which_segment_and_keep_the_errno() {
    let made = Segment::create("frames", 5000).unwrap();
    let error = Segment::create("frames", 5000).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (OpenErrorKind::Exists, Some(libc::EEXIST))
    );
    assert_eq!(error.to_string(), "create \"frames\": name exists (EEXIST)");
    let error = SegmentOptions::new()
        .create(true)
        .size(5001)
        .open("frames")
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (OpenErrorKind::TooSmall, Some(libc::EINVAL))
    );
    let error = Segment::create("large", 1 << 60).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (OpenErrorKind::Limit, Some(libc::ENOSPC))
    );
    let error = Segment::open(Target::Id(1 << 40)).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (OpenErrorKind::NoSegment, Some(libc::ENOENT))
    );
    let device = Device::open().unwrap();
    assert_eq!(device.stat("nobody").unwrap_err().kind(), StatErrorKind::NotFound);
    let _mapping = made.map().unwrap();
    let error = made.resize(1).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (ResizeErrorKind::InUse, Some(libc::EBUSY))
    );
    let _node = OpenNode::new();
    User::new(1000, 1000).act(|| {
        let error = Segment::open("frames").unwrap_err();
        assert_eq!(
            (error.kind(), error.raw_os_error()),
            (OpenErrorKind::SegmentDenied, Some(libc::EACCES))
        );
        let device = Device::open().unwrap();
        let error = device.set("frames", Change::new().mode(0o666)).unwrap_err();
        assert_eq!(
            (error.kind(), error.raw_os_error()),
            (SetErrorKind::NotOwner, Some(libc::EPERM))
        );
        assert_eq!(
            device.remove("frames").unwrap_err().kind(),
            RemoveErrorKind::NotOwner
        );
    });
    made.remove().unwrap();
}

fn live_mappings_outlive_a_resize() {
    let segment = Segment::create("frames", PAGE as u64).unwrap();
    let old = segment.map().unwrap();
    old.write_at(b"kept", 0).unwrap();
    segment.resize(3 * PAGE as u64).unwrap();
    assert_eq!(old.len(), PAGE);
    let all = segment.map().unwrap();
    assert_eq!(
        (all.len(), all.to_vec(0, 4).unwrap()),
        (3 * PAGE, b"kept".to_vec())
    );
    assert!(all.to_vec(PAGE, 2 * PAGE).unwrap().iter().all(|&byte| byte == 0));
    old.write_at(b"KEPT", 0).unwrap();
    assert_eq!(all.to_vec(0, 4).unwrap(), b"KEPT");
    drop((old, all));
    segment.resize(10).unwrap();
    assert_eq!(segment.size().unwrap(), 10);
    segment.remove().unwrap();
}

fn a_restricted_handle_can_be_passed_on() {
    let mut segment = SegmentOptions::new().size(2 * PAGE as u64).anonymous().unwrap();
    segment.write_at(&[7; 2 * PAGE], 0).unwrap();
    segment.restrict(PAGE as u64.., Rights::Read).unwrap();
    let (here, there) = file::sockets();
    file::send_fd(&here, segment.as_fd());
    Process::fork(|| {
        let received = Segment::try_from(file::receive_fd(&there)).unwrap();
        assert_eq!(
            received
                .map_range_read_only(PAGE as u64, PAGE)
                .unwrap()
                .to_vec(0, 1)
                .unwrap(),
            [7]
        );
        assert_eq!(
            received.map_range_read_only(0, PAGE).unwrap_err().kind(),
            MapErrorKind::Denied
        );
        let error = received.write_at(b"x", PAGE as u64).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
        let error = received.read_at(&mut [0], 0).unwrap_err();
        assert_eq!(
            (error.kind(), error.raw_os_error()),
            (TransferErrorKind::Restricted, Some(libc::EACCES))
        );
    })
    .join();
    let error = segment.restrict(.., Rights::ReadWrite).unwrap_err();
    assert_eq!(
        (error.kind(), error.raw_os_error()),
        (RestrictErrorKind::Wider, Some(libc::EACCES))
    );
    let error = segment.begin(0..1, Access::Read, Deadline::Now).unwrap_err();
    assert_eq!(error.kind(), BeginErrorKind::Denied);
}

fn a_passed_descriptor_becomes_a_segment() {
    let (here, there) = file::sockets();
    let segment = SegmentOptions::new().size(5000).anonymous().unwrap();
    let id = segment.stat().unwrap().id;
    file::send_fd(&here, OwnedFd::from(segment));
    let received = Segment::try_from(file::receive_fd(&there)).unwrap();
    assert_eq!((received.stat().unwrap().id, received.was_created()), (id, false));
    received.map().unwrap().write_at(b"x", 0).unwrap();
    // Something else is no segment.
    file::send_fd(&here, std::fs::File::open("/dev/null").unwrap());
    let error = Segment::try_from(file::receive_fd(&there)).unwrap_err();
    assert_eq!(error.kind(), OpenErrorKind::NotShmdev);
}

fn a_passed_handle_knows_what_it_can_do() {
    for (rights, access) in [(Rights::Read, ACCESS_READ), (Rights::Write, ACCESS_WRITE)] {
        let (here, there) = file::sockets();
        let mut segment = SegmentOptions::new().size(5000).anonymous().unwrap();
        assert_eq!(segment.info().access, ACCESS_READ | ACCESS_WRITE);
        segment.restrict(100.., rights).unwrap();
        file::send_fd(&here, segment.as_fd());
        let received = Segment::try_from(file::receive_fd(&there)).unwrap();
        for segment in [segment, received] {
            let info = segment.info();
            assert_eq!(
                (info.access, info.window_start, info.restricted),
                (access, 100, 1),
                "{rights:?}"
            );
            // Who cannot read would wait for ever.
            let changed = segment.wait_change(Deadline::Now);
            match rights {
                Rights::Write => assert_eq!(changed.unwrap_err().kind(), PollErrorKind::Denied),
                _ => assert!(!changed.unwrap()),
            }
        }
    }
    let reader = SegmentOptions::new().write(false).size(1).anonymous().unwrap();
    assert_eq!(reader.info().access, ACCESS_READ);
}

fn a_device_lists_and_changes_segments() {
    let device = Device::open().unwrap();
    let made: Vec<_> = (0..40)
        .map(|index| Segment::create(&format!("frames-{index}"), 100).unwrap())
        .collect();
    let ids: Vec<u64> = device.list().map(|stat| stat.unwrap().id).collect();
    let expected: Vec<u64> = std::iter::once(0)
        .chain(made.iter().map(|segment| segment.stat().unwrap().id))
        .collect();
    assert_eq!(ids, expected);
    let listed: Vec<u64> = Segment::list().unwrap().map(|stat| stat.unwrap().id).collect();
    assert_eq!(listed, expected);
    drop(made);
    device
        .set("frames-0", Change::new().uid(1000).gid(2000).mode(0o604))
        .unwrap();
    device.resize("frames-0", 5000).unwrap();
    let stat = device.stat("frames-0").unwrap();
    assert_eq!(
        (stat.uid, stat.gid, stat.mode, stat.size),
        (1000, 2000, 0o604, 5000)
    );
    assert_eq!(device.query().unwrap().segments, 40);
    for id in &ids[1..] {
        device.remove(Target::Id(*id)).unwrap();
    }
    assert_eq!(device.query().unwrap().segments, 0);
}

fn names_that_are_none_are_refused_before_the_kernel_is_asked() {
    for name in ["", ".", "..", "a/b", "two words", "%s", &"n".repeat(64)] {
        assert_eq!(
            Segment::open(name).unwrap_err().kind(),
            OpenErrorKind::InvalidName,
            "{name}"
        );
        assert_eq!(
            Segment::create(name, 100).unwrap_err().kind(),
            OpenErrorKind::InvalidName,
            "{name}"
        );
    }
    assert_eq!(usage(), (0, 0));
}
