// SPDX-License-Identifier: MIT OR Apache-2.0

//! Rings without a device: in the heap, between threads, and in a model checker.

mod deaths;
mod heap;
mod hostile;

mod interleavings;
mod model;
mod threads;
