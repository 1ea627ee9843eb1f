// SPDX-License-Identifier: GPL-2.0

//! A segment: pages that processes share, how many use them, and how they synchronise.
//!
//! # Locks
//!
//! `Segment::state` is a leaf, and may be taken under an `mmap_lock`. Under it nothing is allocated
//! and no last reference dropped.

use crate::{
    eventfds::{
        Event,
        Eventfds, //
    },
    memory::{
        InUse,
        Memory, //
    },
    missing::{
        clock,
        creds::{
            Kgid,
            Kuid,
            UserNamespace, //
        },
        gfp::GFP_MAY_FAIL,
        pages::{
            MapMode,
            Pages, //
        },
        poll::{
            PollQueue,
            Polled, //
        },
        process::Process,
        random::random,
        trace,
        vma::Mapped, //
    },
    name::Name,
    owners::Owners,
    range_locks::RangeLocks,
    sync::{
        generation::{
            Generation,
            Seen, //
        },
        ranges::{
            Access,
            Range, //
        },
        robust::after_death, //
    },
    uapi,
    usage::Account, //
};
use kernel::{
    c_str,
    new_spinlock,
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    }, //
};

/// How many robust words all handles of a segment have at most.
pub(crate) const ROBUST_MAX: u32 = 16384;

/// How often to try to mark a word that others change meanwhile, with all that they change.
const MARK_TRIES: u32 = 1000;

/// What a segment is to be.
pub(crate) struct NewSegment {
    /// 0 for a default segment.
    pub(crate) id: u64,
    pub(crate) name: Option<Name>,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) map_mode: MapMode,
    pub(crate) owners: Owners,
    /// Whether it goes with the last handle attached to it.
    pub(crate) auto_remove: bool,
    /// For whom it counts, if it does.
    pub(crate) payer: Option<Account>,
}

/// Memory that is shared.
#[pin_data]
pub(crate) struct Segment {
    id: u64,
    name: Option<Name>,
    auto_remove: bool,
    map_mode: MapMode,
    creator: Process,
    created_ns: u64,
    /// Changed under the lock of the namespace.
    handles: Atomic<u64>,
    /// 1 when it was removed; set under the lock of the namespace.
    removed: Atomic<u32>,
    generation: Generation,
    /// A random number, which tells nobody where this lies in memory.
    key: u64,
    /// How many tasks wait on words.
    sleepers: Atomic<u32>,
    /// How many robust words all handles have.
    robust_words: Atomic<u32>,
    #[pin]
    eventfds: Eventfds,
    #[pin]
    locks: RangeLocks,
    /// Told of each new generation.
    #[pin]
    changed: PollQueue,
    #[pin]
    memory: Memory,
    #[pin]
    state: SpinLock<State>,
}

struct State {
    owners: Owners,
    attached_ns: u64,
    changed_ns: u64,
    /// Who last attached a handle or made a mapping.
    last_user: Process,
}

impl State {
    /// The current process attached a handle or makes a mapping. Returns who did so before, to be
    /// dropped without the lock.
    fn note_user(&mut self) -> Process {
        self.attached_ns = clock::real_ns();
        core::mem::replace(&mut self.last_user, Process::current())
    }
}

/// What to change of the owners; `None` leaves it as it is.
pub(crate) struct Change {
    pub(crate) uid: Option<Kuid>,
    pub(crate) gid: Option<Kgid>,
    pub(crate) mode: Option<u16>,
}

impl Segment {
    /// Allocates a segment of zeroed memory. Fails as [`Memory::allocate`] does.
    pub(crate) fn create(new: NewSegment) -> Result<Arc<Self>> {
        let now = clock::real_ns();
        let state = State {
            owners: new.owners,
            attached_ns: 0,
            changed_ns: now,
            last_user: Process::current(),
        };
        let memory = Memory::allocate(new.size, new.map_mode, new.payer)?;
        Arc::pin_init(
            pin_init!(Self {
                id: new.id,
                name: new.name,
                auto_remove: new.auto_remove,
                map_mode: new.map_mode,
                creator: Process::current(),
                created_ns: now,
                handles: Atomic::new(0),
                removed: Atomic::new(0),
                generation: Generation::new(),
                key: random(),
                sleepers: Atomic::new(0),
                robust_words: Atomic::new(0),
                eventfds <- Eventfds::new(),
                locks <- RangeLocks::new(new.id),
                changed <- PollQueue::new(c_str!("shmdev::Segment::changed"), static_lock_class!()),
                memory <- memory,
                state <- new_spinlock!(state, "shmdev::Segment::state"),
            }),
            GFP_MAY_FAIL,
        )
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Whether it is the default segment of its namespace.
    pub(crate) fn is_default(&self) -> bool {
        self.id == 0
    }

    pub(crate) fn name(&self) -> Option<&Name> {
        self.name.as_ref()
    }

    /// The name as a field of the ABI, all zero if there is none.
    pub(crate) fn name_field(&self) -> [u8; uapi::NAME_SIZE] {
        self.name.as_ref().map_or([0; uapi::NAME_SIZE], Name::field)
    }

    /// The name as a string, empty if there is none.
    pub(crate) fn name_as_c_str(&self) -> &CStr {
        self.name.as_ref().map_or(c"", Name::as_c_str)
    }

    /// In bytes, as it was asked for.
    pub(crate) fn size(&self) -> u64 {
        self.memory.size()
    }

    pub(crate) fn map_mode(&self) -> MapMode {
        self.map_mode
    }

    pub(crate) fn owners(&self) -> Owners {
        self.state.lock().owners
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.current()
    }

    /// Changes owner, group or mode, if the current task may, in an IPC namespace that `namespace`
    /// owns. Fails with `EPERM`.
    pub(crate) fn change_owners(&self, change: &Change, namespace: &UserNamespace) -> Result {
        let mut state = self.state.lock();
        let owners = &mut state.owners;
        if !owners.allow_management(namespace) {
            return Err(EPERM);
        }
        owners.uid = change.uid.unwrap_or(owners.uid);
        owners.gid = change.gid.unwrap_or(owners.gid);
        owners.mode = change.mode.unwrap_or(owners.mode);
        state.changed_ns = clock::real_ns();
        Ok(())
    }

    /// It can be found from now on.
    pub(crate) fn announce(&self) {
        let owners = self.owners();
        let uid = owners.creator_uid.global();
        trace::create(self.id, self.name_as_c_str(), self.size(), owners.mode, uid);
    }

    /// Whether it was removed.
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Relaxed) == 1
    }

    /// Notes that it was removed. Under the lock of the namespace.
    pub(crate) fn set_removed(&self) {
        if self.removed.xchg(1, Relaxed) == 0 {
            trace::remove(self.id, self.name_as_c_str());
        }
    }

    /// A handle begins to use the segment. Under the lock of the namespace.
    pub(crate) fn handle_attached(&self, token: u32) {
        self.handles.add(1u64, Relaxed);
        trace::open(self.id, token);
        let before = self.state.lock().note_user();
        drop(before);
    }

    /// A handle has ceased to use it. Returns whether the segment now goes. Under the lock of the
    /// namespace.
    pub(crate) fn handle_detached(&self) -> bool {
        let before = self.handles.fetch_sub(1u64, Relaxed);
        before == 1 && (self.auto_remove || self.is_removed())
    }

    /// Whether a handle uses it. Under the lock of the namespace.
    pub(crate) fn has_handles(&self) -> bool {
        self.handles.load(Relaxed) > 0
    }

    /// Changes the size, as [`Memory::resize`] does.
    pub(crate) fn resize(&self, size: u64) -> Result {
        self.memory.resize(size)?;
        self.state.lock().changed_ns = clock::real_ns();
        Ok(())
    }

    pub(crate) fn locks(&self) -> &RangeLocks {
        &self.locks
    }

    /// A handle, of which this is what it has seen, completed a write.
    pub(crate) fn complete_write(&self, by: &Seen) {
        self.tell_of_generation(self.generation.advance(), by);
    }

    /// Tells those who wait for it of a generation that a handle has just made.
    fn tell_of_generation(&self, generation: u64, by: &Seen) {
        // First: who is woken, and looks through the same handle, has made it himself.
        by.set_own(generation);
        self.changed.notify_readable();
        // To make the generation was a full barrier.
        self.eventfds.signal(Event::Generation);
    }

    pub(crate) fn eventfds(&self) -> &Eventfds {
        &self.eventfds
    }

    /// A number that no other segment has: of 64 random bits.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// A task begins to wait on words.
    pub(crate) fn sleeper_came(&self) {
        self.sleepers.add(1u32, Relaxed);
    }

    /// It does so no more.
    pub(crate) fn sleeper_went(&self) {
        self.sleepers.fetch_sub(1u32, Relaxed);
    }

    /// How many tasks wait on words.
    pub(crate) fn sleepers(&self) -> u32 {
        self.sleepers.load(Relaxed)
    }

    /// Counts a robust word, unless there are too many. Returns whether it did.
    pub(crate) fn count_robust_word(&self) -> bool {
        let mut count = self.robust_words.load(Relaxed);
        while count < ROBUST_MAX {
            match self
                .robust_words
                .cmpxchg(count, count.saturating_add(1), Relaxed)
            {
                Ok(_) => return true,
                Err(now) => count = now,
            }
        }
        false
    }

    /// There is one less.
    pub(crate) fn uncount_robust_word(&self) {
        self.robust_words.fetch_sub(1u32, Relaxed);
    }

    /// The owner of a lock word, the handle with that token, is dead: says so in the word, if that is
    /// its owner.
    pub(crate) fn mark_owner_died(&self, offset: u64, token: u32) {
        let memory = self.memory.in_use();
        let Some(word) = memory.word(offset) else {
            return;
        };
        let mut value = word.load(Relaxed);
        for _ in 0..MARK_TRIES {
            let Some(marked) = after_death(value, token) else {
                return;
            };
            match word.cmpxchg(value, marked, Full) {
                Ok(_) => {
                    trace::owner_died(self.id, token, offset);
                    return;
                }
                Err(now) => value = now,
            }
        }
        // Somebody changes it on and on. A waiter too many is no harm, a lock that nobody frees is.
        if let Some(marked) = after_death(value | uapi::WORD_WAITERS, token) {
            word.xchg(marked, Full);
            trace::owner_died(self.id, token, offset);
        }
    }

    /// The memory, which does not shrink meanwhile.
    pub(crate) fn in_use(&self) -> InUse<'_> {
        self.memory.in_use()
    }

    /// The range of that offset and length. Fails with `EINVAL` if it is empty or does not lie
    /// within the segment's pages.
    pub(crate) fn range(&self, offset: u64, len: u64) -> Result<Range> {
        let range = Range::new(offset, len)?;
        if range.end > self.memory.mapped_size() {
            return Err(EINVAL);
        }
        Ok(range)
    }

    /// Gives a range back that `owner` holds, of which `by` is what it has seen. Returns the
    /// generation, which is the one that this made if it was held for writing.
    ///
    /// Fails with `ENOENT` if `owner` does not hold it, or with `EINVAL` if nobody could.
    pub(crate) fn end(&self, owner: u32, by: &Seen, range: Range, access: Access) -> Result<u64> {
        // Who holds it next is told of this write, and who held it for reading of none after that.
        let generation = || match access {
            Access::Read => self.generation.current(),
            Access::Write => self.generation.advance(),
        };
        match self.locks.end(owner, range, access, generation) {
            Some(generation) => {
                if access == Access::Write {
                    self.tell_of_generation(generation, by);
                }
                Ok(generation)
            }
            // The segment may have shrunk since it was begun.
            None if range.end > self.memory.mapped_size() => Err(EINVAL),
            None => Err(ENOENT),
        }
    }

    /// As the current task sees it.
    pub(crate) fn stat(&self) -> uapi::Stat {
        let counts = self.locks.counts();
        let mut flags = map_flag(self.map_mode());
        if self.auto_remove {
            flags |= uapi::SEGMENT_AUTO_REMOVE;
        }
        if self.is_removed() {
            flags |= uapi::SEGMENT_REMOVED;
        }
        let extent = self.memory.extent();
        let state = self.state.lock();
        let (owners, last_user) = (state.owners, state.last_user.clone());
        let (attached_ns, changed_ns) = (state.attached_ns, state.changed_ns);
        drop(state);
        uapi::Stat {
            target: uapi::Target {
                name: self.name_field(),
                id: self.id,
                ..uapi::Target::default()
            },
            size: extent.size,
            mapped_size: extent.mapped_size,
            nattch: extent.mappings,
            handles: self.handles.load(Relaxed),
            generation: self.generation(),
            created_ns: self.created_ns,
            attached_ns,
            changed_ns,
            holders: counts.held,
            waiters: counts.waiting,
            pieces: u32::try_from(extent.pieces).unwrap_or(u32::MAX),
            flags,
            uid: owners.uid.to_current(),
            gid: owners.gid.to_current(),
            creator_uid: owners.creator_uid.to_current(),
            creator_gid: owners.creator_gid.to_current(),
            creator_pid: self.creator.number(),
            last_pid: last_user.number(),
            mode: owners.mode.into(),
            sleepers: self.sleepers(),
            ..uapi::Stat::default()
        }
    }
}

/// As the ABI has it: in the flags of a segment, and in those of its creation.
pub(crate) fn map_flag(mode: MapMode) -> u32 {
    match mode {
        MapMode::Pfn => uapi::MAP_PFN,
        MapMode::Fault => uapi::MAP_FAULT,
        MapMode::Huge => uapi::MAP_HUGE,
    }
}

impl Mapped for Segment {
    fn mapping_begins(&self, end: usize) -> Result<Arc<Pages>> {
        self.memory.add_mapping(end)
    }

    fn mapping_failed(&self) {
        self.memory.remove_mapping();
    }

    fn mapping_made(&self) {
        let before = self.state.lock().note_user();
        drop(before);
        trace::attach(self.id, self.memory.extent().mappings);
    }

    fn mapping_copied(&self) {
        let nattch = self.memory.copy_mapping();
        trace::attach(self.id, nattch);
    }

    fn mapping_removed(&self) {
        let nattch = self.memory.remove_mapping();
        trace::detach(self.id, nattch);
    }
}

impl Polled for Segment {
    fn poll_queue(&self) -> &PollQueue {
        &self.changed
    }
}
