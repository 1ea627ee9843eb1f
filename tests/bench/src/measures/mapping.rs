// SPDX-License-Identifier: MIT OR Apache-2.0

//! Making, mapping and touching memory.
//!
//! To touch is to write a byte of every page, for everybody alike: what is shared is there to be written. A segment of
//! ours is mapped with its length given, so that `mmap` is the one call, as for the peers.

use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};

use anyhow::Result;
use nix::libc::MAP_POPULATE;

use super::peers::{self, PosixShm};
use super::segments::{Mode, fresh_name};
use crate::run::{Batch, Plan, Run, Subject, repeat, subject};
use crate::sys::memory::{Region, SysvSegment};

const PAGE: usize = 4096;
const MIB: usize = 1 << 20;

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    attach(run)?;
    create(run)?;
    map_256m(run)?;
    map_size(run)
}

fn touch(cells: &[AtomicU8]) {
    for cell in cells.iter().step_by(PAGE) {
        cell.store(1, Ordering::Relaxed);
    }
}

/// Whether a byte of each page is written between mapping and unmapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    Pages,
    Nothing,
}

/// Maps a segment of ours that exists, and unmaps it.
fn map_ours(mode: Mode, len: usize, how: Touch) -> Result<Batch> {
    let segment = mode.options()?.size(len as u64).anonymous()?;
    repeat(move || {
        let mapping = segment.map_range(0, len)?;
        if how == Touch::Pages {
            touch(mapping.atomics::<AtomicU8>(0, len)?);
        }
        Ok(())
    })
}

/// Maps a file whose pages exist, and unmaps it. `keep` lives as long.
fn map_file(
    file: std::os::fd::OwnedFd,
    len: usize,
    flags: i32,
    how: Touch,
    keep: impl Sized + 'static,
) -> Result<Batch> {
    touch(Region::shared(&file, len, 0)?.cells());
    repeat(move || {
        let _ = &keep;
        let region = Region::shared(&file, len, flags)?;
        if how == Touch::Pages {
            touch(region.cells());
        }
        Ok(())
    })
}

fn attach(run: &mut Run) -> Result<()> {
    const LEN: usize = 4 * MIB;
    let mut subjects: Vec<Subject> = ours(|mode| map_ours(mode, LEN, Touch::Pages));
    subjects.extend([
        subject("memfd", || map_file(peers::memfd(LEN)?, LEN, 0, Touch::Pages, ())),
        subject("memfd populate", || {
            map_file(peers::memfd(LEN)?, LEN, MAP_POPULATE, Touch::Pages, ())
        }),
        subject("memfd hugetlb", || {
            let pages = peers::huge_pages(LEN)?;
            map_file(peers::memfd_hugetlb(LEN)?, LEN, 0, Touch::Pages, pages)
        }),
        subject("POSIX shm", || {
            let shm = PosixShm::create(fresh_name(), LEN)?;
            map_file(shm.file.try_clone()?, LEN, 0, Touch::Pages, shm)
        }),
        subject("SysV shm", || {
            let segment = SysvSegment::create(0, LEN)?;
            touch(Region::attached(&segment)?.cells());
            repeat(move || {
                touch(Region::attached(&segment)?.cells());
                Ok(())
            })
        }),
    ]);
    run.measure("attach_4m", Plan::of(1), subjects)
}

fn ours(start: impl Fn(Mode) -> Result<Batch> + 'static) -> Vec<Subject> {
    let start = Rc::new(start);
    Mode::ALL
        .map(|mode| {
            let start = Rc::clone(&start);
            subject(mode.subject(), move || start(mode))
        })
        .into()
}

fn create(run: &mut Run) -> Result<()> {
    const LEN: usize = 4 * MIB;
    let mut subjects = ours(|mode| {
        let options = mode.options()?.size(LEN as u64).clone();
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
    run.measure("create_4m", Plan::of(1), subjects)
}

fn create_memfd(len: usize, flags: i32) -> Result<Batch> {
    repeat(move || {
        touch(Region::shared(peers::memfd(len)?, len, flags)?.cells());
        Ok(())
    })
}

/// One after the other, so that the guest need not have memory for all of them at once.
fn map_256m(run: &mut Run) -> Result<()> {
    const LEN: usize = 256 * MIB;
    for subject in [ours(|mode| map_ours(mode, LEN, Touch::Nothing)), populated(LEN)]
        .into_iter()
        .flatten()
    {
        run.measure("map_256m", Plan::long(), vec![subject])?;
    }
    Ok(())
}

/// Peers that map all pages without their being touched.
fn populated(len: usize) -> Vec<Subject> {
    vec![
        subject("memfd populate", move || {
            map_file(peers::memfd(len)?, len, MAP_POPULATE, Touch::Nothing, ())
        }),
        subject("memfd hugetlb populate", move || {
            let pages = peers::huge_pages(len)?;
            map_file(
                peers::memfd_hugetlb(len)?,
                len,
                MAP_POPULATE,
                Touch::Nothing,
                pages,
            )
        }),
    ]
}

/// Who maps pages when they are touched has to touch them, so that at every point all pages are mapped by all.
fn map_size(run: &mut Run) -> Result<()> {
    let sizes = (0..9).map(|power| PAGE << (2 * power));
    for len in sizes {
        let how = |mode| match mode {
            Mode::Fault => Touch::Pages,
            Mode::Pfn | Mode::Huge => Touch::Nothing,
        };
        let mut subjects = ours(move |mode| map_ours(mode, len, how(mode)));
        subjects.push(subject("memfd", move || {
            map_file(peers::memfd(len)?, len, 0, Touch::Pages, ())
        }));
        subjects.extend(populated(len));
        let plan = if len < 16 * MIB { Plan::of(1) } else { Plan::long() };
        for subject in subjects {
            run.point("map_size", len as u64, plan, vec![subject])?;
        }
    }
    Ok(())
}
