// SPDX-License-Identifier: GPL-2.0

//! The device and its handles: what each file operation means. `docs/abi.md` is the contract.
//!
//! # Locks
//!
//! `mmap_lock` (the kernel's), then `Handle::inner`, then nothing of the module's.
//! `Segment::ranges` is taken on its own.

use crate::{
    missing::{
        errno::EOPNOTSUPP,
        miscdev::{
            events,
            OpenMode,
            Operations, //
        },
        park::Deadline,
        process::{
            current_process_is_exiting,
            ExitQueue,
            ExitWatch,
            ProcessExit,
            ProcessKey, //
        },
        token::Token,
        vma::NewMapping, //
    },
    segment::Segment,
    sync::{
        generation::Seen,
        ranges::{
            Access,
            Range, //
        }, //
    },
    uapi, //
};
use kernel::{
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        Arc,
        ArcBorrow,
        Mutex,
        SetOnce, //
    },
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader,
        UserSliceWriter, //
    }, //
};

/// What all handles share.
pub(crate) struct Device {
    /// What a handle is attached to if it does not say otherwise.
    pub(crate) default_segment: Arc<Segment>,
    /// How many ranges a handle may hold or wait for.
    pub(crate) max_ranges: u32,
    /// Where handles learn that processes exited.
    pub(crate) exits: Arc<ExitQueue>,
}

/// An open file of the device.
#[pin_data]
pub(crate) struct Handle {
    device: Arc<Device>,
    token: Token,
    mode: OpenMode,
    /// Set once, under `inner`.
    segment: SetOnce<Arc<Segment>>,
    seen: Seen,
    #[pin]
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// One for each process that has begun a range, until it exits or the file is released.
    watches: KVec<ExitWatch<Handle>>,
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
    /// The segment that the handle is attached to, which from now on is one.
    fn segment(&self) -> &Arc<Segment> {
        loop {
            if let Some(segment) = self.segment.as_ref() {
                return segment;
            }
            let _inner = self.inner.lock();
            // Under the lock nobody else can be half-way through this.
            if self.segment.as_ref().is_none() {
                self.seen.set(self.device.default_segment.generation());
                self.device.default_segment.handle_attached();
                self.segment.populate(self.device.default_segment.clone());
            }
        }
    }

    fn info(&self) -> uapi::Info {
        uapi::Info {
            abi_version: uapi::ABI_VERSION,
            page_size: PAGE_SIZE as u32,
            features: uapi::FEATURE_SYNC | uapi::FEATURE_POLL,
            default_size: self.device.default_segment.size(),
            token: self.token.get(),
            max_ranges: self.device.max_ranges,
            ..uapi::Info::default()
        }
    }

    fn stat(&self, mut writer: UserSliceWriter) -> Result {
        let stat = self.segment().stat();
        writer.write(&stat)?;
        self.seen.set(stat.generation);
        Ok(())
    }

    fn sync(
        this: ArcBorrow<'_, Self>,
        mut reader: UserSliceReader,
        mut writer: UserSliceWriter,
    ) -> Result {
        let mut arg = reader.read::<uapi::SyncRange>()?;
        let access = match arg.access {
            uapi::ACCESS_READ => Access::Read,
            uapi::ACCESS_WRITE => Access::Write,
            _ => return Err(EINVAL),
        };
        if arg.flags != 0 {
            return Err(EINVAL);
        }
        let range = this.segment().range(arg.offset, arg.len)?;
        match arg.op {
            uapi::SYNC_BEGIN => Self::sync_begin(this, range, access, &mut arg, &mut writer),
            uapi::SYNC_END => this.sync_end(range, access, &mut arg, &mut writer),
            _ => Err(EINVAL),
        }
    }

    fn sync_begin(
        this: ArcBorrow<'_, Self>,
        range: Range,
        access: Access,
        arg: &mut uapi::SyncRange,
        writer: &mut UserSliceWriter,
    ) -> Result {
        let deadline = match arg.deadline_ns {
            uapi::DEADLINE_NOW => None,
            uapi::DEADLINE_NEVER => Some(Deadline::Never),
            ns => Some(Deadline::monotonic(i64::try_from(ns)?)),
        };
        let allowed = match access {
            Access::Read => this.mode.read,
            Access::Write => this.mode.write,
        };
        if !allowed {
            return Err(EACCES);
        }
        Self::watch_current_process(this)?;
        let segment = this.segment();
        let granted = segment.begin(
            this.token.get(),
            range,
            access,
            deadline,
            this.device.max_ranges,
        )?;
        arg.generation = segment.generation();
        arg.status = if granted.owner_died {
            uapi::STATUS_OWNER_DIED
        } else {
            0
        };
        if let Err(error) = writer.write(arg) {
            segment.withdraw(granted);
            return Err(error);
        }
        this.seen.set(arg.generation);
        Ok(())
    }

    fn sync_end(
        &self,
        range: Range,
        access: Access,
        arg: &mut uapi::SyncRange,
        writer: &mut UserSliceWriter,
    ) -> Result {
        if arg.deadline_ns != 0 {
            return Err(EINVAL);
        }
        let segment = self.segment();
        arg.status = 0;
        let own = segment.end(self.token.get(), range, access)?;
        arg.generation = own.unwrap_or_else(|| segment.generation());
        if let Some(own) = own {
            self.seen.set_own(own);
        }
        writer.write(arg)?;
        if own.is_none() {
            self.seen.set(arg.generation);
        }
        Ok(())
    }

    /// Sees to it that what the current process begins will be dropped when it exits.
    fn watch_current_process(this: ArcBorrow<'_, Self>) -> Result {
        let process = ProcessKey::current();
        let mut inner = this.inner.lock();
        if !inner.watches.iter().any(|watch| watch.process() == process) {
            let watch = ExitWatch::current(this.into(), this.device.exits.clone())?;
            inner.watches.push(watch, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(())
    }
}

impl ProcessExit for Handle {
    fn process_exited(this: &Arc<Self>, process: ProcessKey) {
        if let Some(segment) = this.segment.as_ref() {
            segment.process_exited(this.token.get(), process);
        }
        // Only now: until then, the watch keeps the key from naming another process.
        this.inner.lock().forget(process);
    }
}

impl Operations for Handle {
    type Device = Arc<Device>;
    type Polled = Segment;

    fn open(device: &Arc<Device>, mode: OpenMode) -> Result<Arc<Self>> {
        let token = Token::allocate(uapi::TOKEN_MAX).map_err(|error| {
            if error == EBUSY {
                ENOSPC
            } else {
                error
            }
        })?;
        Arc::pin_init(
            pin_init!(Self {
                device: device.clone(),
                token,
                mode,
                segment: SetOnce::new(),
                seen: Seen::new(),
                inner <- new_mutex!(Inner::default(), "shmdev::Handle::inner"),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    fn flush(&self) {
        // A process that exits is missed here only if it has closed its descriptors before or
        // shares their table: its watch tells of those, but later. A mere thread that exits drops
        // nothing.
        if current_process_is_exiting() {
            if let Some(segment) = self.segment.as_ref() {
                segment.process_exited(self.token.get(), ProcessKey::current());
            }
        }
    }

    fn release(&self) {
        // The watches have references to this handle.
        self.inner.lock().watches.clear();
        if let Some(segment) = self.segment.as_ref() {
            segment.handle_released(self.token.get());
        }
    }

    fn size(&self) -> Result<u64> {
        Ok(self.segment().size())
    }

    fn read(&self, position: u64, to: &mut IovIterDest<'_>) -> Result<usize> {
        let segment = self.segment();
        // Before the bytes are copied: a write that comes meanwhile is news.
        let generation = segment.generation();
        let copied = segment.read(position, to)?;
        self.seen.set(generation);
        Ok(copied)
    }

    fn write(&self, position: Option<u64>, from: &mut IovIterSource<'_>) -> Result<usize> {
        let segment = self.segment();
        let (copied, generation) = segment.write(position.unwrap_or(segment.size()), from)?;
        if let Some(generation) = generation {
            self.seen.set_own(generation);
        }
        Ok(copied)
    }

    fn mmap(&self, mapping: NewMapping<'_>) -> Result {
        mapping.forbid_exec()?;
        if !mapping.is_shared() {
            if mapping.is_writable() {
                return Err(EOPNOTSUPP());
            }
            mapping.forbid_write()?;
        }
        mapping.map(self.segment().clone())
    }

    fn ioctl(this: ArcBorrow<'_, Self>, command: u32, argument: usize) -> Result {
        let user = |size| UserSlice::new(UserPtr::from_addr(argument), size);
        match command {
            uapi::IOC_INFO => user(size_of::<uapi::Info>()).writer().write(&this.info()),
            uapi::IOC_STAT => this.stat(user(size_of::<uapi::Stat>()).writer()),
            uapi::IOC_SYNC => {
                let (reader, writer) = user(size_of::<uapi::SyncRange>()).reader_writer();
                Self::sync(this, reader, writer)
            }
            _ => Err(ENOTTY),
        }
    }

    fn polled(&self) -> &Segment {
        self.segment()
    }

    fn poll(&self) -> u32 {
        let mut now = 0;
        if self.mode.write {
            now |= events::WRITABLE;
        }
        if self.mode.read && self.segment().generation() != self.seen.get() {
            now |= events::READABLE;
        }
        now
    }

    fn show_fdinfo(&self, lines: &SeqFile) {
        seq_print!(lines, "shmdev-token:\t{}\n", self.token.get());
        if let Some(segment) = self.segment.as_ref() {
            let counts = segment.counts_of(self.token.get());
            seq_print!(lines, "shmdev-segment:\t{}\n", segment.id());
            seq_print!(lines, "shmdev-size:\t{}\n", segment.size());
            seq_print!(lines, "shmdev-generation:\t{}\n", segment.generation());
            seq_print!(lines, "shmdev-seen:\t{}\n", self.seen.get());
            seq_print!(lines, "shmdev-held:\t{}\n", counts.held);
            seq_print!(lines, "shmdev-waiting:\t{}\n", counts.waiting);
        }
    }
}
