// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask doctor`: says what this machine has and lacks for the other commands, and with `--fix` installs it. Every
//! other command does the part that it needs by itself.

use std::{
    fmt::Write as _,
    fs,
    net::{TcpStream, ToSocketAddrs},
    process::ExitCode,
    time::Duration,
};

use anyhow::Result;

use crate::{cache::Kind, ctx::Ctx, disk, error::Failure, guest, host, mirror::Mirror, userns};

/// The root, both stock kernels and the debug kernel while it is built.
const MEGABYTES: u64 = 8_000;

/// Say what this machine has and lacks
#[derive(clap::Args)]
pub struct Args {
    /// Install what is missing
    #[arg(long)]
    fix: bool,
}

/// Looks, and mends if asked to.
pub fn run(ctx: &Ctx, args: &Args) -> Result<ExitCode> {
    if args.fix {
        host::require(ctx)?;
    }
    let mut report = Report::default();
    programs(&mut report);
    kvm(ctx, &mut report);
    network(&mut report);
    disk(ctx, &mut report)?;
    print!("{}", report.text);
    let lacks = host::lacks();
    if lacks.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::machinery(host::explain(&lacks)))
    }
}

#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    fn line(&mut self, verdict: &str, what: &str, more: &str) {
        let _ = writeln!(self.text, "{verdict:8} {what:24} {more}");
    }

    fn has(&mut self, there: bool, what: &str, more: &str) {
        self.line(if there { "ok" } else { "MISSING" }, what, more);
    }
}

fn programs(report: &mut Report) {
    for package in host::packages() {
        report.has(package.is_installed(), package.shown_as(), package.purpose);
    }
    if userns::is_root() {
        report.line("ok", "user namespaces", "not needed by root");
    } else {
        let works = userns::command("true")
            .output()
            .is_ok_and(|output| output.status.success());
        report.has(
            works,
            "user namespaces",
            "make an ordinary user root of the build root",
        );
    }
}

/// Without KVM the guest runs all the same, slower.
fn kvm(ctx: &Ctx, report: &mut Report) {
    let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let able = flags
        .split_whitespace()
        .any(|flag| flag == "vmx" || flag == "svm");
    let device = fs::File::options().read(true).write(true).open("/dev/kvm");
    let (verdict, how) = match (able, device) {
        (false, _) => (
            "no",
            "this machine has no virtualization; guests are emulated".to_owned(),
        ),
        (true, Err(error)) => ("no", format!("/dev/kvm: {error}; guests are emulated")),
        // A device that opens may still run no guest: only a trial tells.
        (true, Ok(_)) if !has_kernel(ctx) => ("", "there; tried when the first guest is started".to_owned()),
        (true, Ok(_)) => match guest::kvm_works(ctx) {
            Ok(true) => ("ok", "tried with a guest".to_owned()),
            Ok(false) => (
                "no",
                "tried, and no guest started; guests are emulated".to_owned(),
            ),
            Err(error) => ("no", format!("could not be tried: {error:#}")),
        },
    };
    report.line(verdict, "KVM", &how);
}

fn has_kernel(ctx: &Ctx) -> bool {
    let entries = fs::read_dir(ctx.cache.dir().join(Kind::Kernel.name()));
    let mut entries = entries.into_iter().flatten().flatten();
    // Those of packages are no kernels yet.
    entries.any(|entry| entry.path().join("kernel.json").exists())
}

fn network(report: &mut Report) {
    let Some(Mirror { main: mirror, .. }) = Mirror::find() else {
        return report.line(
            "",
            "mirror",
            "mmdebstrap's default, not tried (see SHMDEV_MIRROR)",
        );
    };
    let (verdict, how) = match std::env::var("http_proxy") {
        Ok(proxy) if !proxy.is_empty() => ("", format!("{mirror}, through the proxy {proxy}, not tried")),
        _ if reaches(&mirror) => ("ok", mirror),
        _ => (
            "no",
            format!("{mirror} cannot be reached; what is in the cache can be used (see SHMDEV_MIRROR)"),
        ),
    };
    report.line(verdict, "mirror", &how);
}

fn reaches(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return false;
    };
    let host = rest.split('/').next().unwrap_or_default();
    let port = if scheme == "https" { 443 } else { 80 };
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}:{port}")
    };
    let mut addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.any(|address| TcpStream::connect_timeout(&address, Duration::from_secs(5)).is_ok())
}

fn disk(ctx: &Ctx, report: &mut Report) -> Result<()> {
    let free = disk::free(ctx.cache.dir())?;
    let enough = free >> 20 >= MEGABYTES;
    let more = format!(
        "{} free, all kernels take {}",
        disk::human(free),
        disk::human(MEGABYTES << 20)
    );
    report.line(if enough { "ok" } else { "low" }, "disk", &more);
    report.line("", "cache", &ctx.cache.dir().display().to_string());
    let mut kinds: Vec<_> = fs::read_dir(ctx.cache.dir())
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    kinds.sort_by_key(fs::DirEntry::file_name);
    for kind in kinds {
        if let Some(bytes) = disk::usage(&kind.path()).filter(|bytes| *bytes > 1 << 20) {
            report.line(
                "",
                &format!("  {}", kind.file_name().to_string_lossy()),
                &disk::human(bytes),
            );
        }
    }
    Ok(())
}
