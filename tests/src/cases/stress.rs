// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sixteen processes do everything at once, in every order, and are killed in the middle of it. Whatever they did, in
//! the end nothing is left.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::injection::Scarcity;
use super::memory::Leaks;
use super::model::Random;
use super::worker::{NAMES, Worker};
use crate::harness::{LogReader, on_debug_kernel, tests};
use crate::sys::process::{End, become_subreaper, kill_descendants, until};
use crate::sys::{Errno, Handle, PAGE, Process, Region, by_name, file, usage};

tests![
    #[slow] sixteen_processes_do_everything_and_nothing_is_left within 240,
    they_do_when_memory_fails_at_random_too needs [FaultInjection] within 240,
];

const WORKERS: usize = 16;

/// The kernel that finds memory used after its end, locks taken in the wrong order and memory lost is given its time;
/// on one that does not look, a long run would find little that a short one does not.
fn how_long() -> Duration {
    let seconds = std::env::var("SHMDEV_STRESS_SECONDS")
        .ok()
        .map(|text| text.parse().expect("SHMDEV_STRESS_SECONDS, a number"));
    Duration::from_secs(seconds.unwrap_or(if on_debug_kernel() { 20 } else { 2 }))
}

fn sixteen_processes_do_everything_and_nothing_is_left() {
    everything(false);
}

fn they_do_when_memory_fails_at_random_too() {
    let _scarcity = Scarcity::percent(5);
    everything(true);
}

fn everything(suffering: bool) {
    let mut log = LogReader::from_now().unwrap();
    // A worker that is killed may have a child.
    become_subreaper().unwrap();
    let leaks = Leaks::watch();
    let stop = Region::shared(PAGE);
    let queue = file::sockets();
    let start = |worker: usize, life: u64| {
        let (stop, queue) = (&stop, &queue);
        Process::fork(move || {
            let mut worker = Worker::new(worker as u64 * 1000 + life, queue, suffering);
            while stop.u32(0).load(Ordering::Relaxed) == 0 {
                worker.step();
                stop.u32(4).fetch_add(worker.wants.take(), Ordering::Relaxed);
            }
        })
    };
    let end = Instant::now() + how_long();
    let mut random = Random(0x5eed);
    let mut workers: Vec<_> = (0..WORKERS).map(|worker| start(worker, 0)).collect();
    let mut life = 0;
    while Instant::now() < end {
        life += 1;
        let victim = random.below(WORKERS);
        if life % 2 == 0 {
            workers[victim].signal(libc::SIGKILL);
        }
        for (index, worker) in workers.iter_mut().enumerate() {
            match worker.ended() {
                None => (),
                Some(End::Signal(libc::SIGKILL)) => *worker = start(index, life),
                Some(other) => panic!("a worker ended by {other:?}"),
            }
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    stop.u32(0).store(1, Ordering::SeqCst);
    for worker in workers {
        let end = worker.wait();
        assert!(
            matches!(end, End::Exit(0) | End::Signal(libc::SIGKILL)),
            "{end:?}"
        );
    }
    let wants = stop.u32(4).load(Ordering::SeqCst);
    assert_eq!(wants > 0, suffering, "{wants} calls had no memory");
    drop(queue);
    kill_descendants();
    nothing_is_left();
    let ours: Vec<_> = log
        .news()
        .unwrap()
        .into_iter()
        .filter(|line| line.contains("shmdev"))
        .collect();
    assert_eq!(ours, Vec::<String>::new());
    leaks.are_none();
}

/// Removes what has a name; what has none, and the namespaces, must have gone by themselves.
fn nothing_is_left() {
    let handle = Handle::rw();
    for name in 0..NAMES {
        match handle.remove(by_name(format!("frames-{name}"))) {
            Ok(()) | Err(Errno::ENOENT) => (),
            Err(error) => panic!("{error}"),
        }
    }
    until("nothing counts any more", || usage() == (0, 0));
    assert_eq!(handle.info().unwrap().uid_bytes, 0);
    assert_eq!(handle.list().unwrap().len(), 1, "the default segment");
    let stat = handle.stat().unwrap();
    assert_eq!(
        (stat.nattch, stat.handles, stat.holders, stat.waiters),
        (0, 1, 0, 0)
    );
    if Path::new("/sys/kernel/debug/shmdev").exists() {
        let text = |file| std::fs::read_to_string(format!("/sys/kernel/debug/shmdev/{file}")).unwrap();
        assert_eq!(
            text("segments").lines().count(),
            2,
            "headings, and the default segment"
        );
        assert_eq!(text("ranges").lines().count(), 1, "headings");
        assert_eq!(text("usage"), "segments 0\nbytes 0\n");
    }
}
