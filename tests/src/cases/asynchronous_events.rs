// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev::sync::Event` and `Semaphore` for those who wait without a thread that sleeps, under tokio.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use shmdev::Area;
use shmdev::sync::{BlockedError, Event, Reset, Semaphore};
use tokio::time::timeout;

use super::areas::{area, cleared};
use super::asynchronous::{process, run, until_they_await, waits};
use crate::harness::tests;
use crate::sys::process::{kill_myself, until};
use crate::sys::{EVENTFDS_MAX, Errno, Process};

tests![
    #[slow] one_that_is_reset_by_hand_ends_all_waits,
    #[slow] one_that_resets_itself_ends_one_wait,
    #[slow] permits_go_to_as_many_as_were_given,
    #[slow] two_processes_signal_each_other within 120,
    #[slow] who_gives_up_takes_nothing_along within 120,
    #[slow] who_is_dropped_once_woken_keeps_nothing_from_others,
    several_wait_on_one_object_of_one_process,
    one_who_died_before_he_woke_others_is_replaced,
    an_eventfd_is_handed_back_with_its_future,
];

const OTHER: usize = 64;

fn event(reset: Reset) -> Event {
    Event::at(&area(), 0, reset).unwrap()
}

fn waiter(reset: Reset) -> Process {
    process(move || async move { event(reset).wait_async().await.unwrap() })
}

fn sleeper(reset: Reset) -> Process {
    let sleeper = Process::fork(|| event(reset).wait().unwrap());
    until("it sleeps", || sleeper.sleeps_in(libc::SYS_ioctl));
    sleeper
}

fn one_that_is_reset_by_hand_ends_all_waits() {
    let _area = cleared();
    let event = event(Reset::Manual);
    for _ in 0..5 {
        let mut waiters: Vec<_> = (0..4).map(|_| waiter(Reset::Manual)).collect();
        until_they_await(&waiters);
        waiters.push(sleeper(Reset::Manual));
        event.set().unwrap();
        waiters.into_iter().for_each(Process::join);
        run(event.wait_async()).unwrap();
        assert!(event.is_set());
        event.reset();
    }
}

/// Waits until one more of them has ended.
fn one_ends(waiters: &mut Vec<Process>) {
    let left = waiters.len() - 1;
    until("one more has ended", || {
        waiters.retain_mut(Process::goes_on);
        waiters.len() == left
    });
}

fn one_that_resets_itself_ends_one_wait() {
    let _area = cleared();
    let event = event(Reset::Auto);
    for sleeping in [0, 1, 2] {
        let mut waiters: Vec<_> = (0..4).map(|_| waiter(Reset::Auto)).collect();
        until_they_await(&waiters);
        waiters.extend((0..sleeping).map(|_| sleeper(Reset::Auto)));
        while !waiters.is_empty() {
            event.set().unwrap();
            one_ends(&mut waiters);
            assert!(!event.is_set());
        }
        event.set().unwrap();
        run(event.wait_async()).unwrap();
        assert!(!event.is_set());
    }
}

fn permits_go_to_as_many_as_were_given() {
    let _area = cleared();
    let semaphore = || Semaphore::at(&area(), 0, 0).unwrap();
    let here = semaphore();
    for _ in 0..5 {
        let mut waiters: Vec<_> = (0..5)
            .map(|_| process(|| async { semaphore().acquire_async().await.unwrap() }))
            .collect();
        until_they_await(&waiters);
        let sleeping = Process::fork(|| semaphore().acquire().unwrap());
        until("it sleeps", || sleeping.sleeps_in(libc::SYS_ioctl));
        waiters.push(sleeping);
        for permits in [1, 2, 3] {
            here.release(permits).unwrap();
            until("as many have ended", || {
                waiters.retain_mut(Process::goes_on);
                here.available() == 0 && waiters.len() == [5, 3, 0][permits as usize - 1]
            });
        }
    }
}

fn events(area: &Area) -> [Event; 2] {
    [0, OTHER].map(|offset| Event::at(area, offset, Reset::Auto).unwrap())
}

fn two_processes_signal_each_other() {
    let here = cleared();
    let there = process(|| async {
        let [ping, pong] = events(&area());
        for _ in 0..2000 {
            ping.wait_async().await.unwrap();
            pong.set().unwrap();
        }
    });
    run(async {
        let [ping, pong] = events(&here);
        for _ in 0..2000 {
            ping.set().unwrap();
            pong.wait_async().await.unwrap();
        }
    });
    there.join();
}

fn who_gives_up_takes_nothing_along() {
    let here = cleared();
    let there = process(|| async {
        let [ping, pong] = events(&area());
        for n in 0..2000 {
            while timeout(Duration::from_micros(n % 9), ping.wait_async())
                .await
                .is_err()
            {}
            pong.set().unwrap();
        }
    });
    let [ping, pong] = events(&here);
    for _ in 0..2000 {
        ping.set().unwrap();
        pong.wait().unwrap();
    }
    there.join();
}

fn who_is_dropped_once_woken_keeps_nothing_from_others() {
    for reset in [Reset::Auto, Reset::Manual] {
        let _area = cleared();
        let here = event(reset);
        for round in 0..20 {
            let other = match round % 2 {
                0 => waiter(reset),
                _ => sleeper(reset),
            };
            run(async {
                let mut given_up = Box::pin(here.wait_async());
                assert!(waits(&mut given_up).await);
                if round % 2 == 0 {
                    until_they_await(std::slice::from_ref(&other));
                }
                here.set().unwrap();
            });
            other.join();
            here.reset();
        }
    }
}

fn several_wait_on_one_object_of_one_process() {
    for reset in [Reset::Auto, Reset::Manual] {
        let _area = cleared();
        let here = event(reset);
        run(async {
            let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(here.wait_async())).collect();
            for future in &mut waiting {
                assert!(waits(future).await);
            }
            // The first one is signalled and given up.
            here.set().unwrap();
            drop(waiting.remove(0));
            for future in waiting {
                future.await.unwrap();
                here.set().unwrap();
            }
        });
        here.reset();
    }
}

fn one_who_died_before_he_woke_others_is_replaced() {
    for reset in [Reset::Auto, Reset::Manual] {
        let _area = cleared();
        let waiting = waiter(reset);
        until_they_await(std::slice::from_ref(&waiting));
        // What setting it does to the word, without the call that wakes.
        let dead = Process::fork(|| {
            let area = area();
            let _event = Event::at(&area, 0, reset).unwrap();
            let word: &AtomicU32 = area.mapping().atomic(Event::SIZE - 8).unwrap();
            word.fetch_or(1, Ordering::Release);
            kill_myself();
        });
        dead.wait();
        waiting.join();
    }
}

fn an_eventfd_is_handed_back_with_its_future() {
    let _area = cleared();
    let event = event(Reset::Auto);
    run(async {
        for _ in 0..2 {
            let mut waiting: Vec<_> = (0..EVENTFDS_MAX).map(|_| Box::pin(event.wait_async())).collect();
            for future in &mut waiting {
                assert!(waits(future).await);
            }
            match event.wait_async().await {
                Err(BlockedError::Call(error)) => {
                    assert_eq!(error.raw_os_error(), Some(Errno::ENOSPC as i32));
                }
                other => panic!("{other:?}"),
            }
        }
        event.set().unwrap();
        event.wait_async().await.unwrap();
    });
}
