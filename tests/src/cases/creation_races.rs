// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many who create one name at one time: exactly one makes it, and everybody else sees that one.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{READ, SHARED, beside, refused};
use crate::harness::tests;
use crate::sys::process::{End, until};
use crate::sys::segments::{name, remove};
use crate::sys::{
    ACCESS_READ, CREATE_EXCLUSIVE, Create, Errno, Gate, Handle, PAGE, Process, Region, Result, SIZE,
    STATUS_CREATED, THIS, by_id, by_name, creation, poll, signal, usage,
};

tests![
    of_sixteen_exclusive_creators_one_wins within 120,
    #[slow] of_sixteen_creators_one_creates_and_all_share within 120,
    creation_races_with_removal within 120,
    #[slow] creation_races_with_resizing,
    whoever_opens_by_name_sees_a_whole_segment,
    #[slow] threads_attach_one_handle_once,
    using_a_handle_while_it_is_being_attached_is_ebusy_or_either_segment,
    a_signal_while_somebody_else_creates_it_is_eintr_or_restarted within 120,
    a_handle_that_is_being_attached_is_ebusy within 120,
    who_waits_for_a_creator_gets_eintr within 120,
    who_waits_for_a_creator_goes_on_with_sa_restart within 120,
    who_waits_for_a_creator_that_is_killed_creates_it within 120,
];

const PROCESSES: usize = 16;

/// A place where processes meet, as often as they like: none goes on before all have come.
struct Barrier<'a> {
    word: &'a AtomicU32,
    round: u32,
}

impl Barrier<'_> {
    fn meet(&mut self) {
        self.round += PROCESSES as u32;
        self.word.fetch_add(1, Ordering::SeqCst);
        while self.word.load(Ordering::SeqCst) < self.round {
            std::thread::yield_now();
        }
    }
}

/// Words that the processes share: the barrier's, then one for each round.
fn board() -> Region {
    Region::shared(4 * PAGE)
}

/// Each round's word was counted up once, and nothing is left.
#[track_caller]
fn one_won_each_round(board: &Region, rounds: usize) {
    for round in 0..rounds {
        let winners = board.u32(4 + 4 * round).load(Ordering::SeqCst);
        assert_eq!(winners, 1, "round {round}");
    }
    assert_eq!(usage(), (0, 0));
}

/// Lets every process do each round at once with the others.
fn contest(rounds: usize, board: &Region, body: impl Fn(usize, &mut Barrier<'_>)) {
    let processes: Vec<_> = (0..PROCESSES)
        .map(|_| {
            Process::fork(|| {
                let mut barrier = Barrier {
                    word: board.u32(0),
                    round: 0,
                };
                (0..rounds).for_each(|round| body(round, &mut barrier));
            })
        })
        .collect();
    processes.into_iter().for_each(Process::join);
}

fn of_sixteen_exclusive_creators_one_wins() {
    const ROUNDS: usize = 30;
    let board = board();
    contest(ROUNDS, &board, |round, barrier| {
        let handle = Handle::rw();
        let exclusive = Create {
            flags: CREATE_EXCLUSIVE,
            ..creation("frames", 100)
        };
        barrier.meet();
        let outcome = handle.create(exclusive);
        match outcome {
            Ok(made) => {
                assert_eq!(made.status, STATUS_CREATED);
                board.u32(4 + 4 * round).fetch_add(1, Ordering::SeqCst);
            }
            Err(error) => assert_eq!(error, Errno::EEXIST),
        }
        barrier.meet();
        if outcome.is_ok() {
            remove("frames");
        }
        barrier.meet();
    });
    one_won_each_round(&board, ROUNDS);
}

fn of_sixteen_creators_one_creates_and_all_share() {
    const ROUNDS: usize = 30;
    let board = board();
    contest(ROUNDS, &board, |round, barrier| {
        let handle = Handle::rw();
        barrier.meet();
        let made = handle.create(creation("frames", 5000)).unwrap();
        if made.status == STATUS_CREATED {
            board.u32(4 + 4 * round).fetch_add(1, Ordering::SeqCst);
        }
        handle.window(0, PAGE).u32(0).fetch_add(1, Ordering::SeqCst);
        barrier.meet();
        let count = handle.window(0, PAGE).u32(0).load(Ordering::SeqCst);
        assert_eq!(count, PROCESSES as u32, "they do not share a segment");
        barrier.meet();
        if made.status == STATUS_CREATED {
            remove("frames");
        }
        barrier.meet();
    });
    one_won_each_round(&board, ROUNDS);
}

/// Every creation that says it created is answered by one removal that says it removed, no more and no less.
fn creation_races_with_removal() {
    let board = board();
    contest(40, &board, |_, barrier| {
        if barrier.round == 0 {
            barrier.meet();
        }
        let handle = Handle::rw();
        let made = handle.create(creation("frames", 100)).unwrap();
        if made.status == STATUS_CREATED {
            board.u32(4).fetch_add(1, Ordering::SeqCst);
        }
        match Handle::rw().remove(by_name("frames")) {
            Ok(()) => _ = board.u32(8).fetch_add(1, Ordering::SeqCst),
            Err(error) => assert_eq!(error, Errno::ENOENT),
        }
    });
    let [created, removed] = [4, 8].map(|place| board.u32(place).load(Ordering::SeqCst));
    assert_eq!(created, removed);
    assert_eq!(usage(), (0, 0));
}

fn creation_races_with_resizing() {
    let owner = Handle::creating("frames", 1);
    let resize = || {
        for size in [2, 1] {
            owner.resize(THIS, size).unwrap();
        }
    };
    beside(resize, || {
        for _ in 0..8000 {
            match Handle::rw().create(creation("frames", 2)) {
                Ok(made) => assert_eq!(made.size, 2, "what was asked for"),
                Err(error) => assert_eq!(error, Errno::EINVAL, "it was smaller"),
            }
        }
    });
    remove("frames");
}

fn whoever_opens_by_name_sees_a_whole_segment() {
    const ROUNDS: u32 = 200;
    let opener = Process::fork(|| {
        let mut last = 0;
        while last < ROUNDS {
            let handle = Handle::rw();
            if handle.attach(by_name("frames")).is_err() {
                continue;
            }
            let stat = handle.stat().unwrap();
            assert_eq!((stat.size, stat.mapped_size, stat.mode), (5000, 8192, 0o600));
            // The maker writes the round's number, once.
            let seen = handle.window(0, 2 * PAGE).u32(0).load(Ordering::SeqCst);
            assert!(seen == 0 || seen >= last, "{seen} after {last}");
            last = last.max(seen);
        }
    });
    for round in 1..=ROUNDS {
        let handle = Handle::creating("frames", 5000);
        handle.window(0, PAGE).u32(0).store(round, Ordering::SeqCst);
        if round == ROUNDS {
            opener.join();
            remove("frames");
            break;
        }
        remove("frames");
    }
    assert_eq!(usage(), (0, 0));
}

/// One handle, two threads that attach it to two segments at once: it is attached to one of them.
fn threads_attach_one_handle_once() {
    let ids = [
        Handle::creating("one", 100).id(),
        Handle::creating("two", 100).id(),
    ];
    for round in 0..100 {
        let handle = Handle::rw();
        let outcomes = std::thread::scope(|scope| {
            ["one", "two"]
                .map(|text| {
                    let handle = &handle;
                    scope.spawn(move || match round % 3 {
                        0 => handle.attach(by_name(text)).map(|opened| opened.target.id),
                        1 => handle.create(creation(text, 100)).map(|made| made.id),
                        _ => handle.create(creation("", 100)).map(|made| made.id),
                    })
                })
                .map(|thread| thread.join().unwrap())
        });
        let winner = match outcomes {
            [Ok(id), Err(Errno::EBUSY)] | [Err(Errno::EBUSY), Ok(id)] => id,
            other => panic!("{other:?}"),
        };
        assert_eq!(handle.id(), winner);
        assert!(round % 3 == 2 || ids.contains(&winner));
    }
    for text in ["one", "two"] {
        assert_eq!(Handle::rw().stat_of(by_name(text)).unwrap().handles, 0);
        remove(text);
    }
    assert_eq!(usage(), (0, 0));
}

/// What attaches to the default segment by itself, while another thread creates: one of the two comes first.
fn using_a_handle_while_it_is_being_attached_is_ebusy_or_either_segment() {
    for round in 0..60 {
        let handle = Handle::rw();
        let (created, read) = std::thread::scope(|scope| {
            let create = scope.spawn(|| handle.create(creation("", 2 * SIZE as u64)).map(drop));
            (0..round * 20).for_each(|_| std::hint::spin_loop());
            // At the end of the default segment, so that nothing is read there, and in the middle of the new one.
            let read = handle.pread(&mut [0; 8], SIZE as i64);
            (create.join().unwrap(), read)
        });
        match (created, read) {
            (Ok(()), Ok(8) | Err(Errno::EBUSY)) => assert_ne!(handle.id(), 0),
            (Err(Errno::EBUSY), Ok(0)) => assert_eq!(handle.id(), 0),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(usage(), (0, 0));
}

/// Two make one name again and again, of a size that takes its time, and both are signalled all the while.
fn a_signal_while_somebody_else_creates_it_is_eintr_or_restarted() {
    for flags in [0, libc::SA_RESTART] {
        signal::catch(libc::SIGUSR1, flags);
        let makers = [0, 1].map(|_| {
            Process::fork(|| {
                for _ in 0..10 {
                    let handle = Handle::rw();
                    match handle.create(creation("frames", 8 << 20)) {
                        Ok(made) if made.status == STATUS_CREATED => handle.remove(THIS).unwrap(),
                        Ok(made) => assert_eq!(made.size, 8 << 20),
                        Err(error) => assert_eq!((error, flags), (Errno::EINTR, 0)),
                    }
                }
            })
        });
        let mut makers = makers.map(|process| (process, None));
        until("both have made theirs", || {
            for (process, end) in &mut makers {
                if end.is_none() {
                    process.signal(libc::SIGUSR1);
                    *end = process.ended();
                }
            }
            makers.iter().all(|(_, end)| end.is_some())
        });
        assert!(
            makers.iter().all(|(_, end)| *end == Some(End::Exit(0))),
            "{makers:?}"
        );
        assert_eq!(usage(), (0, 0));
    }
}

/// So large that making it takes its time.
const LARGE: u64 = 64 << 20;

/// Whether somebody is at making it: its memory counts, and nobody finds it.
fn is_being_made() -> bool {
    usage().0 == 1 && Handle::rw().stat_of(by_name("frames")) == Err(Errno::ENOENT)
}

/// For whatever would attach it, or needs what it is attached to.
fn a_handle_that_is_being_attached_is_ebusy() {
    for _ in 0..100 {
        let handle = Handle::rw();
        let (outcomes, polled, in_time) = std::thread::scope(|scope| {
            let maker = scope.spawn(|| handle.create(creation("frames", LARGE)).map(drop));
            until("it is being made", || maker.is_finished() || is_being_made());
            let outcomes = [
                handle.pread(&mut [0], 0).map(drop),
                handle.mmap(PAGE, READ, SHARED, 0).map(drop),
                handle.seek(0, libc::SEEK_END).map(drop),
                handle.stat().map(drop),
                handle.begin(ACCESS_READ, 0, 1, 0).map(drop),
                handle.restrict(0, 1, ACCESS_READ),
                handle.create(creation("", 100)).map(drop),
                handle.attach(by_id(0)).map(drop),
            ];
            (outcomes, poll::poll(&handle, 0), is_being_made())
        });
        let attached = handle.stat().unwrap().target.name;
        if in_time {
            assert_eq!((outcomes, polled), ([Err(Errno::EBUSY); 8], libc::POLLERR));
            assert_eq!(attached, name("frames"));
        }
        let _ = handle.remove(by_name("frames"));
        if in_time {
            return;
        }
    }
    panic!("it was never seen to be made");
}

/// Lets one process make a segment and another wait for it, then signals one of them. Returns what the one who waited
/// was told. Starts over when the first has made it before the signal came.
fn signalled_meanwhile(flags: i32, signal: impl Fn(&Process, &Process)) -> Result<u32> {
    for _ in 0..100 {
        let (ready, go, told) = (Gate::new(), Gate::new(), Region::shared(PAGE));
        let waiter = Process::fork(|| {
            signal::catch(libc::SIGUSR1, flags);
            let handle = Handle::rw();
            ready.open();
            go.pass();
            let (outcome, status) = match handle.create(creation("frames", LARGE)) {
                Ok(made) => (0, made.status),
                Err(error) => (error as u32, 0),
            };
            told.u32(0).store(outcome, Ordering::SeqCst);
            told.u32(4).store(status, Ordering::SeqCst);
            assert_eq!(handle.fdinfo().len() > 1, outcome == 0, "attached, or not");
        });
        ready.pass();
        let mut maker = Process::fork(|| drop(Handle::creating("frames", LARGE)));
        let mut end = None;
        until("it is being made", || {
            end = maker.ended();
            end.is_some() || is_being_made()
        });
        go.open();
        until("somebody waits for it", || {
            waiter.sleeps_in(libc::SYS_ioctl) || !is_being_made()
        });
        let mut in_time = false;
        if end.is_none() {
            let waits = waiter.sleeps_in(libc::SYS_ioctl);
            signal(&maker, &waiter);
            in_time = waits && is_being_made();
            maker.wait();
        }
        waiter.join();
        remove("frames");
        assert_eq!(usage(), (0, 0));
        if in_time {
            let [outcome, status] = [0, 4].map(|place| told.u32(place).load(Ordering::SeqCst));
            return match outcome {
                0 => Ok(status),
                error => Err(Errno::from_raw(error as i32)),
            };
        }
    }
    panic!("nobody was ever seen to wait");
}

fn who_waits_for_a_creator_gets_eintr() {
    let told = signalled_meanwhile(0, |_, waiter| waiter.signal(libc::SIGUSR1));
    refused(told, Errno::EINTR);
}

fn who_waits_for_a_creator_goes_on_with_sa_restart() {
    let told = signalled_meanwhile(libc::SA_RESTART, |_, waiter| waiter.signal(libc::SIGUSR1));
    assert_eq!(told, Ok(0), "the other one made it");
}

/// Else it would be made, and stay: as it may when the signal comes at the very end.
fn who_waits_for_a_creator_that_is_killed_creates_it() {
    let told = || signalled_meanwhile(0, |maker, _| maker.signal(libc::SIGKILL));
    assert!((0..10).any(|_| told() == Ok(STATUS_CREATED)));
}
