// SPDX-License-Identifier: MIT OR Apache-2.0
//! Output that waits for its turn: it is kept while something else is being shown, then shown in the order in which it
//! came, and from then on it passes at once.

use std::{
    io, mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::session::Output;

/// An output whose turn comes with [`Held::release`].
#[derive(Debug)]
pub struct Held<O>(Mutex<State<O>>);

#[derive(Debug)]
struct State<O> {
    output: O,
    waiting: bool,
    kept: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
}

impl<O: Output> Held<O> {
    /// Nothing is shown yet.
    pub fn new(output: O) -> Self {
        Held(Mutex::new(State {
            output,
            waiting: true,
            kept: Vec::new(),
        }))
    }

    /// Shows what was kept, and from now on everything at once.
    pub fn release(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.waiting = false;
        mem::take(&mut state.kept)
            .into_iter()
            .try_for_each(|piece| match piece {
                Piece::Stdout(bytes) => state.output.stdout(&bytes),
                Piece::Stderr(bytes) => state.output.stderr(&bytes),
            })
    }

    fn lock(&self) -> MutexGuard<'_, State<O>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O: Output> Output for &Held<O> {
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if state.waiting {
            state.kept.push(Piece::Stdout(bytes.to_vec()));
            return Ok(());
        }
        state.output.stdout(bytes)
    }

    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if state.waiting {
            state.kept.push(Piece::Stderr(bytes.to_vec()));
            return Ok(());
        }
        state.output.stderr(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc, sync::Arc, thread};

    use super::*;

    /// What was shown, standard error in upper case.
    #[derive(Clone, Default)]
    struct Screen(Rc<RefCell<Vec<u8>>>);

    impl Screen {
        fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Output for Screen {
        fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(())
        }

        fn stderr(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.stdout(&bytes.to_ascii_uppercase())
        }
    }

    #[test]
    fn what_is_held_is_shown_in_order_and_later_things_at_once() {
        let screen = Screen::default();
        let held = Held::new(screen.clone());
        let mut output = &held;
        output.stdout(b"a").unwrap();
        output.stderr(b"b").unwrap();
        output.stdout(b"\xc3").unwrap();
        output.stdout(b"\xa9").unwrap();
        assert_eq!(screen.text(), "");
        held.release().unwrap();
        assert_eq!(screen.text(), "aB\u{e9}");
        output.stderr(b"c").unwrap();
        output.stdout(b"d").unwrap();
        assert_eq!(screen.text(), "aB\u{e9}Cd");
        held.release().unwrap();
        assert_eq!(screen.text(), "aB\u{e9}Cd");
    }

    #[test]
    fn a_release_in_the_midst_loses_nothing_and_reorders_nothing() {
        struct Numbers(Arc<Mutex<Vec<u8>>>);
        impl Output for Numbers {
            fn stdout(&mut self, bytes: &[u8]) -> io::Result<()> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(())
            }

            fn stderr(&mut self, _: &[u8]) -> io::Result<()> {
                Ok(())
            }
        }
        for _ in 0..50 {
            let shown = Arc::default();
            let held = Held::new(Numbers(Arc::clone(&shown)));
            thread::scope(|scope| {
                scope.spawn(|| (0..=255).for_each(|number| (&held).stdout(&[number]).unwrap()));
                scope.spawn(|| held.release().unwrap());
            });
            assert!(shown.lock().unwrap().iter().copied().eq(0..=255));
        }
    }

    #[test]
    fn an_output_that_cannot_be_written_is_an_error() {
        struct Broken;
        impl Output for Broken {
            fn stdout(&mut self, _: &[u8]) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn stderr(&mut self, _: &[u8]) -> io::Result<()> {
                Ok(())
            }
        }
        let held = Held::new(Broken);
        (&held).stdout(b"kept").unwrap();
        assert!(held.release().is_err());
        assert!((&held).stdout(b"shown").is_err());
    }
}
