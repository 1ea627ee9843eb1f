// SPDX-License-Identifier: MIT OR Apache-2.0

//! A randomized run of several processes against a model of the range locks.
//!
//! Each worker is a process with a handle of its own and does one request at a time. The model says of each request
//! whether it is granted, refused or waits, and of each end and each death which waiters are served, in which order
//! and with which status. It is as slow and as plain as can be: bytes are few, everything is a list.

use std::fs::File;
use std::io::{Read, Write};

use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, DEADLINE_NEVER, DEADLINE_NOW, Errno, Handle, Process, SYNC_BEGIN, SYNC_END,
    SyncRange, file,
};

tests![
    #[slow] a_random_run_agrees_with_the_model within 180,
    #[slow] a_random_run_with_deaths_agrees_with_the_model within 180,
];

const WORKERS: usize = 6;
const BYTES: usize = 48;

/// Small, and the same every time: a failure can be run again.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) as usize % limit
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    worker: usize,
    access: u32,
    offset: usize,
    len: usize,
}

impl Request {
    fn overlaps(&self, other: &Request) -> bool {
        self.offset < other.offset + other.len && other.offset < self.offset + self.len
    }

    fn conflicts(&self, other: &Request) -> bool {
        self.overlaps(other) && (self.access == ACCESS_WRITE || other.access == ACCESS_WRITE)
    }
}

/// What a worker is told: the status of a success, or an errno.
type Answer = Result<u32, Errno>;

struct Model {
    held: Vec<Request>,
    /// In the order of their coming.
    waiting: Vec<Request>,
    marked: [bool; BYTES],
    generation: u64,
}

impl Model {
    fn status(&self, request: &Request) -> u32 {
        u32::from(self.marked[request.offset..][..request.len].contains(&true))
    }

    /// Nothing when the request waits.
    fn begin(&mut self, request: Request, wait: bool) -> Option<Answer> {
        if self
            .held
            .iter()
            .chain(&self.waiting)
            .any(|mine| mine.worker == request.worker && mine.overlaps(&request))
        {
            return Some(Err(Errno::EDEADLK));
        }
        if self
            .held
            .iter()
            .chain(&self.waiting)
            .any(|other| other.conflicts(&request))
        {
            if wait {
                self.waiting.push(request);
                return None;
            }
            return Some(Err(Errno::EAGAIN));
        }
        self.held.push(request);
        Some(Ok(self.status(&request)))
    }

    fn end(&mut self, request: Request) -> Answer {
        let place = self
            .held
            .iter()
            .position(|held| *held == request)
            .ok_or(Errno::ENOENT)?;
        self.held.remove(place);
        if request.access == ACCESS_WRITE {
            self.marked[request.offset..][..request.len].fill(false);
            self.generation += 1;
        }
        Ok(0)
    }

    fn die(&mut self, worker: usize) {
        for request in self
            .held
            .iter()
            .filter(|held| held.worker == worker && held.access == ACCESS_WRITE)
        {
            self.marked[request.offset..][..request.len].fill(true);
        }
        self.held.retain(|request| request.worker != worker);
        self.waiting.retain(|request| request.worker != worker);
    }

    /// Grants what can be granted: first come, first served among those that conflict.
    fn serve(&mut self) -> Vec<(Request, Answer)> {
        let mut served = Vec::new();
        let mut index = 0;
        while index < self.waiting.len() {
            let request = self.waiting[index];
            if self
                .held
                .iter()
                .chain(&self.waiting[..index])
                .any(|other| other.conflicts(&request))
            {
                index += 1;
            } else {
                self.waiting.remove(index);
                self.held.push(request);
                served.push((request, Ok(self.status(&request))));
            }
        }
        served
    }

    fn is_waiting(&self, worker: usize) -> bool {
        self.waiting.iter().any(|request| request.worker == worker)
    }
}

/// A process that does as it is told: 24 bytes of order, 4 bytes of answer.
struct Worker {
    process: Process,
    orders: File,
    answers: File,
}

impl Worker {
    fn start() -> Worker {
        let (order_reader, orders) = file::pipe();
        let (answers, answer_writer) = file::pipe();
        let process = Process::fork(|| work(order_reader, answer_writer));
        Worker {
            process,
            orders,
            answers,
        }
    }

    fn order(&mut self, op: u32, request: Request, deadline: u64) {
        let words = [
            op.into(),
            request.access.into(),
            request.offset as u64,
            request.len as u64,
            deadline,
        ];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.orders.write_all(&bytes).unwrap();
    }

    fn answer(&mut self) -> Answer {
        let mut bytes = [0; 4];
        self.answers.read_exact(&mut bytes).unwrap();
        match i32::from_ne_bytes(bytes) {
            errno if errno < 0 => Err(Errno::from_raw(-errno)),
            status => Ok(status as u32),
        }
    }
}

fn work(mut orders: File, mut answers: File) {
    let handle = Handle::rw();
    let mut bytes = [0; 40];
    while orders.read_exact(&mut bytes).is_ok() {
        let [op, access, offset, len, deadline_ns] = std::array::from_fn(|index| {
            u64::from_ne_bytes(std::array::from_fn(|byte| bytes[8 * index + byte]))
        });
        let range = SyncRange {
            offset,
            len,
            deadline_ns,
            op: op as u32,
            access: access as u32,
            ..SyncRange::default()
        };
        let answer = match handle.sync(range) {
            Ok(returned) => returned.status as i32,
            Err(errno) => -(errno as i32),
        };
        answers.write_all(&answer.to_ne_bytes()).unwrap();
    }
}

struct Run {
    random: Random,
    model: Model,
    observer: Handle,
    workers: Vec<Worker>,
    /// The last requests, for the message when something differs.
    history: Vec<String>,
    /// How many requests waited and were served.
    served: usize,
}

impl Run {
    fn request(&mut self, worker: usize) -> Request {
        let access = if self.random.below(3) == 0 {
            ACCESS_WRITE
        } else {
            ACCESS_READ
        };
        let offset = self.random.below(BYTES);
        let len = 1 + self.random.below((BYTES - offset).min(12));
        Request {
            worker,
            access,
            offset,
            len,
        }
    }

    fn expect(&self, answer: Answer, expected: Answer) {
        let history = self.history[self.history.len().saturating_sub(30)..].join("\n    ");
        assert_eq!(
            answer, expected,
            "the last requests:\n    {history}\nheld: {:?}",
            self.model.held
        );
    }

    fn step(&mut self, deaths: bool) {
        let worker = self.random.below(WORKERS);
        let what = self.random.below(if deaths { 40 } else { 38 });
        if what >= 38 {
            self.kill(worker);
        } else if self.model.is_waiting(worker) {
            // It cannot do anything before it is served.
        } else if what >= 20 {
            self.end(worker);
        } else {
            // Nobody who holds something waits, unless deaths will untie the knots that come of it.
            let holds = self.model.held.iter().any(|held| held.worker == worker);
            self.begin(worker, what >= 8 && (deaths || !holds));
        }
        self.settle();
    }

    fn begin(&mut self, worker: usize, wait: bool) {
        let request = self.request(worker);
        self.history.push(format!("begin {request:?}, wait: {wait}"));
        let expected = self.model.begin(request, wait);
        self.workers[worker].order(
            SYNC_BEGIN,
            request,
            if wait { DEADLINE_NEVER } else { DEADLINE_NOW },
        );
        if let Some(expected) = expected {
            let answer = self.workers[worker].answer();
            self.expect(answer, expected);
        }
    }

    fn end(&mut self, worker: usize) {
        let mine: Vec<Request> = self
            .model
            .held
            .iter()
            .copied()
            .filter(|held| held.worker == worker)
            .collect();
        let request = match mine.len() {
            0 => self.request(worker),
            count => mine[self.random.below(count)],
        };
        self.history.push(format!("end {request:?}"));
        let expected = self.model.end(request);
        self.workers[worker].order(SYNC_END, request, 0);
        let answer = self.workers[worker].answer();
        self.expect(answer, expected);
    }

    fn kill(&mut self, worker: usize) {
        self.history.push(format!("kill {worker}"));
        self.model.die(worker);
        std::mem::replace(&mut self.workers[worker], Worker::start())
            .process
            .kill();
    }

    /// Takes the answers of all whom the last step served, and compares what STAT says.
    fn settle(&mut self) {
        for (request, expected) in self.model.serve() {
            self.history.push(format!("served {request:?}"));
            self.served += 1;
            let answer = self.workers[request.worker].answer();
            self.expect(answer, expected);
        }
        let (held, waiting) = (self.model.held.len(), self.model.waiting.len());
        until("STAT agrees with the model", || {
            let stat = self.observer.stat().unwrap();
            (stat.holders as usize, stat.waiters as usize) == (held, waiting)
        });
        assert_eq!(self.observer.generation(), self.model.generation);
    }
}

fn run(steps: usize, deaths: bool, seed: u64) {
    let observer = Handle::rw();
    let generation = observer.generation();
    let model = Model {
        held: Vec::new(),
        waiting: Vec::new(),
        marked: [false; BYTES],
        generation,
    };
    let workers = (0..WORKERS).map(|_| Worker::start()).collect();
    let mut run = Run {
        random: Random(seed),
        model,
        observer,
        workers,
        history: Vec::new(),
        served: 0,
    };
    for _ in 0..steps {
        run.step(deaths);
    }
    run.workers.drain(..).for_each(|worker| worker.process.kill());
    let stat = run.observer.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters, stat.handles), (0, 0, 1));
    assert!(
        run.served >= steps / 50,
        "only {} of {steps} requests waited: the run says little",
        run.served
    );
}

fn a_random_run_agrees_with_the_model() {
    run(500, false, 0x5eed_1234_abcd_0001);
}

fn a_random_run_with_deaths_agrees_with_the_model() {
    run(800, true, 0x5eed_1234_abcd_0002);
}
