// SPDX-License-Identifier: MIT OR Apache-2.0

//! The C header and its example: compiled here, in 64 and in 32 bits, by the example's own Makefile, and run.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::harness::tests;
use crate::sys::segments::remove;
use crate::sys::{Handle, by_name, usage};

tests![the_example_in_c_is_compiled_without_a_warning_and_works needs [CCompiler] within 120];

/// The sources, where the Makefile expects them of one another.
const SOURCES: [(&str, &str); 4] = [
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

fn the_example_in_c_is_compiled_without_a_warning_and_works() {
    let folder = Folder(format!("/tmp/shmdev-c-{}", std::process::id()).into());
    for (path, text) in SOURCES {
        let path = folder.0.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let source = folder.0.join("examples/c");
    let source = source.to_str().expect("UTF-8");
    // Without optimisation: what is tested is that it compiles and what it does.
    let (made, _, said) = run(
        "/usr/bin/make",
        &["-s", "-j2", "-C", source, "CC=gcc", "CFLAGS=-O0"],
    );
    assert!(made && said.is_empty(), "{said}");
    for client in ["client", "client32"] {
        let client = Path::new(source).join(client);
        works(&client);
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
