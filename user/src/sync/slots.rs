// SPDX-License-Identifier: MIT OR Apache-2.0

//! One writer or many readers, each of whom the kernel can tell dead. Behind `RwLock`.
//!
//! Three sorts of words, all robust for who writes his token in them:
//!
//! - The **turn**, a lock (`lock_word`): writers hold it from before they begin to wait until they are done;
//!   readers who could not get in at once hold it until they are in. So whoever has to wait queues here,
//!   writers and readers alike, and none of them starves more than those who wait for a mutex. That an owner
//!   of it died says nothing.
//! - The **writer**: who writes, or waits for the readers to go. Only who has the turn takes it. OWNER_DIED
//!   in it says that a writer died.
//! - **Slots**: a word for each reader at a time. A dead one's has OWNER_DIED and is as free as 0.
//!
//! A reader takes a slot and then looks at the writer's word; a writer takes his word and then looks at the
//! slots. All four are sequentially consistent, so at least one of the two sees the other: a reader who sees
//! a writer gives his slot back, a writer who sees a reader waits.
//!
//! Nobody sleeps but who has, or waits for, the turn. So there is at most one sleeper on the writer's word
//! (who waits for the kernel to mark it after a death) and on any slot.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use super::lock_word::{self, Found};
use super::seam::{Stop, Word, sleep_marked};
use crate::deadline::Deadline;
use crate::uapi::{WORD_TOKEN, WORD_WAITERS};
use crate::word::Waited;

/// Where the words are.
pub(crate) trait Slots {
    /// Why a call to the kernel failed.
    type Error;
    type Word<'a>: Word<Error = Self::Error>
    where
        Self: 'a;

    fn token(&self) -> u32;
    fn turn(&self) -> Self::Word<'_>;
    fn writer(&self) -> Self::Word<'_>;
    fn slot(&self, index: usize) -> Self::Word<'_>;
    /// How many slots there are.
    fn count(&self) -> usize;
    /// Which slot to try first.
    fn first(&self) -> usize;

    /// Makes a slot robust for this process.
    fn tend(&self, index: usize) -> Result<(), Self::Error>;

    /// Sleeps if all slots are as they were `seen`, until one of them is woken.
    fn wait_slots(&self, seen: &[u32], deadline: Deadline) -> Result<Waited, Self::Error>;
}

/// A reader that is in: his slot, and whether a writer died.
pub(crate) type Reading = (usize, Found);

/// Lets a reader in.
pub(crate) fn read<S: Slots>(lock: &S, deadline: Deadline) -> Result<Reading, Stop<S::Error>> {
    if let Some(reading) = try_read(lock).map_err(Stop::Call)? {
        return Ok(reading);
    }
    if deadline == Deadline::Now {
        return Err(Stop::Busy);
    }
    take_turn(lock, deadline)?;
    let reading = read_in_turn(lock, deadline);
    // It fails when the handle was restricted since. Then those who wait cannot be told, and this one is in
    // all the same.
    let _ = lock_word::unlock(&lock.turn());
    reading
}

fn try_read<S: Slots>(lock: &S) -> Result<Option<Reading>, S::Error> {
    let writer = lock.writer();
    // Most often it is plain already that this is in vain. And who has the turn may wait for a slot: not behind all
    // who come after him.
    if writer.load(Relaxed) & WORD_TOKEN != 0 || lock.turn().load(Relaxed) & WORD_TOKEN != 0 {
        return Ok(None);
    }
    let Some(index) = take_slot(lock)? else {
        return Ok(None);
    };
    let now = writer.load(SeqCst);
    if now & WORD_TOKEN == 0 {
        return Ok(Some((index, Found::of(now))));
    }
    end_read(lock, index)?;
    Ok(None)
}

/// For one who has the turn: there is no writer but one who died and whom the kernel has yet to mark.
fn read_in_turn<S: Slots>(lock: &S, deadline: Deadline) -> Result<Reading, Stop<S::Error>> {
    let writer = lock.writer();
    let found = loop {
        let now = writer.load(Acquire);
        if now & WORD_TOKEN == 0 {
            break Found::of(now);
        }
        sleep_marked(&writer, now, deadline)?;
    };
    loop {
        if let Some(index) = take_slot(lock).map_err(Stop::Call)? {
            return Ok((index, found));
        }
        wait_for_slot(lock, deadline)?;
    }
}

fn take_slot<S: Slots>(lock: &S) -> Result<Option<usize>, S::Error> {
    let (count, first) = (lock.count(), lock.first());
    for index in (first..count).chain(0..first) {
        let slot = lock.slot(index);
        let now = slot.load(Relaxed);
        if now & WORD_TOKEN != 0 {
            continue;
        }
        lock.tend(index)?;
        let ours = now & WORD_WAITERS | lock.token();
        if slot.compare_exchange(now, ours, SeqCst, Relaxed).is_ok() {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Sleeps until a slot may be free.
fn wait_for_slot<S: Slots>(lock: &S, deadline: Deadline) -> Result<(), Stop<S::Error>> {
    let mut seen = Vec::with_capacity(lock.count());
    for index in 0..lock.count() {
        let slot = lock.slot(index);
        let now = slot.load(Relaxed);
        let marked = now | WORD_WAITERS;
        let free = now & WORD_TOKEN == 0;
        if free {
            return Ok(());
        }
        if slot.compare_exchange(now, marked, Relaxed, Relaxed).is_err() {
            return changed(deadline);
        }
        seen.push(marked);
    }
    match lock.wait_slots(&seen, deadline).map_err(Stop::Call)? {
        Waited::TimedOut => Err(Stop::TimedOut),
        Waited::Woken => Ok(()),
        Waited::Changed => changed(deadline),
    }
}

/// Slots may change as often as one looks.
fn changed<E>(deadline: Deadline) -> Result<(), Stop<E>> {
    match deadline.has_come() {
        true => Err(Stop::TimedOut),
        false => Ok(()),
    }
}

/// The reader of a slot leaves.
pub(crate) fn end_read<S: Slots>(lock: &S, index: usize) -> Result<(), S::Error> {
    let slot = lock.slot(index);
    if slot.swap(0, Release) & WORD_WAITERS != 0 {
        slot.wake(1)?;
    }
    Ok(())
}

/// Lets a writer in, and nobody else.
pub(crate) fn write<S: Slots>(lock: &S, deadline: Deadline) -> Result<Found, Stop<S::Error>> {
    take_turn(lock, deadline)?;
    let found = match seize(lock, deadline) {
        Ok(found) => found,
        Err(stop) => {
            lock_word::unlock(&lock.turn()).map_err(Stop::Call)?;
            return Err(stop);
        }
    };
    for index in 0..lock.count() {
        if let Err(stop) = wait_until_free(&lock.slot(index), deadline) {
            end_write(lock).map_err(Stop::Call)?;
            return Err(stop);
        }
    }
    Ok(found)
}

fn take_turn<S: Slots>(lock: &S, deadline: Deadline) -> Result<(), Stop<S::Error>> {
    let turn = lock.turn();
    if lock_word::lock(&turn, lock.token(), deadline)? == Found::OwnerDied {
        // Nothing is protected by it; a death that matters is in the writer's word.
        lock_word::make_clean(&turn);
    }
    Ok(())
}

/// Takes the writer's word.
fn seize<S: Slots>(lock: &S, deadline: Deadline) -> Result<Found, Stop<S::Error>> {
    let writer = lock.writer();
    loop {
        let now = writer.load(Relaxed);
        if now & WORD_TOKEN != 0 {
            sleep_marked(&writer, now, deadline)?;
            continue;
        }
        let ours = now | lock.token();
        if writer.compare_exchange(now, ours, SeqCst, Relaxed).is_ok() {
            return Ok(Found::of(now));
        }
    }
}

fn wait_until_free<W: Word>(slot: &W, deadline: Deadline) -> Result<(), Stop<W::Error>> {
    loop {
        let now = slot.load(SeqCst);
        if now & WORD_TOKEN == 0 {
            return Ok(());
        }
        sleep_marked(slot, now, deadline)?;
    }
}

/// The writer leaves.
pub(crate) fn end_write<S: Slots>(lock: &S) -> Result<(), S::Error> {
    // First so that the next in turn finds it free.
    let writer = lock_word::unlock(&lock.writer());
    lock_word::unlock(&lock.turn())?;
    writer
}
