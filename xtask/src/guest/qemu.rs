// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's arguments and the kernel's command line, as pure functions of what the machine is to be.

use std::path::PathBuf;

use super::protocol::port;

/// Where the sandbox shows the machine's files to QEMU.
pub const INSIDE: &str = "/run/guest";

/// The arguments of a machine that is started by hand, without xtask.
pub const STANDALONE: &str = "-machine q35 -cpu max,-la57 -smp 2 -m 1024 -nic none -no-reboot";

/// How the guest's instructions are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// By the host's processor.
    Kvm,
    /// By QEMU's translator, a thread for each processor.
    Tcg,
}

/// A directory of the host's that the guest can mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// Its name for the guest.
    pub tag: &'static str,
    /// Where it is on the host.
    pub path: PathBuf,
    /// Whether the guest may only read it.
    pub readonly: bool,
}

/// Descriptors that are open in QEMU: the image, and the sockets behind the guest's serial ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// The image.
    pub image: i32,
    /// The kernel's console.
    pub serial: i32,
    /// The control port.
    pub control: i32,
    /// The job's standard input, output and error.
    pub streams: [i32; 3],
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// How it runs.
    pub engine: Engine,
    /// Number of processors.
    pub processors: u16,
    /// Memory in MiB.
    pub memory: u32,
    /// Directories for the guest.
    pub exports: Vec<Export>,
    /// TCP port of a debug server; the machine waits for a debugger.
    pub gdb: Option<u16>,
    /// Whether time is counted in instructions.
    pub icount: bool,
    /// What else the kernel's command line is to say.
    pub append: Vec<String>,
}

impl Machine {
    /// What kind of processor it has, as `-cpu` takes it.
    pub fn cpu(&self) -> &'static str {
        match self.engine {
            Engine::Kvm => "host",
            Engine::Tcg => TRANSLATED,
        }
    }
}

/// All arguments. The kernel is `kernel` in [`INSIDE`], an export is a directory of its tag's name there.
pub fn arguments(machine: &Machine, open: Descriptors) -> Vec<String> {
    let mut arguments = board(machine);
    arguments.extend(debugging(machine));
    arguments.extend(serial(open));
    for export in &machine.exports {
        arguments.extend(export_arguments(export));
    }
    arguments.extend(words(&["-kernel", &format!("{INSIDE}/kernel")]));
    arguments.extend(words(&["-initrd", &format!("/proc/self/fd/{}", open.image)]));
    arguments.extend(words(&["-append", &command_line(machine)]));
    arguments
}

/// All that can be translated, but for:
///
/// - five levels of page tables: the kernel forgets the fifth while it identifies its processor, and KASAN then calls an
///   interrupt a wild access. Four are also quicker to walk.
/// - fast repeated string instructions: they are translated byte for byte, and each byte counts as an instruction.
const TRANSLATED: &str = "max,-la57,-erms,-fsrm";

/// Processor, memory, and nothing that is not asked for.
fn board(machine: &Machine) -> Vec<String> {
    let accelerator = match machine.engine {
        Engine::Kvm => "kvm",
        Engine::Tcg if machine.icount => "tcg",
        Engine::Tcg => "tcg,thread=multi",
    };
    words(&[
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-nic",
        "none",
        "-machine",
        "q35,smbus=off,sata=off,usb=off,vmport=off,i8042=off,hpet=off",
        "-cpu",
        machine.cpu(),
        "-accel",
        accelerator,
        "-smp",
        &machine.processors.to_string(),
        "-m",
        &machine.memory.to_string(),
    ])
}

fn debugging(machine: &Machine) -> Vec<String> {
    let mut arguments = Vec::new();
    if machine.icount {
        arguments.extend(words(&["-icount", "shift=0,sleep=off"]));
    }
    if let Some(port) = machine.gdb {
        arguments.extend(words(&["-gdb", &format!("tcp:127.0.0.1:{port}"), "-S"]));
    }
    arguments
}

/// The kernel's console and the ports to PID 1.
fn serial(open: Descriptors) -> Vec<String> {
    let mut arguments = words(&["-device", "virtio-serial-pci"]);
    let mut chardev = |id: &str, descriptor: i32| {
        arguments.extend(words(&["-chardev", &format!("socket,id={id},fd={descriptor}")]));
    };
    chardev("serial", open.serial);
    chardev("control", open.control);
    for (id, descriptor) in ["stdin", "stdout", "stderr"].into_iter().zip(open.streams) {
        chardev(id, descriptor);
    }
    arguments.extend(words(&["-serial", "chardev:serial"]));
    for (id, name) in [
        ("control", port::CONTROL),
        ("stdin", port::STDIN),
        ("stdout", port::STDOUT),
        ("stderr", port::STDERR),
    ] {
        arguments.extend(words(&[
            "-device",
            &format!("virtserialport,chardev={id},name={name}"),
        ]));
    }
    arguments
}

fn export_arguments(export: &Export) -> Vec<String> {
    let Export { tag, readonly, .. } = export;
    let readonly = if *readonly { "on" } else { "off" };
    words(&[
        "-fsdev",
        &format!(
            "local,id={tag},path={INSIDE}/{tag},security_model=none,readonly={readonly},multidevs=remap"
        ),
        "-device",
        &format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"),
    ])
}

/// The kernel's command line. A panic ends the machine at once (`panic=-1` with QEMU's `-no-reboot`).
fn command_line(machine: &Machine) -> String {
    let mut line = words(&["console=ttyS0", "quiet", "panic=-1", "oops=panic"]);
    if machine.engine == Engine::Tcg {
        // Nothing to gain from calibration and from watching clocks when instructions are translated.
        line.extend(words(&["tsc=reliable", "no_timer_check"]));
    }
    if machine.engine == Engine::Tcg && !machine.icount {
        // Nor is there speculation to fend off. (Figures in instructions are those of a kernel that does.)
        line.extend(words(&["mitigations=off"]));
    }
    if machine.gdb.is_some() {
        line.extend(words(&["nokaslr"]));
    }
    line.extend(machine.append.iter().cloned());
    line.join(" ")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine {
            engine: Engine::Tcg,
            processors: 2,
            memory: 1024,
            exports: Vec::new(),
            gdb: None,
            icount: false,
            append: Vec::new(),
        }
    }

    fn line(machine: &Machine) -> String {
        let open = Descriptors {
            image: 8,
            serial: 3,
            control: 4,
            streams: [5, 6, 7],
        };
        arguments(machine, open).join(" ")
    }

    #[test]
    fn the_translator_gets_a_thread_for_each_processor() {
        let line = line(&machine());
        assert!(
            line.contains("-cpu max,-la57,-erms,-fsrm -accel tcg,thread=multi -smp 2 -m 1024"),
            "{line}"
        );
    }

    #[test]
    fn kvm_shows_the_hosts_processor() {
        let line = line(&Machine {
            engine: Engine::Kvm,
            ..machine()
        });
        assert!(line.contains("-cpu host -accel kvm "), "{line}");
        assert!(!line.contains("tsc=reliable"), "{line}");
    }

    #[test]
    fn counting_instructions_excludes_threads_and_fast_strings() {
        let line = line(&Machine {
            icount: true,
            processors: 1,
            ..machine()
        });
        assert!(
            line.contains("-cpu max,-la57,-erms,-fsrm -accel tcg -smp 1"),
            "{line}"
        );
        assert!(line.contains("-icount shift=0,sleep=off"), "{line}");
    }

    #[test]
    fn a_debugger_finds_a_machine_that_waits_and_a_kernel_at_its_address() {
        let line = line(&Machine {
            gdb: Some(1234),
            ..machine()
        });
        assert!(line.contains("-gdb tcp:127.0.0.1:1234 -S "), "{line}");
        assert!(line.contains(" nokaslr"), "{line}");
    }

    #[test]
    fn each_port_has_its_socket_and_its_name() {
        let line = line(&machine());
        assert!(line.contains("-chardev socket,id=serial,fd=3 "), "{line}");
        assert!(line.contains("-chardev socket,id=control,fd=4 "), "{line}");
        assert!(line.contains("-chardev socket,id=stderr,fd=7 "), "{line}");
        assert!(
            line.contains("virtserialport,chardev=stdout,name=org.shmdev.stdout"),
            "{line}"
        );
    }

    #[test]
    fn an_export_is_read_only_only_when_asked_for() {
        let export = |tag, readonly| Export {
            tag,
            readonly,
            path: "/a,b".into(),
        };
        let line = line(&Machine {
            exports: vec![export("root", true), export("cwd", false)],
            ..machine()
        });
        assert!(
            line.contains("id=root,path=/run/guest/root,security_model=none,readonly=on,multidevs=remap")
        );
        assert!(line.contains("id=cwd,path=/run/guest/cwd,security_model=none,readonly=off,"));
        assert!(line.contains("virtio-9p-pci,fsdev=cwd,mount_tag=cwd"));
    }

    #[test]
    fn what_the_user_appends_comes_last_so_that_it_wins() {
        let line = command_line(&Machine {
            append: words(&["panic=5", "loglevel=7"]),
            ..machine()
        });
        assert!(line.starts_with("console=ttyS0 quiet panic=-1 "), "{line}");
        assert!(line.ends_with(" panic=5 loglevel=7"), "{line}");
    }
}
