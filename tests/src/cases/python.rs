// SPDX-License-Identifier: MIT OR Apache-2.0

//! A client that is not ours: Python's own modules do to the device what programs do to files and to shared memory.
//! Each script in `tests/python` is a test; it passes when it ends with exit status 0.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::harness::tests;
use crate::sys::module::Reloaded;
use crate::sys::{SIZE, mode};

/// Makes a test of each script of this name.
macro_rules! scripts {
    ($($script:ident),+ $(,)?) => {
        $(
            fn $script() {
                run(stringify!($script), include_str!(concat!("../../python/", stringify!($script), ".py")));
            }
        )+
        tests![
            $(#[slow] $script needs [Python] within 120,)+
            #[slow] a_million_integers_are_shared needs [Python, ModuleFile] within 240,
            #[slow] python_and_the_command_wake_one_another needs [Python, ShmdevCommand] within 120,
            #[slow] a_mutex_tells_that_its_owner_was_killed needs [Python, CCompiler] within 240,
        ];
    };
}

scripts![
    what_one_process_writes_another_reads,
    mappings_do_what_files_do,
    a_bitmap_is_read_back_as_an_array,
    read_only_access_cannot_write,
    windows_by_offset_show_their_part,
    ioctls_are_called_by_their_numbers,
    readiness_is_seen_by_select_poll_and_epoll,
    attachments_are_counted,
    file_objects_and_os_calls_work,
    named_segments_are_created_found_and_removed,
    handles_are_narrowed_and_limits_hold,
];

fn a_million_integers_are_shared() {
    let _module = Reloaded::with("default_size=4000000");
    run(
        "a_million_integers_are_shared",
        include_str!("../../python/a_million_integers_are_shared.py"),
    );
}

fn python_and_the_command_wake_one_another() {
    run(
        "python_and_the_command_wake_one_another",
        include_str!("../../python/python_and_the_command_wake_one_another.py"),
    );
}

/// It takes a library that comes with the compiler.
fn a_mutex_tells_that_its_owner_was_killed() {
    run(
        "a_mutex_tells_that_its_owner_was_killed",
        include_str!("../../python/a_mutex_tells_that_its_owner_was_killed.py"),
    );
}

/// A folder that goes when the test ends, however it ends.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(name: &str, script: &str) {
    let folder = Folder(format!("/tmp/shmdev-python-{}", std::process::id()).into());
    let file = folder.0.join(format!("{name}.py"));
    std::fs::create_dir(&folder.0).unwrap();
    std::fs::write(folder.0.join("common.py"), include_str!("../../python/common.py")).unwrap();
    std::fs::write(&file, script).unwrap();
    // Without the site's files and without byte code: what is tested is the device, and time is dear.
    let status = Command::new("/usr/bin/python3")
        .args(["-E", "-s", "-S", "-B"])
        .arg(file)
        .env("SHMDEV_MAP", mode().name)
        .env("SHMDEV_SIZE", SIZE.to_string())
        .stdin(Stdio::null())
        .status();
    let status = status.expect("starting python3");
    assert!(status.success(), "{name}.py: {status}");
}
