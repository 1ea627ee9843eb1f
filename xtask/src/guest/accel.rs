// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the host's processor can run the guest (KVM), or its instructions have to be translated (TCG).
//!
//! `/dev/kvm` may exist where no ordinary guest can run: QEMU then aborts, or the guest stops somewhere. So what counts
//! is a trial, which takes some seconds at most and is remembered until the host is started again.

use std::{fs, fs::File, io, path::Path, time::Duration};

use anyhow::{Context, Result};

use super::{
    clock::Limits,
    image::Parts,
    machine,
    protocol::Job,
    qemu::{Engine, Machine},
    session::Discard,
};
use crate::{
    cache::{Key, Kind},
    ctx::Ctx,
    error::Failure,
};

/// What the user wants.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// KVM where it works, else TCG.
    Auto,
    /// KVM.
    Kvm,
    /// TCG.
    Tcg,
}

/// How long the trial's guest may take to reach PID 1; where KVM works that is one second.
const TRIAL: Duration = Duration::from_secs(6);

/// How the guest is to run.
pub fn choose(ctx: &Ctx, parts: &Parts, wish: Wish) -> Result<Engine> {
    match wish {
        Wish::Tcg => Ok(Engine::Tcg),
        Wish::Kvm => require_device().map(|()| Engine::Kvm),
        Wish::Auto => auto(ctx, parts),
    }
}

/// Stops where KVM cannot even be asked.
pub fn require_device() -> Result<()> {
    open_device().map_err(|error| {
        Failure::machinery(format!(
            "cannot open /dev/kvm: {error}. Without --accel kvm the guest's instructions are translated, which works \
             everywhere; to use KVM, load the host's kvm_intel or kvm_amd module and be in the group that owns \
             /dev/kvm."
        ))
    })
}

fn auto(ctx: &Ctx, parts: &Parts) -> Result<Engine> {
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !can_virtualize(&processor) || open_device().is_err() {
        return Ok(Engine::Tcg);
    }
    let boot =
        fs::read_to_string("/proc/sys/kernel/random/boot_id").context("cannot read the host's boot id")?;
    let key = Key::new()
        .with(boot)
        .with(parts.root.key())
        .with(&parts.kernel.release)
        .hex();
    let entry = ctx.cache.entry(&ctx.ui, Kind::Accel, &key, |entry| {
        ctx.ui.step("trying whether KVM can run the guest");
        let engine = if trial(ctx, parts, &entry.join("log"))? {
            "kvm"
        } else {
            "tcg"
        };
        Ok(fs::write(entry.join("engine"), engine)?)
    })?;
    match fs::read_to_string(entry.join("engine"))?.as_str() {
        "kvm" => Ok(Engine::Kvm),
        _ => Ok(Engine::Tcg),
    }
}

/// Boots as far as PID 1.
fn trial(ctx: &Ctx, parts: &Parts, log: &Path) -> Result<bool> {
    let machine = Machine {
        engine: Engine::Kvm,
        processors: 2,
        memory: 512,
        exports: Vec::new(),
        gdb: None,
        icount: false,
        append: vec!["shmdev.probe".into()],
    };
    let limits = Limits {
        boot: Some(TRIAL),
        silence: None,
        idle: None,
        overall: Some(TRIAL),
        power_off: TRIAL,
    };
    let session = machine::start(ctx, parts, &machine, log)?;
    Ok(session.run(&Job::default(), limits, &mut Discard).hello.is_some())
}

/// Whether `/proc/cpuinfo` lists the extensions that KVM needs.
fn can_virtualize(processor: &str) -> bool {
    let flags = processor.lines().find_map(|line| line.strip_prefix("flags"));
    flags.is_some_and(|flags| {
        flags
            .split_whitespace()
            .any(|flag| flag == "vmx" || flag == "svm")
    })
}

fn open_device() -> io::Result<()> {
    File::options().read(true).write(true).open("/dev/kvm").map(drop)
}

#[cfg(test)]
mod tests {
    use super::can_virtualize;

    #[test]
    fn the_extensions_are_whole_words_among_the_flags() {
        assert!(can_virtualize("processor\t: 0\nflags\t\t: fpu vmx sse\n"));
        assert!(can_virtualize("flags\t\t: svm\n"));
        assert!(!can_virtualize("flags\t\t: fpu svm_lock\nvmx flags\t: vnmi\n"));
        assert!(!can_virtualize(""));
    }
}
