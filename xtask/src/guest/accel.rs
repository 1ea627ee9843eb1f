// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the host's processor can run the guest (KVM), or its instructions have to be translated (TCG).
//!
//! `/dev/kvm` may exist where no ordinary guest can run: QEMU then aborts, or the guest stops somewhere. So what counts
//! is a trial, which takes some seconds at most and is remembered until the host is started again; `cargo xtask doctor`
//! tries anew, and `cargo xtask clean` forgets it.

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
        Wish::Auto => auto(ctx, parts, false),
    }
}

/// How the guest is to run where nobody says: found out now, whatever is remembered.
pub fn try_anew(ctx: &Ctx, parts: &Parts) -> Result<Engine> {
    auto(ctx, parts, true)
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

fn auto(ctx: &Ctx, parts: &Parts, anew: bool) -> Result<Engine> {
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
    let (dir, _lock) = ctx.cache.workspace(&ctx.ui, Kind::Accel, &key)?;
    remembered(&dir.join("engine"), anew, || {
        ctx.ui.step("trying whether KVM can run the guest");
        trial(ctx, parts, &dir.join("log"))
    })
}

/// The answer in that file; found out by a trial, and written there, if there is none or it is to be found out anew.
fn remembered(answer: &Path, anew: bool, works: impl FnOnce() -> Result<bool>) -> Result<Engine> {
    let known = fs::read_to_string(answer).unwrap_or_default();
    match known.as_str() {
        "kvm" if !anew => return Ok(Engine::Kvm),
        "tcg" if !anew => return Ok(Engine::Tcg),
        _ => {}
    }
    let (engine, name) = match works()? {
        true => (Engine::Kvm, "kvm"),
        false => (Engine::Tcg, "tcg"),
    };
    fs::write(answer, name).with_context(|| format!("cannot write {}", answer.display()))?;
    Ok(engine)
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
    use super::*;

    #[test]
    fn the_extensions_are_whole_words_among_the_flags() {
        assert!(can_virtualize("processor\t: 0\nflags\t\t: fpu vmx sse\n"));
        assert!(can_virtualize("flags\t\t: svm\n"));
        assert!(!can_virtualize("flags\t\t: fpu svm_lock\nvmx flags\t: vnmi\n"));
        assert!(!can_virtualize(""));
    }

    #[test]
    fn a_trial_is_remembered_until_somebody_wants_another() {
        let dir = tempfile::tempdir().unwrap();
        let answer = dir.path().join("engine");
        let ask = |anew, works: Option<bool>| {
            let engine = remembered(&answer, anew, || Ok(works.expect("tried again")));
            engine.unwrap()
        };
        assert_eq!(ask(false, Some(false)), Engine::Tcg);
        assert_eq!(ask(false, None), Engine::Tcg);
        assert_eq!(ask(true, Some(true)), Engine::Kvm);
        assert_eq!(ask(false, None), Engine::Kvm);
        // A trial that could not be made is no answer; nor is half of one.
        assert!(remembered(&answer, true, || anyhow::bail!("no QEMU")).is_err());
        assert_eq!(ask(false, None), Engine::Kvm);
        fs::write(&answer, "t").unwrap();
        assert_eq!(ask(false, Some(false)), Engine::Tcg);
    }
}
