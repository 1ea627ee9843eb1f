// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs the parts of a test run at the same time, and lets them be heard one after the other, in their order.

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread,
};

use anyhow::{Result, anyhow};

use super::{held::Held, outcome::Verdict, session::Output, summary::Summary};

/// A part of a run.
pub struct Part {
    /// What the summary calls it.
    name: String,
    run: Box<Run>,
}

type Run = dyn FnOnce(&mut dyn Output) -> Result<Verdict> + Send;

impl Part {
    /// What is to be run, with where to say things.
    pub fn new(name: String, run: impl FnOnce(&mut dyn Output) -> Result<Verdict> + Send + 'static) -> Self {
        let run = Box::new(run);
        Part { name, run }
    }
}

/// Runs the parts, and adds what they come to to the summary, in their order. When one is interrupted, the person does
/// not want to wait for the others, nor to read what they have said until then.
pub fn run<O>(parts: Vec<Part>, output: impl Fn() -> O, summary: &mut Summary)
where
    O: Output + Send + 'static,
{
    let (sender, results) = mpsc::channel();
    let mut turns = Vec::new();
    for (index, Part { name, run }) in parts.into_iter().enumerate() {
        let held = Arc::new(Held::new(output()));
        let (sender, own) = (sender.clone(), Arc::clone(&held));
        thread::spawn(move || sender.send((index, run(&mut &*own))));
        turns.push((name, held));
    }
    drop(sender);
    let mut ended = BTreeMap::new();
    for (index, (name, held)) in turns.iter().enumerate() {
        // Should this fail, the part's next word does, and ends it.
        let _ = held.release();
        let verdict = loop {
            if let Some(verdict) = ended.remove(&index) {
                break verdict;
            }
            match results.recv() {
                Ok((other, verdict @ Ok(Verdict::Interrupted(_)))) => {
                    summary.add(&turns[other].0, verdict);
                    return;
                }
                Ok((other, verdict)) => drop(ended.insert(other, verdict)),
                Err(_) => break Err(anyhow!("running it panicked")),
            }
        };
        summary.add(name, verdict);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Barrier, Mutex},
    };

    use super::*;
    use crate::guest::report::Counts;

    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl Output for Screen {
        fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0
                .lock()
                .unwrap()
                .push_str(std::str::from_utf8(bytes).unwrap());
            Ok(())
        }

        fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.stdout(bytes)
        }
    }

    fn passed(passed: u64) -> Result<Verdict> {
        Ok(Verdict::Passed(Counts {
            passed,
            ..Counts::default()
        }))
    }

    #[test]
    fn parts_run_at_once_and_are_heard_in_order() {
        let (screen, mut summary) = (Screen::default(), Summary::new());
        let turns = Arc::new(Barrier::new(2));
        let part = |word: &'static str, waits_first: bool| {
            let turns = Arc::clone(&turns);
            Part::new(word.into(), move |output| {
                if waits_first {
                    turns.wait();
                }
                output.stdout(word.as_bytes())?;
                if !waits_first {
                    turns.wait();
                }
                passed(1)
            })
        };
        // The first goes on only when the second has spoken.
        let parts = vec![part("first ", true), part("second", false)];
        run(parts, || screen.clone(), &mut summary);
        assert_eq!(*screen.0.lock().unwrap(), "first second");
        assert_eq!(summary.code(), 0);
    }

    #[test]
    fn an_interrupted_part_ends_the_run_before_the_others_are_done() {
        let (screen, mut summary) = (Screen::default(), Summary::new());
        let parts = vec![
            Part::new("slow".into(), |_| {
                thread::park();
                passed(1)
            }),
            Part::new("interrupted".into(), |output| {
                output.stdout(b"never shown")?;
                Ok(Verdict::Interrupted(2))
            }),
        ];
        run(parts, || screen.clone(), &mut summary);
        assert!(summary.interrupted());
        assert_eq!(*screen.0.lock().unwrap(), "");
    }

    #[test]
    fn a_part_that_panics_is_the_machinerys_and_the_others_are_heard() {
        let (screen, mut summary) = (Screen::default(), Summary::new());
        let parts = vec![
            Part::new("bad".into(), |_| panic!("on purpose")),
            Part::new("good".into(), |output| {
                output.stdout(b"good")?;
                passed(1)
            }),
        ];
        run(parts, || screen.clone(), &mut summary);
        assert_eq!(summary.code(), 69);
        assert_eq!(*screen.0.lock().unwrap(), "good");
    }
}
