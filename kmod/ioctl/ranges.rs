// SPDX-License-Identifier: GPL-2.0

//! The ioctl that begins and ends accesses to byte ranges.

use super::{
    deadline,
    Argument, //
};
use crate::{
    handle::Handle,
    range_locks::Requester,
    sync::ranges::{
        Access,
        Range,
        Request, //
    },
    uapi, //
};
use core::mem::{
    offset_of,
    MaybeUninit, //
};
use kernel::{
    ffi::c_int,
    prelude::*,
    sync::ArcBorrow, //
};

#[inline(never)]
pub(super) fn sync(handle: ArcBorrow<'_, Handle>, argument: Argument) -> Result<c_int> {
    let mut place = MaybeUninit::uninit();
    let arg: &uapi::SyncRange = argument.read_words(&mut place)?;
    let access = match arg.access {
        uapi::ACCESS_READ => Access::Read,
        uapi::ACCESS_WRITE => Access::Write,
        _ => return Err(EINVAL),
    };
    if arg.flags != 0 {
        return Err(EINVAL);
    }
    match arg.op {
        uapi::SYNC_BEGIN => sync_begin(handle, access, arg, argument)?,
        uapi::SYNC_END => sync_end(&handle, access, arg, argument)?,
        _ => return Err(EINVAL),
    }
    Ok(0)
}

fn sync_begin(
    handle: ArcBorrow<'_, Handle>,
    access: Access,
    arg: &uapi::SyncRange,
    argument: Argument,
) -> Result {
    let segment = handle.segment()?;
    let range = segment.range(arg.offset, arg.len)?;
    let deadline = match arg.deadline_ns {
        uapi::DEADLINE_NOW => None,
        ns => Some(deadline(ns)?),
    };
    handle.reach.check(arg.access, range.start, range.end)?;
    let request = Request {
        owner: handle.token.get(),
        process: Requester::current(Handle::watch_current_process(handle)?),
        range,
        access,
    };
    let limit = handle.device.max_ranges;
    let granted = segment.locks().begin(request, deadline, limit)?;
    let generation = segment.generation();
    let status = if granted.owner_died {
        uapi::STATUS_OWNER_DIED
    } else {
        0
    };
    // It may have been narrowed meanwhile.
    let reached = if granted.waited {
        handle.reach.check(arg.access, range.start, range.end)
    } else {
        Ok(())
    };
    let result = reached.and_then(|()| return_sync(argument, arg, generation, status));
    if let Err(error) = result {
        segment.locks().withdraw(request, granted);
        return Err(error);
    }
    handle.seen.set(generation);
    Ok(())
}

/// Writes what [`uapi::SyncRange`] returns, as far as it is not there already.
#[inline(always)]
fn return_sync(
    argument: Argument,
    taken: &uapi::SyncRange,
    generation: u64,
    status: u32,
) -> Result {
    argument
        .field(offset_of!(uapi::SyncRange, generation))
        .write_word(generation)?;
    if status != taken.status {
        argument
            .field(offset_of!(uapi::SyncRange, status))
            .write(&status)?;
    }
    Ok(())
}

fn sync_end(handle: &Handle, access: Access, arg: &uapi::SyncRange, argument: Argument) -> Result {
    let segment = handle.segment()?;
    let range = Range::new(arg.offset, arg.len)?;
    if arg.deadline_ns != 0 {
        return Err(EINVAL);
    }
    let generation = segment.end(handle.token.get(), &handle.seen, range, access)?;
    return_sync(argument, arg, generation, 0)?;
    if access == Access::Read {
        handle.seen.set(generation);
    }
    Ok(())
}
