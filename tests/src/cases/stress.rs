// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sixteen processes do everything at once, in every order, and are killed in the middle of it. Whatever they did, in
//! the end nothing is left.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::model::Random;
use super::{READ, SHARED, WRITE};
use crate::harness::{LogReader, tests};
use crate::sys::namespace::keep;
use crate::sys::process::{End, unshare, until};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, CREATE_AUTO_REMOVE, CREATE_EXCLUSIVE, Create, Errno, Handle, PAGE, Process,
    Region, Result, THIS, by_id, by_name, creation, file, in_ms, poll, usage,
};

tests![sixteen_processes_do_everything_and_nothing_is_left within 240];

const WORKERS: usize = 16;
/// Few, so that they meet.
const NAMES: u64 = 10;
/// How much a worker holds at most of each kind.
const HELD: usize = 6;
const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";

/// The kernel that finds memory used after its end, locks taken in the wrong order and memory lost is given its time;
/// on one that does not look, a long run would find little that a short one does not.
fn how_long() -> Duration {
    let seconds = std::env::var("SHMDEV_STRESS_SECONDS")
        .ok()
        .map(|text| text.parse().expect("SHMDEV_STRESS_SECONDS, a number"));
    let debug = std::env::var("SHMDEV_KERNEL").is_ok_and(|kernel| kernel == "debug");
    Duration::from_secs(seconds.unwrap_or(if debug { 20 } else { 2 }))
}

fn sixteen_processes_do_everything_and_nothing_is_left() {
    let mut log = LogReader::from_now().unwrap();
    let looks_for_leaks = Path::new(KMEMLEAK).exists();
    if looks_for_leaks {
        std::fs::write(KMEMLEAK, "scan").unwrap();
        std::fs::write(KMEMLEAK, "clear").unwrap();
    }
    let stop = Region::shared(PAGE);
    let queue = file::sockets();
    let start = |worker: usize, life: u64| {
        let (stop, queue) = (&stop, &queue);
        Process::fork(move || {
            let mut worker = Worker::new(worker as u64 * 1000 + life, queue);
            while stop.u32(0).load(Ordering::Relaxed) == 0 {
                worker.step();
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
    drop(queue);
    nothing_is_left();
    let ours: Vec<_> = log
        .news()
        .unwrap()
        .into_iter()
        .filter(|line| line.contains("shmdev"))
        .collect();
    assert_eq!(ours, Vec::<String>::new());
    if looks_for_leaks {
        // An object counts as lost when it is some seconds old and two scans have not found it.
        for _ in 0..2 {
            std::thread::sleep(Duration::from_secs(6));
            std::fs::write(KMEMLEAK, "scan").unwrap();
        }
        assert_eq!(std::fs::read_to_string(KMEMLEAK).unwrap(), "");
    }
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

/// A process that does one thing after the other.
struct Worker<'a> {
    random: Random,
    handles: Vec<Handle>,
    mappings: Vec<Region>,
    /// Through which handles are passed on, in both directions.
    queue: &'a (OwnedFd, OwnedFd),
    /// The IPC namespace that it began in.
    home: OwnedFd,
}

impl<'a> Worker<'a> {
    fn new(seed: u64, queue: &'a (OwnedFd, OwnedFd)) -> Worker<'a> {
        Worker {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            handles: Vec::new(),
            mappings: Vec::new(),
            queue,
            home: keep("ipc"),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit as usize) as u64
    }

    fn name(&mut self) -> String {
        format!("frames-{}", self.below(NAMES))
    }

    /// A handle that it holds, or one that is new.
    fn any(&mut self) -> Handle {
        match self.handles.len() {
            0 => Handle::rw(),
            count => {
                let index = self.random.below(count);
                self.handles[index].dup()
            }
        }
    }

    fn hold(&mut self, handle: Handle) {
        if self.handles.len() == HELD {
            let index = self.random.below(HELD);
            self.handles.swap_remove(index);
        }
        self.handles.push(handle);
    }

    /// One thing, chosen at random. Each may be refused, for reasons that the contract gives for it.
    fn step(&mut self) {
        match self.below(20) {
            0 | 1 => self.create(),
            2 | 3 => self.open(),
            4 => self.map(),
            5 => self.touch(),
            6 => drop(self.mappings.pop()),
            7 => self.resize(),
            8 => self.remove(),
            9 => self.restrict(),
            10 | 11 => self.lock(),
            12 => self.transfer(),
            13 => self.look(),
            14 => self.set(),
            15 => self.pass_on(),
            16 => self.receive(),
            17 => self.split(),
            18 => self.die_or_drop(),
            _ => self.move_house(),
        }
    }

    fn create(&mut self) {
        let name = if self.below(3) == 0 {
            String::new()
        } else {
            self.name()
        };
        let flags = [0, CREATE_EXCLUSIVE, CREATE_AUTO_REMOVE, 0][self.random.below(4)];
        let create = Create {
            flags,
            mode: 0o666,
            ..creation(name, 1 + self.below(16 * PAGE as u64))
        };
        let handle = Handle::rw();
        if expected(handle.create(create), &[Errno::EEXIST, Errno::EINVAL]) {
            self.hold(handle);
        }
    }

    fn open(&mut self) {
        let target = match self.below(4) {
            0 => by_id(self.below(200)),
            _ => by_name(self.name()),
        };
        let handle = Handle::rw();
        if expected(handle.attach(target), &[Errno::ENOENT, Errno::EIDRM]) {
            self.hold(handle);
        }
    }

    fn map(&mut self) {
        let (handle, page, prot) = (
            self.any(),
            self.below(6),
            [READ, READ | WRITE][self.random.below(2)],
        );
        let len = (1 + self.random.below(6)) * PAGE;
        match handle.mmap(len, prot, SHARED, page * PAGE as u64) {
            Ok(mapping) => {
                if self.mappings.len() == HELD {
                    self.mappings.clear();
                }
                self.mappings.push(mapping);
            }
            // Of a namespace that has gone, too.
            Err(Errno::EINVAL | Errno::EACCES | Errno::ENXIO) => (),
            Err(error) => panic!("mmap: {error}"),
        }
    }

    fn touch(&mut self) {
        for mapping in &self.mappings {
            std::hint::black_box((mapping.get(0), mapping.get(mapping.len() - 1)));
        }
    }

    fn split(&mut self) {
        if let Some(mapping) = self.mappings.pop() {
            let middle = mapping.len() / PAGE / 2 * PAGE;
            mapping.unmap(middle, PAGE).unwrap();
        }
    }

    fn resize(&mut self) {
        let (handle, size) = (self.any(), 1 + self.below(16 * PAGE as u64));
        let target = if self.below(2) == 0 {
            THIS
        } else {
            by_name(self.name())
        };
        let refusals = [
            Errno::EBUSY,
            Errno::ENOENT,
            Errno::EACCES,
            // The default segment.
            Errno::EINVAL,
        ];
        expected(handle.resize(target, size), &refusals);
    }

    fn remove(&mut self) {
        let handle = self.any();
        let target = match self.below(3) {
            0 => THIS,
            1 => by_id(1 + self.below(200)),
            _ => by_name(self.name()),
        };
        let refusals = [Errno::ENOENT, Errno::EIDRM, Errno::EACCES, Errno::EINVAL];
        expected(handle.remove(target), &refusals);
    }

    fn restrict(&mut self) {
        let handle = self.any();
        let access = [ACCESS_READ, ACCESS_WRITE, ACCESS_READ | ACCESS_WRITE][self.random.below(3)];
        let (offset, len) = (self.below(PAGE as u64), 1 + self.below(16 * PAGE as u64));
        expected(handle.restrict(offset, len, access), &[Errno::EACCES]);
    }

    fn lock(&mut self) {
        let handle = self.any();
        let access = [ACCESS_READ, ACCESS_WRITE][self.random.below(2)];
        let (offset, len) = (self.below(64) * 8, 1 + self.below(512));
        let deadline = if self.below(2) == 0 {
            0
        } else {
            in_ms(self.below(4))
        };
        let refusals = [
            Errno::EAGAIN,
            Errno::ETIMEDOUT,
            Errno::EDEADLK,
            Errno::EINVAL,
            Errno::EACCES,
        ];
        if expected(handle.begin(access, offset, len, deadline), &refusals) && self.below(4) > 0 {
            handle
                .end(access, offset, len)
                .expect("what was begun can be ended");
        }
    }

    fn transfer(&mut self) {
        let (handle, offset) = (self.any(), self.below(8 * PAGE as u64) as i64);
        let mut buffer = [0; 100];
        expected(handle.pwrite(&buffer, offset), &[Errno::ENOSPC, Errno::EACCES]);
        expected(handle.pread(&mut buffer, offset), &[Errno::EACCES]);
        expected(handle.seek(0, libc::SEEK_END), &[]);
    }

    fn look(&mut self) {
        let (handle, name) = (self.any(), self.name());
        handle.info().unwrap();
        handle.fdinfo();
        poll::poll(&handle, 0);
        expected(handle.stat(), &[]);
        expected(handle.stat_of(by_name(name)), &[Errno::ENOENT, Errno::EACCES]);
        expected(handle.list(), &[Errno::EACCES]);
        let file = ["segments", "ranges", "usage"][self.random.below(3)];
        let _ = std::fs::read(format!("/sys/kernel/debug/shmdev/{file}"));
    }

    fn set(&mut self) {
        let (handle, name) = (self.any(), self.name());
        let mode = 0o600 | self.below(0o100) as u32;
        let refusals = [Errno::ENOENT, Errno::EACCES, Errno::EINVAL];
        expected(handle.set_mode(by_name(name), mode), &refusals);
    }

    fn pass_on(&mut self) {
        let (handle, queue) = (self.any(), self.queue);
        // Full, or too many under way.
        let full = [Errno::EAGAIN, Errno::ETOOMANYREFS];
        expected(file::try_send_fd(&queue.0, handle, libc::MSG_DONTWAIT), &full);
    }

    fn receive(&mut self) {
        if let Ok(fd) = file::try_receive_fd(&self.queue.1, libc::MSG_DONTWAIT) {
            self.hold(Handle::from(fd));
        }
    }

    fn die_or_drop(&mut self) {
        if self.below(8) == 0 {
            crate::sys::process::kill_myself();
        }
        self.handles.pop();
    }

    /// Into a namespace of its own, or back.
    fn move_house(&mut self) {
        match self.below(8) {
            0 => unshare(libc::CLONE_NEWIPC).unwrap(),
            1 => crate::sys::namespace::enter(&self.home).unwrap(),
            _ => (),
        }
    }
}

/// Whether a call succeeded. It may be refused for these reasons, and because the
/// handle's namespace has gone.
#[track_caller]
fn expected<T>(outcome: Result<T>, refusals: &[Errno]) -> bool {
    match outcome {
        Ok(_) => true,
        Err(Errno::ENXIO) => false,
        Err(error) if refusals.contains(&error) => false,
        Err(error) => panic!("{error} is not among {refusals:?}"),
    }
}
