// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rings without a device: in the heap, between threads, and in a model checker.

use super::failure::Failure;
use super::layout::Units;
use super::reader::Reader;
use super::seam::Memory;
use super::writer::Writer;
use crate::deadline::Deadline;

mod deaths;
mod heap;
mod hostile;

mod interleavings;
mod model;
mod threads;

/// Sends as [`Sender`](super::Sender) does.
trait Send {
    type Error;

    fn send(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), Failure<Self::Error>>;
}

impl<M: Memory> Send for Writer<M> {
    type Error = M::Error;

    fn send(&mut self, bytes: &[u8], deadline: Deadline) -> Result<(), Failure<M::Error>> {
        let is_slot = self.core.shape.units == Units::Slots(bytes.len() as u32);
        if !is_slot || !self.send_slot(bytes)? {
            self.send_slowly(bytes, deadline)?;
        }
        Ok(())
    }
}

/// Receives as [`Receiver`](super::Receiver) does.
fn recv<M: Memory>(reader: &mut Reader<M>, deadline: Deadline) -> Result<Vec<u8>, Failure<M::Error>> {
    let units = reader.core.shape.units;
    match units {
        Units::Slots(len) if reader.has_slot() => {
            let mut record = vec![0; len as usize];
            reader.take_slot(&mut record)?;
            Ok(record)
        }
        _ => reader.recv(deadline, |len| vec![0; len], |record| record),
    }
}
