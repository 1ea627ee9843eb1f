// SPDX-License-Identifier: GPL-2.0

//! What each file operation of the device means, but for the ioctls. `docs/abi.md` is the contract.

use crate::{
    handle::{
        Device,
        Handle, //
    },
    ioctl,
    missing::{
        errno::EOPNOTSUPP,
        miscdev::{
            events,
            OpenMode,
            Operations,
            Siblings, //
        },
        pages::MapMode,
        vma::NewMapping, //
    },
    segment::Segment, //
};
use kernel::{
    ffi::c_int,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    prelude::*,
    seq_file::SeqFile,
    seq_print,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

impl Operations for Handle {
    type Device = Arc<Device>;
    type Polled = Segment;
    type Mapped = Segment;

    fn open(device: &Arc<Device>, mode: OpenMode) -> Result<Arc<Self>> {
        Self::new(device, mode)
    }

    fn flush(&self) {
        self.descriptor_closed();
    }

    fn release(&self) {
        self.released();
    }

    fn size(&self) -> Result<u64> {
        Ok(self.reach.end_within(self.segment()?.size()))
    }

    fn read(&self, position: u64, to: &mut IovIterDest<'_>) -> Result<usize> {
        if !self.reach.reads() {
            return Err(EACCES);
        }
        let segment = self.segment()?;
        // Before the bytes are copied: a write that comes meanwhile is news.
        let generation = segment.generation();
        let copied = segment.read(position, &self.reach, to)?;
        self.seen.set(generation);
        Ok(copied)
    }

    fn write(&self, position: Option<u64>, from: &mut IovIterSource<'_>) -> Result<usize> {
        if !self.reach.writes() {
            return Err(EACCES);
        }
        self.segment()?
            .write(position, &self.reach, &self.seen, from)
    }

    fn mmap(&self, mapping: NewMapping<'_, Self>) -> Result {
        mapping.forbid_exec()?;
        let segment = self.segment()?;
        let copies = !mapping.is_shared() && segment.map_mode() == MapMode::Fault;
        if !mapping.is_shared() && !copies {
            if mapping.is_writable() {
                return Err(EOPNOTSUPP());
            }
            mapping.forbid_write()?;
        }
        let window = mapping.window();
        // Looked at once: it may be narrowed at any time.
        let (reads, writes) = (self.reach.reads(), self.reach.writes());
        let covered = self.reach.covers_pages(window.first, window.count);
        // What is written to a copy is nobody else's.
        let writes = writes || copies;
        if !covered || !reads || (mapping.is_writable() && !writes) {
            return Err(EACCES);
        }
        if !writes {
            mapping.forbid_write()?;
        }
        mapping.map(segment)
    }

    fn mapped(&self) -> Option<&Segment> {
        self.attached().map(|segment| &**segment)
    }

    fn ioctl(
        this: ArcBorrow<'_, Self>,
        siblings: &Siblings<Self>,
        command: u32,
        argument: usize,
    ) -> Result<c_int> {
        ioctl::dispatch(this, siblings, command, argument)
    }

    fn polled(&self) -> Result<&Segment> {
        self.segment().map(|segment| &**segment)
    }

    fn poll(&self) -> u32 {
        let Ok(segment) = self.segment() else {
            return events::ERROR;
        };
        let mut now = 0;
        if self.reach.writes() {
            now |= events::WRITABLE;
        }
        if self.reach.reads() && segment.generation() != self.seen.get() {
            now |= events::READABLE;
        }
        now
    }

    fn show_fdinfo(&self, lines: &SeqFile) {
        seq_print!(lines, "shmdev-token:\t{}\n", self.token.get());
        let Some(segment) = self.attached() else {
            return;
        };
        let counts = segment.locks().counts_of(self.token.get());
        seq_print!(lines, "shmdev-segment:\t{}\n", segment.id());
        if let Some(name) = segment.name() {
            seq_print!(lines, "shmdev-name:\t{}\n", name.as_str());
        }
        seq_print!(lines, "shmdev-size:\t{}\n", segment.size());
        seq_print!(lines, "shmdev-generation:\t{}\n", segment.generation());
        seq_print!(lines, "shmdev-seen:\t{}\n", self.seen.get());
        seq_print!(lines, "shmdev-held:\t{}\n", counts.held);
        seq_print!(lines, "shmdev-waiting:\t{}\n", counts.waiting);
        if self.reach.is_restricted() {
            match self.reach.end() {
                Some(end) => {
                    seq_print!(lines, "shmdev-window:\t{} {}\n", self.reach.start(), end);
                }
                None => seq_print!(lines, "shmdev-window:\t{} end\n", self.reach.start()),
            }
            let access = match (self.reach.reads(), self.reach.writes()) {
                (true, true) => "rw",
                (true, false) => "r",
                _ => "w",
            };
            seq_print!(lines, "shmdev-access:\t{}\n", access);
        }
    }
}
