// SPDX-License-Identifier: GPL-2.0

//! The range locks of a segment: who holds and waits for what, asleep and awake.
//!
//! # Locks
//!
//! `RangeLocks::table` is a leaf but for the locks of the scheduler and the allocator: nothing of the
//! module is locked, and no user memory touched, while it is held. It is never taken under an
//! `mmap_lock`.

use crate::{
    missing::{
        clock,
        errno::{
            EDEADLK,
            ENOLCK,
            ETIMEDOUT, //
        },
        gfp::GFP_MAY_FAIL,
        park::{
            Deadline,
            Sleeper,
            Wake, //
        },
        process::{
            current_global_number,
            current_is_being_killed,
            ProcessKey, //
        },
        trace, //
    },
    sync::ranges::{
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
};
use core::num::NonZeroU32;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// On whose behalf a range is held.
#[derive(Clone, Copy)]
pub(crate) struct Requester {
    key: ProcessKey,
    /// Number in the initial pid namespace, to be shown.
    pub(crate) pid: u32,
}

impl Requester {
    /// `key` is that of the current process, which is watched.
    pub(crate) fn current(key: ProcessKey) -> Self {
        Self {
            key,
            pid: current_global_number(),
        }
    }
}

impl Waker for Arc<Sleeper> {
    fn wake(&self) {
        // The table says what for.
        if self.claim(NonZeroU32::MIN) {
            Sleeper::wake(self);
        }
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

/// Ranges of a segment that are held and waited for.
#[pin_data]
pub(crate) struct RangeLocks {
    /// The segment's number, to be traced.
    segment: u64,
    #[pin]
    table: Mutex<RangeTable<Requester, Arc<Sleeper>>>,
}

impl RangeLocks {
    /// Nobody holds anything.
    pub(crate) fn new(segment: u64) -> impl PinInit<Self> {
        pin_init!(Self {
            segment,
            table <- new_mutex!(RangeTable::new(), "shmdev::RangeLocks::table"),
        })
    }

    /// Holds a range for the current process; without a deadline, only if it need not wait.
    ///
    /// Fails with `EDEADLK`, `ENOLCK`, `ENOMEM`; when it would have to wait with `EAGAIN`, and when
    /// it did with `ETIMEDOUT` or `ERESTARTSYS`.
    pub(crate) fn begin(
        &self,
        request: Request<Requester>,
        deadline: Option<Deadline>,
        limit: u32,
    ) -> Result<Granted> {
        let result = self.begin_request(request, deadline, limit);
        let outcome = result.as_ref().map(drop).map_err(|&error| error);
        let Request { owner, range, .. } = request;
        let write = request.access == Access::Write;
        trace::lock(self.segment, owner, range.start, range.end, write, outcome);
        result
    }

    fn begin_request(
        &self,
        request: Request<Requester>,
        deadline: Option<Deadline>,
        limit: u32,
    ) -> Result<Granted> {
        let now = clock::ticks();
        match self.table.lock().begin(request, None, limit, now) {
            Outcome::Granted(granted) => return Ok(granted),
            Outcome::Refused(refusal) => return Err(refusal.into()),
            Outcome::Waits(_) | Outcome::WouldWait => (),
        }
        self.begin_or_wait(request, deadline, limit, now)
    }

    #[cold]
    fn begin_or_wait(
        &self,
        request: Request<Requester>,
        deadline: Option<Deadline>,
        limit: u32,
        now: u64,
    ) -> Result<Granted> {
        let deadline = deadline.ok_or(EAGAIN)?;
        let sleeper = Arc::new(Sleeper::current(), GFP_MAY_FAIL)?;
        let waker = Some(sleeper.clone());
        let outcome = self.table.lock().begin(request, waker, limit, now);
        match outcome {
            Outcome::Granted(granted) => Ok(granted),
            Outcome::Refused(refusal) => Err(refusal.into()),
            Outcome::Waits(id) => self.wait(&sleeper, id, deadline),
            // There is a waker.
            Outcome::WouldWait => Err(EAGAIN),
        }
    }

    fn wait(&self, sleeper: &Sleeper, id: RequestId, deadline: Deadline) -> Result<Granted> {
        let wake = sleeper.sleep(deadline);
        let mut table = self.table.lock();
        if let Some(granted) = table.settle(id, clock::ticks()) {
            if !current_is_being_killed() {
                return Ok(granted);
            }
            // It will not write, so it must not leave a mark.
            table.withdraw(id);
        }
        match wake {
            Wake::Deadline => Err(ETIMEDOUT()),
            Wake::Signal => Err(ERESTARTSYS),
            // Woken without a grant: the request was dropped with its owner.
            Wake::Claimed => Err(EINTR),
        }
    }

    /// Takes back a request that was just granted, as if it never was.
    pub(crate) fn withdraw(&self, request: Request<Requester>, granted: Granted) {
        let mut table = self.table.lock();
        if table.withdraw(granted.id) {
            self.trace_unlock(request.owner, request.range, request.access);
        }
    }

    /// Gives a range back, if `owner` holds it. Returns what `ended` does, which is called before
    /// anybody else can hold any of it.
    pub(crate) fn end<T>(
        &self,
        owner: u32,
        range: Range,
        access: Access,
        ended: impl FnOnce() -> T,
    ) -> Option<T> {
        let mut table = self.table.lock();
        let result = table.end(owner, range, access).then(ended)?;
        self.trace_unlock(owner, range, access);
        Some(result)
    }

    /// Drops what a handle holds or waits for.
    pub(crate) fn handle_released(&self, token: u32) {
        self.drop_requests(|request| request.owner == token);
    }

    /// Drops what a process holds or waits for through a handle.
    pub(crate) fn process_exited(&self, token: u32, process: ProcessKey) {
        self.drop_requests(|request| request.owner == token && request.process.key == process);
    }

    fn drop_requests(&self, gone: impl Fn(&Request<Requester>) -> bool) {
        let mut table = self.table.lock();
        for (request, held, _) in table.requests() {
            if held && gone(request) {
                self.trace_unlock(request.owner, request.range, request.access);
            }
        }
        table.drop_requests(gone);
    }

    fn trace_unlock(&self, owner: u32, range: Range, access: Access) {
        let write = access == Access::Write;
        trace::unlock(self.segment, owner, range.start, range.end, write);
    }

    /// How many ranges all handles have.
    pub(crate) fn counts(&self) -> Counts {
        self.table.lock().counts(|_| true)
    }

    /// How many ranges the handle with that token has.
    pub(crate) fn counts_of(&self, token: u32) -> Counts {
        self.table.lock().counts(|request| request.owner == token)
    }

    /// Calls `show` for each range that is held or waited for: the request, whether it is held, and
    /// since when.
    pub(crate) fn for_each(&self, mut show: impl FnMut(&Request<Requester>, bool, u64)) {
        for (request, held, since) in self.table.lock().requests() {
            show(request, held, since);
        }
    }
}
