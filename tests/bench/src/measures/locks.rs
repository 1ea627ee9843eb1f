// SPDX-License-Identifier: MIT OR Apache-2.0

//! Locks: nobody else wants them, or everybody does.

mod contended;

use anyhow::Result;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_UNLCK, F_WRLCK, SEM_UNDO};
use shmdev::sync::{LockError, Mutex};
use shmdev::{Area, Deadline};

use super::peers;
use super::segments::Named;
use crate::run::{Batch, Plan, Run, repeat, subject};
use crate::sys::ipc::{SysvSemaphore, whole_file};
use crate::sys::mutex::RobustMutex;

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    let subjects = vec![
        subject("shmdev", || {
            let named = Named::create(4096)?;
            let mutex = Mutex::<()>::at(&Area::new(named.open()?)?, 0)?;
            repeat(move || {
                let _ = &named;
                drop(mutex.lock().map_err(LockError::without_guard)?);
                Ok(())
            })
        }),
        subject("pthread robust mutex", || {
            let mutex = RobustMutex::new()?;
            repeat(move || {
                mutex.lock()?;
                mutex.unlock()
            })
        }),
        subject("SysV semaphore", || semaphore(0)),
        subject("SysV semaphore, undone at exit", || semaphore(SEM_UNDO)),
    ];
    run.measure("mutex", Plan::of(500), subjects)?;

    let subjects = vec![
        subject("shmdev", || {
            let named = Named::create(4096)?;
            let segment = named.open()?;
            repeat(move || {
                let _ = &named;
                segment.begin_write(0..64, Deadline::Never)?.end()?;
                Ok(())
            })
        }),
        subject("OFD lock", || {
            let file = peers::memfd(4096)?;
            repeat(move || {
                fcntl(&file, FcntlArg::F_OFD_SETLKW(&whole_file(F_WRLCK)))?;
                fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(F_UNLCK)))?;
                Ok(())
            })
        }),
    ];
    run.measure("sync_range", Plan::of(100), subjects)?;
    contended::all(run)
}

fn semaphore(flags: i32) -> Result<Batch> {
    let semaphore = SysvSemaphore::new(1)?;
    repeat(move || {
        semaphore.change(-1, flags)?;
        semaphore.change(1, flags)
    })
}
