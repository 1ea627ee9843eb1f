// SPDX-License-Identifier: MIT OR Apache-2.0

//! Memory that a segment holds beyond its page: how much less is free with many of them, that nobody has open.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use shmdev_bench_model::Unit;

use super::population::{LEN, Ours, Population, Posix, Sysv};
use crate::run::{Batch, Plan, Run, subject};

/// So many that what the allocators keep back is little beside them.
const COUNT: u32 = 4000;

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    let plan = Plan {
        operations: COUNT,
        batches: 3,
        starts: 1,
    };
    let subjects = vec![
        subject("shmdev", held::<Ours>),
        subject("POSIX shm", held::<Posix>),
        subject("SysV shm", held::<Sysv>),
    ];
    run.measure_in(Unit::Bytes, "segment_memory", None, plan, subjects)
}

fn held<P: Population>() -> Result<Batch> {
    Ok(Box::new(|count| {
        let before = free()?;
        let population = P::of(count as usize)?;
        let taken = before
            .checked_sub(free()?)
            .context("memory became free meanwhile")?;
        drop(population);
        let pages = u64::from(count) * LEN as u64;
        ensure!(taken > pages, "the segments hold less than their pages");
        Ok(taken - pages)
    }))
}

/// Bytes that are free, among them those that the processors keep for themselves.
fn free() -> Result<u64> {
    // What is freed after a grace period is to be free.
    thread::sleep(Duration::from_millis(200));
    let text = fs::read_to_string("/proc/zoneinfo").context("reading /proc/zoneinfo")?;
    Ok(free_pages(&text) * 4096)
}

fn free_pages(zoneinfo: &str) -> u64 {
    zoneinfo
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let number = line
                .strip_prefix("pages free")
                .or_else(|| line.strip_prefix("count:"))?;
            number.trim().parse::<u64>().ok()
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_pages_are_those_of_zones_and_of_processors() {
        let zoneinfo = "\
Node 0, zone   Normal
  pages free     3000
        boost    0
        min      21
  pagesets
    cpu: 0
              count:    40
              high:     224
    cpu: 1
              count:    2
Node 0, zone  DMA
  pages free     100
";
        assert_eq!(free_pages(zoneinfo), 3142);
    }
}
