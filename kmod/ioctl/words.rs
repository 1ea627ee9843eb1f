// SPDX-License-Identifier: GPL-2.0

//! The ioctls that are about words: waiting, waking, what the kernel does with them when a process
//! dies, and eventfds.

use super::{
    deadline,
    Argument, //
};
use crate::{
    eventfds::Event,
    handle::Handle,
    missing::{
        eventfd::EventFd,
        gfp::GFP_MAY_FAIL, //
    },
    robust::RobustWord,
    segment::Segment,
    uapi, //
};
use core::mem::MaybeUninit;
use kernel::{
    ffi::c_int,
    prelude::*,
    sync::ArcBorrow, //
};

/// The segment of a word, which lies within it and which the handle reaches for those accesses, of
/// `uapi::ACCESS_*`. Fails with `EINVAL` and `EACCES`.
#[inline]
fn word(handle: &Handle, offset: u64, access: u32) -> Result<&Segment> {
    let segment = handle.segment()?;
    let range = segment.range(offset, uapi::WORD_SIZE)?;
    if offset & (uapi::WORD_SIZE - 1) != 0 {
        return Err(EINVAL);
    }
    handle.reach.check(access, range.start, range.end)?;
    Ok(segment)
}

/// Fails with `EINVAL` unless it is a number of tasks that a call can return.
fn check_count(count: u32) -> Result {
    c_int::try_from(count).map_or(Err(EINVAL), |_| Ok(()))
}

pub(super) fn wait(handle: &Handle, arg: &uapi::Wait) -> Result {
    wait_then(handle, arg, |_| {})
}

/// `then` is called when no wake-up would be missed any more.
fn wait_then(handle: &Handle, arg: &uapi::Wait, then: impl FnOnce(&Segment)) -> Result {
    if arg.flags != 0 {
        return Err(EINVAL);
    }
    let deadline = deadline(arg.deadline_ns)?;
    let segment = word(handle, arg.offset, uapi::ACCESS_READ)?;
    let on = uapi::WaitWord {
        offset: arg.offset,
        expected: arg.expected,
        flags: 0,
    };
    let words = &handle.device.words;
    let token = handle.token.get();
    words
        .wait(segment, token, &[on], deadline, || then(segment))
        .map(drop)
}

pub(super) fn waitv(handle: &Handle, argument: Argument) -> Result<c_int> {
    let mut reader = argument.slice::<uapi::Waitv>().reader();
    let deadline_ns: u64 = reader.read()?;
    let count: u32 = reader.read()?;
    let flags: u32 = reader.read()?;
    let count = usize::try_from(count)?;
    if flags != 0 || !(1..=uapi::WAITV_MAX).contains(&count) {
        return Err(EINVAL);
    }
    let deadline = deadline(deadline_ns)?;
    let mut on = KVec::with_capacity(count, GFP_MAY_FAIL)?;
    for _ in 0..count {
        let one: uapi::WaitWord = reader.read()?;
        on.push_within_capacity(one).map_err(|_| ENOMEM)?;
    }
    if on.iter().any(|one| one.flags != 0) {
        return Err(EINVAL);
    }
    for one in on.iter() {
        word(handle, one.offset, uapi::ACCESS_READ)?;
    }
    let segment = handle.segment()?;
    let words = &handle.device.words;
    let index = words.wait(segment, handle.token.get(), &on, deadline, || {})?;
    Ok(c_int::try_from(index)?)
}

#[inline(never)]
pub(super) fn wake(handle: &Handle, argument: Argument) -> Result<c_int> {
    let mut place = MaybeUninit::uninit();
    let arg: &uapi::Wake = argument.read_words(&mut place)?;
    let segment = check_wake(handle, arg)?;
    let woken = handle.device.words.wake(segment, arg.offset, arg.count);
    Ok(c_int::try_from(woken)?)
}

#[inline]
fn check_wake<'a>(handle: &'a Handle, arg: &uapi::Wake) -> Result<&'a Segment> {
    check_count(arg.count)?;
    if arg.flags != 0 {
        return Err(EINVAL);
    }
    word(handle, arg.offset, uapi::ACCESS_WRITE)
}

pub(super) fn wake_wait(handle: &Handle, arg: &uapi::WakeWait) -> Result {
    let (wake, wait) = (&arg.wake, &arg.wait);
    check_wake(handle, wake)?;
    if wake.offset == wait.offset {
        return Err(EINVAL);
    }
    let waited = wait_then(handle, wait, |segment| {
        handle.device.words.wake(segment, wake.offset, wake.count);
    });
    // Called again it would wake others.
    waited.map_err(|error| if error == ERESTARTSYS { EINTR } else { error })
}

pub(super) fn requeue(handle: &Handle, arg: &uapi::Requeue) -> Result<c_int> {
    check_count(arg.wake)?;
    check_count(arg.requeue)?;
    if arg.flags != 0 || arg.from == arg.to {
        return Err(EINVAL);
    }
    let both = uapi::ACCESS_READ | uapi::ACCESS_WRITE;
    word(handle, arg.to, both)?;
    let segment = word(handle, arg.from, both)?;
    let words = &handle.device.words;
    let count = words.requeue(
        segment,
        arg.from,
        arg.expected,
        arg.wake,
        arg.to,
        arg.requeue,
    )?;
    Ok(c_int::try_from(count).unwrap_or(c_int::MAX))
}

fn robust_word(arg: &uapi::Robust) -> Result<RobustWord> {
    if arg.flags & !uapi::ROBUST_WAKE_ONLY != 0 || arg.reserved != 0 {
        return Err(EINVAL);
    }
    Ok(RobustWord {
        offset: arg.offset,
        wake_only: arg.flags & uapi::ROBUST_WAKE_ONLY != 0,
    })
}

pub(super) fn robust_add(handle: ArcBorrow<'_, Handle>, arg: &uapi::Robust) -> Result {
    let robust = robust_word(arg)?;
    let segment = word(&handle, arg.offset, uapi::ACCESS_WRITE)?;
    Handle::watch_current_process(handle)?;
    let limit = handle.device.max_robust;
    handle.robust_words().add(segment, robust, limit)
}

pub(super) fn robust_del(handle: &Handle, arg: &uapi::Robust) -> Result {
    let robust = robust_word(arg)?;
    let segment = handle.attached().ok_or(ENOENT)?;
    handle.robust_words().remove(segment, robust)
}

/// What the eventfd is, and for what. Fails with `EINVAL` and `EBADF`.
fn eventfd(arg: &uapi::Eventfd) -> Result<(Event, EventFd)> {
    let event = match arg.flags {
        0 => Event::Wake(arg.offset),
        uapi::EVENTFD_GENERATION if arg.offset == 0 => Event::Generation,
        _ => return Err(EINVAL),
    };
    Ok((event, EventFd::from_descriptor(arg.fd)?))
}

pub(super) fn eventfd_add(handle: &Handle, arg: &uapi::Eventfd) -> Result {
    let (event, eventfd) = eventfd(arg)?;
    let segment = match event {
        Event::Wake(offset) => word(handle, offset, uapi::ACCESS_READ)?,
        Event::Generation if handle.reach.reads() => handle.segment()?,
        Event::Generation => return Err(EACCES),
    };
    let token = handle.token.get();
    segment.eventfds().add(event, token, eventfd)
}

pub(super) fn eventfd_del(handle: &Handle, arg: &uapi::Eventfd) -> Result {
    let (event, eventfd) = eventfd(arg)?;
    let segment = handle.attached().ok_or(ENOENT)?;
    let token = handle.token.get();
    segment.eventfds().remove(event, token, &eventfd)
}
