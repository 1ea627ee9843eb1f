// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command without a device: what it says and how it exits when there is none, or something else is in
//! its place.

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

#[test]
fn every_subcommand_tells_that_it_is_not_the_device() {
    for args in [
        &["info"][..],
        &["stat"],
        &["read"],
        &["write"],
        &["dump"],
        &["lock", "true"],
        &["wait-change"],
    ] {
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
        &["lock", "--range", "0:0", "true"],
        &[],
    ] {
        assert_eq!(failure(args).0, Some(2), "{args:?}");
    }
}

#[test]
fn help_names_every_subcommand() {
    let output = shmdev(&["--help"]);
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    for name in ["info", "stat", "read", "write", "dump", "lock", "wait-change"] {
        assert!(help.contains(name), "{name}");
    }
    assert!(output.status.success());
}
