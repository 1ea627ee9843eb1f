// SPDX-License-Identifier: MIT OR Apache-2.0

//! There and back between two processes that sleep in between.
//!
//! On one processor a round trip has two modes, some 15 % apart: who is woken runs when who woke it goes to sleep, so that
//! both sleep each time; or it runs at once, and answers before the other has gone to sleep. Left alone, which of them it
//! is follows from how much each process had run when they met. Here the scheduler is told, and both are measured.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use nix::mqueue::{MQ_OFlag, MqAttr, MqdT, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::eventfd::EventFd;
use nix::sys::stat::Mode;
use nix::unistd::{pipe, read, write};

use super::iceoryx;
use super::peers::socket_pair;
use super::segments::fresh_name;
use super::words::{Futexes, Ours, Words};
use crate::run::{Batch, Plan, Run, Subject, repeat, subject};
use crate::sys::ipc::SysvSemaphore;
use crate::sys::process::{Child, run_at_once};

/// Index of the word by which the other process is told.
const THERE: usize = 0;
/// Index of the word by which it tells; of another cache line.
const BACK: usize = 32;

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    run.measure("round_trip", Plan::met_anew(50), subjects(Meeting::InTurn))?;
    run.measure(
        "round_trip_at_once",
        Plan::met_anew(50),
        subjects(Meeting::AtOnce),
    )
}

fn subjects(meeting: Meeting) -> Vec<Subject> {
    vec![
        subject("shmdev", move || by_words(Ours::new()?, meeting)),
        subject("shmdev wake and wait", move || by_one_call(meeting)),
        subject("futex", move || by_words(Futexes::new()?, meeting)),
        subject("eventfd", move || {
            let (there, back) = (Rc::new(EventFd::new()?), Rc::new(EventFd::new()?));
            between(
                meeting,
                Ends {
                    send: signal_eventfd(&there),
                    receive: await_eventfd(&back),
                },
                Ends {
                    send: signal_eventfd(&back),
                    receive: await_eventfd(&there),
                },
            )
        }),
        subject("pipe", move || {
            let ((there_out, there_in), (back_out, back_in)) = (pipe()?, pipe()?);
            between(
                meeting,
                by_file(there_in, back_out)?,
                by_file(back_in, there_out)?,
            )
        }),
        subject("Unix socket", move || {
            let (near, far) = socket_pair()?;
            between(
                meeting,
                by_file(near.try_clone()?, near)?,
                by_file(far.try_clone()?, far)?,
            )
        }),
        subject("POSIX mq", move || {
            let (there, back) = (Queue::new(1)?, Queue::new(1)?);
            between(meeting, by_queues(&there, &back), by_queues(&back, &there))
        }),
        subject("SysV semaphore", move || {
            let (there, back) = (Rc::new(SysvSemaphore::new(0)?), Rc::new(SysvSemaphore::new(0)?));
            between(
                meeting,
                by_semaphores(&there, &back),
                by_semaphores(&back, &there),
            )
        }),
        subject("iceoryx2 event", move || iceoryx::round_trip(meeting)),
    ]
}

/// When the other process runs.
#[derive(Clone, Copy, Debug)]
pub enum Meeting {
    /// When this one sleeps.
    InTurn,
    /// As soon as it is woken.
    AtOnce,
}

impl Meeting {
    /// To be called by the other process. All run in turn unless they say something else.
    pub fn begin(self) -> Result<()> {
        match self {
            Self::InTurn => Ok(()),
            Self::AtOnce => run_at_once(),
        }
    }
}

type Step = Box<dyn FnMut() -> Result<()>>;

/// What one of the two processes does.
struct Ends {
    send: Step,
    receive: Step,
}

fn between(meeting: Meeting, mut near: Ends, mut far: Ends) -> Result<Batch> {
    let child = Child::fork(|| {
        meeting.begin()?;
        loop {
            (far.receive)()?;
            (far.send)()?;
        }
    })?;
    repeat(move || {
        let _ = (&child, &far.send);
        (near.send)()?;
        (near.receive)()
    })
}

fn by_words<W: Words + 'static>(words: W, meeting: Meeting) -> Result<Batch> {
    let child = Child::fork(|| {
        meeting.begin()?;
        let words = words.for_another()?;
        let mut seen = 0;
        loop {
            seen = words.await_signal(THERE, seen)?;
            words.signal(BACK)?;
        }
    })?;
    let mut seen = 0;
    repeat(move || {
        let _ = &child;
        words.signal(THERE)?;
        seen = words.await_signal(BACK, seen)?;
        Ok(())
    })
}

fn by_one_call(meeting: Meeting) -> Result<Batch> {
    let words = Ours::new()?;
    let child = Child::fork(|| {
        meeting.begin()?;
        let words = words.for_another()?;
        let mut seen = words.await_signal(THERE, 0)?;
        loop {
            seen = words.signal_and_await(BACK, THERE, seen)?;
        }
    })?;
    let mut seen = 0;
    repeat(move || {
        let _ = &child;
        seen = words.signal_and_await(THERE, BACK, seen)?;
        Ok(())
    })
}

fn signal_eventfd(event: &Rc<EventFd>) -> Step {
    let event = Rc::clone(event);
    Box::new(move || {
        event.write(1)?;
        Ok(())
    })
}

fn await_eventfd(event: &Rc<EventFd>) -> Step {
    let event = Rc::clone(event);
    Box::new(move || {
        event.read()?;
        Ok(())
    })
}

/// A byte each way.
fn by_file(to: OwnedFd, from: OwnedFd) -> Result<Ends> {
    Ok(Ends {
        send: Box::new(move || {
            ensure!(write(&to, &[1])? == 1, "a byte was not written");
            Ok(())
        }),
        receive: Box::new(move || {
            ensure!(read(&from, &mut [0])? == 1, "a byte was not read");
            Ok(())
        }),
    })
}

fn by_semaphores(to: &Rc<SysvSemaphore>, from: &Rc<SysvSemaphore>) -> Ends {
    let (to, from) = (Rc::clone(to), Rc::clone(from));
    Ends {
        send: Box::new(move || to.change(1, 0)),
        receive: Box::new(move || from.change(-1, 0)),
    }
}

fn by_queues(to: &Rc<Queue>, from: &Rc<Queue>) -> Ends {
    let (to, from) = (Rc::clone(to), Rc::clone(from));
    Ends {
        send: Box::new(move || to.send(&[1])),
        receive: Box::new(move || from.receive(&mut [0])),
    }
}

/// A queue of POSIX messages, without a name.
#[derive(Debug)]
pub struct Queue(MqdT);

impl Queue {
    /// Of messages of up to `len` bytes, four at a time.
    pub fn new(len: usize) -> Result<Rc<Self>> {
        let name = format!("/{}", fresh_name());
        let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_EXCL | MQ_OFlag::O_RDWR;
        let attributes = MqAttr::new(0, 4, len as i64, 0);
        let queue = mq_open(
            name.as_str(),
            flags,
            Mode::S_IRUSR | Mode::S_IWUSR,
            Some(&attributes),
        )
        .context("mq_open")?;
        mq_unlink(name.as_str()).context("mq_unlink")?;
        Ok(Rc::new(Self(queue)))
    }

    pub fn send(&self, message: &[u8]) -> Result<()> {
        Ok(mq_send(&self.0, message, 0)?)
    }

    /// A message as long as `into`.
    pub fn receive(&self, into: &mut [u8]) -> Result<()> {
        let mut priority = 0;
        let len = mq_receive(&self.0, into, &mut priority)?;
        ensure!(len == into.len(), "a message has {len} bytes");
        Ok(())
    }
}
