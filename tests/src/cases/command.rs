// SPDX-License-Identifier: MIT OR Apache-2.0

//! The command `shmdev` at work: what it does to segments, what it says, and how it exits.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::refused;
use crate::harness::tests;
use crate::sys::identity::{OpenNode, User};
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{ACCESS_WRITE, Errno, Handle, PAGE, THIS, by_id, by_name, file, usage};

tests![
    create_makes_a_segment_and_rm_removes_it needs [ShmdevCommand],
    #[slow] what_is_refused_is_said_with_its_errno needs [ShmdevCommand],
    rm_of_several_removes_what_it_can needs [ShmdevCommand],
    rm_of_all_mine_leaves_those_of_others needs [ShmdevCommand],
    set_and_resize_change_what_they_say needs [ShmdevCommand],
    #[slow] bytes_go_in_and_out_through_pipes needs [ShmdevCommand],
    wait_change_tells_the_generation needs [ShmdevCommand],
    ls_and_stat_show_what_is_there needs [ShmdevCommand],
    watch_tells_of_changes_and_ends_with_its_reader needs [ShmdevCommand],
    #[slow] json_is_json needs [ShmdevCommand, Python] within 120,
    a_closed_pipe_ends_it_without_a_word needs [ShmdevCommand],
    #[slow] a_full_disk_is_told_as_any_other_error needs [ShmdevCommand],
];

pub(super) fn shmdev(arguments: &str) -> Command {
    let mut command = Command::new("/usr/local/bin/shmdev");
    command
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        // What it says must not depend on the guest.
        .env("LC_ALL", "C");
    command
}

/// Exit status, standard output, standard error.
pub(super) fn run(mut command: Command) -> (Option<i32>, String, String) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// It succeeds without complaint; what it says.
#[track_caller]
pub(super) fn good(arguments: &str) -> String {
    let (status, said, complaints) = run(shmdev(arguments));
    assert_eq!((status, complaints.as_str()), (Some(0), ""), "shmdev {arguments}");
    said
}

/// It fails with this status; what it complains of.
#[track_caller]
pub(super) fn bad(arguments: &str, status: i32) -> String {
    let (seen, said, complaints) = run(shmdev(arguments));
    assert_eq!(
        (seen, said.as_str()),
        (Some(status), ""),
        "shmdev {arguments}: {complaints}"
    );
    complaints
}

fn create_makes_a_segment_and_rm_removes_it() {
    assert_eq!(good("create frames 64K --mode 640"), "");
    let handle = Handle::of("frames");
    let stat = handle.stat().unwrap();
    assert_eq!((stat.size, stat.mode), (65536, 0o640));
    assert_eq!(good("create frames 1K --or-open"), "");
    assert_eq!(handle.stat().unwrap().size, 65536);
    assert_eq!(good("rm frames"), "", "it does not ask where nobody can answer");
    refused(Handle::rw().attach(by_name("frames")), Errno::ENOENT);
    drop(handle);
    good("create numbered 1MiB --owner 1000:2000");
    let stat = Handle::rw().stat_of(by_name("numbered")).unwrap();
    assert_eq!((stat.uid, stat.gid, stat.size), (1000, 2000, 1 << 20));
    good(&format!("rm --id {}", stat.target.id));
    assert_eq!(usage(), (0, 0));
}

fn what_is_refused_is_said_with_its_errno() {
    good("create frames 64K");
    assert_eq!(
        bad("create frames 64K", 1),
        "shmdev: create \"frames\": name exists (EEXIST)\n"
    );
    let _mapping = Handle::of("frames").window(0, PAGE);
    for (arguments, what, errno) in [
        ("create frames 128K --or-open", "create \"frames\"", "EINVAL"),
        ("create large 100T", "create \"large\"", "ENOSPC"),
        ("rm nobody", "remove \"nobody\"", "ENOENT"),
        ("stat nobody", "stat \"nobody\"", "ENOENT"),
        ("read --id 12345", "open segment 12345", "ENOENT"),
        ("resize frames 4K", "resize \"frames\"", "EBUSY"),
        ("resize --id 0 4K", "resize", "EINVAL"),
        ("set --id 0 --mode 600", "set", "EINVAL"),
        ("rm --id 0", "remove", "EINVAL"),
    ] {
        let said = bad(arguments, 1);
        let line = said.strip_suffix('\n').unwrap_or_else(|| panic!("{said:?}"));
        assert!(!line.contains('\n'), "more than a line: {said}");
        assert!(
            line.starts_with(&format!("shmdev: {what}")),
            "{arguments}: {line}"
        );
        assert!(line.ends_with(&format!("({errno})")), "{arguments}: {line}");
    }
    for arguments in [
        "create a/b 64K",
        "create frames 0",
        "create frames",
        "stat a b",
        "lock frames",
    ] {
        bad(arguments, 2);
    }
    remove("frames");
}

fn rm_of_several_removes_what_it_can() {
    for name in ["a", "b", "c"] {
        Handle::creating(name, 100);
    }
    let said = bad("rm a nobody b", 1);
    assert_eq!(said.lines().count(), 1);
    assert!(said.contains("nobody") && said.contains("(ENOENT)"), "{said}");
    assert_eq!(usage().0, 1);
    good("rm --force nobody c");
    assert_eq!(usage().0, 0);
}

fn rm_of_all_mine_leaves_those_of_others() {
    let _node = OpenNode::new();
    for (uid, name) in [(1000, "one"), (1000, "two"), (1001, "other")] {
        User::new(uid, uid).act(|| drop(Handle::creating(name, 100)));
    }
    let anonymous = User::new(1000, 1000).act(|| Handle::creating("", 100));
    let mut command = shmdev("rm --all-mine");
    command.uid(1000).gid(1000);
    assert_eq!(run(command), (Some(0), String::new(), String::new()));
    let left = Handle::rw().list().unwrap();
    assert_eq!(
        left.len(),
        3,
        "the default one, the anonymous one, somebody else's"
    );
    Handle::rw().stat_of(by_id(anonymous.id())).unwrap();
    let mut command = shmdev("rm other");
    command.uid(1000).gid(1000);
    let (status, _, said) = run(command);
    assert!(status == Some(1) && said.contains("(EPERM)"), "{said}");
    remove("other");
}

fn set_and_resize_change_what_they_say() {
    let handle = Handle::creating("frames", 100);
    good("set frames --mode 604 --owner 1000:2000");
    good("resize frames 9K");
    let stat = handle.stat().unwrap();
    assert_eq!(
        (stat.mode, stat.uid, stat.gid, stat.size),
        (0o604, 1000, 2000, 9216)
    );
    good(&format!("set --id {} --owner :5", stat.target.id));
    good(&format!("resize --id {} 0x10", stat.target.id));
    let stat = handle.stat().unwrap();
    assert_eq!((stat.uid, stat.gid, stat.size), (1000, 5, 16));
    remove("frames");
}

/// With this on its standard input.
fn fed(arguments: &str, input: &[u8]) -> (Option<i32>, String) {
    let mut child = shmdev(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("shmdev");
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().expect("shmdev");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

fn bytes_go_in_and_out_through_pipes() {
    let handle = Handle::creating("frames", 5000);
    assert_eq!(fed("write frames", b"hello, frames\n"), (Some(0), String::new()));
    assert_eq!(fed("write frames --offset 4990", b"0123456789").0, Some(0));
    assert_eq!(good("read frames --len 14"), "hello, frames\n");
    assert_eq!(good("read frames --offset 4995"), "56789");
    assert_eq!(good("read frames").len(), 5000);
    let dump = good("dump frames --len 16");
    assert!(
        dump.starts_with("00000000  68 65 6c 6c 6f") && dump.contains("|hello, frames"),
        "{dump}"
    );
    let (status, said) = fed("write frames --offset 4998", b"too long");
    assert!(status == Some(1) && said.contains("(ENOSPC)"), "{said}");
    assert_eq!(handle.generation(), 3, "what fits was written");
    assert_eq!(fed("write", b"the default one").0, Some(0));
    assert_eq!(good("read --len 15"), "the default one");
    remove("frames");
}

fn wait_change_tells_the_generation() {
    let handle = Handle::creating("frames", 100);
    let said = bad("wait-change frames --timeout 0", 1);
    assert!(said.contains("(ETIMEDOUT)"), "{said}");
    handle.pwrite(b"x", 0).unwrap();
    assert_eq!(good("wait-change frames --since 0 --timeout 30"), "1\n");
    let waiting = shmdev("wait-change frames --timeout 60")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    until("it is attached", || handle.stat().unwrap().handles == 2);
    // It may not have looked yet; what it sees first is no change to it.
    let mut written = 1;
    until("it has ended", || {
        handle.pwrite(b"x", 0).unwrap();
        written += 1;
        handle.stat().unwrap().handles == 1
    });
    let output = waiting.wait_with_output().unwrap();
    let told: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(output.status.success() && (2..=written).contains(&told), "{told}");
    remove("frames");
}

fn ls_and_stat_show_what_is_there() {
    let handle = Handle::creating("frames", 5000);
    let other = Handle::creating("second-one", 100);
    other.set_owner(THIS, 12345, 54321).unwrap();
    let _mapping = handle.window(0, PAGE);
    let table = good("ls --bytes");
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert_eq!(lines[0][..4], ["ID", "NAME", "SIZE", "MODE"]);
    assert_eq!(lines[1][1], "(default)");
    let id = handle.id().to_string();
    assert_eq!(
        lines[2],
        [
            &id, "frames", "5000", "0600", "root", "root", "1", "1", "0", "0", "0"
        ]
    );
    assert_eq!(lines[3][1..6], ["second-one", "100", "0600", "12345", "54321"]);
    assert!(
        good("ls --sort size --reverse")
            .lines()
            .nth(1)
            .unwrap()
            .contains("second-one")
    );
    let page = good("stat frames");
    for words in [
        "5000 bytes",
        "8192 in whole pages",
        "0600",
        "root (0)",
        "until it is removed",
    ] {
        assert!(page.contains(words), "{words} in {page}");
    }
    let info = good("info");
    assert!(info.contains("2 of 4096") && info.contains("sync"), "{info}");
    remove("frames");
    remove("second-one");
}

fn watch_tells_of_changes_and_ends_with_its_reader() {
    Handle::creating("there", 100);
    let mut child = shmdev("watch --interval 10ms")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = |words: &str| loop {
        let line = lines.next().expect("a line").unwrap();
        if line.contains(words) {
            return line;
        }
    };
    next("there");
    let handle = Handle::creating("frames", 5000);
    next("frames");
    handle.begin(ACCESS_WRITE, 0, 8, 0).unwrap();
    next("frames");
    remove("frames");
    drop(handle);
    next("frames");
    drop(lines);
    remove("there");
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(141), "nobody reads any more");
}

fn json_is_json() {
    const CHECK: &str = r#"
import json, subprocess
def out(*arguments):
    return json.loads(subprocess.run(("shmdev",) + arguments, check=True, capture_output=True).stdout)
listed = out("ls", "--json")
assert [one["name"] for one in listed] == [None, "frames"], listed
frames = out("stat", "frames", "--json")
assert frames == listed[1], frames
assert (frames["size"], frames["mapped_size"], frames["mode"], frames["owner"]) == (5000, 8192, "0600", "root")
assert (frames["uid"], frames["nattch"], frames["handles"], frames["generation"]) == (0, 0, 1, 1)
assert frames["created"].endswith("Z") and frames["removed"] is False
info = out("info", "--json")
assert (info["segments"], info["total_bytes"], info["max_segments"]) == (1, 8192, 4096), info
watch = subprocess.Popen(("shmdev", "watch", "--json"), stdout=subprocess.PIPE)
event = json.loads(watch.stdout.readline())
assert event["event"] == "present" and "segment" in event, event
watch.kill()
watch.wait()
"#;
    let handle = Handle::creating("frames", 5000);
    handle.pwrite(b"x", 0).unwrap();
    let status = Command::new("/usr/bin/python3")
        .args(["-E", "-s", "-S", "-B", "-c", CHECK])
        .status()
        .expect("python3");
    assert!(status.success(), "{status}");
    remove("frames");
}

/// What prints something.
const PRINTING: [&str; 6] = [
    "read frames",
    "dump frames --verbose",
    "ls",
    "stat frames",
    "info",
    "wait frames --while 1",
];

fn a_closed_pipe_ends_it_without_a_word() {
    Handle::creating("frames", 1 << 20);
    for arguments in PRINTING {
        let (reader, writer) = file::pipe();
        drop(reader);
        let mut command = shmdev(arguments);
        command.stdout(writer).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        // The command keeps the writing end, which would keep the pipe.
        drop(command);
        let output = child.wait_with_output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), &*complaints),
            (Some(141), ""),
            "{arguments}"
        );
    }
    remove("frames");
}

fn a_full_disk_is_told_as_any_other_error() {
    Handle::creating("frames", 1 << 20).pwrite(b"x", 0).unwrap();
    let others = [
        "ls --json",
        "stat frames --json",
        "info --json",
        "read frames --len 1",
        "wait-change frames --since 0",
        "watch --lines",
        "watch --json",
        "wake frames",
        "completions zsh",
        "--help",
    ];
    for arguments in PRINTING.into_iter().chain(others) {
        let mut command = shmdev(arguments);
        command.stdout(File::options().write(true).open("/dev/full").unwrap());
        let (status, _, complaints) = run(command);
        assert_eq!(
            (status, complaints.as_str()),
            (
                Some(1),
                "shmdev: write to standard output: No space left on device (ENOSPC)\n"
            ),
            "{arguments}"
        );
    }
    remove("frames");
}
