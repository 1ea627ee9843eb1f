// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev lock`, which runs a command as flock(1) does, and `shmdev create` with a command.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::command::{bad, good, run, shmdev};
use super::refused;
use crate::harness::tests;
use crate::sys::identity::OpenNode;
use crate::sys::segments::remove;
use crate::sys::{ACCESS_READ, ACCESS_WRITE, Errno, Handle, STATUS_OWNER_DIED, THIS, signal, usage};

tests![
    #[slow] lock_ends_as_its_command_does needs [ShmdevCommand],
    #[slow] lock_excludes_and_shares needs [ShmdevCommand],
    #[slow] the_right_to_what_it_locks_for_is_enough needs [ShmdevCommand],
    #[slow] a_command_killed_under_lock_leaves_a_mark_and_the_next_is_told needs [ShmdevCommand],
    #[slow] signals_are_passed_on_from_the_command_s_very_start needs [ShmdevCommand],
    #[slow] the_range_is_held_until_the_command_ends_whatever_signal_comes needs [ShmdevCommand],
    #[slow] the_command_starts_with_the_signals_as_they_were needs [ShmdevCommand],
    create_with_a_command_lives_as_long_as_it needs [ShmdevCommand],
];

fn lock_ends_as_its_command_does() {
    let handle = Handle::creating("frames", 5000);
    let with = |command: &[&str]| {
        let mut lock = shmdev("lock frames --");
        lock.args(command);
        run(lock)
    };
    assert_eq!(with(&["true"]).0, Some(0));
    assert_eq!(with(&["sh", "-c", "exit 7"]).0, Some(7));
    assert_eq!(with(&["echo", "--json", "-x"]).1, "--json -x\n");
    assert_eq!(handle.generation(), 3, "each was a completed write");
    let (status, _, said) = with(&["/nonexistent/program"]);
    assert!(
        status == Some(127) && said.starts_with("shmdev: run /nonexistent/program"),
        "{said}"
    );
    assert_eq!(with(&["/dev/null"]).0, Some(126));
    let stat = handle.stat().unwrap();
    assert_eq!((stat.holders, stat.waiters, stat.handles), (0, 0, 1));
    // It holds it meanwhile, all of it or what was asked for.
    let mut lock = shmdev("lock --range 100:50 frames -- sh -c");
    lock.arg("echo here; exec sleep 600").stdout(Stdio::piped());
    let mut child = lock.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
    said.read_line(&mut String::new()).unwrap();
    assert_eq!(handle.stat().unwrap().holders, 1);
    refused(handle.begin(ACCESS_READ, 149, 1, 0), Errno::EAGAIN);
    handle.begin(ACCESS_READ, 150, 1, 0).unwrap();
    handle.end(ACCESS_READ, 150, 1).unwrap();
    // SIGTERM is passed on.
    signal::send(child.id(), libc::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(128 + libc::SIGTERM));
    let begun = handle.begin(ACCESS_WRITE, 0, 5000, 0).unwrap();
    assert_eq!(
        begun.status, STATUS_OWNER_DIED,
        "its command was killed in the middle"
    );
    handle.end(ACCESS_WRITE, 0, 5000).unwrap();
    remove("frames");
}

fn lock_excludes_and_shares() {
    let handle = Handle::creating("frames", 5000);
    handle.begin(ACCESS_WRITE, 0, 100, 0).unwrap();
    let said = bad("lock --timeout 0 frames -- true", 1);
    assert!(said.contains("frames") && said.contains("(EAGAIN)"), "{said}");
    let said = bad("lock --timeout 20ms frames -- true", 1);
    assert!(said.contains("(ETIMEDOUT)"), "{said}");
    bad("lock -E 9 --shared --timeout 0 frames -- true", 9);
    good("lock --timeout 0 --range 100: frames -- true");
    handle.end(ACCESS_WRITE, 0, 100).unwrap();
    handle.begin(ACCESS_READ, 0, 100, 0).unwrap();
    good("lock --timeout 0 --shared frames -- true");
    bad("lock --timeout 0 frames -- true", 1);
    handle.end(ACCESS_READ, 0, 100).unwrap();
    remove("frames");
}

fn the_right_to_what_it_locks_for_is_enough() {
    let _node = OpenNode::new();
    let handle = Handle::creating("frames", 100);
    for (mode, shared, exclusive) in [(0o602, 1, 0), (0o604, 0, 1)] {
        handle.set_mode(THIS, mode).unwrap();
        for (arguments, status) in [("lock --shared", shared), ("lock", exclusive)] {
            let mut lock = shmdev(arguments);
            lock.args(["frames", "--", "true"]).uid(1000).gid(1000);
            let (ended, _, complaints) = run(lock);
            assert_eq!(ended, Some(status), "{mode:o}, {arguments}: {complaints}");
        }
    }
    remove("frames");
}

fn a_command_killed_under_lock_leaves_a_mark_and_the_next_is_told() {
    Handle::creating("frames", 100);
    let kill = |how: &str| {
        let mut lock = shmdev("lock");
        lock.args(how.split_whitespace())
            .args(["frames", "--", "sh", "-c", "kill -9 $$"]);
        assert_eq!(run(lock).0, Some(128 + 9));
    };
    let told = || {
        let mut lock = shmdev("lock frames -- sh -c");
        lock.arg("echo died=$SHMDEV_OWNER_DIED");
        let (status, said, complaints) = run(lock);
        assert_eq!(status, Some(0));
        (said, complaints)
    };
    kill("--shared");
    assert_eq!(
        told(),
        ("died=\n".into(), String::new()),
        "a reader leaves no mark"
    );
    kill("");
    let (said, complaints) = told();
    assert_eq!(said, "died=1\n");
    assert!(complaints.contains("writer died"), "{complaints}");
    assert_eq!(told().0, "died=\n", "its end was a completed write");
    remove("frames");
}

/// What `shmdev` outlives.
const SIGNALS: [(&str, i32); 4] = [
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("TERM", libc::SIGTERM),
    ("HUP", libc::SIGHUP),
];

/// The command's first act is to have a signal sent to `shmdev`.
fn signals_are_passed_on_from_the_command_s_very_start() {
    Handle::creating("frames", 100);
    for (name, number) in SIGNALS.into_iter().cycle().take(20) {
        let mut lock = shmdev("lock frames -- sh -c");
        lock.arg(format!("ulimit -c 0; kill -{name} $PPID; exec sleep 600"));
        assert_eq!(run(lock).0, Some(128 + number), "{name}");
    }
    remove("frames");
}

fn the_range_is_held_until_the_command_ends_whatever_signal_comes() {
    let handle = Handle::creating("frames", 100);
    let mut lock = shmdev("lock frames -- sh -c");
    lock.arg(
        "for name in INT QUIT TERM HUP; do trap \"echo $name\" $name; done; trap 'exit 3' USR1; echo $$; \
         while :; do sleep 0.01; done",
    );
    let mut child = lock.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").unwrap();
    let command = next().parse().unwrap();
    for (name, number) in SIGNALS {
        signal::send(child.id(), number);
        assert_eq!(next(), name);
        assert_eq!(handle.stat().unwrap().holders, 1, "{name}");
    }
    signal::send(command, libc::SIGUSR1);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    assert_eq!((handle.stat().unwrap().holders, handle.generation()), (0, 1));
    remove("frames");
}

fn the_command_starts_with_the_signals_as_they_were() {
    const LOOK: &str = "grep Sig[BI] /proc/self/status";
    Handle::creating("frames", 100);
    let said = |script: String| {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(script);
        let (status, said, _) = run(shell);
        (status, said)
    };
    for before in ["", "env --ignore-signal=HUP --block-signal=TERM "] {
        let without = said(format!("{before}{LOOK}"));
        assert_eq!(without.0, Some(0));
        assert_eq!(said(format!("{before}shmdev lock frames -- {LOOK}")), without);
    }
    // It is waited for also where the ends of children were ignored, which takes them away unseen.
    let script = "env --ignore-signal=CHLD shmdev lock frames -- sh -c 'exit 7'";
    assert_eq!(said(script.into()).0, Some(7));
    remove("frames");
}

fn create_with_a_command_lives_as_long_as_it() {
    let mut command = shmdev("create scratch 64K --auto-remove -- sh -c");
    command.arg("shmdev stat scratch | grep -q 'goes with its last handle' && exit 5");
    assert_eq!(run(command).0, Some(5));
    assert_eq!(usage(), (0, 0));
    // However it ends.
    let mut command = shmdev("create scratch 64K --auto-remove -- sh -c");
    command.arg("kill -9 $$");
    assert_eq!(run(command).0, Some(128 + 9));
    assert_eq!(usage(), (0, 0));
}
