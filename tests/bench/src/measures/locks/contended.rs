// SPDX-License-Identifier: MIT OR Apache-2.0

//! A lock that several processes want. Whoever has it offers the processor to others before giving it back, so that they
//! find it taken also where there is one processor: without that they would hardly ever meet.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc::{F_UNLCK, F_WRLCK, SEM_UNDO};
use nix::sched::sched_yield;
use nix::sys::stat::Mode;
use shmdev::sync::{LockError, Mutex};
use shmdev::{Area, Deadline};

use crate::clock;
use crate::measures::peers::PosixShm;
use crate::measures::segments::{Named, fresh_name};
use crate::run::{Batch, Plan, Run, Subject, subject};
use crate::sys::ipc::{SysvSemaphore, futex_wait, futex_wake, whole_file};
use crate::sys::memory::Region;
use crate::sys::mutex::RobustMutex;
use crate::sys::process::Child;

/// Takes the lock, yields, and gives it back.
type Turn = Box<dyn FnMut() -> Result<()>>;

pub(super) fn all(run: &mut Run) -> Result<()> {
    for processes in 1..=8 {
        let plan = Plan {
            starts: 2,
            batches: 3,
            operations: 30,
        };
        run.point("lock_contended", u64::from(processes), plan, subjects(processes))?;
    }
    Ok(())
}

fn subjects(processes: u32) -> Vec<Subject> {
    vec![
        subject("shmdev Mutex", move || {
            let named = Rc::new(Named::create(4096)?);
            contend(processes, move || shmdev_mutex(&named))
        }),
        subject("shmdev SYNC", move || {
            let named = Rc::new(Named::create(4096)?);
            contend(processes, move || shmdev_sync(&named))
        }),
        subject("pthread robust mutex", move || {
            let mutex = Rc::new(RobustMutex::new()?);
            contend(processes, move || {
                let mutex = Rc::clone(&mutex);
                Ok(Box::new(move || {
                    mutex.lock()?;
                    sched_yield()?;
                    mutex.unlock()
                }))
            })
        }),
        subject("OFD lock", move || {
            let shm = Rc::new(PosixShm::create(fresh_name(), 4096)?);
            contend(processes, move || ofd_lock(&shm))
        }),
        subject("SysV semaphore, undone at exit", move || {
            let semaphore = Rc::new(SysvSemaphore::new(1)?);
            contend(processes, move || {
                let semaphore = Rc::clone(&semaphore);
                Ok(Box::new(move || {
                    semaphore.change(-1, SEM_UNDO)?;
                    sched_yield()?;
                    semaphore.change(1, SEM_UNDO)
                }))
            })
        }),
    ]
}

fn shmdev_mutex(named: &Named) -> Result<Turn> {
    let mutex = Mutex::<()>::at(&Area::new(named.open()?)?, 0)?;
    Ok(Box::new(move || {
        let guard = mutex.lock().map_err(LockError::without_guard)?;
        sched_yield()?;
        drop(guard);
        Ok(())
    }))
}

fn shmdev_sync(named: &Named) -> Result<Turn> {
    let segment = named.open()?;
    Ok(Box::new(move || {
        let guard = segment.begin_write(0..64, Deadline::Never)?;
        sched_yield()?;
        guard.end()?;
        Ok(())
    }))
}

/// Each process has a description of the file of its own, as the locks belong to those.
fn ofd_lock(shm: &PosixShm) -> Result<Turn> {
    let file: OwnedFd = open(shm.path().as_str(), OFlag::O_RDWR, Mode::empty()).context("open")?;
    Ok(Box::new(move || {
        fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file(F_WRLCK)))?;
        sched_yield()?;
        fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(F_UNLCK)))?;
        Ok(())
    }))
}

/// Indices of words by which the processes of a batch are told to begin, and tell that they have ended.
const GO: usize = 0;
const TURNS: usize = 16;
const LEFT: usize = 32;

/// A batch in which so many processes take turns, so many times each. Each makes its own way to the lock.
fn contend(processes: u32, prepare: impl Fn() -> Result<Turn> + 'static) -> Result<Batch> {
    let words = Rc::new(Region::inherited(4096)?);
    words.word(LEFT).store(processes, Ordering::Relaxed);
    let children = (0..processes)
        .map(|_| {
            let words = Rc::clone(&words);
            Child::fork(|| work(&words, &mut *prepare()?))
        })
        .collect::<Result<Vec<_>>>()?;
    all_ended(&words)?;
    Ok(Box::new(move |count| {
        // What the processes share is there until they are gone.
        let _ = (&children, &prepare);
        words.word(LEFT).store(processes, Ordering::Relaxed);
        words.word(TURNS).store(count, Ordering::Relaxed);
        let start = clock::now();
        words.word(GO).fetch_add(1, Ordering::Release);
        futex_wake(words.word(GO), i32::MAX)?;
        all_ended(&words)?;
        Ok((clock::now() - start) / u64::from(processes))
    }))
}

fn work(words: &Region, turn: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let mut seen = words.word(GO).load(Ordering::Acquire);
    loop {
        if words.word(LEFT).fetch_sub(1, Ordering::Release) == 1 {
            futex_wake(words.word(LEFT), 1)?;
        }
        while words.word(GO).load(Ordering::Acquire) == seen {
            futex_wait(words.word(GO), seen)?;
        }
        seen = words.word(GO).load(Ordering::Acquire);
        for _ in 0..words.word(TURNS).load(Ordering::Relaxed) {
            turn()?;
        }
    }
}

fn all_ended(words: &Region) -> Result<()> {
    loop {
        match words.word(LEFT).load(Ordering::Acquire) {
            0 => return Ok(()),
            left => futex_wait(words.word(LEFT), left)?,
        }
    }
}
