// SPDX-License-Identifier: GPL-2.0

//! Handles: what an open file of the device is attached to, and what it may do with that.
//!
//! # Locks
//!
//! `mmap_lock` (the kernel's), then `Handle::inner`, then those of the registry, then those of a
//! segment.

use crate::{
    missing::{
        creds::Kuid,
        gfp::GFP_MAY_FAIL,
        miscdev::OpenMode,
        process::{
            current_process_is_exiting,
            ExitQueue,
            ExitWatch,
            ProcessExit,
            ProcessKey, //
        },
        token::Token, //
    },
    namespace::{
        Attacher,
        Namespace, //
    },
    reach::Reach,
    registry::Registry,
    robust::RobustWords,
    segment::Segment,
    sync::generation::Seen,
    uapi,
    words::Words, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        SetOnce, //
    }, //
};

/// What all handles share.
pub(crate) struct Device {
    /// Where segments are found.
    pub(crate) registry: Arc<Registry>,
    /// Where tasks wait on words.
    pub(crate) words: Words,
    /// How many ranges a handle may hold or wait for.
    pub(crate) max_ranges: u32,
    /// How many robust words a handle may have.
    pub(crate) max_robust: u32,
    /// Where handles learn that processes exited.
    pub(crate) exits: Arc<ExitQueue>,
}

/// An open file of the device.
#[pin_data]
pub(crate) struct Handle {
    pub(crate) device: Arc<Device>,
    pub(crate) token: Token,
    pub(crate) reach: Reach,
    /// What it was opened for.
    mode: OpenMode,
    /// Who opened it.
    opener: Kuid,
    /// The one in which it was opened.
    pub(crate) namespace: Arc<Namespace>,
    /// Set once, under `inner`.
    segment: SetOnce<Arc<Segment>>,
    pub(crate) seen: Seen,
    #[pin]
    robust_words: RobustWords,
    /// The process that was watched last, as [`ProcessKey::bits`], until its watch ends: 0 for none. To find
    /// it without the lock.
    watched: Atomic<usize>,
    #[pin]
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// One for each process that has begun a range, until it exits or the file is released.
    watches: KVec<ExitWatch<Handle>>,
    /// There is a [`Claim`].
    claimed: bool,
}

/// The right to attach a handle, without a lock while that takes its time.
pub(crate) struct Claim<'a>(&'a Handle);

impl Claim<'_> {
    /// On whose behalf.
    pub(crate) fn attacher(&self) -> Attacher {
        self.0.attacher()
    }

    /// Attaches it to a segment that counts it already.
    pub(crate) fn attach(self, segment: Arc<Segment>) {
        self.0.populate(segment);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.0.inner.lock().claimed = false;
    }
}

impl Inner {
    fn forget(&mut self, process: ProcessKey) {
        let of_process = |&index: &usize| {
            self.watches
                .get(index)
                .is_some_and(|watch| watch.process() == process)
        };
        if let Some(index) = (0..self.watches.len()).find(of_process) {
            let _ = self.watches.remove(index);
        }
    }
}

impl Handle {
    /// Of the current task's namespace, attached to nothing. Fails with `ENOSPC` when all tokens
    /// are in use, and with `ENOMEM`.
    pub(crate) fn new(device: &Arc<Device>, mode: OpenMode) -> Result<Arc<Self>> {
        let token = Token::allocate(uapi::TOKEN_MAX).map_err(|error| {
            if error == EBUSY {
                ENOSPC
            } else {
                error
            }
        })?;
        let namespace = Registry::current_namespace(&device.registry)?;
        Arc::pin_init(
            pin_init!(Self {
                device: device.clone(),
                token,
                reach: Reach::new(mode.read, mode.write),
                mode,
                opener: Kuid::current_effective(),
                namespace,
                segment: SetOnce::new(),
                seen: Seen::new(),
                robust_words <- RobustWords::new(),
                watched: Atomic::new(0),
                inner <- new_mutex!(Inner::default(), "shmdev::Handle::inner"),
            }),
            GFP_MAY_FAIL,
        )
    }

    /// The segment that the handle is attached to, if it is.
    pub(crate) fn attached(&self) -> Option<&Arc<Segment>> {
        self.segment.as_ref()
    }

    /// The segment that the handle is attached to, which from now on is one: the default one unless
    /// it was another before.
    ///
    /// Fails as [`Namespace::attach_default`] does, and with `EBUSY` while [`Handle::claim`] is in
    /// effect.
    #[inline]
    pub(crate) fn segment(&self) -> Result<&Arc<Segment>> {
        self.attached().map_or_else(|| self.attach_default(), Ok)
    }

    #[cold]
    fn attach_default(&self) -> Result<&Arc<Segment>> {
        let inner = self.inner.lock();
        if inner.claimed {
            return Err(EBUSY);
        }
        // Somebody else may have been faster.
        if self.attached().is_none() {
            self.populate(self.namespace.attach_default(self.attacher())?);
        }
        drop(inner);
        self.attached().ok_or(EBUSY)
    }

    /// Sets the segment. Under the lock, or with a claim, nobody else does: so it is empty.
    fn populate(&self, segment: Arc<Segment>) {
        self.seen.set(segment.generation());
        self.segment.populate(segment);
    }

    fn attacher(&self) -> Attacher {
        Attacher {
            token: self.token.get(),
            mode: self.mode,
            opener: self.opener,
        }
    }

    /// The right to attach the handle. Fails with `EBUSY` if it is attached, or somebody else has
    /// that right.
    pub(crate) fn claim(&self) -> Result<Claim<'_>> {
        let mut inner = self.inner.lock();
        if inner.claimed || self.attached().is_some() {
            return Err(EBUSY);
        }
        inner.claimed = true;
        Ok(Claim(self))
    }

    /// Narrows what the handle can reach, as [`Reach::narrow`] does.
    pub(crate) fn narrow(&self, start: u64, end: u64, access: u32) -> Result {
        let _inner = self.inner.lock();
        self.reach.narrow(start, end, access)
    }

    /// Sees to it that what the current process begins will be dropped when it exits.
    #[inline]
    pub(crate) fn watch_current_process(this: ArcBorrow<'_, Self>) -> Result<ProcessKey> {
        let process = ProcessKey::current();
        if this.watched.load(Relaxed) != process.bits() {
            Self::watch(this, process)?;
        }
        Ok(process)
    }

    /// `process` is the current one.
    #[cold]
    fn watch(this: ArcBorrow<'_, Self>, process: ProcessKey) -> Result {
        let mut inner = this.inner.lock();
        if !inner.watches.iter().any(|watch| watch.process() == process) {
            let watch = ExitWatch::current(this.into(), this.device.exits.clone())?;
            inner.watches.push(watch, GFP_MAY_FAIL)?;
        }
        this.watched.store(process.bits(), Relaxed);
        Ok(())
    }

    /// A descriptor was closed. A process that exits is missed here only if it has closed its
    /// descriptors before or shares their table: its watch tells of those, but later. A mere thread
    /// that exits drops nothing.
    pub(crate) fn descriptor_closed(&self) {
        if current_process_is_exiting() {
            self.drop_what_process_has(ProcessKey::current());
        }
    }

    /// Drops what a process holds or waits for, and tends its robust words.
    fn drop_what_process_has(&self, process: ProcessKey) {
        if let Some(segment) = self.attached() {
            segment.locks().process_exited(self.token.get(), process);
            self.tend_robust_words(segment, Some(process));
        }
    }

    /// Does what was asked for in the case of death: of that process, or of the handle.
    fn tend_robust_words(&self, segment: &Segment, process: Option<ProcessKey>) {
        while let Some(word) = self.robust_words.take(segment, process) {
            if !word.wake_only {
                segment.mark_owner_died(word.offset, self.token.get());
            }
            // Whatever is in the word: who died may have unlocked it, and not woken anybody yet, or have
            // been woken, and not locked it yet.
            self.device.words.wake(segment, word.offset, 1);
        }
    }

    pub(crate) fn robust_words(&self) -> &RobustWords {
        &self.robust_words
    }

    /// The last descriptor was closed, and the last mapping is gone.
    pub(crate) fn released(&self) {
        // The watches have references to this handle. Nobody calls it any more.
        self.inner.lock().watches.clear();
        if let Some(segment) = self.attached() {
            segment.locks().handle_released(self.token.get());
            self.tend_robust_words(segment, None);
            segment.eventfds().handle_released(self.token.get());
            if self.namespace.release(segment) {
                self.device.registry.forget(&self.namespace);
            }
        }
    }
}

impl ProcessExit for Handle {
    fn process_exited(this: &Arc<Self>, process: ProcessKey) {
        this.drop_what_process_has(process);
        // Only now: until then, the watch keeps the key from naming another process. Whoever is watched
        // from here on says so under the lock.
        let mut inner = this.inner.lock();
        let _ = this.watched.cmpxchg(process.bits(), 0, Relaxed);
        inner.forget(process);
    }
}
