// SPDX-License-Identifier: MIT OR Apache-2.0

//! Finding segments among others: all of them, and one by its name.

use std::cell::RefCell;
use std::rc::Rc;

use anyhow::{Result, ensure};

use super::iceoryx;
use super::population::{Ours, Population, Posix, Sysv};
use crate::run::{Batch, Plan, Run, Subject, repeat, subject};

/// Takes the measures of this file.
pub fn all(run: &mut Run) -> Result<()> {
    if !run.wants("list") && !run.wants("open") {
        return Ok(());
    }
    iceoryx::remove_leftovers();
    let (ours, posix, sysv) = (
        Growing::<Ours>::new(),
        Growing::<Posix>::new(),
        Growing::<Sysv>::new(),
    );
    for count in [1, 10, 100, 1000, 10_000] {
        let all = vec![
            ours.subject("shmdev", count, list),
            posix.subject("POSIX shm", count, list),
            sysv.subject("SysV shm", count, list),
        ];
        run.point(
            "list",
            count as u64,
            if count < 1000 { Plan::of(10) } else { Plan::long() },
            all,
        )?;
        let one = vec![
            ours.subject("shmdev", count, open),
            posix.subject("POSIX shm", count, open),
            sysv.subject("SysV shm", count, open),
        ];
        run.point("open", count as u64, Plan::of(50), one)?;
    }
    Ok(())
}

/// A population that grows from point to point.
struct Growing<P>(Rc<RefCell<Option<P>>>);

impl<P: Population> Growing<P> {
    fn new() -> Self {
        Self(Rc::default())
    }

    fn subject(
        &self,
        name: &str,
        count: usize,
        batch: fn(Rc<RefCell<Option<P>>>) -> Result<Batch>,
    ) -> Subject {
        let shared = Rc::clone(&self.0);
        subject(name, move || {
            let mut population = match shared.take() {
                Some(population) => population,
                None => P::new()?,
            };
            while population.len() < count {
                population.add()?;
            }
            shared.replace(Some(population));
            batch(Rc::clone(&shared))
        })
    }
}

fn list<P: Population>(shared: Rc<RefCell<Option<P>>>) -> Result<Batch> {
    repeat(move || {
        let population = shared.borrow();
        let population = population.as_ref().expect("it was made");
        let found = population.list()?;
        // Others may have segments, too.
        ensure!(found >= population.len(), "only {found} were found");
        Ok(())
    })
}

fn open<P: Population>(shared: Rc<RefCell<Option<P>>>) -> Result<Batch> {
    /// A prime, so that one after the other is opened in no order.
    const STRIDE: usize = 7919;
    let mut next = 0;
    repeat(move || {
        let population = shared.borrow();
        let population = population.as_ref().expect("it was made");
        next = (next + STRIDE) % population.len();
        population.open(next)
    })
}
