// SPDX-License-Identifier: MIT OR Apache-2.0

//! Records through a ring and through what else carries bytes, sent and received by one process: nobody sleeps.

use std::os::fd::OwnedFd;

use anyhow::{Result, ensure};
use nix::unistd::{pipe, read, write};
use shmdev::ring::Options;
use shmdev::{Area, Deadline};

use super::iceoryx;
use super::peers::{Setting, socket_pair};
use super::round_trip::Queue;
use super::segments::Named;
use crate::run::{Batch, Plan, Run, Subject, repeat, subject};

const MESSAGES: &str = "/proc/sys/fs/mqueue/msgsize_max";

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    let mut subjects = vec![subject("shmdev slots", slots)];
    subjects.extend(of_len(64));
    run.measure("ring_64", Plan::of(200), subjects)?;

    for len in [8, 64, 512, 4 << 10, 16 << 10, 64 << 10] {
        let plan = Plan::of(if len > 4096 { 10 } else { 100 });
        run.point("ring_size", len as u64, plan, of_len(len))?;
    }
    Ok(())
}

fn of_len(len: usize) -> Vec<Subject> {
    vec![
        subject("shmdev records", move || records(len)),
        subject("pipe", move || {
            let (end, beginning) = pipe()?;
            by_file(len, beginning, end)
        }),
        subject("Unix socket", move || {
            let (near, far) = socket_pair()?;
            by_file(len, near, far)
        }),
        subject("POSIX mq", move || {
            let _longer = Setting::change(MESSAGES, 64 << 10)?;
            let queue = Queue::new(len)?;
            let (message, mut received) = (vec![1; len], vec![0; len]);
            repeat(move || {
                queue.send(&message)?;
                queue.receive(&mut received)
            })
        }),
        subject("iceoryx2", move || iceoryx::sample(len)),
    ]
}

fn slots() -> Result<Batch> {
    const COUNT: usize = 64;
    let named = Named::create(Options::slots_size::<[u8; 64]>(COUNT)?)?;
    let ring = |area: &Area| Options::new().slots::<[u8; 64]>(area, 0, COUNT);
    let mut sender = ring(&Area::new(named.open()?)?)?.sender()?;
    let mut receiver = ring(&Area::new(named.open()?)?)?.receiver()?;
    repeat(move || {
        let _ = &named;
        sender.try_send(&[1; 64])?;
        ensure!(receiver.try_recv()?[63] == 1, "another record was received");
        Ok(())
    })
}

fn records(len: usize) -> Result<Batch> {
    const BYTES: usize = 256 << 10;
    let named = Named::create(Options::records_size(BYTES)?)?;
    let ring = |area: &Area| Options::new().records(area, 0, BYTES);
    let mut sender = ring(&Area::new(named.open()?)?)?.sender()?;
    let mut receiver = ring(&Area::new(named.open()?)?)?.receiver()?;
    let (record, mut received) = (vec![1; len], Vec::new());
    repeat(move || {
        let _ = &named;
        sender.try_send(&record)?;
        receiver.recv_into(&mut received, Deadline::Now)?;
        ensure!(received.len() == len, "another record was received");
        Ok(())
    })
}

fn by_file(len: usize, to: OwnedFd, from: OwnedFd) -> Result<Batch> {
    let (record, mut received) = (vec![1; len], vec![0; len]);
    repeat(move || {
        ensure!(write(&to, &record)? == len, "a record was not written at once");
        let mut got = 0;
        while got < len {
            got += read(&from, &mut received[got..])?;
        }
        Ok(())
    })
}
