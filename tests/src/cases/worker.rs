// SPDX-License-Identifier: MIT OR Apache-2.0

//! A process that does one thing after the other, at random.

use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd};

use super::injection::Sufferer;
use super::map_huge::LARGE;
use super::model::Random;
use super::{PRIVATE, READ, SHARED, WRITE};
use crate::sys::namespace::keep;
use crate::sys::process::{kill_myself, unshare};
use crate::sys::{
    ACCESS_READ, ACCESS_WRITE, CREATE_AUTO_REMOVE, CREATE_EXCLUSIVE, Create, Errno, Handle, MAP_FAULT,
    MAP_HUGE, MAP_PFN, PAGE, Process, ROBUST_WAKE_ONLY, Region, Result, THIS, by_id, by_name, creation, file,
    in_ms, poll, words,
};

/// Few, so that they meet.
pub(super) const NAMES: u64 = 10;
/// How much a worker holds at most of each kind.
const HELD: usize = 6;

/// A mapping that it holds.
struct Held {
    region: Region,
    writable: bool,
}

/// A process that does one thing after the other.
pub(super) struct Worker<'a> {
    random: Random,
    handles: Vec<Handle>,
    mappings: Vec<Held>,
    /// Of the segment that it made last; others make theirs at the same time.
    last_id: u64,
    /// Through which handles are passed on, in both directions.
    queue: &'a (OwnedFd, OwnedFd),
    /// The IPC namespace that it began in.
    home: OwnedFd,
    /// To be signalled.
    event: OwnedFd,
    /// For what may fail.
    sufferer: Sufferer,
    /// How often something was refused for want of memory.
    pub(super) wants: Cell<u32>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(seed: u64, queue: &'a (OwnedFd, OwnedFd), suffering: bool) -> Worker<'a> {
        Worker {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            handles: Vec::new(),
            mappings: Vec::new(),
            last_id: 0,
            queue,
            home: keep("ipc"),
            event: words::eventfd(),
            sufferer: Sufferer::new(suffering),
            wants: Cell::new(0),
        }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit as usize) as u64
    }

    /// Calls something, and says what it returned. It may be refused for these reasons, because the handle's namespace
    /// has gone, and for want of memory.
    #[track_caller]
    fn tries<T>(&self, refusals: &[Errno], call: impl FnOnce() -> Result<T>) -> Option<T> {
        match self.sufferer.during(call) {
            Ok(value) => Some(value),
            Err(Errno::ENXIO) => None,
            Err(Errno::ENOMEM | Errno::EFAULT | Errno::ENFILE) if self.sufferer.suffers() => {
                self.wants.set(self.wants.get() + 1);
                None
            }
            Err(error) if refusals.contains(&error) => None,
            Err(error) => panic!("{error} is not among {refusals:?}"),
        }
    }

    fn fresh(&self) -> Option<Handle> {
        self.tries(&[], || Handle::open(libc::O_RDWR))
    }

    fn name(&mut self) -> String {
        format!("frames-{}", self.below(NAMES))
    }

    /// A handle that it holds, or one that is new.
    fn any(&mut self) -> Handle {
        match self.handles.len() {
            0 => Handle::rw(),
            count => {
                let index = self.random.below(count);
                self.handles[index].dup()
            }
        }
    }

    /// One that may be somebody's.
    fn some_id(&mut self) -> u64 {
        self.last_id.saturating_sub(self.below(50)) + self.below(50)
    }

    fn hold(&mut self, handle: Handle) {
        if self.handles.len() == HELD {
            let index = self.random.below(HELD);
            self.handles.swap_remove(index);
        }
        self.handles.push(handle);
    }

    /// One thing, chosen at random. Each may be refused, for reasons that the contract gives for it.
    pub(super) fn step(&mut self) {
        match self.below(26) {
            0 | 1 => self.create(),
            2 | 3 => self.open(),
            4 => self.map(),
            5 => self.touch(),
            6 => drop(self.mappings.pop()),
            7 => self.resize(),
            8 => self.remove(),
            9 => self.restrict(),
            10 | 11 => self.lock(),
            12 => self.transfer(),
            13 => self.look(),
            14 => self.set(),
            15 => self.pass_on(),
            16 => self.receive(),
            17 => self.split(),
            18 => self.die_or_drop(),
            19 => self.wait_and_wake(),
            20 => self.wait_on_some(),
            21 => self.tend(),
            22 => self.have_signalled(),
            23 => self.reshape(),
            24 => self.inherit(),
            _ => self.move_house(),
        }
    }

    fn create(&mut self) {
        let name = if self.below(3) == 0 {
            String::new()
        } else {
            self.name()
        };
        let flags = [0, CREATE_EXCLUSIVE, CREATE_AUTO_REMOVE, 0][self.random.below(4)];
        let map = [0, MAP_PFN, MAP_FAULT, MAP_HUGE][self.random.below(4)];
        let size = match self.below(8) {
            0 => LARGE + self.random.below(LARGE),
            _ => 1 + self.random.below(16 * PAGE),
        };
        let create = Create {
            flags: flags | map,
            mode: 0o666,
            ..creation(name, size as u64)
        };
        let Some(handle) = self.fresh() else { return };
        let refusals = [Errno::EEXIST, Errno::EINVAL, Errno::EOPNOTSUPP];
        if let Some(created) = self.tries(&refusals, || handle.create(create)) {
            self.last_id = created.id;
            self.hold(handle);
        }
    }

    fn open(&mut self) {
        let target = match self.below(4) {
            0 => by_id(self.some_id()),
            _ => by_name(self.name()),
        };
        let Some(handle) = self.fresh() else { return };
        let refusals = [Errno::ENOENT, Errno::EIDRM];
        if self.tries(&refusals, || handle.attach(target)).is_some() {
            self.hold(handle);
        }
    }

    fn map(&mut self) {
        let handle = self.any();
        let (page, len) = match self.below(4) {
            0 => (0, LARGE + self.random.below(LARGE)),
            _ => (self.below(6), (1 + self.random.below(6)) * PAGE),
        };
        let writable = self.below(2) == 0;
        let prot = if writable { READ | WRITE } else { READ };
        let flags = [SHARED, PRIVATE][self.random.below(2)];
        let refusals = [Errno::EINVAL, Errno::EACCES, Errno::EOPNOTSUPP];
        let mapped = self.tries(&refusals, || handle.mmap(len, prot, flags, page * PAGE as u64));
        if let Some(region) = mapped {
            if self.mappings.len() == HELD {
                self.mappings.clear();
            }
            self.mappings.push(Held { region, writable });
        }
    }

    fn touch(&mut self) {
        for Held { region, writable } in &self.mappings {
            let offset = self.random.below(region.len());
            std::hint::black_box((region.get(0), region.get(region.len() - 1)));
            if *writable {
                region.set(offset, 1);
            }
        }
    }

    fn split(&mut self) {
        if let Some(Held { region, .. }) = self.mappings.pop() {
            let middle = region.len() / PAGE / 2 * PAGE;
            region.unmap(middle, PAGE).unwrap();
        }
    }

    /// Moves a mapping, or takes away that half of it can be written to.
    fn reshape(&mut self) {
        let Some(Held { region, writable }) = self.mappings.pop() else {
            return;
        };
        let len = region.len();
        if self.below(2) == 0 {
            let half = (len / 2).next_multiple_of(PAGE);
            region.protect(0, half, READ).unwrap();
            self.mappings.push(Held {
                region,
                writable: false,
            });
        } else {
            let room = Region::anonymous(len);
            let fixed = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
            match region.remap(0, len, len, fixed, room.at(0)) {
                Ok(moved) => {
                    region.leak();
                    room.leak();
                    self.mappings.push(Held {
                        region: moved,
                        writable,
                    });
                }
                // Of two parts with protections of their own; the first may have moved.
                Err(Errno::EFAULT) => (),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Has a child touch what it inherits.
    fn inherit(&mut self) {
        Process::fork(|| self.touch()).join();
    }

    fn resize(&mut self) {
        let (handle, size) = (self.any(), 1 + self.below(16 * PAGE as u64));
        let target = if self.below(2) == 0 {
            THIS
        } else {
            by_name(self.name())
        };
        let refusals = [
            Errno::EBUSY,
            Errno::ENOENT,
            Errno::EACCES,
            // The default segment.
            Errno::EINVAL,
        ];
        self.tries(&refusals, || handle.resize(target, size));
    }

    fn remove(&mut self) {
        let handle = self.any();
        let target = match self.below(3) {
            0 => THIS,
            1 => by_id(1 + self.some_id()),
            _ => by_name(self.name()),
        };
        let refusals = [Errno::ENOENT, Errno::EIDRM, Errno::EACCES, Errno::EINVAL];
        self.tries(&refusals, || handle.remove(target));
    }

    fn restrict(&mut self) {
        let handle = self.any();
        let access = [ACCESS_READ, ACCESS_WRITE, ACCESS_READ | ACCESS_WRITE][self.random.below(3)];
        let (offset, len) = (self.below(PAGE as u64), 1 + self.below(16 * PAGE as u64));
        self.tries(&[Errno::EACCES], || handle.restrict(offset, len, access));
    }

    fn lock(&mut self) {
        let handle = self.any();
        let access = [ACCESS_READ, ACCESS_WRITE][self.random.below(2)];
        let (offset, len) = (self.below(64) * 8, 1 + self.below(512));
        let deadline = if self.below(2) == 0 {
            0
        } else {
            in_ms(self.below(4))
        };
        let refusals = [
            Errno::EAGAIN,
            Errno::ETIMEDOUT,
            Errno::EDEADLK,
            Errno::EINVAL,
            Errno::EACCES,
        ];
        let begun = self.tries(&refusals, || handle.begin(access, offset, len, deadline));
        if begun.is_some() && self.below(4) > 0 {
            handle
                .end(access, offset, len)
                .expect("what was begun can be ended");
        }
    }

    fn wait_and_wake(&mut self) {
        let (handle, offset) = (self.any(), self.below(16) * 4);
        let (deadline, count) = (in_ms(self.below(4)), self.below(3) as u32);
        let refusals = [Errno::EAGAIN, Errno::ETIMEDOUT, Errno::EACCES];
        self.tries(&refusals, || handle.wait_on(offset, 0, deadline));
        self.tries(&[Errno::EACCES], || handle.wake(offset, count));
    }

    fn wait_on_some(&mut self) {
        let handle = self.any();
        let [from, to] = [(); 2].map(|()| self.below(16) * 4);
        let (deadline, count) = (in_ms(self.below(4)), self.below(3) as u32);
        let refusals = [Errno::EAGAIN, Errno::ETIMEDOUT, Errno::EACCES, Errno::EINVAL];
        match self.below(3) {
            0 => _ = self.tries(&refusals, || handle.wait_on_any(&[(from, 0), (to, 0)], deadline)),
            1 => _ = self.tries(&refusals, || handle.requeue(from, 0, count, to, 2)),
            _ => {
                let (wake, wait) = (words::wake(from, count), words::wait(to, 0, deadline));
                self.tries(&refusals, || handle.wake_wait(wake, wait));
            }
        }
    }

    /// Has the kernel tend words that may hold a token, or anything.
    fn tend(&mut self) {
        let handle = self.any();
        let (offset, flags) = (self.below(16) * 4, self.below(2) as u32 * ROBUST_WAKE_ONLY);
        let value = [
            handle.info().map_or(0, |info| info.token),
            self.below(1 << 32) as u32,
        ][self.random.below(2)];
        self.tries(&[Errno::ENOSPC, Errno::EACCES], || {
            handle.pwrite(&value.to_ne_bytes(), offset as i64)
        });
        if self.below(3) > 0 {
            self.tries(&[Errno::EACCES, Errno::ENOSPC], || {
                handle.robust_add(offset, flags)
            });
        } else {
            self.tries(&[Errno::ENOENT], || handle.robust_del(offset, flags));
        }
    }

    fn have_signalled(&mut self) {
        let handle = self.any();
        let word = (self.below(3) > 0).then_some(self.below(16) * 4);
        let event = self.event.as_raw_fd();
        if self.below(3) > 0 {
            self.tries(&[Errno::EACCES, Errno::ENOSPC], || {
                handle.eventfd_add(word, event)
            });
        } else {
            self.tries(&[Errno::ENOENT], || handle.eventfd_del(word, event));
        }
    }

    fn transfer(&mut self) {
        let (handle, offset) = (self.any(), self.below(8 * PAGE as u64) as i64);
        let mut buffer = [0; 100];
        self.tries(&[Errno::ENOSPC, Errno::EACCES], || handle.pwrite(&buffer, offset));
        self.tries(&[Errno::EACCES], || handle.pread(&mut buffer, offset));
        self.tries(&[], || handle.seek(0, libc::SEEK_END));
    }

    fn look(&mut self) {
        let (handle, name) = (self.any(), self.name());
        handle.fdinfo();
        self.tries(&[], || handle.info());
        self.tries(&[], || poll::try_poll(&handle, libc::POLLIN, 0));
        self.tries(&[], || handle.stat());
        let refusals = [Errno::ENOENT, Errno::EACCES];
        self.tries(&refusals, || handle.stat_of(by_name(name)));
        // What the answer is copied to is found without asking the kernel for more.
        drop(std::hint::black_box(vec![0_u8; 64 << 10]));
        self.tries(&[Errno::EACCES], || handle.list_from(0));
        let file = ["segments", "ranges", "words", "usage"][self.random.below(4)];
        let _ = std::fs::read(format!("/sys/kernel/debug/shmdev/{file}"));
    }

    fn set(&mut self) {
        let (handle, name) = (self.any(), self.name());
        let mode = 0o600 | self.below(0o100) as u32;
        let refusals = [Errno::ENOENT, Errno::EACCES, Errno::EINVAL];
        self.tries(&refusals, || handle.set_mode(by_name(name), mode));
    }

    fn pass_on(&mut self) {
        let (handle, queue) = (self.any(), self.queue);
        // Full, too many under way, or no memory for the message.
        let full = [Errno::EAGAIN, Errno::ETOOMANYREFS, Errno::ENOBUFS];
        self.tries(&full, || file::try_send_fd(&queue.0, handle, libc::MSG_DONTWAIT));
    }

    fn receive(&mut self) {
        if let Ok(fd) = file::try_receive_fd(&self.queue.1, libc::MSG_DONTWAIT) {
            self.hold(Handle::from(fd));
        }
    }

    fn die_or_drop(&mut self) {
        if self.below(8) == 0 {
            self.sufferer.during(|| kill_myself());
        }
        let handle = self.handles.pop();
        self.sufferer.during(|| drop(handle));
    }

    /// Into a namespace of its own, or back.
    fn move_house(&mut self) {
        match self.below(8) {
            0 => unshare(libc::CLONE_NEWIPC).unwrap(),
            1 => crate::sys::namespace::enter(&self.home).unwrap(),
            _ => (),
        }
    }
}
