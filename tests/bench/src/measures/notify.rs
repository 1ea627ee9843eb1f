// SPDX-License-Identifier: MIT OR Apache-2.0

//! From something new to the return of `epoll_wait` that tells of it.
//!
//! In one process, and without what comes before and after: what is told of is taken note of after each operation, so that
//! the next one is news again.

use std::os::fd::AsFd;
use std::rc::Rc;

use anyhow::{Result, ensure};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::unistd::{pipe, read, write};
use shmdev::{Access, Deadline, Signal};

use super::segments::Named;
use crate::clock;
use crate::run::{Batch, Plan, Run, repeat_timed, subject};

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    let subjects = vec![
        subject("shmdev, end of a range", by_range),
        subject("shmdev, write", by_write),
        subject("shmdev, write, by an eventfd", by_signalled_eventfd),
        subject("eventfd", by_eventfd),
        subject("pipe", by_pipe),
    ];
    run.measure("notify", Plan::of(100), subjects)
}

/// `before` is not counted, nor is `after`.
fn told_of(
    source: impl AsFd,
    mut before: impl FnMut() -> Result<()> + 'static,
    mut news: impl FnMut() -> Result<()> + 'static,
    mut after: impl FnMut() -> Result<()> + 'static,
) -> Result<Batch> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(source, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let mut events = [EpollEvent::empty()];
    repeat_timed(move || {
        before()?;
        let start = clock::now();
        news()?;
        let told = epoll.wait(&mut events, EpollTimeout::NONE)?;
        let cost = clock::now() - start;
        ensure!(told == 1, "epoll_wait told of {told} events");
        after()?;
        let more = epoll.wait(&mut events, EpollTimeout::ZERO)?;
        ensure!(more == 0, "what is told of is told of again");
        Ok(cost)
    })
}

fn by_range() -> Result<Batch> {
    let named = Named::create(4096)?;
    let writer = Rc::new(named.open()?);
    let ending = Rc::clone(&writer);
    let reader = Rc::new(named.open()?);
    let held = shmdev::HeldRange {
        offset: 0,
        len: 64,
        access: Access::Write,
    };
    let begin = move || {
        let range = writer.begin_write(0..64, Deadline::Never)?.into_range();
        ensure!(range == held, "another range is held");
        Ok(())
    };
    let end = move || {
        ending.end(held)?;
        Ok(())
    };
    let source = Rc::clone(&reader);
    told_of(source.as_fd(), begin, end, move || {
        let _ = &named;
        reader.stat()?;
        Ok(())
    })
}

fn by_write() -> Result<Batch> {
    let named = Named::create(4096)?;
    let writer = named.open()?;
    let reader = Rc::new(named.open()?);
    let source = Rc::clone(&reader);
    let news = move || {
        writer.write_at(&[1; 8], 0)?;
        Ok(())
    };
    told_of(source.as_fd(), nothing, news, move || {
        let _ = &named;
        reader.stat()?;
        Ok(())
    })
}

fn by_signalled_eventfd() -> Result<Batch> {
    let named = Named::create(4096)?;
    let writer = named.open()?;
    let reader = named.open()?;
    let event = Rc::new(EventFd::new()?);
    reader.add_eventfd(Signal::Generation, event.as_fd())?;
    let source = Rc::clone(&event);
    let news = move || {
        writer.write_at(&[1; 8], 0)?;
        Ok(())
    };
    told_of(source.as_fd(), nothing, news, move || {
        let _ = (&named, &reader);
        event.read()?;
        Ok(())
    })
}

fn by_eventfd() -> Result<Batch> {
    let event = Rc::new(EventFd::new()?);
    let (source, writer) = (Rc::clone(&event), Rc::clone(&event));
    let news = move || {
        writer.write(1)?;
        Ok(())
    };
    told_of(source.as_fd(), nothing, news, move || {
        event.read()?;
        Ok(())
    })
}

fn by_pipe() -> Result<Batch> {
    let (end, beginning) = pipe()?;
    let end = Rc::new(end);
    let source = Rc::clone(&end);
    let news = move || {
        write(&beginning, &[1; 8])?;
        Ok(())
    };
    told_of(source.as_fd(), nothing, news, move || {
        read(&*end, &mut [0; 8])?;
        Ok(())
    })
}

fn nothing() -> Result<()> {
    Ok(())
}
