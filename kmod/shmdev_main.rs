// SPDX-License-Identifier: GPL-2.0

//! `/dev/shmdev`: kernel pages that processes share, and synchronisation that survives their
//! crashes.
//!
//! This file has the module's parameters, and registers the device. `docs/architecture.md` tells
//! what is where.

#![deny(unsafe_code)]

mod device;
mod eventfds;
mod handle;
mod index;
mod ioctl;
mod memory;
mod missing;
mod name;
mod namespace;
mod owners;
mod range_locks;
mod reach;
mod registry;
mod robust;
mod segment;
mod sync;
mod tables;
mod target;
mod transfer;
// Shared with user space: `pub` there, and the kernel needs only a part of it.
#[allow(dead_code, unreachable_pub)]
mod uapi;
mod usage;
mod waiter;
mod words;

use core::borrow::Borrow;
use handle::{
    Device,
    Handle, //
};
use kernel::{
    c_str,
    prelude::*,
    sync::Arc, //
};
use memory::SIZE_MAX;
use missing::{
    debugfs::Directory,
    miscdev::Registration,
    parameters::Limits,
    process::ExitQueue, //
};
use registry::Registry;
use segment::ROBUST_MAX;
use sync::ranges::TABLE_MAX;
use words::Words;

module! {
    type: Shmdev,
    name: "shmdev",
    authors: ["The shmdev developers"],
    description: "Shared memory device",
    license: "GPL",
    params: {
        default_size: u64 {
            default: 1048576,
            description: "Bytes of the default segment, 1 to 2^40 (default 1048576)",
        },
        mode: u16 {
            default: 0o600,
            description: "Permission bits of /dev/shmdev, 1 to 0777 (default 0600)",
        },
        max_ranges: u32 {
            default: 1024,
            description: "Ranges that a handle may hold or wait for, 1 to 16384 (default 1024)",
        },
        max_robust: u32 {
            default: 1024,
            description: "Robust words that a handle may have, 1 to 16384 (default 1024)",
        },
    },
}

#[pin_data]
struct Shmdev {
    /// Dropped first: no file can be opened from then on, and none is open, or unloading would have
    /// been refused.
    #[pin]
    registration: Registration<Handle>,
    _directory: Directory<Device>,
    _announcement: Announcement,
    _farewell: Farewell,
}

impl kernel::InPlaceModule for Shmdev {
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(|| {
            let default_size = value::<u64>(module_parameters::default_size.value());
            let mode = value::<u16>(module_parameters::mode.value());
            let max_ranges = value::<u32>(module_parameters::max_ranges.value());
            let max_robust = value::<u32>(module_parameters::max_robust.value());
            if !(1..=SIZE_MAX).contains(&default_size)
                || !(1..=0o777).contains(&mode)
                || !(1..=TABLE_MAX).contains(&max_ranges)
                || !(1..=ROBUST_MAX).contains(&max_robust)
            {
                return Err(EINVAL);
            }
            Limits::settle();
            let exits = Arc::new(ExitQueue::new()?, GFP_KERNEL)?;
            let registry = Registry::new(default_size)?;
            let device = Device {
                registry: registry.clone(),
                words: Words::new()?,
                max_ranges,
                max_robust,
                exits: exits.clone(),
            };
            let device = Arc::new(device, GFP_KERNEL)?;
            let directory = Directory::prepare(device.clone())?;
            Ok(try_pin_init!(Self {
                _farewell: Farewell { exits, registry },
                // Last: once registered, files can be opened.
                registration <- Registration::register(c_str!("shmdev"), mode, device),
                // Nothing fails from here on.
                _directory: directory.show(c"shmdev"),
                _announcement: Announcement::new(default_size),
            }? Error))
        })
    }
}

/// The value of a parameter, which is lent in Linux 7.2 and given in later versions.
fn value<T: Copy>(parameter: impl Borrow<T>) -> T {
    *parameter.borrow()
}

/// Says in the log that the module was loaded, and when it goes.
struct Announcement;

impl Announcement {
    fn new(default_size: u64) -> Self {
        pr_info!("loaded, default segment of {} bytes\n", default_size);
        Self
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        pr_info!("unloaded\n");
    }
}

/// Ends the module when everything else of it is gone.
struct Farewell {
    exits: Arc<ExitQueue>,
    registry: Arc<Registry>,
}

impl Drop for Farewell {
    fn drop(&mut self) {
        // What the last handles left under way must be over before the code goes.
        self.exits.flush();
        self.registry.close();
    }
}
