// SPDX-License-Identifier: MIT OR Apache-2.0

//! The tests, a file a topic. They are written against `docs/abi.md`: each rule and each errno there has a test here, but for
//! limits that no test can reach (2^30 handles, 2^32 additions of a robust word) and kernels without POSIX message queues.
//!
//! A test never measures time. It orders processes by gates and by what STAT shows, and only a watchdog that no
//! healthy system reaches ends a wait.

mod access;
mod areas;
mod arguments;
mod asynchronous;
mod asynchronous_events;
mod barrier;
mod c_client;
mod charge;
mod command;
mod command_lock;
mod command_ring;
mod command_terminal;
mod command_top;
mod command_words;
mod compat;
mod compat_segments;
mod condvar;
mod counter;
mod create;
mod creation_races;
mod death;
mod debugfs;
mod debugfs_under_load;
mod event;
mod eventfd;
mod fairness;
mod faults;
mod faults_of_maps;
mod faults_of_segments;
mod faults_of_words;
mod fdinfo;
mod fork;
mod hostile;
mod info;
mod injection;
mod io;
mod ipcns;
mod ipcns_end;
mod library;
mod library_segments;
mod library_words;
mod lifetime;
mod limits;
mod list;
mod log;
mod map_copies;
mod map_fault;
mod map_huge;
mod map_huge_parts;
mod map_modes;
mod map_pins;
mod marks;
mod memory;
mod mmap;
mod model;
mod module;
mod move_bytes;
mod mutex;
mod names;
mod once;
mod open;
mod open_by;
mod open_by_descriptor;
mod owner;
mod parameters;
mod placing;
mod poll;
mod protect;
mod python;
mod quota_races;
mod quotas;
mod remove;
mod requeue;
mod requeue_races;
mod resize;
mod resize_races;
mod restrict;
mod restrict_races;
mod rights;
mod ring;
mod robust;
mod robust_limits;
mod rwlock;
mod seek;
mod semaphore;
mod set;
mod stat;
mod stress;
mod sync;
mod threads;
mod time_namespace;
mod tracepoints;
mod userns;
mod wait;
mod waiters;
mod waitv;
mod wake_wait;
mod window;
mod words;
mod worker;

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::Test;
use crate::sys::{self, Errno};

/// Every test, in the order in which they run.
pub(crate) const ALL: &[&[Test]] = &[
    open::TESTS,
    info::TESTS,
    arguments::TESTS,
    mmap::TESTS,
    protect::TESTS,
    fork::TESTS,
    hostile::TESTS,
    map_modes::TESTS,
    map_fault::TESTS,
    map_copies::TESTS,
    map_pins::TESTS,
    map_huge::TESTS,
    map_huge_parts::TESTS,
    io::TESTS,
    seek::TESTS,
    move_bytes::TESTS,
    poll::TESTS,
    fdinfo::TESTS,
    create::TESTS,
    names::TESTS,
    open_by::TESTS,
    open_by_descriptor::TESTS,
    creation_races::TESTS,
    remove::TESTS,
    lifetime::TESTS,
    rights::TESTS,
    set::TESTS,
    userns::TESTS,
    ipcns::TESTS,
    ipcns_end::TESTS,
    quotas::TESTS,
    quota_races::TESTS,
    parameters::TESTS,
    charge::TESTS,
    resize::TESTS,
    resize_races::TESTS,
    restrict::TESTS,
    restrict_races::TESTS,
    window::TESTS,
    list::TESTS,
    stat::TESTS,
    debugfs::TESTS,
    debugfs_under_load::TESTS,
    tracepoints::TESTS,
    sync::TESTS,
    limits::TESTS,
    access::TESTS,
    wait::TESTS,
    words::TESTS,
    waitv::TESTS,
    requeue::TESTS,
    requeue_races::TESTS,
    wake_wait::TESTS,
    robust::TESTS,
    robust_limits::TESTS,
    eventfd::TESTS,
    time_namespace::TESTS,
    fairness::TESTS,
    death::TESTS,
    marks::TESTS,
    owner::TESTS,
    threads::TESTS,
    model::TESTS,
    counter::TESTS,
    compat::TESTS,
    compat_segments::TESTS,
    library::TESTS,
    library_segments::TESTS,
    library_words::TESTS,
    placing::TESTS,
    mutex::TESTS,
    rwlock::TESTS,
    condvar::TESTS,
    semaphore::TESTS,
    barrier::TESTS,
    once::TESTS,
    event::TESTS,
    ring::TESTS,
    asynchronous::TESTS,
    asynchronous_events::TESTS,
    log::TESTS,
    python::TESTS,
    c_client::TESTS,
    command::TESTS,
    command_lock::TESTS,
    command_ring::TESTS,
    command_terminal::TESTS,
    command_words::TESTS,
    command_top::TESTS,
    module::TESTS,
    faults::TESTS,
    faults_of_segments::TESTS,
    faults_of_words::TESTS,
    faults_of_maps::TESTS,
    stress::TESTS,
    // Last, so that what the others lost is found.
    memory::TESTS,
];

const READ: i32 = libc::PROT_READ;
const WRITE: i32 = libc::PROT_WRITE;
const EXEC: i32 = libc::PROT_EXEC;
const SHARED: i32 = libc::MAP_SHARED;
const PRIVATE: i32 = libc::MAP_PRIVATE;

/// Fails unless the call was refused with exactly this errno.
#[track_caller]
fn refused<T: Debug>(result: sys::Result<T>, errno: Errno) {
    match result {
        Err(error) if error == errno => (),
        other => panic!("expected {errno:?}, got {other:?}"),
    }
}

/// Fails unless the call ended as this run's way to map has it, which is a field of [`sys::mode::Mode`]. Returns what
/// the call returned, if it was not to be refused.
#[track_caller]
fn agrees<T: Debug>(result: sys::Result<T>, expected: sys::Result<()>) -> Option<T> {
    match expected {
        Ok(()) => Some(result.expect("this way to map allows it")),
        Err(errno) => {
            refused(result, errno);
            None
        }
    }
}

/// Says that something has ended when it is dropped, also by a panic: whoever goes on until then does not go on for
/// ever.
struct EndOf<'a>(&'a AtomicBool);

impl Drop for EndOf<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Does one thing over and over, in another thread, for as long as the other takes.
fn beside(again_and_again: impl Fn() + Sync, body: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                again_and_again();
            }
        });
        let _end = EndOf(&done);
        body();
    });
}

/// Fails unless the process dies of SIGSEGV when it does this.
#[track_caller]
fn faults(body: impl FnOnce()) {
    let child = sys::Process::fork(|| {
        body();
        panic!("it did not fault");
    });
    assert_eq!(
        child.wait(),
        sys::process::End::Signal(libc::SIGSEGV),
        "expected a SIGSEGV"
    );
}

/// Kills a process that maps the whole segment and is in the middle of a write of its first bytes.
fn kill_a_user() {
    let held = sys::Gate::new();
    let process = sys::Process::fork(|| {
        let handle = sys::Handle::rw();
        let _mapping = handle.whole();
        handle.begin(sys::ACCESS_WRITE, 0, 8, 0).unwrap();
        held.open();
        sys::process::park();
    });
    held.pass();
    process.kill();
}
