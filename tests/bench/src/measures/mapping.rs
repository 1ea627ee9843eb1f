// SPDX-License-Identifier: MIT OR Apache-2.0

//! Making, mapping and touching memory.
//!
//! To touch is to write a byte of every page, for everybody alike: what is shared is there to be written. Who maps pages
//! when they are touched has it easier with reading, since the kernel maps neighbours along then: that is measured as
//! well. A segment of ours is mapped with its length given, so that `mmap` is the one call, as for the peers.

use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::Result;
use nix::libc::MAP_POPULATE;
use shmdev::Map;

use super::peers::{self, PosixShm};
use super::segments::{MAPS, fresh_name, mapped, subject_of};
use crate::run::{Batch, Plan, Run, Subject, repeat, subject};
use crate::sys::memory::{Region, SysvSegment};

const PAGE: usize = 4096;
const MIB: usize = 1 << 20;

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    run.measure("attach_4m", Plan::of(1), attach(Touch::Write))?;
    run.measure("attach_4m_read", Plan::of(1), attach(Touch::Read))?;
    create(run)?;
    map_256m(run)?;
    map_size(run)
}

/// What is done between mapping and unmapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    /// A byte of every page is written.
    Write,
    /// A byte of every page is read.
    Read,
    /// A byte of every huge page is written.
    WriteHuge,
    Nothing,
}

impl Touch {
    fn pages(self, cells: &[AtomicU8]) {
        let stride = if self == Self::WriteHuge {
            peers::HUGE_PAGE
        } else {
            PAGE
        };
        let touched = cells.iter().step_by(stride);
        match self {
            Self::Write | Self::WriteHuge => touched.for_each(|cell| cell.store(1, Ordering::Relaxed)),
            Self::Read => touched.for_each(|cell| _ = black_box(cell.load(Ordering::Relaxed))),
            Self::Nothing => {}
        }
    }
}

fn touch(cells: &[AtomicU8]) {
    Touch::Write.pages(cells);
}

/// Maps a segment of ours that exists, and unmaps it.
fn map_ours(map: Map, len: usize, how: Touch) -> Result<Batch> {
    let segment = mapped(map, len).anonymous()?;
    repeat(move || {
        let mapping = segment.map_range(0, len)?;
        how.pages(mapping.atomics::<AtomicU8>(0, len)?);
        Ok(())
    })
}

/// Maps a file whose pages exist, and unmaps it. `keep` lives as long.
fn map_file(file: OwnedFd, len: usize, flags: i32, how: Touch, keep: impl Sized + 'static) -> Result<Batch> {
    touch(Region::shared(&file, len, 0)?.cells());
    repeat(move || {
        let _ = &keep;
        how.pages(Region::shared(&file, len, flags)?.cells());
        Ok(())
    })
}

/// The same, of pages of 2 MiB.
fn map_huge(len: usize, flags: i32, how: Touch) -> Result<Batch> {
    let pages = peers::huge_pages(len)?;
    map_file(peers::memfd_hugetlb(len)?, len, flags, how, pages)
}

fn attach(how: Touch) -> Vec<Subject> {
    const LEN: usize = 4 * MIB;
    let mut subjects = ours(move |map| map_ours(map, LEN, how));
    subjects.extend([
        subject("memfd", move || map_file(peers::memfd(LEN)?, LEN, 0, how, ())),
        subject("memfd populate", move || {
            map_file(peers::memfd(LEN)?, LEN, MAP_POPULATE, how, ())
        }),
        subject("memfd hugetlb", move || map_huge(LEN, 0, how)),
        subject("memfd hugetlb populate", move || map_huge(LEN, MAP_POPULATE, how)),
        subject("POSIX shm", move || {
            let shm = PosixShm::create(fresh_name(), LEN)?;
            map_file(shm.file.try_clone()?, LEN, 0, how, shm)
        }),
        subject("SysV shm", move || {
            let segment = SysvSegment::create(0, LEN)?;
            touch(Region::attached(&segment)?.cells());
            repeat(move || {
                how.pages(Region::attached(&segment)?.cells());
                Ok(())
            })
        }),
    ]);
    subjects
}

fn ours(start: impl Fn(Map) -> Result<Batch> + 'static) -> Vec<Subject> {
    let start = Rc::new(start);
    MAPS.map(|map| {
        let start = Rc::clone(&start);
        subject(subject_of(map), move || start(map))
    })
    .into()
}

fn create(run: &mut Run) -> Result<()> {
    const LEN: usize = 4 * MIB;
    let mut subjects = ours(|map| {
        let options = mapped(map, LEN);
        repeat(move || {
            let segment = options.anonymous()?;
            touch(segment.map_range(0, LEN)?.atomics::<AtomicU8>(0, LEN)?);
            Ok(())
        })
    });
    subjects.extend([
        subject("memfd", || create_memfd(LEN, 0)),
        subject("memfd populate", || create_memfd(LEN, MAP_POPULATE)),
        subject("memfd hugetlb", || {
            let pages = peers::huge_pages(LEN)?;
            repeat(move || {
                let _ = &pages;
                touch(Region::shared(peers::memfd_hugetlb(LEN)?, LEN, 0)?.cells());
                Ok(())
            })
        }),
        subject("POSIX shm", || {
            let name = fresh_name();
            repeat(move || {
                let shm = PosixShm::create(name.clone(), LEN)?;
                touch(Region::shared(&shm.file, LEN, 0)?.cells());
                Ok(())
            })
        }),
        subject("SysV shm", || {
            repeat(|| {
                touch(Region::attached(&SysvSegment::create(0, LEN)?)?.cells());
                Ok(())
            })
        }),
    ]);
    // Where free pages lie differs each time, and the least is met seldom.
    let plan = Plan {
        batches: 40,
        ..Plan::of(1)
    };
    run.measure("create_4m", plan, subjects)
}

fn create_memfd(len: usize, flags: i32) -> Result<Batch> {
    repeat(move || {
        touch(Region::shared(peers::memfd(len)?, len, flags)?.cells());
        Ok(())
    })
}

/// What it takes to have all pages mapped.
fn to_map_all(map: Map) -> Touch {
    match map {
        Map::Pfn => Touch::Nothing,
        Map::Fault => Touch::Write,
        _ => Touch::WriteHuge,
    }
}

/// One after the other, so that the guest need not have memory for all of them at once.
fn map_256m(run: &mut Run) -> Result<()> {
    const LEN: usize = 256 * MIB;
    for subject in [ours(|map| map_ours(map, LEN, to_map_all(map))), populated(LEN)]
        .into_iter()
        .flatten()
    {
        run.measure("map_256m", plan(&subject, LEN), vec![subject])?;
    }
    Ok(())
}

/// Page by page, much takes long.
fn plan(subject: &Subject, len: usize) -> Plan {
    match subject.name() {
        "shmdev huge" | "memfd hugetlb populate" => Plan::of(1),
        _ if len < 16 * MIB => Plan::of(1),
        _ => Plan::long(),
    }
}

/// Peers that map all pages without their being touched.
fn populated(len: usize) -> Vec<Subject> {
    let mut subjects = vec![subject("memfd populate", move || {
        map_file(peers::memfd(len)?, len, MAP_POPULATE, Touch::Nothing, ())
    })];
    if len >= peers::HUGE_PAGE {
        subjects.push(subject("memfd hugetlb populate", move || {
            map_huge(len, MAP_POPULATE, Touch::Nothing)
        }));
    }
    subjects
}

/// At every point all pages are mapped by all: who maps them when they are touched has to touch them.
fn map_size(run: &mut Run) -> Result<()> {
    let sizes = (0..9).map(|power| PAGE << (2 * power));
    for len in sizes {
        let mut subjects = ours(move |map| map_ours(map, len, to_map_all(map)));
        subjects.push(subject("memfd", move || {
            map_file(peers::memfd(len)?, len, 0, Touch::Write, ())
        }));
        subjects.extend(populated(len));
        for subject in subjects {
            run.point("map_size", len as u64, plan(&subject, len), vec![subject])?;
        }
    }
    Ok(())
}
