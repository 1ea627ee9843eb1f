// SPDX-License-Identifier: MIT OR Apache-2.0

//! The algorithms of this folder, run in every order that the memory model allows, or in every one with up to a
//! certain number of preemptions where those are too many: small programs of two to four threads, each of
//! which stands for a process, over words that a model of the kernel waits on and tends. `loom` does the
//! running.
//!
//! Where a case kills a process it does so before each of its accesses to a word in turn, also before the
//! first after a wake-up that it has consumed, and the kernel then does what it does on an exit.
//!
//! What `loom` cannot say: it treats a sequentially consistent access as one that acquires and releases. So
//! the words put a sequentially consistent fence, which it knows, beside each: after an access that writes,
//! before a load.

mod awaiting;
mod flag;
mod gathering;
mod lock_word;
mod once_word;
mod permits;
mod restless;
mod sequence;
mod slots;

use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicU32, fence};
use loom::thread::{self, Thread};

use self::awaiting::Eventfd;
use super::seam::Word;
use crate::deadline::Deadline;
use crate::uapi::{WORD_OWNER_DIED, WORD_TOKEN, WORD_WAITERS};
use crate::word::{Death, Waited};

/// A deadline that comes when [`Kernel::expire`] says so; and at once for who finds a word changed, since the
/// clock has long shown it.
const SOON: Deadline = Deadline::At(std::time::Duration::ZERO);

/// Words and who sleeps on them.
pub(crate) struct Kernel {
    values: Vec<AtomicU32>,
    state: Mutex<State>,
}

struct State {
    /// Who sleeps on each word, in order of arrival.
    queues: Vec<VecDeque<Arc<Sleeper>>>,
    /// Who is signalled with each wake-up on a word: those who await it.
    eventfds: Vec<(usize, Arc<Eventfd>)>,
    /// Deadlines have come.
    expired: bool,
}

struct Sleeper {
    thread: Thread,
    timed: bool,
    woken: AtomicBool,
    timed_out: AtomicBool,
}

impl Sleeper {
    fn end(&self, by: &AtomicBool) {
        by.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

impl Kernel {
    pub(crate) fn new(values: &[u32]) -> Arc<Self> {
        Arc::new(Self {
            values: values.iter().copied().map(AtomicU32::new).collect(),
            state: Mutex::new(State {
                queues: values.iter().map(|_| VecDeque::new()).collect(),
                eventfds: Vec::new(),
                expired: false,
            }),
        })
    }

    fn wait(&self, words: &[(usize, u32)], deadline: Deadline) -> Waited {
        let mut state = self.state.lock().unwrap();
        for &(word, expected) in words {
            // What the word is, not what this thread knows of it.
            if self.values[word].fetch_add(0, Ordering::Relaxed) != expected {
                return Waited::Changed;
            }
        }
        let timed = matches!(deadline, Deadline::At(_));
        if deadline == Deadline::Now || timed && state.expired {
            return Waited::TimedOut;
        }
        let sleeper = Arc::new(Sleeper {
            thread: thread::current(),
            timed,
            woken: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
        });
        for &(word, _) in words {
            state.queues[word].push_back(sleeper.clone());
        }
        drop(state);
        loop {
            if sleeper.woken.load(Ordering::Relaxed) {
                return Waited::Woken;
            } else if sleeper.timed_out.load(Ordering::Relaxed) {
                return Waited::TimedOut;
            }
            thread::park();
        }
    }

    fn wake(&self, word: usize, count: u32) -> u32 {
        let mut state = self.state.lock().unwrap();
        awaiting::signal(&state.eventfds, word);
        let mut woken = 0;
        while woken < count {
            let Some(sleeper) = state.queues[word].pop_front() else {
                break;
            };
            for queue in &mut state.queues {
                queue.retain(|other| !Arc::ptr_eq(other, &sleeper));
            }
            sleeper.end(&sleeper.woken);
            woken += 1;
        }
        woken
    }

    fn requeue(&self, from: usize, expected: u32, to: usize) -> bool {
        let mut state = self.state.lock().unwrap();
        if self.values[from].fetch_add(0, Ordering::Relaxed) != expected {
            return false;
        }
        if let Some(sleeper) = state.queues[from].pop_front() {
            sleeper.end(&sleeper.woken);
        }
        let others = std::mem::take(&mut state.queues[from]);
        state.queues[to].extend(others);
        true
    }

    /// All deadlines come.
    fn expire(&self) {
        let mut state = self.state.lock().unwrap();
        state.expired = true;
        for queue in &mut state.queues {
            for sleeper in queue.iter().filter(|sleeper| sleeper.timed) {
                sleeper.end(&sleeper.timed_out);
            }
            queue.retain(|sleeper| !sleeper.timed);
        }
    }

    /// What becomes of one robust word of a process that has died; whether it held it.
    fn tend(&self, word: usize, death: Death, token: u32) -> bool {
        let value = &self.values[word];
        let mut held = false;
        if death == Death::Mark {
            let mut now = value.load(Ordering::Relaxed);
            while now & WORD_TOKEN == token {
                let marked = now & WORD_WAITERS | WORD_OWNER_DIED;
                match value.compare_exchange(now, marked, Ordering::AcqRel, Ordering::Relaxed) {
                    Ok(_) => {
                        held = true;
                        break;
                    }
                    Err(seen) => now = seen,
                }
            }
        }
        self.wake(word, 1);
        held
    }
}

/// A process: what it does ends before a certain access to a word, if one was chosen.
#[derive(Clone)]
pub(crate) struct Process {
    kernel: Arc<Kernel>,
    token: u32,
    /// Accesses until it dies.
    left: Rc<Cell<Option<usize>>>,
    dead: Rc<Cell<bool>>,
    /// How many of its exchanges have taken place.
    exchanges: Rc<Cell<usize>>,
}

/// What unwinds a process that dies.
struct Died;

impl Process {
    pub(crate) fn new(kernel: &Arc<Kernel>, token: u32) -> Self {
        Self::mortal(kernel, token, None)
    }

    /// It dies before access number `left`, from 0.
    pub(crate) fn mortal(kernel: &Arc<Kernel>, token: u32, left: Option<usize>) -> Self {
        Self {
            kernel: kernel.clone(),
            token,
            left: Rc::new(Cell::new(left)),
            dead: Rc::default(),
            exchanges: Rc::default(),
        }
    }

    pub(crate) fn word(&self, index: usize) -> ModelWord {
        ModelWord {
            process: self.clone(),
            index,
        }
    }

    /// Runs `life`. If it dies, tends the robust words, and returns how many it held.
    pub(crate) fn live<R>(&self, robust: &[(usize, Death)], life: impl FnOnce() -> R) -> Option<usize> {
        match catch_unwind(AssertUnwindSafe(life)) {
            Ok(_) => None,
            Err(payload) if payload.is::<Died>() => {
                DEATHS.with(|deaths| deaths.set(deaths.get() + 1));
                let held = |&(word, death): &(usize, Death)| self.kernel.tend(word, death, self.token);
                Some(robust.iter().map(held).filter(|&held| held).count())
            }
            Err(payload) => resume_unwind(payload),
        }
    }

    /// An access to a word; `false` for one that a dead process's destructors make, and that does not take
    /// place.
    fn step(&self) -> bool {
        if self.dead.get() {
            return false;
        }
        match self.left.get() {
            Some(0) => {
                self.dead.set(true);
                resume_unwind(Box::new(Died))
            }
            Some(left) => self.left.set(Some(left - 1)),
            None => (),
        }
        true
    }
}

std::thread_local! {
    /// How many processes have died in this case. All threads of a model run on one.
    static DEATHS: Cell<usize> = const { Cell::new(0) };
}

/// A word as a process sees it.
#[derive(Clone)]
pub(crate) struct ModelWord {
    process: Process,
    index: usize,
}

impl ModelWord {
    fn value(&self) -> &AtomicU32 {
        &self.process.kernel.values[self.index]
    }

    fn write<R>(&self, order: Ordering, write: impl FnOnce(&AtomicU32, Ordering) -> R) -> Option<R> {
        self.process.step().then(|| {
            let result = write(self.value(), order);
            if order == Ordering::SeqCst {
                fence(Ordering::SeqCst);
            }
            result
        })
    }
}

impl Word for ModelWord {
    type Error = ();

    fn load(&self, order: Ordering) -> u32 {
        if !self.process.step() {
            return 0;
        }
        if order == Ordering::SeqCst {
            fence(Ordering::SeqCst);
        }
        self.value().load(order)
    }

    fn store(&self, value: u32, order: Ordering) {
        self.write(order, |word, order| word.store(value, order));
    }

    fn swap(&self, value: u32, order: Ordering) -> u32 {
        self.write(order, |word, order| word.swap(value, order))
            .unwrap_or(0)
    }

    fn fetch_add(&self, value: u32, order: Ordering) -> u32 {
        self.write(order, |word, order| word.fetch_add(value, order))
            .unwrap_or(0)
    }

    fn fetch_sub(&self, value: u32, order: Ordering) -> u32 {
        self.write(order, |word, order| word.fetch_sub(value, order))
            .unwrap_or(0)
    }

    fn fetch_and(&self, value: u32, order: Ordering) -> u32 {
        self.write(order, |word, order| word.fetch_and(value, order))
            .unwrap_or(0)
    }

    fn fetch_or(&self, value: u32, order: Ordering) -> u32 {
        self.write(order, |word, order| word.fetch_or(value, order))
            .unwrap_or(0)
    }

    fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u32, u32> {
        let exchange = |word: &AtomicU32, success| word.compare_exchange(current, new, success, failure);
        let Some(result) = self.write(success, exchange) else {
            return Ok(current);
        };
        if result.is_ok() {
            self.process.exchanges.set(self.process.exchanges.get() + 1);
        }
        result
    }

    fn wait(&self, expected: u32, deadline: Deadline) -> Result<Waited, ()> {
        if !self.process.step() {
            return Ok(Waited::Changed);
        }
        Ok(self.process.kernel.wait(&[(self.index, expected)], deadline))
    }

    fn wake(&self, count: u32) -> Result<u32, ()> {
        if !self.process.step() {
            return Ok(0);
        }
        Ok(self.process.kernel.wake(self.index, count))
    }

    fn wake_one_requeue_all(&self, expected: u32, to: &Self) -> Result<bool, ()> {
        if !self.process.step() {
            return Ok(true);
        }
        Ok(self.process.kernel.requeue(self.index, expected, to.index))
    }
}

/// Runs a case in every order, or in every one with at most so many preemptions, and tells how many that were.
pub(crate) fn check(name: &str, preemptions: Option<usize>, case: impl Fn() + Sync + Send + 'static) {
    let runs = explore(preemptions, case);
    println!("{name}: {runs} orders");
}

fn explore(preemptions: Option<usize>, case: impl Fn() + Sync + Send + 'static) -> usize {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        case();
    });
    runs.load(Ordering::Relaxed)
}

/// Runs a case that kills a process before access 0, 1, 2, ... until it does not live to be killed.
pub(crate) fn check_deaths(
    name: &str,
    preemptions: Option<usize>,
    case: impl Fn(usize) + Clone + Sync + Send + 'static,
) {
    let mut runs = 0;
    for at in 0.. {
        DEATHS.with(|deaths| deaths.set(0));
        let case = case.clone();
        runs += explore(preemptions, move || case(at));
        if DEATHS.with(Cell::get) == 0 {
            println!("{name}: {runs} orders, of deaths before access 0 to {}", at - 1);
            assert!(at > 0, "nobody died");
            return;
        }
    }
}

/// Runs what a process does in a thread of its own.
pub(crate) fn spawn<R: 'static>(run: impl FnOnce() -> R + 'static) -> thread::JoinHandle<R> {
    thread::spawn(run)
}
