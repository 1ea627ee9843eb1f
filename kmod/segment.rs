// SPDX-License-Identifier: GPL-2.0

//! A segment: pages that processes share, how many use them, and how they synchronise.
//!
//! # Locks
//!
//! `Segment::ranges` is a leaf but for the locks of the scheduler and the allocator: nothing of the
//! module is locked, and no user memory touched, while it is held. It is never taken under an
//! `mmap_lock`: what mappings do to a segment is atomic.

use crate::{
    missing::{
        errno::{
            EDEADLK,
            ENOLCK,
            ETIMEDOUT, //
        },
        pages::Pages,
        park::{
            Deadline,
            Parking,
            Unparker,
            Wake, //
        },
        poll::{
            PollQueue,
            Polled, //
        },
        process::{
            current_is_being_killed,
            ProcessKey, //
        },
        vma::Mapped, //
    },
    sync::{
        generation::Generation,
        ranges::{
            Access,
            Counts,
            Granted,
            Outcome,
            Range,
            RangeTable,
            Refusal,
            Request,
            RequestId,
            Waker, //
        }, //
    },
    uapi, //
};
use kernel::{
    c_str,
    iov::{
        IovIterDest,
        IovIterSource, //
    },
    new_mutex,
    page::{
        PAGE_SHIFT,
        PAGE_SIZE, //
    },
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    }, //
};

/// The largest size that may be asked for: 1 TiB.
pub(crate) const SIZE_MAX: u64 = 1 << 40;

/// Memory that is shared.
#[pin_data]
pub(crate) struct Segment {
    id: u64,
    /// In bytes, as it was asked for. At most [`SIZE_MAX`], and the pages hold it.
    size: u64,
    pages: Pages,
    mappings: Atomic<u64>,
    handles: Atomic<u64>,
    generation: Generation,
    #[pin]
    ranges: Mutex<RangeTable<ProcessKey, Arc<Unparker>>>,
    /// Told of each new generation.
    #[pin]
    changed: PollQueue,
}

impl Waker for Arc<Unparker> {
    fn wake(&self) {
        self.unpark();
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OwnRange => EDEADLK(),
            Refusal::TooMany => ENOLCK(),
            Refusal::NoMemory => ENOMEM,
        }
    }
}

impl Segment {
    /// Allocates a segment of zeroed memory.
    ///
    /// Fails with `EINVAL` if the size is 0 or above [`SIZE_MAX`], and with `ENOMEM`.
    pub(crate) fn create(id: u64, size: u64) -> Result<Arc<Self>> {
        if size == 0 || size > SIZE_MAX {
            return Err(EINVAL);
        }
        let count = usize::try_from(size.div_ceil(PAGE_SIZE as u64))?;
        Arc::pin_init(
            try_pin_init!(Self {
                id,
                size,
                // Now that all else is allocated: what is left to go wrong is the pages.
                pages: Pages::allocate(count)?,
                mappings: Atomic::new(0),
                handles: Atomic::new(0),
                generation: Generation::new(),
                ranges <- new_mutex!(RangeTable::new(), "shmdev::Segment::ranges"),
                changed <- PollQueue::new(c_str!("shmdev::Segment::changed"), static_lock_class!()),
            }? Error),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// In bytes, as it was asked for.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// In bytes, whole pages.
    fn mapped_size(&self) -> u64 {
        (self.pages.count() as u64) << PAGE_SHIFT
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.current()
    }

    /// A handle begins to use the segment.
    pub(crate) fn handle_attached(&self) {
        self.handles.add(1u64, Relaxed);
    }

    /// A handle has gone; its ranges are dropped.
    pub(crate) fn handle_released(&self, token: u32) {
        self.drop_requests(|request| request.owner == token);
        let _ = self.handles.fetch_sub(1u64, Relaxed);
    }

    /// Drops what a process holds or waits for through a handle.
    pub(crate) fn process_exited(&self, token: u32, process: ProcessKey) {
        self.drop_requests(|request| request.owner == token && request.process == process);
    }

    fn drop_requests(&self, gone: impl Fn(&Request<ProcessKey>) -> bool) {
        self.ranges.lock().drop_requests(gone);
    }

    /// Copies from byte `position` on, as far as the segment goes. Fails with `EFAULT` if nothing
    /// can be copied.
    pub(crate) fn read(&self, position: u64, to: &mut IovIterDest<'_>) -> Result<usize> {
        let len = self.len_from(position, to.len());
        let copied = self.pages.copy_to_iter(position as usize, len, to);
        if copied == 0 && len > 0 {
            return Err(EFAULT);
        }
        Ok(copied)
    }

    /// Copies to byte `position` on, as far as the segment goes. Returns how many bytes, and the
    /// generation if that was a write. Fails with `ENOSPC` at the end, and with `EFAULT` if nothing
    /// can be copied.
    pub(crate) fn write(
        &self,
        position: u64,
        from: &mut IovIterSource<'_>,
    ) -> Result<(usize, Option<u64>)> {
        if from.is_empty() {
            return Ok((0, None));
        }
        let len = self.len_from(position, from.len());
        if len == 0 {
            return Err(ENOSPC);
        }
        match self.pages.copy_from_iter(position as usize, len, from) {
            0 => Err(EFAULT),
            copied => Ok((copied, Some(self.complete_write()))),
        }
    }

    /// How many of `len` bytes from `position` on lie within the segment.
    fn len_from(&self, position: u64, len: usize) -> usize {
        // CAST: At most `len`.
        self.size.saturating_sub(position).min(len as u64) as usize
    }

    fn complete_write(&self) -> u64 {
        let generation = self.generation.advance();
        self.changed.notify_readable();
        generation
    }

    /// The range of that offset and length. Fails with `EINVAL` if it is empty or does not lie
    /// within the segment's pages.
    pub(crate) fn range(&self, offset: u64, len: u64) -> Result<Range> {
        let end = offset.checked_add(len).ok_or(EINVAL)?;
        if len == 0 || end > self.mapped_size() {
            return Err(EINVAL);
        }
        Ok(Range { start: offset, end })
    }

    /// Holds a range for the current process, through the handle whose token is `owner`; without a
    /// deadline, only if it need not wait.
    ///
    /// Fails with `EDEADLK`, `ENOLCK`, `ENOMEM`; when it would have to wait with `EAGAIN`, and when
    /// it did with `ETIMEDOUT` or `ERESTARTSYS`.
    pub(crate) fn begin(
        &self,
        owner: u32,
        range: Range,
        access: Access,
        deadline: Option<Deadline>,
        limit: u32,
    ) -> Result<Granted> {
        let request = Request {
            owner,
            process: ProcessKey::current(),
            range,
            access,
        };
        if let Outcome::Granted(granted) = self.ranges.lock().begin(request, None, limit)? {
            return Ok(granted);
        }
        let deadline = deadline.ok_or(EAGAIN)?;
        let parking = Parking::new()?;
        let outcome = self
            .ranges
            .lock()
            .begin(request, Some(parking.unparker()), limit)?;
        match outcome {
            Outcome::Granted(granted) => Ok(granted),
            Outcome::Waits(id) => self.wait(&parking, id, deadline),
            // There is a waker.
            Outcome::WouldWait => Err(EAGAIN),
        }
    }

    fn wait(&self, parking: &Parking, id: RequestId, deadline: Deadline) -> Result<Granted> {
        let wake = parking.park(deadline);
        let mut ranges = self.ranges.lock();
        if let Some(granted) = ranges.settle(id) {
            if !current_is_being_killed() {
                return Ok(granted);
            }
            // It will not write, so it must not leave a mark.
            ranges.withdraw(id);
        }
        match wake {
            Wake::Deadline => Err(ETIMEDOUT()),
            Wake::Signal => Err(ERESTARTSYS),
            // Woken without a grant: the request was dropped with its owner.
            Wake::Unparked => Err(EINTR),
        }
    }

    /// Takes back a range that was just granted, as if it never was.
    pub(crate) fn withdraw(&self, granted: Granted) {
        self.ranges.lock().withdraw(granted.id);
    }

    /// Gives a range back. Returns the generation that this made, if it was held for writing.
    ///
    /// Fails with `ENOENT` if `owner` does not hold it.
    pub(crate) fn end(&self, owner: u32, range: Range, access: Access) -> Result<Option<u64>> {
        if !self.ranges.lock().end(owner, range, access) {
            return Err(ENOENT);
        }
        Ok((access == Access::Write).then(|| self.complete_write()))
    }

    /// How many ranges the handle with that token has.
    pub(crate) fn counts_of(&self, token: u32) -> Counts {
        self.ranges.lock().counts(|request| request.owner == token)
    }

    pub(crate) fn stat(&self) -> uapi::Stat {
        let counts = self.ranges.lock().counts(|_| true);
        uapi::Stat {
            id: self.id,
            size: self.size,
            mapped_size: self.mapped_size(),
            nattch: self.mappings.load(Relaxed),
            handles: self.handles.load(Relaxed),
            generation: self.generation(),
            holders: counts.held,
            waiters: counts.waiting,
            pieces: u32::try_from(self.pages.pieces()).unwrap_or(u32::MAX),
            ..uapi::Stat::default()
        }
    }
}

impl Mapped for Segment {
    fn pages(&self) -> &Pages {
        &self.pages
    }

    fn mapping_added(&self) {
        self.mappings.add(1u64, Relaxed);
    }

    fn mapping_removed(&self) {
        let _ = self.mappings.fetch_sub(1u64, Relaxed);
    }
}

impl Polled for Segment {
    fn poll_queue(&self) -> &PollQueue {
        &self.changed
    }
}
