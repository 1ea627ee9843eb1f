// SPDX-License-Identifier: MIT OR Apache-2.0

//! The other processes. An actor does what it is told on standard input, a line at a time, and answers each
//! with a line; the director's side of that is [`Actor`]. An actor whose input ends goes.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use shmdev::{Access, Deadline, HeldRange, Mapping, OpenOptions, Segment};

use crate::Result;

/// How long an actor waits for a range before it gives up and says so.
const LONG: Duration = Duration::from_secs(30);

/// A process that the director talks to.
pub(crate) struct Actor {
    name: String,
    child: Child,
    // `None` once it has been told to go.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts one that waits for orders.
    pub(crate) fn start(role: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--actor")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("no pipes to the new process".into());
        };
        let name = format!("{role} {}", child.id());
        Ok(Self {
            name,
            child,
            input: Some(input),
            output: BufReader::new(output),
        })
    }

    /// Its role and process id.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to do something that takes a while; [`answer`](Self::answer) waits.
    pub(crate) fn tell(&mut self, order: &str) -> Result {
        let input = self.input.as_mut().ok_or("it has been told to go")?;
        writeln!(input, "{order}")?;
        Ok(())
    }

    pub(crate) fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        match line.trim_end_matches('\n').split_once(' ') {
            Some(("ok", answer)) => Ok(answer.to_owned()),
            Some((_, error)) => Err(format!("{}: {error}", self.name).into()),
            None => Err(format!("{} went without an answer", self.name).into()),
        }
    }

    pub(crate) fn ask(&mut self, order: &str) -> Result<String> {
        self.tell(order)?;
        self.answer()
    }

    /// SIGKILL, and waits until the kernel has taken the process apart.
    pub(crate) fn kill(mut self) -> Result {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Lets it go.
    pub(crate) fn dismiss(mut self) -> Result {
        self.input = None;
        let status = self.child.wait()?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("{}: {status}", self.name).into())
        }
    }
}

impl Drop for Actor {
    /// When the story ends early, nobody is left behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The actor's own side.
#[derive(Default)]
struct Part {
    segment: Option<Segment>,
    mapping: Option<Mapping>,
    held: Option<HeldRange>,
}

/// Does what it is told until standard input ends.
pub(crate) fn play() -> Result {
    let mut part = Part::default();
    for order in stdin().lock().lines() {
        let answer = match part.obey(&order?) {
            Ok(answer) => format!("ok {answer}"),
            Err(error) => format!("error {error}"),
        };
        let mut stdout = stdout().lock();
        writeln!(stdout, "{answer}")?;
        stdout.flush()?;
    }
    Ok(())
}

impl Part {
    fn obey(&mut self, order: &str) -> Result<String> {
        let mut words = order.splitn(3, ' ');
        let (verb, first, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
        let number = || -> Result<usize> { Ok(first.ok_or("a number is missing")?.parse()?) };
        let mut answer = String::new();
        match verb {
            Some("open") => {
                let segment = OpenOptions::new()
                    .write(first != Some("read-only"))
                    .open_default()?;
                write!(answer, "{}", segment.info().token)?;
                self.segment = Some(segment);
            }
            Some("map") => {
                let mapping = self.map(first == Some("read-only"))?;
                write!(answer, "{:p}", mapping.as_ptr())?;
                self.mapping = Some(mapping);
            }
            Some("store") => self.mapping()?.write_at(rest.as_bytes(), number()?)?,
            Some("load") => {
                let text = self.mapping()?.to_vec(number()?, rest.parse()?)?;
                answer.push_str(String::from_utf8_lossy(&text).trim_end_matches('\0'));
            }
            Some("count") => {
                let word = self.mapping()?.atomic::<AtomicU64>(number()?)?;
                for _ in 0..rest.parse()? {
                    word.fetch_add(1, Ordering::Relaxed);
                }
            }
            Some("sum") => {
                // As an integer, read through a mapping that cannot be written.
                write!(answer, "{}", self.mapping()?.get::<u64>(number()?)?)?;
            }
            Some("begin") => answer = self.begin(first, rest.parse()?)?,
            Some("end") => {
                let range = self.held.take().ok_or("nothing is held")?;
                write!(answer, "{}", self.segment()?.end(range)?)?;
            }
            _ => return Err(format!("unknown order: {order}").into()),
        }
        Ok(answer)
    }

    fn map(&self, read_only: bool) -> Result<Mapping> {
        let segment = self.segment()?;
        Ok(if read_only {
            segment.map_read_only()?
        } else {
            segment.map()?
        })
    }

    /// Answers with the generation and whether an owner died.
    fn begin(&mut self, access: Option<&str>, len: u64) -> Result<String> {
        let access = if access == Some("write") {
            Access::Write
        } else {
            Access::Read
        };
        let guard = self.segment()?.begin(0..len, access, Deadline::after(LONG))?;
        let told = if guard.owner_died() { "died" } else { "fine" };
        let answer = format!("{} {told}", guard.generation());
        let range = guard.into_range();
        self.held = Some(range);
        Ok(answer)
    }

    fn segment(&self) -> Result<&Segment> {
        self.segment
            .as_ref()
            .ok_or_else(|| "the device is not open".into())
    }

    fn mapping(&self) -> Result<&Mapping> {
        self.mapping.as_ref().ok_or_else(|| "nothing is mapped".into())
    }
}
