// SPDX-License-Identifier: GPL-2.0

//! The ioctls: what each takes, what it checks, and what it returns. `docs/abi.md` is the contract.
//!
//! Every structure is read once, and nothing is locked while user memory is touched.

use crate::{
    handle::Handle,
    missing::{
        creds::{
            Kgid,
            Kuid, //
        },
        gfp::GFP_MAY_FAIL,
        miscdev::Siblings,
        pages::MapMode,
        parameters::Limits,
        park::Deadline,
        user, //
    },
    name::Name,
    namespace::{
        Attacher,
        Creation, //
    },
    reach::Reach,
    segment::{
        map_flag,
        Change,
        Segment, //
    },
    target::Selector,
    uapi, //
};
use core::mem::MaybeUninit;
use kernel::{
    ffi::c_int,
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    transmute::{
        AsBytes,
        FromBytes, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

mod ranges;
mod words;

/// The structure of a call, in user memory.
#[derive(Clone, Copy)]
struct Argument(usize);

impl Argument {
    fn slice<T>(self) -> UserSlice {
        UserSlice::new(UserPtr::from_addr(self.0), size_of::<T>())
    }

    fn read<T: FromBytes>(self) -> Result<T> {
        self.slice::<T>().reader().read()
    }

    fn write<T: AsBytes>(self, value: &T) -> Result {
        self.slice::<T>().writer().write(value)
    }

    /// What lies so many bytes from the start.
    fn field(self, offset: usize) -> Self {
        Self(self.0.wrapping_add(offset))
    }

    /// As [`read`](Self::read), for what is called most often.
    fn read_words<T: FromBytes>(self, place: &mut MaybeUninit<T>) -> Result<&T> {
        user::read(self.0, place)
    }

    /// So, too, as [`write`](Self::write).
    fn write_word(self, word: u64) -> Result {
        user::write(self.0, word)
    }
}

/// Calls what `command` names. Returns what the call returns, if it succeeds.
pub(crate) fn dispatch(
    handle: ArcBorrow<'_, Handle>,
    siblings: &Siblings<Handle>,
    command: u32,
    argument: usize,
) -> Result<c_int> {
    let argument = Argument(argument);
    match command {
        // What is called most often stays free of what the others need.
        uapi::IOC_WAKE => words::wake(&handle, argument),
        uapi::IOC_SYNC => ranges::sync(handle, argument),
        _ => dispatch_others(handle, siblings, command, argument),
    }
}

#[inline(never)]
fn dispatch_others(
    handle: ArcBorrow<'_, Handle>,
    siblings: &Siblings<Handle>,
    command: u32,
    argument: Argument,
) -> Result<c_int> {
    let done = match command {
        uapi::IOC_WAIT => words::wait(&handle, argument.read_words(&mut MaybeUninit::uninit())?),
        uapi::IOC_WAKE_WAIT => {
            words::wake_wait(&handle, argument.read_words(&mut MaybeUninit::uninit())?)
        }
        uapi::IOC_WAITV => return words::waitv(&handle, argument),
        uapi::IOC_REQUEUE => return words::requeue(&handle, &argument.read()?),
        uapi::IOC_ROBUST_ADD => words::robust_add(handle, &argument.read()?),
        uapi::IOC_ROBUST_DEL => words::robust_del(&handle, &argument.read()?),
        uapi::IOC_EVENTFD_ADD => words::eventfd_add(&handle, &argument.read()?),
        uapi::IOC_EVENTFD_DEL => words::eventfd_del(&handle, &argument.read()?),
        uapi::IOC_INFO => argument.write(&info(&handle)),
        uapi::IOC_STAT => stat(&handle, argument),
        uapi::IOC_CREATE => create(&handle, argument),
        uapi::IOC_OPEN => open(&handle, siblings, argument),
        uapi::IOC_SET => set(&handle, &argument.read()?),
        uapi::IOC_RESIZE => resize(&handle, &argument.read()?),
        uapi::IOC_REMOVE => remove(&handle, &argument.read()?),
        uapi::IOC_LIST => list(&handle, argument),
        uapi::IOC_RESTRICT => restrict(&handle, &argument.read()?),
        _ => Err(ENOTTY),
    };
    done.map(|()| 0)
}

fn info(handle: &Handle) -> uapi::Info {
    let registry = &handle.device.registry;
    let limits = Limits::now();
    let used = registry.usage().look(Kuid::current_effective());
    uapi::Info {
        abi_version: uapi::ABI_VERSION,
        page_size: PAGE_SIZE as u32,
        features: uapi::FEATURE_SYNC
            | uapi::FEATURE_POLL
            | uapi::FEATURE_SEGMENTS
            | uapi::FEATURE_RESTRICT
            | uapi::FEATURE_WAIT
            | uapi::FEATURE_WAITV
            | uapi::FEATURE_ROBUST
            | uapi::FEATURE_EVENTFD
            | uapi::FEATURE_MAP,
        default_size: registry.default_size(),
        token: handle.token.get(),
        max_ranges: handle.device.max_ranges,
        max_segments: limits.segments,
        max_segment_bytes: limits.segment_bytes,
        max_total_bytes: limits.total_bytes,
        max_bytes_per_uid: limits.user_bytes,
        segments: used.segments,
        total_bytes: used.bytes,
        uid_bytes: used.user_bytes,
        window_start: handle.reach.start(),
        window_end: handle.reach.end().unwrap_or(u64::MAX),
        access: handle.reach.access(),
        restricted: handle.reach.is_restricted().into(),
        max_robust: handle.device.max_robust,
        default_map: map_flag(handle.namespace.default_map()),
        ..uapi::Info::default()
    }
}

/// The segment that the caller wants to change or remove.
///
/// Fails with `EINVAL`, also for the default segment, `ENAMETOOLONG`, `ENOENT`, `EIDRM`, `EACCES` and
/// `EPERM`.
fn managed(handle: &Handle, target: &uapi::Target) -> Result<Arc<Segment>> {
    let selector = Selector::parse(target)?;
    if handle.reach.is_restricted() {
        return Err(EACCES);
    }
    let segment = match selector {
        // Without one it would be the default one, for which this is the error, too.
        Selector::Handle => handle.attached().ok_or(EINVAL)?.clone(),
        other => handle.namespace.find_for_all(&other)?,
    };
    if segment.is_default() {
        return Err(EINVAL);
    }
    if !segment.owners().allow_management(handle.namespace.owner()) {
        return Err(EPERM);
    }
    Ok(segment)
}

fn stat(handle: &Handle, argument: Argument) -> Result {
    let asked: uapi::Stat = argument.read()?;
    let nothing_else = uapi::Stat {
        target: asked.target,
        ..uapi::Stat::default()
    };
    if asked != nothing_else {
        return Err(EINVAL);
    }
    match Selector::parse(&asked.target)? {
        Selector::Handle => {
            let stat = handle.segment()?.stat();
            argument.write(&stat)?;
            handle.seen.set(stat.generation);
            Ok(())
        }
        _ if handle.reach.is_restricted() => Err(EACCES),
        other => {
            // Nobody's segment is kept while user memory is waited for.
            let stat = handle.namespace.find(&other)?.stat();
            argument.write(&stat)
        }
    }
}

fn create(handle: &Handle, argument: Argument) -> Result {
    let mut arg: uapi::Create = argument.read()?;
    let name = Name::parse(&arg.name)?;
    let known = uapi::CREATE_EXCLUSIVE | uapi::CREATE_AUTO_REMOVE | uapi::MAP_MASK;
    if arg.flags & !known != 0 || arg.reserved != 0 || arg.mode > 0o777 || arg.size == 0 {
        return Err(EINVAL);
    }
    let claim = handle.claim()?;
    // What cannot be returned is better not done.
    argument.write(&arg)?;
    let creation = Creation {
        name,
        size: arg.size,
        // CAST: At most 0777.
        mode: arg.mode as u16,
        exclusive: arg.flags & uapi::CREATE_EXCLUSIVE != 0,
        auto_remove: arg.flags & uapi::CREATE_AUTO_REMOVE != 0,
        map_mode: map_mode(arg.flags),
    };
    let attached = handle.namespace.create(&creation, claim.attacher())?;
    arg.size = attached.size;
    arg.id = attached.segment.id();
    arg.status = if attached.created {
        uapi::STATUS_CREATED
    } else {
        0
    };
    claim.attach(attached.segment);
    argument.write(&arg)
}

/// What flags of the ABI say; `None` if they leave it open.
fn map_mode(flags: u32) -> Option<MapMode> {
    match flags & uapi::MAP_MASK {
        uapi::MAP_PFN => Some(MapMode::Pfn),
        uapi::MAP_FAULT => Some(MapMode::Fault),
        uapi::MAP_HUGE => Some(MapMode::Huge),
        _ => None,
    }
}

fn open(handle: &Handle, siblings: &Siblings<Handle>, argument: Argument) -> Result {
    let mut arg: uapi::Open = argument.read()?;
    let selector = Selector::parse_to_open(&arg.target)?;
    if arg.reserved != 0 || matches!(selector, Selector::Handle) {
        return Err(EINVAL);
    }
    let claim = handle.claim()?;
    // What cannot be returned is better not done.
    argument.write(&arg)?;
    let segment = match selector {
        Selector::Id(0) => handle.namespace.attach_default(claim.attacher())?,
        Selector::Descriptor(fd) => {
            let other = siblings.find(fd)?;
            attach_as(handle, &other, claim.attacher())?
        }
        _ => handle.namespace.attach(&selector, claim.attacher())?,
    };
    arg.target.name = segment.name_field();
    arg.target.id = segment.id();
    arg.size = segment.size();
    claim.attach(segment);
    argument.write(&arg)
}

/// Attaches to the segment of another handle, which stays open meanwhile.
///
/// Fails with `ENOENT` if it is attached to none, with `EXDEV` if it is of another IPC namespace, with
/// `EACCES` if it was restricted, and as [`Namespace::attach_attached`] does.
fn attach_as(handle: &Handle, other: &Handle, attacher: Attacher) -> Result<Arc<Segment>> {
    let segment = other.attached().ok_or(ENOENT)?;
    if !Arc::ptr_eq(&handle.namespace, &other.namespace) {
        return Err(EXDEV);
    }
    if other.reach.is_restricted() {
        return Err(EACCES);
    }
    handle.namespace.attach_attached(segment, attacher)?;
    Ok(segment.clone())
}

fn set(handle: &Handle, arg: &uapi::Set) -> Result {
    let asked = |field: u32| arg.fields & field != 0;
    let known = uapi::SET_UID | uapi::SET_GID | uapi::SET_MODE;
    if arg.fields == 0 || arg.fields & !known != 0 || (asked(uapi::SET_MODE) && arg.mode > 0o777) {
        return Err(EINVAL);
    }
    let mut change = Change {
        uid: None,
        gid: None,
        // CAST: At most 0777.
        mode: asked(uapi::SET_MODE).then_some(arg.mode as u16),
    };
    if asked(uapi::SET_UID) {
        change.uid = Some(Kuid::from_current(arg.uid).ok_or(EINVAL)?);
    }
    if asked(uapi::SET_GID) {
        change.gid = Some(Kgid::from_current(arg.gid).ok_or(EINVAL)?);
    }
    managed(handle, &arg.target)?.change_owners(&change, handle.namespace.owner())
}

fn resize(handle: &Handle, arg: &uapi::Resize) -> Result {
    if arg.reserved != 0 {
        return Err(EINVAL);
    }
    managed(handle, &arg.target)?.resize(arg.size)
}

fn remove(handle: &Handle, arg: &uapi::Remove) -> Result {
    let segment = managed(handle, &arg.target)?;
    handle.namespace.remove(&segment).map_err(|error| {
        // By now the name is nobody's, or another segment's.
        if arg.target.by == uapi::BY_NAME {
            ENOENT
        } else {
            error
        }
    })
}

fn list(handle: &Handle, argument: Argument) -> Result {
    let mut reader = argument.slice::<uapi::List>().reader();
    let cursor: u64 = reader.read()?;
    let _count: u32 = reader.read()?;
    let flags: u32 = reader.read()?;
    if flags != 0 {
        return Err(EINVAL);
    }
    if handle.reach.is_restricted() {
        return Err(EACCES);
    }
    let mut stats = KVec::with_capacity(uapi::LIST_MAX, GFP_MAY_FAIL)?;
    let mut segments = KVec::with_capacity(uapi::LIST_MAX, GFP_MAY_FAIL)?;
    let next = handle.namespace.list(cursor, &mut segments);
    for segment in segments.iter() {
        stats.push(segment.stat(), GFP_MAY_FAIL)?;
    }
    // Nobody's segment is kept while user memory is waited for.
    drop(segments);
    let mut writer = argument.slice::<uapi::List>().writer();
    writer.write(&next)?;
    writer.write(&u32::try_from(stats.len())?)?;
    writer.write(&flags)?;
    stats.iter().try_for_each(|stat| writer.write(stat))
}

fn restrict(handle: &Handle, arg: &uapi::Restrict) -> Result {
    if arg.flags != 0 {
        return Err(EINVAL);
    }
    let (start, end) = Reach::parse(arg.offset, arg.len, arg.access)?;
    handle.segment()?;
    handle.narrow(start, end, arg.access)
}

/// What a field of the ABI says. Fails with `EINVAL`.
fn deadline(ns: u64) -> Result<Deadline> {
    Ok(match ns {
        uapi::DEADLINE_NEVER => Deadline::Never,
        ns => Deadline::monotonic(i64::try_from(ns)?),
    })
}
