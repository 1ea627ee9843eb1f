// SPDX-License-Identifier: MIT OR Apache-2.0

//! What every system call costs at least.

use std::fs::File;

use anyhow::Result;
use nix::unistd::getppid;
use shmdev::Device;

use crate::run::{Plan, Run, repeat, subject};
use crate::sys::ipc;

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    let subjects = vec![
        subject("getppid", || {
            repeat(|| {
                getppid();
                Ok(())
            })
        }),
        subject("ioctl of /dev/null", || {
            let null = File::open("/dev/null")?;
            repeat(move || ipc::unknown_ioctl(&null))
        }),
        subject("ioctl of /dev/shmdev", || {
            let device = Device::open()?;
            repeat(move || ipc::unknown_ioctl(&device))
        }),
    ];
    run.measure("null_call", Plan::of(200), subjects)
}
