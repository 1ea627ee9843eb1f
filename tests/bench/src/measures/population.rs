// SPDX-License-Identifier: MIT OR Apache-2.0

//! Many segments at once, of the device and of its peers, that nobody has open.

use std::fs;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use nix::sys::mman::{shm_open, shm_unlink};
use nix::sys::stat::Mode;
use shmdev::{Device, Segment};

use super::peers::{PosixShm, Setting};
use crate::sys::memory::{Region, SysvSegment, sysv_find, sysv_list};

/// What a segment holds.
pub const LEN: usize = 4096;

/// More than there are ever at once.
const ROOM: u64 = 20_000;

/// Segments of one page, which is there. They are removed when this is dropped.
pub trait Population: Sized + 'static {
    /// None yet, but room for many.
    fn new() -> Result<Self>;
    /// How many there are.
    fn len(&self) -> usize;
    /// Makes one more.
    fn add(&mut self) -> Result<()>;
    /// Opens one by its name, or what it has instead, and closes it.
    fn open(&self, index: usize) -> Result<()>;
    /// Asks for all that there are, with what they are like; how many those were.
    fn list(&self) -> Result<usize>;

    /// So many of them.
    fn of(count: usize) -> Result<Self> {
        let mut population = Self::new()?;
        while population.len() < count {
            population.add()?;
        }
        Ok(population)
    }
}

/// The device's.
#[derive(Debug)]
pub struct Ours {
    device: Device,
    count: usize,
    _room: Setting,
}

impl Ours {
    fn name(index: usize) -> String {
        format!("bench-population-{index}")
    }
}

impl Population for Ours {
    fn new() -> Result<Self> {
        Ok(Self {
            device: Device::open()?,
            count: 0,
            _room: Setting::change("/sys/module/shmdev/parameters/max_segments", ROOM)?,
        })
    }

    fn len(&self) -> usize {
        self.count
    }

    fn add(&mut self) -> Result<()> {
        Segment::create(&Self::name(self.count), LEN as u64)?;
        self.count += 1;
        Ok(())
    }

    fn open(&self, index: usize) -> Result<()> {
        Segment::open(Self::name(index).as_str())?;
        Ok(())
    }

    fn list(&self) -> Result<usize> {
        self.device.list().try_fold(0, |count, stat| {
            stat?;
            Ok(count + 1)
        })
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        for index in 0..self.count {
            let _ = self.device.remove(Self::name(index).as_str());
        }
    }
}

/// Files of POSIX shared memory.
#[derive(Debug)]
pub struct Posix {
    count: usize,
}

impl Posix {
    fn name(index: usize) -> String {
        format!("bench-population-{index}")
    }
}

impl Population for Posix {
    fn new() -> Result<Self> {
        Ok(Self { count: 0 })
    }

    fn len(&self) -> usize {
        self.count
    }

    fn add(&mut self) -> Result<()> {
        let shm = PosixShm::create(Self::name(self.count), LEN)?;
        Region::shared(&shm.file, LEN, 0)?.cells()[0].store(1, Ordering::Relaxed);
        shm.keep();
        self.count += 1;
        Ok(())
    }

    fn open(&self, index: usize) -> Result<()> {
        shm_open(Self::name(index).as_str(), OFlag::O_RDWR, Mode::empty()).context("shm_open")?;
        Ok(())
    }

    fn list(&self) -> Result<usize> {
        fs::read_dir("/dev/shm")?.try_fold(0, |count, entry| {
            entry?.metadata()?;
            Ok(count + 1)
        })
    }
}

impl Drop for Posix {
    fn drop(&mut self) {
        for index in 0..self.count {
            let _ = shm_unlink(Self::name(index).as_str());
        }
    }
}

/// Segments of SysV, which have keys.
#[derive(Debug)]
pub struct Sysv {
    segments: Vec<SysvSegment>,
    _room: Setting,
}

impl Sysv {
    fn key(index: usize) -> i32 {
        0x5348_0000 + index as i32
    }
}

impl Population for Sysv {
    fn new() -> Result<Self> {
        Ok(Self {
            segments: Vec::new(),
            _room: Setting::change("/proc/sys/kernel/shmmni", ROOM)?,
        })
    }

    fn len(&self) -> usize {
        self.segments.len()
    }

    fn add(&mut self) -> Result<()> {
        let segment = SysvSegment::create(Self::key(self.len()), LEN)?;
        Region::attached(&segment)?.cells()[0].store(1, Ordering::Relaxed);
        self.segments.push(segment);
        Ok(())
    }

    fn open(&self, index: usize) -> Result<()> {
        sysv_find(Self::key(index)).map(drop)
    }

    fn list(&self) -> Result<usize> {
        sysv_list()
    }
}
