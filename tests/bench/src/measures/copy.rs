// SPDX-License-Identifier: MIT OR Apache-2.0

//! Copying: by `pread` and `pwrite`, and through a mapping.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Result;
use shmdev::{Mapping, SegmentOptions};

use super::peers::PosixShm;
use super::segments::fresh_name;
use crate::run::{Batch, Plan, Run, repeat, subject};
use crate::sys::memory::Region;

const TRANSFER: usize = 64 << 10;
const MIB: usize = 1 << 20;

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    let subjects = vec![
        subject("shmdev", || {
            let segment = SegmentOptions::new().size(TRANSFER as u64).anonymous()?;
            let mut buffer = vec![1; TRANSFER];
            repeat(move || Ok(segment.read_exact_at(&mut buffer, 0)?))
        }),
        subject("tmpfs file", || {
            let file = tmpfs_file()?;
            let mut buffer = vec![1; TRANSFER];
            file.write_all_at(&buffer, 0)?;
            repeat(move || Ok(file.read_exact_at(&mut buffer, 0)?))
        }),
    ];
    run.measure("pread_64k", Plan::of(10), subjects)?;

    let subjects = vec![
        subject("shmdev", || {
            let segment = SegmentOptions::new().size(TRANSFER as u64).anonymous()?;
            let buffer = vec![1; TRANSFER];
            repeat(move || Ok(segment.write_all_at(&buffer, 0)?))
        }),
        subject("tmpfs file", || {
            let file = tmpfs_file()?;
            let buffer = vec![1; TRANSFER];
            repeat(move || Ok(file.write_all_at(&buffer, 0)?))
        }),
    ];
    run.measure("pwrite_64k", Plan::of(10), subjects)?;

    let subjects = vec![
        subject("shmdev", || {
            let segment = SegmentOptions::new().size(MIB as u64).anonymous()?;
            copy_out(segment.map()?)
        }),
        subject("anonymous memory", || copy_out(Mapping::anonymous(MIB)?)),
        subject("shmdev, memcpy", || {
            let segment = SegmentOptions::new().size(MIB as u64).anonymous()?;
            memcpy(Region::shared(&segment, MIB, 0)?)
        }),
        subject("anonymous memory, memcpy", || memcpy(Region::private(MIB)?)),
    ];
    run.measure("copy_1m", Plan::of(4), subjects)
}

/// A file that has its pages, and no name any more.
fn tmpfs_file() -> Result<File> {
    let shm = PosixShm::create(fresh_name(), TRANSFER)?;
    Ok(shm.file.try_clone()?.into())
}

/// As a user of the library copies.
fn copy_out(mapping: Mapping) -> Result<Batch> {
    let mut buffer = vec![1; MIB];
    mapping.fill(1, 0, MIB)?;
    repeat(move || Ok(mapping.read_at(&mut buffer, 0)?))
}

fn memcpy(from: Region) -> Result<Batch> {
    let to = Region::private(MIB)?;
    repeat(move || {
        from.copy_to(&to, MIB);
        Ok(())
    })
}
