// SPDX-License-Identifier: MIT OR Apache-2.0

//! iceoryx2, of which the published crate is used as its documentation says: events between two processes, and samples
//! within one.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use iceoryx2::port::{listener::Listener, notifier::Notifier};
use iceoryx2::prelude::{LogLevel, Node, NodeBuilder, SignalHandlingMode, ipc, set_log_level};
use iceoryx2::service::port_factory::PortFactory as _;
use iceoryx2::service::port_factory::event::PortFactory;

use super::round_trip::Meeting;
use super::segments::fresh_name;
use crate::run::{Batch, repeat};
use crate::sys::process::Child;

/// A node of this process. It is not to answer signals: those are to end the program.
fn node() -> Result<Node<ipc::Service>> {
    set_log_level(LogLevel::Error);
    let node = NodeBuilder::new()
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>();
    node.context("making a node of iceoryx2")
}

fn event(node: &Node<ipc::Service>, name: &str) -> Result<PortFactory<ipc::Service>> {
    let service = node.service_builder(&name.try_into()?).event().open_or_create();
    service.context("making a service of iceoryx2")
}

/// Told and answered by events.
pub fn round_trip(meeting: Meeting) -> Result<Batch> {
    let (there, back) = (fresh_name(), fresh_name());
    // Before there are ports of this process, which the child must not have.
    let child = Child::fork(|| {
        meeting.begin()?;
        let node = node()?;
        let (there, back) = (event(&node, &there)?, event(&node, &back)?);
        let answer = back.notifier_builder().create()?;
        let told = there.listener_builder().create()?;
        loop {
            wait(&told)?;
            notify(&answer)?;
        }
    })?;
    let node = node()?;
    let (there, back) = (event(&node, &there)?, event(&node, &back)?);
    let answered = back.listener_builder().create()?;
    let tell = there.notifier_builder().create()?;
    until_somebody_listens(&there)?;
    repeat(move || {
        let _ = (&child, &node);
        notify(&tell)?;
        wait(&answered)
    })
}

/// Removes what children left in /dev/shm when they were killed, so that nobody else finds it there. No node may be left.
pub fn remove_leftovers() {
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("iox2_") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn until_somebody_listens(service: &PortFactory<ipc::Service>) -> Result<()> {
    for _ in 0..1000 {
        if service.dynamic_config().number_of_listeners() == 1 {
            // It is counted before it can be told.
            thread::sleep(Duration::from_millis(10));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    bail!("the other process did not come to listen")
}

fn notify(notifier: &Notifier<ipc::Service>) -> Result<()> {
    let told = notifier.notify()?;
    ensure!(told == 1, "{told} listeners were told instead of one");
    Ok(())
}

fn wait(listener: &Listener<ipc::Service>) -> Result<()> {
    while listener.blocking_wait_one()?.is_none() {}
    Ok(())
}

/// A slice of bytes, published and received.
pub fn sample(len: usize) -> Result<Batch> {
    let node = node()?;
    let service = node
        .service_builder(&fresh_name().as_str().try_into()?)
        .publish_subscribe::<[u8]>()
        .create()?;
    let publisher = service.publisher_builder().initial_max_slice_len(len).create()?;
    let subscriber = service.subscriber_builder().create()?;
    let (record, mut received) = (vec![1; len], vec![0; len]);
    repeat(move || {
        let _ = &node;
        let sample = publisher.loan_slice_uninit(len)?;
        sample.write_from_slice(&record).send()?;
        let sample = subscriber.receive()?.context("nothing was received")?;
        received.copy_from_slice(&sample);
        Ok(())
    })
}
