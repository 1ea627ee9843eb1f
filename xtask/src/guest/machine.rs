// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts a machine into the sandbox and starts it: what the command line says about it, where its log goes, and the
//! environment that its jobs find.

use std::{env, fs::File, io::Write, path::Path, process::Command, time::SystemTime};

use anyhow::Result;

use super::{
    accel,
    image::Parts,
    qemu::{self, Descriptors, Engine, Machine},
    session::{Record, Session},
};
use crate::{cache::Log, ctx::Ctx, error::Failure};

/// What the command line says about the machine.
#[derive(clap::Args, Debug, Clone)]
pub struct MachineArgs {
    /// Number of processors
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=255))]
    pub smp: u16,
    /// Memory: MiB, or with a unit as in 4G
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = mebibytes)]
    pub mem: u32,
    /// Run the guest's instructions by the host's processor, or translate them; auto tries
    #[arg(long, value_enum, default_value_t = accel::Wish::Auto)]
    pub accel: accel::Wish,
    /// Wait for a debugger on this TCP port before the first instruction
    #[arg(long, value_name = "PORT", num_args = 0..=1, require_equals = true, default_missing_value = "1234")]
    pub gdb: Option<u16>,
    /// Count time in instructions, on one processor: measurements repeat
    #[arg(long)]
    pub icount: bool,
    /// Add words to the kernel's command line
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub append: Vec<String>,
}

impl Default for MachineArgs {
    fn default() -> Self {
        MachineArgs {
            smp: 2,
            mem: 2048,
            accel: accel::Wish::Auto,
            gdb: None,
            icount: false,
            append: Vec::new(),
        }
    }
}

impl MachineArgs {
    /// Whether the options go together; to be asked before work begins.
    pub fn check(&self) -> Result<()> {
        match self.wish()? {
            accel::Wish::Kvm => accel::require_device(),
            _ => Ok(()),
        }
    }

    fn wish(&self) -> Result<accel::Wish> {
        match (self.icount, self.accel) {
            (true, accel::Wish::Kvm) => Err(Failure::usage(
                "--icount counts translated instructions: it excludes --accel kvm",
            )),
            (true, _) => Ok(accel::Wish::Tcg),
            (false, wish) => Ok(wish),
        }
    }

    /// The machine, as yet without exports.
    pub fn machine(&self, ctx: &Ctx, parts: &Parts) -> Result<Machine> {
        Ok(Machine {
            engine: accel::choose(ctx, parts, self.wish()?)?,
            processors: if self.icount { 1 } else { self.smp },
            memory: self.mem,
            exports: Vec::new(),
            gdb: self.gdb,
            icount: self.icount,
            append: self.append.clone(),
        })
    }
}

/// `512`, `512M`, `4G`: MiB.
fn mebibytes(text: &str) -> Result<u32, String> {
    let (digits, unit) = match text.trim_end_matches(['i', 'B']) {
        text if text.ends_with(['G', 'g']) => (&text[..text.len() - 1], 1024),
        text if text.ends_with(['M', 'm']) => (&text[..text.len() - 1], 1),
        text => (text, 1),
    };
    let size = digits
        .parse::<u32>()
        .ok()
        .and_then(|number| number.checked_mul(unit));
    let size = size.ok_or("expected MiB as in 512, or 4G")?;
    if size < 256 {
        return Err("the guest needs 256 MiB at least".into());
    }
    Ok(size)
}

/// Starts the machine.
pub fn start(ctx: &Ctx, parts: &Parts, machine: &Machine, log: &Path) -> Result<Session> {
    if let Some(port) = machine.gdb {
        // A package's kernel comes without its symbols.
        let symbols = Some(parts.kernel.build.join("vmlinux")).filter(|path| path.exists());
        let symbols = symbols.map_or(String::new(), |path| format!(" {}", path.display()));
        ctx.ui.step(&format!(
            "waiting for a debugger: gdb{symbols} -ex 'target remote :{port}'"
        ));
    }
    Session::start(&parts.image, log, |open| {
        let command = command(parts, machine, open);
        ctx.ui.command(&command);
        command
    })
}

fn command(parts: &Parts, machine: &Machine, open: Descriptors) -> Command {
    let inside = |name: &str| Path::new(qemu::INSIDE).join(name);
    let kernel = parts.kernel.unpacked.as_ref().unwrap_or(&parts.kernel.image);
    let mut sandbox = parts
        .root
        .command("qemu-system-x86_64")
        .ro_bind(kernel, inside("kernel"));
    for export in &machine.exports {
        sandbox = match export.readonly {
            true => sandbox.ro_bind(&export.path, inside(export.tag)),
            false => sandbox.bind(&export.path, inside(export.tag)),
        };
    }
    if machine.engine == Engine::Kvm {
        sandbox = sandbox.dev_bind("/dev/kvm", "/dev/kvm");
    }
    if machine.gdb.is_some() {
        sandbox = sandbox.network();
    }
    sandbox.args(qemu::arguments(machine, open)).command()
}

/// A file for the kernel's console, in the cache. It has to live until it was read for the last time.
pub fn log(ctx: &Ctx, what: &str, kernel: &str) -> Result<Log> {
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |elapsed| elapsed.as_secs());
    ctx.cache.log(&ctx.ui, &format!("guest-{now}-{what}-{kernel}"))
}

/// Adds to the log how long the boot took, by the guest's clock.
pub fn note_times(log: &Path, record: &Record) {
    let time = |time: Option<u64>| time.map_or("never".to_owned(), |time| format!("at {time} ms"));
    let note = format!(
        "\nxtask: PID 1 said hello {}, job started {}\n",
        time(record.hello),
        time(record.started)
    );
    let _ = File::options()
        .append(true)
        .open(log)
        .and_then(|mut log| log.write_all(note.as_bytes()));
}

/// The environment of a job: the same for everybody, but for what says how output is to look, and for how long the
/// stress test goes on.
pub fn environment(kernel: &str, terminal: Option<&str>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut variables = vec![
        (
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
        ),
        ("HOME", "/root".to_owned()),
        ("USER", "root".to_owned()),
        ("LOGNAME", "root".to_owned()),
        ("SHELL", "/bin/bash".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("SHMDEV_KO", "/lib/shmdev/shmdev.ko".to_owned()),
        ("SHMDEV_KERNEL", kernel.to_owned()),
    ];
    if let Some(terminal) = terminal {
        variables.push(("TERM", terminal.to_owned()));
    }
    for name in ["COLORTERM", "NO_COLOR", "SHMDEV_STRESS_SECONDS"] {
        if let Ok(value) = env::var(name) {
            variables.push((name, value));
        }
    }
    variables
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_mebibytes_unless_a_unit_is_given() {
        assert_eq!(mebibytes("512"), Ok(512));
        assert_eq!(mebibytes("512M"), Ok(512));
        assert_eq!(mebibytes("4GiB"), Ok(4096));
        for wrong in ["", "G", "-1", "1T", "9999999999G", "16"] {
            assert!(mebibytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn counting_instructions_excludes_kvm() {
        let wanted = |icount, accel| MachineArgs {
            icount,
            accel,
            ..MachineArgs::default()
        };
        let error = wanted(true, accel::Wish::Kvm).check().unwrap_err();
        assert_eq!(crate::error::kind(&error), crate::error::Kind::Usage);
        assert_eq!(wanted(true, accel::Wish::Auto).wish().unwrap(), accel::Wish::Tcg);
        assert_eq!(
            wanted(false, accel::Wish::Auto).wish().unwrap(),
            accel::Wish::Auto
        );
    }
}
