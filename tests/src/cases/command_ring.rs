// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev send`, `recv` and `ring`: records between processes that know no more of a ring than a shell does.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

use super::command::{bad, good, shmdev};
use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{Handle, file};

tests![
    #[slow] lines_go_from_a_sender_to_a_receiver needs [ShmdevCommand],
    #[slow] records_of_any_bytes_come_out_as_they_went_in needs [ShmdevCommand],
    #[slow] several_senders_reach_several_receivers needs [ShmdevCommand],
    #[slow] a_killed_receiver_leaves_the_rest_to_the_next needs [ShmdevCommand],
    #[slow] who_waits_ends_with_its_deadline needs [ShmdevCommand],
    a_role_that_somebody_has_is_refused needs [ShmdevCommand],
    #[slow] options_that_do_not_match_are_told needs [ShmdevCommand],
    a_record_that_is_too_long_is_told_and_the_others_are_sent needs [ShmdevCommand],
    a_record_that_could_not_be_printed_stays needs [ShmdevCommand],
    #[slow] what_is_overwritten_is_counted needs [ShmdevCommand],
    #[slow] ring_tells_what_became_of_records needs [ShmdevCommand],
];

fn fed(arguments: &str, input: &[u8]) -> Output {
    let mut child = spawned(arguments);
    // It may end before it has read everything.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("shmdev")
}

fn spawned(arguments: &str) -> Child {
    let mut command: Command = shmdev(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("shmdev")
}

#[track_caller]
fn sent(arguments: &str, input: impl AsRef<[u8]>) {
    let output = fed(arguments, input.as_ref());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments}");
}

/// Exit status and what it complained of.
fn complaint(output: &Output) -> (Option<i32>, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), said)
}

/// The figure that `shmdev ring` tells under this name.
fn figure(arguments: &str, name: &str) -> u64 {
    let told = good(arguments);
    let line = told.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("{name} in {told}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Waits until a process of the command sleeps in a call to the device.
fn until_it_sleeps(child: &Child) {
    until("it sleeps", || {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap_or_default();
        call.split(' ').next() == Some(libc::SYS_ioctl.to_string().as_str())
    });
}

fn lines_go_from_a_sender_to_a_receiver() {
    good("create frames 64K");
    sent("send frames", "one\n\ntwo words\nwithout an end");
    assert_eq!(good("recv frames"), "one\n");
    assert_eq!(good("recv frames --count 2"), "\ntwo words\n");
    assert_eq!(good("recv frames --no-wait"), "without an end\n");
    assert_eq!(good("recv frames --no-wait"), "", "none is no error");
    assert_eq!(good("recv frames --count 0"), "");
    // One that waits, and then more than the ring takes at once, but no more than a pipe does.
    let waiting = spawned("recv frames --count 5000");
    until_it_sleeps(&waiting);
    let numbers: String = (0..5000).map(|n| format!("{n}\n")).collect();
    sent("send frames", &numbers);
    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success() && output.stdout == numbers.as_bytes());
    remove("frames");
}

fn records_of_any_bytes_come_out_as_they_went_in() {
    good("create frames 64K");
    let all: Vec<u8> = (0..=255).collect();
    sent("send frames --whole --offset 4K --size 8K", &all);
    let received = fed("recv frames --whole --offset 4K --size 8K", b"");
    assert_eq!(received.stdout, all);
    let records = b"a\nb\0\xff\xfe\0\0last".as_slice();
    sent("send frames --null --size 2K", records);
    let received = fed("recv frames --null --no-wait --size 2K", b"");
    assert_eq!(received.stdout, [records, b"\0"].concat());
    sent("send frames --whole --size 2K", b"");
    assert_eq!(good("recv frames --size 2K"), "\n");
    remove("frames");
}

fn several_senders_reach_several_receivers() {
    const EACH: usize = 2000;
    good("create frames 8K");
    let receivers: Vec<_> = (0..2)
        .map(|_| spawned(&format!("recv frames --many --count {}", 3 * EACH / 2)))
        .collect();
    let senders: Vec<_> = ["a", "b", "c"]
        .map(|name| {
            let mut child = spawned("send frames --many");
            let mut stdin = child.stdin.take().expect("a pipe");
            let lines: String = (0..EACH).map(|n| format!("{name}{n}\n")).collect();
            // All of them at once, and no pipe holds so much.
            let feeder = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
            (child, feeder)
        })
        .into();
    // What they print is more than a pipe holds, too.
    let readers = receivers.into_iter().map(|child| {
        std::thread::spawn(move || {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap()
        })
    });
    let readers: Vec<_> = readers.collect();
    for (mut child, feeder) in senders {
        feeder.join().unwrap();
        assert!(child.wait().unwrap().success());
    }
    let told: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
    let mut all: Vec<_> = told.iter().flat_map(|text| text.lines()).collect();
    for name in ["a", "b", "c"] {
        for text in &told {
            let of_one: Vec<usize> = text
                .lines()
                .filter_map(|line| line.strip_prefix(name)?.parse().ok())
                .collect();
            assert!(of_one.is_sorted(), "those of one sender come in their order");
        }
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3 * EACH, "each came once");
    remove("frames");
}

fn a_killed_receiver_leaves_the_rest_to_the_next() {
    good("create frames 64K");
    sent("send frames", "one\ntwo\n");
    let mut first = spawned("recv frames --follow");
    let mut lines = BufReader::new(first.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").unwrap();
    assert_eq!([next(), next()], ["one", "two"]);
    until_it_sleeps(&first);
    first.kill().unwrap();
    first.wait().unwrap();
    sent("send frames", "three\n");
    assert_eq!(good("recv frames"), "three\n");
    // A sender that is killed goes with nothing, either.
    let mut sender = spawned("send frames");
    let stdin = sender.stdin.as_mut().expect("a pipe");
    stdin.write_all(b"four\n").unwrap();
    assert_eq!(good("recv frames"), "four\n");
    sender.kill().unwrap();
    sender.wait().unwrap();
    sent("send frames", "five\n");
    assert_eq!(good("recv frames"), "five\n");
    remove("frames");
}

fn who_waits_ends_with_its_deadline() {
    good("create frames 4K");
    let said = bad("recv frames --timeout 5ms", 1);
    assert_eq!(said, "shmdev: \"frames\": receive: timed out (ETIMEDOUT)\n");
    let said = bad("recv frames --timeout 0", 1);
    assert!(said.contains("(EAGAIN)"), "{said}");
    // With their headers, three of them fill it.
    let lines = format!("{0}\n{0}\n{0}\n{0}\n", "x".repeat(600));
    for (time, errno) in [("5ms", "(ETIMEDOUT)"), ("0", "(EAGAIN)")] {
        let (status, said) = complaint(&fed(&format!("send frames --timeout {time}"), lines.as_bytes()));
        assert!(
            status == Some(1) && said.starts_with("shmdev: \"frames\": send: ") && said.contains(errno),
            "{said}"
        );
        assert_eq!(
            good("recv frames --no-wait").lines().count(),
            3,
            "what fits was sent"
        );
    }
    sent("send frames", "one\n");
    let (status, said) = complaint(&fed("recv frames --follow --timeout 5ms", b""));
    assert!(status == Some(1) && said.contains("(ETIMEDOUT)"), "{said}");
    remove("frames");
}

fn a_role_that_somebody_has_is_refused() {
    good("create frames 64K");
    let mut receiver = spawned("recv frames");
    until_it_sleeps(&receiver);
    let said = bad("recv frames --no-wait", 1);
    assert!(said.contains("--many") && said.contains("(EBUSY)"), "{said}");
    sent("send frames", "one\n");
    assert!(receiver.wait().unwrap().success());
    remove("frames");
}

fn options_that_do_not_match_are_told() {
    good("create frames 64K");
    sent("send frames", "one\n");
    for options in ["--many", "--overwrite", "--size 4K"] {
        for command in ["recv", "send", "ring"] {
            let said = bad(&format!("{command} frames {options}"), 1);
            assert!(
                said.starts_with("shmdev: \"frames\": find the ring at 0: it was made otherwise")
                    && said.ends_with("--size, --overwrite and --many (EEXIST)\n"),
                "{said}"
            );
        }
    }
    assert_eq!(good("recv frames"), "one\n");
    for (options, errno) in [
        ("--offset 8", "(EINVAL)"),
        ("--offset 64K", "(EINVAL)"),
        ("--offset 1E", "(EINVAL)"),
        ("--size 100", "(EINVAL)"),
        ("--size 64K", "(EINVAL)"),
    ] {
        let said = bad(&format!("recv frames --no-wait {options}"), 1);
        assert!(
            said.starts_with("shmdev: \"frames\": ") && said.contains(errno),
            "{options}: {said}"
        );
    }
    let said = bad("recv nobody", 1);
    assert!(said.contains("nobody") && said.contains("(ENOENT)"), "{said}");
    let said = bad("ring frames --offset 32K", 1);
    assert!(said.contains("there is none (ENOENT)"), "{said}");
    Handle::of("frames").pwrite(b"something else", 32 << 10).unwrap();
    let said = bad("recv frames --offset 32K --size 4K --no-wait", 1);
    assert!(said.contains("neither zero nor an object"), "{said}");
    remove("frames");
}

fn a_record_that_is_too_long_is_told_and_the_others_are_sent() {
    good("create frames 64K");
    let max = 24;
    let input = format!("{}\n{}\nlast\n", "x".repeat(max), "y".repeat(max + 1));
    for arguments in ["send frames --size 64", "send frames --size 64 --whole"] {
        let (status, said) = complaint(&fed(arguments, input.as_bytes()));
        assert_eq!(
            (status, said.as_str()),
            (
                Some(1),
                "shmdev: \"frames\": send: a record of this ring has at most 24 bytes (EMSGSIZE)\n"
            )
        );
    }
    assert_eq!(
        good("recv frames --size 64 --no-wait"),
        format!("{}\n", "x".repeat(max)),
        "what came before it"
    );
    remove("frames");
}

fn a_record_that_could_not_be_printed_stays() {
    good("create frames 64K");
    sent("send frames", "one\ntwo\n");
    let (reader, writer) = file::pipe();
    drop(reader);
    let mut command = shmdev("recv frames --follow");
    command.stdout(writer).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(command);
    let output = child.wait_with_output().unwrap();
    assert_eq!(complaint(&output), (Some(141), String::new()));
    let mut command = shmdev("recv frames");
    command.stdout(file_full());
    let (status, said) = complaint(&command.output().unwrap());
    assert!(status == Some(1) && said.contains("(ENOSPC)"), "{said}");
    assert_eq!(good("recv frames --no-wait"), "one\ntwo\n");
    remove("frames");
}

fn file_full() -> std::fs::File {
    std::fs::File::options().write(true).open("/dev/full").unwrap()
}

fn what_is_overwritten_is_counted() {
    good("create frames 4K");
    let numbers: String = (0..1000).map(|n| format!("{n}\n")).collect();
    sent("send frames --overwrite --timeout 0", &numbers);
    let last = good("recv frames --overwrite --no-wait");
    let lines = last.lines().count();
    assert!(lines > 0 && numbers.ends_with(&last), "{last}");
    assert_eq!(figure("ring frames --overwrite", "sent"), 1000);
    assert_eq!(figure("ring frames --overwrite", "received"), lines as u64);
    assert_eq!(
        figure("ring frames --overwrite", "overwritten"),
        1000 - lines as u64
    );
    remove("frames");
}

fn ring_tells_what_became_of_records() {
    good("create frames 64K");
    let said = bad("ring frames", 1);
    assert!(said.contains("there is none"), "{said}");
    let untouched = good("read frames --len 64");
    assert!(untouched.bytes().all(|byte| byte == 0), "looking makes nothing");
    sent("send frames", "one\ntwo\n");
    good("recv frames");
    assert_eq!(
        good("ring frames"),
        "sent            2 records\n\
         received        1\n\
         overwritten     0\n\
         lost by deaths  0 while sent, 0 while received\n\
         filled          16 of 32K\n\
         a record        at most 16376 bytes\n"
    );
    assert_eq!(
        good("ring frames --json").split_whitespace().collect::<String>(),
        "{\"sent\":2,\"received\":1,\"overwritten\":0,\"lost_sending\":0,\"lost_receiving\":0,\
         \"capacity\":32768,\"used\":16,\"max_len\":16376}"
    );
    remove("frames");
}
