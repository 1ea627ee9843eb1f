// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C header and its examples: compiled here, in 64 and in 32 bits, by their own Makefile, and run.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::tests;
use crate::sys::process::until;
use crate::sys::segments::remove;
use crate::sys::{Handle, by_name, usage};

tests![
    #[slow] the_example_in_c_is_compiled_without_a_warning_and_works needs [CCompiler] within 120,
    #[slow] the_mutex_in_c_excludes_and_tells_that_its_owner_was_killed needs [CCompiler] within 120,
];

/// The sources, where the Makefile expects them of one another.
const SOURCES: [(&str, &str); 5] = [
    ("include/shmdev.h", include_str!("../../../user/include/shmdev.h")),
    (
        "examples/c/Makefile",
        include_str!("../../../user/examples/c/Makefile"),
    ),
    (
        "examples/c/client.c",
        include_str!("../../../user/examples/c/client.c"),
    ),
    (
        "examples/c/mutex.c",
        include_str!("../../../user/examples/c/mutex.c"),
    ),
    (
        "examples/c/freestanding.h",
        include_str!("../../../user/examples/c/freestanding.h"),
    ),
];

/// A folder that goes when the test ends, however it ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Status, standard output and standard error.
fn run(program: impl AsRef<Path>, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(program.as_ref())
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let Output {
        status,
        stdout,
        stderr,
    } = output.unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display()));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.success(), text(stdout), text(stderr))
}

/// Compiles all of them; where they are is in the folder.
fn made() -> (Folder, PathBuf) {
    let folder = Folder(format!("/tmp/shmdev-c-{}", std::process::id()).into());
    for (path, text) in SOURCES {
        let path = folder.0.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let examples = folder.0.join("examples/c");
    let source = examples.to_str().expect("UTF-8");
    // Without optimisation: what is tested is that it compiles and what it does.
    let (made, _, said) = run(
        "/usr/bin/make",
        &["-s", "-j2", "-C", source, "CC=gcc", "CFLAGS=-O0"],
    );
    assert!(made && said.is_empty(), "{said}");
    (folder, examples)
}

fn the_example_in_c_is_compiled_without_a_warning_and_works() {
    let (_folder, examples) = made();
    for client in ["client", "client32"] {
        works(&examples.join(client));
    }
    assert_eq!(usage(), (0, 0));
}

fn works(client: &Path) {
    let (good, said, complaints) = run(client, &["c-frames", "in C"]);
    assert!(good, "{}: {complaints}", client.display());
    assert_eq!((said.as_str(), complaints.as_str()), ("created\nin C\n", ""));
    assert_eq!(usage(), (0, 0), "what it made it removes");
    // One that is there is opened, and left there.
    let handle = Handle::creating("c-frames", 4096);
    let (good, said, _) = run(client, &["c-frames", "again"]);
    assert_eq!((good, said.as_str()), (true, "opened\nagain\n"));
    let mut bytes = [0; 6];
    handle.pread(&mut bytes, 0).unwrap();
    assert_eq!((&bytes, handle.generation()), (b"again\0", 1));
    // What it cannot do it says, with the errno's words or, in 32 bits, its number.
    let why = if client.ends_with("client32") {
        "errno 22"
    } else {
        "Invalid argument"
    };
    for (name, words) in [
        ("a/b", format!("create: {why}\n")),
        (&"n".repeat(64), "the name is too long\n".into()),
    ] {
        let (good, said, complaints) = run(client, &[name]);
        assert_eq!((good, said + &complaints), (false, words), "{name}");
    }
    assert_eq!(Handle::rw().stat_of(by_name("c-frames")).unwrap().handles, 1);
    remove("c-frames");
}

/// What the mutex guards: the word, and the two numbers that are the same whenever it is free.
fn counted(handle: &Handle) -> (u32, u32, u32) {
    let mut bytes = [0; 12];
    handle.pread(&mut bytes, 0).unwrap();
    let number = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    (number(0), number(4), number(8))
}

fn the_mutex_in_c_excludes_and_tells_that_its_owner_was_killed() {
    let (_folder, examples) = made();
    let start = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(examples.join(program));
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"))
    };
    let handle = Handle::creating("c-mutex", 4096);
    // Programs of both sizes exclude one another.
    let counting = ["mutex", "mutex32", "mutex", "mutex32"].map(|program| start(program, &["c-mutex"]));
    for child in counting {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
    assert_eq!(counted(&handle), (0, 4000, 4000));
    for (round, (owner, heir)) in (0..).zip([("mutex", "mutex32"), ("mutex32", "mutex")]) {
        let before = 4000 + round * 2002;
        // One who has it is killed; who waits, or comes then, is told.
        for (waits, before) in [(true, before), (false, before + 1001)] {
            let mut holder = start(owner, &["c-mutex", "hold"]);
            let mut said = BufReader::new(holder.stdout.take().expect("a pipe"));
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            assert_eq!(line, "held\n");
            until("it sleeps", || handle.stat().unwrap().sleepers == 1);
            let (token, begun, ended) = counted(&handle);
            assert_ne!(token, 0);
            assert_eq!((begun, ended), (before + 1, before));
            let waiting = waits.then(|| {
                let waiting = start(heir, &["c-mutex"]);
                until("it waits", || handle.stat().unwrap().sleepers == 2);
                waiting
            });
            holder.kill().unwrap();
            holder.wait().unwrap();
            let told = waiting.unwrap_or_else(|| start(heir, &["c-mutex"]));
            let output = told.wait_with_output().unwrap();
            assert_eq!(
                (
                    output.status.success(),
                    String::from_utf8_lossy(&output.stdout).as_ref()
                ),
                (true, "the owner died; repaired\n")
            );
            assert_eq!(counted(&handle), (0, before + 1001, before + 1001));
        }
    }
    remove("c-mutex");
}
