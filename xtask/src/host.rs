// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host must have: few programs, and for an ordinary user a user namespace with subordinate ids. Finds what is
//! missing, and installs it where that needs nobody's password.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};

use crate::{ctx::Ctx, error::Failure, mirror, run, ui, userns};

/// Something the host lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// A package, by what it is called in each family of distributions.
    Package(Package),
    /// Something no package helps with; the text says what to do.
    Setting(String),
}

/// A package's names, and how to see that it is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Package {
    /// What it is needed for.
    pub purpose: &'static str,
    apt: &'static str,
    dnf: &'static str,
    pacman: &'static str,
    /// Programs, or files with their paths, of which any one shows that it is there.
    proofs: &'static [&'static str],
    ordinary_user_only: bool,
}

/// A package that everybody needs, with one name everywhere.
const fn package(purpose: &'static str, name: &'static str, proofs: &'static [&'static str]) -> Package {
    Package {
        purpose,
        apt: name,
        dnf: name,
        pacman: name,
        proofs,
        ordinary_user_only: false,
    }
}

const PACKAGES: [Package; 9] = [
    package("makes the build root", "mmdebstrap", &["mmdebstrap"]),
    package("runs programs inside the build root", "bubblewrap", &["bwrap"]),
    Package {
        dnf: "debian-keyring",
        ..package(
            "checks Debian's signatures",
            "debian-archive-keyring",
            &[mirror::KEYRING],
        )
    },
    package("links the guest's programs", "gcc", &["cc"]),
    Package {
        apt: "libc6-dev",
        dnf: "glibc-static",
        ..package(
            "is linked into the guest's programs",
            "glibc",
            &[
                "/usr/lib/x86_64-linux-gnu/libc.a",
                "/usr/lib64/libc.a",
                "/usr/lib/libc.a",
            ],
        )
    },
    package("fetches kernels", "apt", &["apt-get"]),
    package("unpacks kernels", "dpkg", &["dpkg-deb"]),
    Package {
        apt: "xz-utils",
        ..package("unpacks kernels", "xz", &["xz"])
    },
    Package {
        apt: "uidmap",
        dnf: "shadow-utils",
        ordinary_user_only: true,
        ..package("gives an ordinary user a range of ids", "shadow", &["newuidmap"])
    },
];

impl Package {
    /// Whether it is there.
    pub fn is_installed(&self) -> bool {
        self.proofs.iter().any(|proof| match proof.starts_with('/') {
            true => Path::new(proof).exists(),
            false => run::is_installed(proof),
        })
    }

    /// What is missing if it is: a program, or a file by its name.
    pub fn shown_as(&self) -> &'static str {
        let proof = self.proofs.first().copied().unwrap_or(self.apt);
        proof.rsplit('/').next().unwrap_or(proof)
    }
}

/// The packages that this user needs.
pub fn packages() -> impl Iterator<Item = Package> {
    PACKAGES
        .into_iter()
        .filter(|package| !package.ordinary_user_only || !userns::is_root())
}

/// Everything that is missing.
pub fn lacks() -> Vec<Lack> {
    let mut lacks: Vec<_> = packages()
        .filter(|package| !package.is_installed())
        .map(Lack::Package)
        .collect();
    if lacks.is_empty() && !userns::is_root() {
        lacks.extend(user_namespace_lack().map(Lack::Setting));
    }
    if lacks.is_empty() {
        lacks.extend(sandbox_lack().map(Lack::Setting));
    }
    lacks
}

/// Makes sure that nothing is missing: installs it, or stops with the command that would. Looks once.
pub fn require(ctx: &Ctx) -> Result<()> {
    static IS_THERE: Mutex<bool> = Mutex::new(false);
    let mut is_there = IS_THERE.lock().unwrap_or_else(PoisonError::into_inner);
    if *is_there {
        return Ok(());
    }
    let lacks = lacks();
    if !lacks.is_empty() {
        install(ctx, &lacks)?;
        let left = self::lacks();
        if !left.is_empty() {
            return Err(Failure::machinery(explain(&left)));
        }
    }
    *is_there = true;
    Ok(())
}

/// Installs what packages can mend, if the user is root or sudo asks no password.
fn install(ctx: &Ctx, lacks: &[Lack]) -> Result<()> {
    let Some(commands) = install_commands(lacks) else {
        return Ok(());
    };
    let prefix = match () {
        () if userns::is_root() => "",
        () if sudo_asks_nothing() => "sudo -n ",
        () => return Ok(()),
    };
    ctx.ui.step(&format!(
        "installing what is missing: {}",
        in_a_row(&commands, prefix)
    ));
    let mut result = Ok(());
    for command in commands {
        let mut words = prefix
            .split_whitespace()
            .chain(command.iter().map(String::as_str));
        let mut install = Command::new(words.next().unwrap_or_default());
        install.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        // Only the last one counts: an archive of somebody else's that is out of reach fails the update, and no more.
        result = run::logged(ctx, &mut install, &format!("install-{}", command[1]), |_| ());
    }
    result.context(
        "what is missing on this machine could not be installed, for the reason above: check the network and where \
         packages come from, and try again",
    )
}

/// What is missing and how to mend it, in a paragraph.
pub fn explain(lacks: &[Lack]) -> String {
    let mut parts = Vec::new();
    let missing: Vec<_> = lacks.iter().filter_map(Lack::package).collect();
    if !missing.is_empty() {
        let names: Vec<_> = missing
            .iter()
            .map(|package| format!("{} ({})", package.shown_as(), package.purpose))
            .collect();
        let how = match install_commands(lacks) {
            Some(commands) => {
                let (who, prefix) = match () {
                    () if userns::is_root() => ("", ""),
                    () if run::is_installed("sudo") => ("", "sudo "),
                    () => ("as root, ", ""),
                };
                format!("{who}run `{}` and try again", in_a_row(&commands, prefix))
            }
            None => "install them with your system's package manager and try again".to_owned(),
        };
        parts.push(format!("missing on this machine: {}; {how}", names.join(", ")));
    }
    parts.extend(lacks.iter().filter_map(Lack::setting));
    parts.join(". ")
}

impl Lack {
    fn package(&self) -> Option<Package> {
        if let Lack::Package(package) = self {
            Some(*package)
        } else {
            None
        }
    }

    fn setting(&self) -> Option<String> {
        if let Lack::Setting(text) = self {
            Some(text.clone())
        } else {
            None
        }
    }
}

/// The commands that install the missing packages, for the host's own package manager.
fn install_commands(lacks: &[Lack]) -> Option<Vec<Vec<String>>> {
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let manager = package_manager(&system).filter(|manager| run::is_installed(manager))?;
    install_commands_for(manager, lacks)
}

/// That of the distribution, as `/etc/os-release` names it: others may be there too, as apt is for mmdebstrap.
fn package_manager(system: &str) -> Option<&'static str> {
    let values = system
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or(line.strip_prefix("ID_LIKE=")));
    let mut families = values.flat_map(|value| value.trim_matches('"').split(' '));
    families.find_map(|family| match family {
        "debian" | "ubuntu" => Some("apt-get"),
        "fedora" | "rhel" => Some("dnf"),
        "arch" => Some("pacman"),
        _ => None,
    })
}

fn install_commands_for(manager: &str, lacks: &[Lack]) -> Option<Vec<Vec<String>>> {
    let (verb, name): (&[&str], fn(&Package) -> &'static str) = match manager {
        "apt-get" => (&["install", "-y", "--no-install-recommends"], |package| {
            package.apt
        }),
        "dnf" => (&["install", "-y"], |package| package.dnf),
        _ => (&["-S", "--needed", "--noconfirm"], |package| package.pacman),
    };
    let packages: Vec<_> = lacks.iter().filter_map(Lack::package).collect();
    if packages.is_empty() {
        return None;
    }
    let names = packages.iter().flat_map(|package| name(package).split(' '));
    let install: Vec<_> = verb.iter().copied().chain(names).collect();
    let command = |words: &[&str]| {
        [manager]
            .iter()
            .chain(words)
            .map(|word| ui::quote(word))
            .collect()
    };
    // A fresh machine has no package lists yet, an old one has old lists.
    let update = (manager == "apt-get").then(|| command(&["update"]));
    Some(update.into_iter().chain([command(&install)]).collect())
}

/// Commands as a person would type them, each after `prefix`.
fn in_a_row(commands: &[Vec<String>], prefix: &str) -> String {
    let lines = commands
        .iter()
        .map(|words| format!("{prefix}{}", words.join(" ")));
    lines.collect::<Vec<_>>().join(" && ")
}

fn sudo_asks_nothing() -> bool {
    run::is_installed("sudo")
        && Command::new("sudo")
            .args(["-n", "true"])
            .output()
            .is_ok_and(|output| output.status.success())
}

/// Why an ordinary user cannot be root in a user namespace of their own, if so.
fn user_namespace_lack() -> Option<String> {
    let trial = userns::command("true").output();
    if trial.as_ref().is_ok_and(|output| output.status.success()) {
        return None;
    }
    let said = trial.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stderr).into(),
    );
    let user = std::env::var("USER").unwrap_or_else(|_| rustix::process::getuid().as_raw().to_string());
    Some(explain_user_namespace(&user, said.trim(), &|path| {
        fs::read_to_string(path).unwrap_or_default()
    }))
}

/// Why bubblewrap cannot run, if so: in most containers it cannot.
fn sandbox_lack() -> Option<String> {
    let trial = userns::command("bwrap")
        .args(["--dev-bind", "/", "/", "--proc", "/proc", "--unshare-pid", "true"])
        .output();
    let said = match trial {
        Ok(output) if output.status.success() => return None,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Some(format!(
        "bubblewrap cannot make the namespaces that the build root is entered with ({said}): inside a container, start that \
         with the right to mount (docker or podman: --privileged); elsewhere run this as root"
    ))
}

fn explain_user_namespace(user: &str, said: &str, read: &dyn Fn(&str) -> String) -> String {
    let has_range = |path| {
        read(path)
            .lines()
            .any(|line| line.split(':').next() == Some(user))
    };
    let is = |path: &str, value: &str| read(path).trim() == value;
    let how = if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "allow them with `sudo sysctl -w kernel.unprivileged_userns_clone=1`".to_owned()
    } else if is("/proc/sys/user/max_user_namespaces", "0") {
        "allow them with `sudo sysctl -w user.max_user_namespaces=10000`".to_owned()
    } else if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "allow them with `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`".to_owned()
    } else if !has_range("/etc/subuid") || !has_range("/etc/subgid") {
        let (first, last) = free_range(&(read("/etc/subuid") + "\n" + &read("/etc/subgid")));
        format!(
            "give {user} a range of ids with `sudo usermod --add-subuids {first}-{last} --add-subgids {first}-{last} {user}`"
        )
    } else {
        "it takes util-linux 2.38 or later and a kernel that allows user namespaces".to_owned()
    };
    format!(
        "an ordinary user needs a user namespace for the build root, and making one failed ({said}): {how}, or run this as root"
    )
}

/// 65,536 ids that lie beyond all ranges that are given away (`user:first:count`) and where these begin by custom.
fn free_range(given: &str) -> (u64, u64) {
    let end = |line: &str| {
        let mut numbers = line.split(':').skip(1).map(str::parse::<u64>);
        numbers.next()?.ok()?.checked_add(numbers.next()?.ok()?)
    };
    let first = given.lines().filter_map(end).max().unwrap_or(0).max(100_000);
    (first, first.saturating_add(65_535))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Vec<Lack> {
        vec![Lack::Package(PACKAGES[1]), Lack::Package(PACKAGES[4])]
    }

    #[test]
    fn each_package_manager_gets_its_own_names() {
        let line = |manager| in_a_row(&install_commands_for(manager, &missing()).unwrap(), "sudo ");
        assert_eq!(
            line("apt-get"),
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends bubblewrap libc6-dev"
        );
        assert_eq!(line("dnf"), "sudo dnf install -y bubblewrap glibc-static");
        assert_eq!(
            line("pacman"),
            "sudo pacman -S --needed --noconfirm bubblewrap glibc"
        );
        assert!(
            explain(&missing()).contains("bwrap (runs programs inside the build root), libc.a (is linked")
        );
    }

    #[test]
    fn the_package_manager_is_the_distributions() {
        for (system, manager) in [
            ("PRETTY_NAME=\"x\"\nID=debian\n", Some("apt-get")),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Some("apt-get")),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Some("dnf")),
            ("ID=arch\n", Some("pacman")),
            ("ID=nixos\n", None),
            ("", None),
        ] {
            assert_eq!(package_manager(system), manager, "{system}");
        }
    }

    #[test]
    fn settings_are_not_installed() {
        assert_eq!(
            install_commands_for("apt-get", &[Lack::Setting("x".into())]),
            None
        );
    }

    #[test]
    fn a_user_without_subordinate_ids_is_told_how_to_get_them() {
        let told = explain_user_namespace("eve", "no", &|_| String::new());
        assert!(
            told.contains("--add-subuids 100000-165535") && told.contains(" eve`"),
            "{told}"
        );
        let others = "ada:100000:65536\nbob:5:2\nnonsense\n\nbob:231072:65536";
        assert_eq!(free_range(others), (296_608, 362_143));
    }

    #[test]
    fn a_switch_that_forbids_user_namespaces_is_named() {
        let read = |path: &str| {
            if path.contains("apparmor") {
                "1\n".to_owned()
            } else {
                "eve:1:2".to_owned()
            }
        };
        assert!(
            explain_user_namespace("eve", "no", &read).contains("apparmor_restrict_unprivileged_userns=0")
        );
    }
}
