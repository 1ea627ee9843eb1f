// SPDX-License-Identifier: MIT OR Apache-2.0

//! Limits under many creators at once: what counts is never more than the limit, and nothing in the end.

use std::sync::atomic::Ordering;

use super::quotas::{ONE, PAGE, TWO, anonymous, uid_bytes};
use crate::harness::tests;
use crate::sys::identity::OpenNode;
use crate::sys::limits::Limits;
use crate::sys::segments::remove;
use crate::sys::{Errno, Handle, Process, Region, Result, STATUS_CREATED, THIS, creation, usage};

tests![
    racing_creators_never_exceed_the_number_of_segments within 120,
    racing_creators_never_exceed_the_bytes within 120,
    racing_creators_never_exceed_the_users_bytes within 120,
    a_limit_that_changes_all_the_time_loses_nothing within 120,
];

/// Lets processes create, resize and drop segments against a limit, and watches what INFO says of it.
fn race(limit: (&str, u64), watched: impl Fn() -> u64, body: impl Fn(u64, u64)) {
    let _limits = Limits::with(limit.0, limit.1);
    let board = Region::shared(crate::sys::PAGE);
    let processes: Vec<_> = (0..8)
        .map(|worker| {
            let (board, body) = (&board, &body);
            Process::fork(move || {
                (0..40).for_each(|round| body(worker, round));
                board.u32(0).fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    // A worker that fails never comes to its end: then only some of the looks are taken, and joining says so.
    for _ in 0..20_000 {
        let now = watched();
        assert!(now <= limit.1, "{now} is more than {}", limit.1);
        if board.u32(0).load(Ordering::SeqCst) == 8 {
            break;
        }
    }
    processes.into_iter().for_each(Process::join);
    assert_eq!((usage(), uid_bytes()), ((0, 0), 0));
}

/// Success, or no room.
fn room<T>(outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(Errno::ENOSPC) => None,
        Err(error) => panic!("{error}"),
    }
}

fn racing_creators_never_exceed_the_number_of_segments() {
    race(
        ("max_segments", 5),
        || usage().0,
        |worker, round| {
            let handles: Vec<_> = (0..3).filter_map(|_| room(anonymous(1))).collect();
            let text = format!("frames-{worker}");
            if let Some(made) = room(Handle::rw().create(creation(&text, 1 + round))) {
                assert_eq!(made.status, STATUS_CREATED);
                remove(&text);
            }
            drop(handles);
        },
    );
}

fn racing_creators_never_exceed_the_bytes() {
    race(
        ("max_total_bytes", 20 * PAGE),
        || usage().1,
        |worker, round| {
            let size = 1 + (worker * 7 + round * 3) % 8 * PAGE;
            let handles: Vec<_> = (0..3).filter_map(|_| room(anonymous(size))).collect();
            for handle in &handles {
                room(handle.resize(THIS, size + 3 * PAGE));
                handle.resize(THIS, 1).unwrap();
            }
        },
    );
}

fn racing_creators_never_exceed_the_users_bytes() {
    let _node = OpenNode::new();
    race(
        ("max_bytes_per_uid", 20 * PAGE),
        || ONE.act(uid_bytes),
        |worker, round| {
            let user = if worker % 2 == 0 { ONE } else { TWO };
            user.act(|| {
                let size = 1 + (worker * 5 + round * 3) % 8 * PAGE;
                let handles: Vec<_> = (0..3).filter_map(|_| room(anonymous(size))).collect();
                for handle in &handles {
                    room(handle.resize(THIS, size + 2 * PAGE));
                }
            });
        },
    );
    assert_eq!((ONE.act(uid_bytes), TWO.act(uid_bytes)), (0, 0));
}

fn a_limit_that_changes_all_the_time_loses_nothing() {
    let limits = Limits::with("max_total_bytes", 30 * PAGE);
    let processes: Vec<_> = (0..4)
        .map(|worker| {
            Process::fork(move || {
                for round in 0..60 {
                    let handles: Vec<_> = (1..4).filter_map(|size| room(anonymous(size * PAGE))).collect();
                    for handle in &handles {
                        room(handle.resize(THIS, (1 + (worker + round) % 9) * PAGE));
                    }
                }
            })
        })
        .collect();
    for value in 0..200 {
        limits.set("max_total_bytes", value % 40 * PAGE);
        limits.set("max_bytes_per_uid", value % 30 * PAGE);
        limits.set("max_segments", value % 7);
        limits.set("max_segment_bytes", value % 5 * PAGE);
    }
    drop(limits);
    processes.into_iter().for_each(Process::join);
    assert_eq!((usage(), uid_bytes()), ((0, 0), 0));
}
