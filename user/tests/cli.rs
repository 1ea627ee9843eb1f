// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command without a device: what it says and how it exits when there is none, or something else is in
//! its place.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output};

fn shmdev(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shmdev"))
        .args(args)
        .output()
        .expect("the command starts")
}

/// Exit status and standard error; nothing may be on standard output.
fn failure(args: &[&str]) -> (Option<i32>, String) {
    let output = shmdev(args);
    assert!(output.stdout.is_empty(), "{args:?}");
    (
        output.status.code(),
        String::from_utf8(output.stderr).expect("UTF-8"),
    )
}

/// Enough arguments for each subcommand that uses the device.
const COMMANDS: [&[&str]; 13] = [
    &["info"],
    &["ls"],
    &["create", "frames", "64K"],
    &["stat", "frames"],
    &["set", "frames", "--mode", "640"],
    &["resize", "--id", "3", "1MiB"],
    &["rm", "frames"],
    &["read", "frames"],
    &["write", "frames"],
    &["dump"],
    &["watch"],
    &["lock", "frames", "--", "true"],
    &["wait-change"],
];

#[test]
fn every_subcommand_tells_that_it_is_not_the_device() {
    for args in COMMANDS {
        let (status, message) = failure(&[&["--device", "/dev/null"], args].concat());
        assert_eq!(
            message, "shmdev: open /dev/null: not a shmdev device (ENOTTY)\n",
            "{args:?}"
        );
        assert_eq!(status, Some(1), "{args:?}");
    }
}

#[test]
fn a_missing_device_is_told_with_what_to_do() {
    let (status, message) = failure(&["stat", "--device", "/nonexistent/shmdev"]);
    assert_eq!(
        message,
        "shmdev: open /nonexistent/shmdev: no such device; is the module shmdev loaded? (ENOENT)\n"
    );
    assert_eq!(status, Some(1));
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for args in [
        &["frobnicate"][..],
        &["read", "--len", "1X"],
        &["lock"],
        &["lock", "frames"],
        &["lock", "--range", "0:0", "--", "true"],
        &["create", "frames"],
        &["rm"],
        &[],
    ] {
        assert_eq!(failure(args).0, Some(2), "{args:?}");
    }
}

#[test]
fn a_wrong_name_is_told_with_what_a_name_is() {
    let (status, message) = failure(&["stat", "a/b"]);
    assert_eq!(status, Some(2));
    assert!(
        message.contains("a name is made of A-Z a-z 0-9 . _ -, not of '/'"),
        "{message}"
    );
}

#[test]
fn help_names_every_subcommand() {
    let output = shmdev(&["--help"]);
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    for args in COMMANDS {
        let name = args[0];
        assert!(help.contains(&format!("\n  {name} ")), "{name}");
    }
    assert!(help.contains("Exit status:"));
    assert!(output.status.success());
}

#[test]
fn completions_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = shmdev(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(script.contains("wait-change"), "{shell}");
    }
}

#[test]
fn manual_pages_are_written_for_each_subcommand() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    let output = shmdev(&["man", dir.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{output:?}");
    for args in COMMANDS {
        let name = args[0];
        let page = fs::read_to_string(dir.join(format!("shmdev-{name}.1")));
        assert!(page.is_ok_and(|page| page.contains(".SH SYNOPSIS")), "{name}");
    }
}

#[test]
fn a_closed_pipe_ends_it_without_a_word() {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    drop(ours);
    let output = Command::new(env!("CARGO_BIN_EXE_shmdev"))
        .args(["completions", "bash"])
        .stdout(OwnedFd::from(theirs))
        .output()
        .expect("the command starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
}
