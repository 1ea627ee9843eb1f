// SPDX-License-Identifier: MIT OR Apache-2.0

//! One task that waits for records of a ring, for changes of the segment, and for a timer, without a thread that sleeps.
//!
//! Run it twice: who comes second sends what it is given. `cargo run --features tokio --example select -- hello world`

use std::time::Duration;

use shmdev::ring::{Options, Records, Ring};
use shmdev::{Area, SegmentOptions};

const SIZE: usize = 64 << 10;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = Options::records_size(SIZE)?;
    let segment = SegmentOptions::new()
        .create(true)
        .size(size as u64)
        .open("select")?;
    let area = Area::new(segment)?;
    let ring = Options::new().many_senders(true).records(&area, 0, SIZE)?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() {
        return receive(&area, &ring).await;
    }
    ring.sender()?.send_all(words.iter().map(String::as_bytes))?;
    // A completed write is a change: see `shmdev watch`.
    area.segment().begin_write(0..1, shmdev::Deadline::Never)?.end()?;
    Ok(())
}

async fn receive(area: &Area, ring: &Ring<Records>) -> Result<(), Box<dyn std::error::Error>> {
    let mut receiver = ring.receiver()?;
    let mut timer = tokio::time::interval(Duration::from_secs(5));
    loop {
        tokio::select! {
            record = receiver.recv_async() => println!("{}", String::from_utf8_lossy(&record?)),
            changed = area.segment().changed() => {
                changed?;
                println!("generation {}", area.segment().stat()?.generation);
            }
            _ = timer.tick() => println!("{:?}", ring.stats()),
        }
    }
}
