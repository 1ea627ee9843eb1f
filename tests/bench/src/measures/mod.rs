// SPDX-License-Identifier: MIT OR Apache-2.0

//! What is measured. The catalogue says what each measure is; here is how it is done.

mod calls;
mod copy;
mod held;
mod iceoryx;
mod listing;
mod locks;
mod mapping;
mod notify;
mod peers;
mod population;
mod ring;
mod round_trip;
mod segments;
mod wake;
mod words;

use anyhow::Result;

use crate::run::Run;

/// Takes all measures that are wanted, in the order of the catalogue.
pub fn all(run: &mut Run) -> Result<()> {
    calls::all(run)?;
    mapping::all(run)?;
    wake::all(run)?;
    round_trip::all(run)?;
    notify::all(run)?;
    locks::all(run)?;
    ring::all(run)?;
    copy::all(run)?;
    held::all(run)?;
    listing::all(run)
}
