// SPDX-License-Identifier: MIT OR Apache-2.0
//! A running guest: starts QEMU (or what tests put in its place), carries bytes and messages, keeps time, and writes
//! down what happened. What that means is for `outcome` to say.
//!
//! # Invariants
//!
//! - When [`Session::run`] returns, QEMU is gone: it has ended, or it has been killed.
//! - [`Session::run`] returns in bounded time unless its [`Limits`] say otherwise.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use command_fds::CommandFdExt;
use rustix::process::{Pid, Signal, kill_process_group};

use super::{
    clock::{Clock, Cut, Limits},
    protocol::{self, Exit, Job, Size, ToGuest, ToHost},
    qemu::Descriptors,
};

/// What happened, in the order in which it should.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// PID 1 said hello, so many milliseconds after the kernel's start.
    pub hello: Option<u64>,
    /// The job was started, so many milliseconds after the kernel's start.
    pub started: Option<u64>,
    /// The job ended.
    pub exit: Option<Exit>,
    /// All that the job wrote has arrived.
    pub complete: bool,
    /// PID 1 gave up, for this reason.
    pub fatal: Option<String>,
    /// The guest was killed, for this reason.
    pub cut: Option<Cut>,
    /// What QEMU, or the sandbox around it, wrote to standard error.
    pub complaints: String,
    /// How QEMU ended.
    pub status: Option<ExitStatus>,
}

/// Something for the main loop.
#[derive(Debug)]
pub enum Event {
    /// From PID 1.
    Message(ToHost),
    /// The job's standard output.
    Stdout(Vec<u8>),
    /// The job's standard error.
    Stderr(Vec<u8>),
    /// One of the guest's four outgoing streams has ended.
    Closed,
    /// Standard input has ended, after so many bytes.
    InputEnd(u64),
    /// The person's terminal has this size now.
    Resize(Size),
    /// The person wants the job to get this signal, or, the second time, the guest to be gone.
    Signal(i32),
    /// The guest is to be gone.
    Kill(i32),
}

/// Where the job's output goes.
pub trait Output {
    /// Bytes of standard output.
    fn stdout(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Bytes of standard error.
    fn stderr(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// Lets all output go.
#[derive(Debug)]
pub struct Discard;

impl Output for Discard {
    fn stdout(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn stderr(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

/// A guest that has been started.
#[derive(Debug)]
pub struct Session {
    child: Child,
    control: UnixStream,
    input: Option<UnixStream>,
    sender: SyncSender<Event>,
    events: Receiver<Event>,
    open_streams: u32,
    complaints: Receiver<String>,
    written: [u64; 2],
}

impl Session {
    /// Starts QEMU. `command` gets the descriptors that QEMU will find open; the kernel's console goes to `serial_log`.
    pub fn start(
        image: &[u8],
        serial_log: &Path,
        command: impl FnOnce(Descriptors) -> Command,
    ) -> Result<Self> {
        let mut log =
            File::create(serial_log).with_context(|| format!("cannot create {}", serial_log.display()))?;
        let mut theirs: Vec<OwnedFd> = Vec::new();
        let mut pair = || {
            let (ours, guests) = UnixStream::pair()?;
            let number = guests.as_raw_fd();
            theirs.push(guests.into());
            Ok::<_, io::Error>((ours, number))
        };
        let ((serial, a), (control, b)) = (pair()?, pair()?);
        let ((stdin, c), (stdout, d), (stderr, e)) = (pair()?, pair()?, pair()?);
        let image = memory_file(image).context("cannot put the image into memory")?;
        let mut command = command(Descriptors {
            image: image.as_raw_fd(),
            serial: a,
            control: b,
            streams: [c, d, e],
        });
        theirs.push(image);
        // A group of its own: ^C on the terminal is for xtask to interpret, and the whole group can be killed. No other
        // program that is started meanwhile gets the descriptors: it would keep the guest's streams open.
        command
            .preserved_fds(theirs)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot run {:?}", command.get_program()))?;
        drop(command);

        let (sender, events) = sync_channel(64);
        carry(serial, &sender, move |bytes| {
            let _ = log.write_all(bytes);
            None
        });
        carry(stdout, &sender, |bytes| Some(Event::Stdout(bytes.to_vec())));
        carry(stderr, &sender, |bytes| Some(Event::Stderr(bytes.to_vec())));
        carry_messages(control.try_clone()?, &sender);
        let complaints = collect(child.stderr.take().context("QEMU has no standard error")?);
        Ok(Session {
            child,
            control,
            input: Some(stdin),
            sender,
            events,
            open_streams: 4,
            complaints,
            written: [0; 2],
        })
    }

    /// For threads that have something to say to the main loop.
    pub fn sender(&self) -> SyncSender<Event> {
        self.sender.clone()
    }

    /// The job's standard input. Whoever takes it sends [`Event::InputEnd`] at its end.
    pub fn take_input(&mut self) -> Option<UnixStream> {
        self.input.take()
    }

    /// Runs `job`, from hello to power-off.
    pub fn run(mut self, job: &Job, limits: Limits, output: &mut dyn Output) -> Record {
        let mut record = Record::default();
        let mut clock = Clock::new(limits);
        if self.input.is_some() {
            let _ = self.sender.try_send(Event::InputEnd(0));
        }
        let mut input_end = None;
        while self.open_streams > 0 {
            if let Some(cut) = clock.overrun() {
                record.cut = Some(cut);
                break;
            }
            let event = match self.events.recv_timeout(clock.patience()) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => match clock.expired() {
                    Some(cut) => {
                        record.cut = Some(cut);
                        break;
                    }
                    None => continue,
                },
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Event::InputEnd(bytes) = event {
                // PID 1 wants to hear of the job first.
                input_end = Some(bytes);
            }
            if let Err(cut) = self.handle(event, job, &mut record, &mut clock, output) {
                record.cut = Some(cut);
                break;
            }
            if record.started.is_some() {
                if let Some(bytes) = input_end.take() {
                    self.send(&ToGuest::InputEnd(bytes));
                }
            }
            self.say_goodbye(&mut record, &mut clock);
        }
        self.end(record, output)
    }

    fn handle(
        &mut self,
        event: Event,
        job: &Job,
        record: &mut Record,
        clock: &mut Clock,
        output: &mut dyn Output,
    ) -> Result<(), Cut> {
        match event {
            Event::Message(message) => {
                clock.alive();
                self.take_message(message, job, record, clock);
            }
            Event::Stdout(bytes) => {
                clock.output();
                self.written[0] += bytes.len() as u64;
                output
                    .stdout(&bytes)
                    .map_err(|_| Cut::Interrupted(Signal::PIPE.as_raw()))?;
            }
            Event::Stderr(bytes) => {
                clock.output();
                self.written[1] += bytes.len() as u64;
                output
                    .stderr(&bytes)
                    .map_err(|_| Cut::Interrupted(Signal::PIPE.as_raw()))?;
            }
            Event::Closed => self.open_streams -= 1,
            Event::InputEnd(_) => {}
            Event::Resize(size) => self.send(&ToGuest::WindowSize(size)),
            Event::Signal(signal) => {
                if clock.signalled || record.started.is_none() {
                    return Err(Cut::Interrupted(signal));
                }
                clock.signalled = true;
                self.send(&ToGuest::Signal(signal as u8));
            }
            Event::Kill(signal) => return Err(Cut::Interrupted(signal)),
        }
        Ok(())
    }

    fn take_message(&mut self, message: ToHost, job: &Job, record: &mut Record, clock: &mut Clock) {
        match message {
            ToHost::Hello(protocol::VERSION, uptime) => {
                record.hello = Some(uptime);
                self.send(&ToGuest::Run(job.clone()));
            }
            ToHost::Hello(version, _) => {
                record.fatal = Some(format!("PID 1 speaks version {version} of the protocol"));
            }
            ToHost::Started(uptime) => {
                record.started = Some(uptime);
                clock.started = true;
                clock.output();
            }
            ToHost::Alive => {}
            ToHost::Exited { how, stdout, stderr } => {
                record.exit = Some(how);
                clock.expected = Some([stdout, stderr]);
            }
            ToHost::Fatal(why) => {
                record.fatal = Some(why);
                self.send(&ToGuest::Finish);
                clock.say_goodbye();
            }
        }
    }

    /// Lets the guest power off once everything that the job wrote is here.
    fn say_goodbye(&self, record: &mut Record, clock: &mut Clock) {
        if !record.complete && clock.expected == Some(self.written) {
            record.complete = true;
            self.send(&ToGuest::Finish);
            clock.say_goodbye();
        }
    }

    /// A guest that does not listen is one whose streams end soon, so errors need no attention here.
    fn send(&self, message: &ToGuest) {
        let _ = protocol::send(&mut &self.control, &message.encode());
    }

    /// Sees to it that QEMU is gone, and takes what it left in its streams.
    fn end(mut self, mut record: Record, output: &mut dyn Output) -> Record {
        if record.cut.is_some() {
            self.kill();
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.open_streams > 0 {
            match self
                .events
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(Event::Closed) => self.open_streams -= 1,
                Ok(Event::Stdout(bytes)) => _ = output.stdout(&bytes),
                Ok(Event::Stderr(bytes)) => _ = output.stderr(&bytes),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        // Its streams are closed, so it is ending; should that take long, it is made to.
        while record.status.is_none() && Instant::now() < deadline {
            record.status = self.child.try_wait().ok().flatten();
            thread::sleep(Duration::from_millis(1));
        }
        if record.status.is_none() {
            self.kill();
            record.status = self.child.wait().ok();
        }
        record.complaints = self
            .complaints
            .recv_timeout(Duration::from_secs(2))
            .unwrap_or_default();
        record
    }

    fn kill(&self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }
}

/// Reads a stream in a thread and makes events of what comes.
fn carry(
    mut stream: UnixStream,
    sender: &SyncSender<Event>,
    mut event: impl FnMut(&[u8]) -> Option<Event> + Send + 'static,
) {
    let sender = sender.clone();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match stream.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    let sent = event(&buffer[..count]).map(|event| sender.send(event));
                    if matches!(sent, Some(Err(_))) {
                        return;
                    }
                }
            }
        }
        let _ = sender.send(Event::Closed);
    });
}

/// The same for the control port. A message that makes no sense ends the conversation, and with it the guest.
fn carry_messages(mut stream: UnixStream, sender: &SyncSender<Event>) {
    let sender = sender.clone();
    thread::spawn(move || {
        loop {
            let message = match protocol::receive(&mut stream) {
                Ok(Some(frame)) => ToHost::decode(&frame),
                Ok(None) => break,
                Err(error) => Err(error),
            };
            let (event, last) = match message {
                Ok(message) => (Event::Message(message), false),
                // QEMU that is killed may leave half a frame; whatever it is, nothing can follow.
                Err(_) => (Event::Closed, true),
            };
            if sender.send(event).is_err() || last {
                return;
            }
        }
        let _ = sender.send(Event::Closed);
    });
}

/// Reads all of a stream in a thread.
fn collect(mut stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stream.read_to_end(&mut text);
        sender.send(String::from_utf8_lossy(&text).trim().to_owned())
    });
    receiver
}

/// A file without a name, for QEMU to inherit.
fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("image", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    Ok(file.into())
}
