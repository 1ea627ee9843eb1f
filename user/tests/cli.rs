// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command without a device: what it says and how it exits when there is none, or something else is in
//! its place.

use std::fs;
use std::fs::File;
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
const COMMANDS: [&[&str]; 19] = [
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
    &["wait"],
    &["wake"],
    &["top"],
    &["send", "frames"],
    &["recv", "frames"],
    &["ring", "frames"],
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
fn a_wrong_size_is_told_with_what_a_size_is() {
    for (size, told) in [
        ("1.5M", "not a whole number; examples: 4096, 0x1000, 1536K, 1MiB"),
        ("K", "not a size; examples: 4096, 0x1000, 64K, 1MiB"),
        ("64Q", "unknown unit \"Q\"; examples: 64K"),
        ("16E", "too large; it must fit in 64 bits"),
        ("0", "a segment has at least one byte"),
    ] {
        for args in [
            &["create", "frames", size][..],
            &["resize", "frames", size],
            &["resize", "--id", "3", size],
        ] {
            let (status, message) = failure(args);
            assert_eq!(status, Some(2), "{args:?}");
            let line = format!("error: invalid value '{size}' for '<SIZE>': {told}");
            assert!(message.starts_with(&line), "{args:?}: {message}");
        }
    }
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

/// What prints something without a device.
const PRINTING: [&[&str]; 4] = [
    &["completions", "bash"],
    &["completions", "fish"],
    &["--help"],
    &["--version"],
];

/// Exit status and standard error, where standard output goes there.
fn printing_to(args: &[&str], stdout: impl Into<OwnedFd>) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_shmdev"))
        .args(args)
        .stdout(stdout.into())
        .output()
        .expect("the command starts");
    (
        output.status.code(),
        String::from_utf8(output.stderr).expect("UTF-8"),
    )
}

#[test]
fn a_closed_pipe_ends_it_without_a_word() {
    for args in PRINTING {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        drop(ours);
        assert_eq!(printing_to(args, theirs), (Some(141), String::new()), "{args:?}");
    }
}

#[test]
fn a_full_disk_is_told_as_any_other_error() {
    for args in PRINTING {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let (status, message) = printing_to(args, full);
        assert_eq!(
            message, "shmdev: write to standard output: No space left on device (ENOSPC)\n",
            "{args:?}"
        );
        assert_eq!(status, Some(1), "{args:?}");
    }
}

#[test]
fn manual_pages_that_cannot_be_written_are_told_with_their_directory() {
    assert_eq!(
        failure(&["man", "/dev/null/man"]),
        (
            Some(1),
            "shmdev: write manual pages to /dev/null/man: Not a directory (ENOTDIR)\n".into()
        )
    );
}
