// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host and the guest's PID 1 say to each other: the messages and their bytes.
//!
//! One file for both sides: PID 1 has it as a module, xtask includes it. It must stay pure (no system calls) and free
//! of dependencies.
//!
//! The host opens one virtio-serial port for the conversation and one for each standard stream. On the control port
//! each message is a frame: length (u32, little endian, of what follows), kind (u8), fields. The streams carry nothing
//! but the job's bytes; where they end is said by counts on the control port, because a port's own end of file can
//! overtake data.
//!
//! ```text
//! guest  Hello                                    PID 1 runs
//! host   Run(job)
//! guest  Started                                  the job's process exists
//!        Alive …                                  each second, whatever the job does, if it asks for that
//! host   WindowSize, Signal, InputEnd …
//! guest  Exited { how, stdout, stderr }           or, at any time, Fatal(why)
//! host   Finish                                   all bytes have arrived
//! guest  powers off
//! ```

use std::io::{self, Read, Write};

/// Version of this protocol, in [`ToHost::Hello`].
pub const VERSION: u32 = 1;

/// Names of the virtio-serial ports.
pub mod port {
    /// The conversation.
    pub const CONTROL: &str = "org.shmdev.control";
    /// The job's standard input.
    pub const STDIN: &str = "org.shmdev.stdin";
    /// The job's standard output, or all output of its terminal.
    pub const STDOUT: &str = "org.shmdev.stdout";
    /// The job's standard error.
    pub const STDERR: &str = "org.shmdev.stderr";
}

/// Mount tag of the root file system, see [`Job::root`].
pub const ROOT_TAG: &str = "root";

/// A frame longer than this is not one of ours.
const FRAME_MAX: usize = 4 << 20;

/// What the guest is to run, and in which surroundings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// The command and its arguments; the command is looked up in the environment's `PATH`.
    pub argv: Vec<Vec<u8>>,
    /// The whole environment.
    pub env: Vec<(Vec<u8>, Vec<u8>)>,
    /// Working directory.
    pub cwd: Vec<u8>,
    /// Whether the root is the 9p export [`ROOT_TAG`] with a tmpfs above it; else it is the initramfs.
    pub root: bool,
    /// 9p exports to mount writable: tag and path.
    pub mounts: Vec<(String, Vec<u8>)>,
    /// Parameters of the module.
    pub module_parameters: String,
    /// Whether to send [`ToHost::Alive`].
    pub heartbeat: bool,
    /// The terminal to give the job; none means pipes.
    pub terminal: Option<Terminal>,
}

/// A pseudo-terminal for the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Its size at first.
    pub size: Size,
    /// Whether standard error is a pipe of its own all the same.
    pub stderr_apart: bool,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// How the job's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this status.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

impl Exit {
    /// The status that a shell would show.
    pub fn status(self) -> u8 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128u8.saturating_add(signal),
        }
    }
}

/// A message from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToGuest {
    /// Run this.
    Run(Job),
    /// The terminal's size has changed.
    WindowSize(Size),
    /// Send this signal to the job.
    Signal(u8),
    /// Standard input ends after so many bytes.
    InputEnd(u64),
    /// The host has everything.
    Finish,
}

/// A message from the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToHost {
    /// PID 1 runs; [`VERSION`], and the milliseconds since the kernel's start.
    Hello(u32, u64),
    /// The job has been started; milliseconds since the kernel's start.
    Started(u64),
    /// The guest is alive.
    Alive,
    /// The job has ended, after so many bytes of standard output and standard error.
    Exited {
        /// How.
        how: Exit,
        /// Bytes written to standard output.
        stdout: u64,
        /// Bytes written to standard error.
        stderr: u64,
    },
    /// PID 1 cannot go on, for this reason, and powers off.
    Fatal(String),
}

/// Writes a frame.
pub fn send(port: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(frame.len() + 4);
    bytes.extend_from_slice(&(frame.len() as u32).to_le_bytes());
    bytes.extend_from_slice(frame);
    port.write_all(&bytes)
}

/// Reads a frame; `None` at the end of the stream between frames.
pub fn receive(port: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    let mut have = 0;
    while have < length.len() {
        match port.read(&mut length[have..]) {
            Ok(0) if have == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => have += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_MAX {
        return Err(malformed("a frame is too long"));
    }
    let mut frame = vec![0; length];
    port.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("malformed control message: {what}"),
    )
}

impl ToGuest {
    /// The frame's bytes, for [`send`].
    pub fn encode(&self) -> Vec<u8> {
        match self {
            ToGuest::Run(job) => Fields::new(1).job(job),
            ToGuest::WindowSize(size) => Fields::new(2).size(*size),
            ToGuest::Signal(signal) => Fields::new(3).byte(*signal),
            ToGuest::InputEnd(bytes) => Fields::new(4).number(*bytes),
            ToGuest::Finish => Fields::new(5),
        }
        .0
    }

    /// The message of a frame.
    pub fn decode(frame: &[u8]) -> io::Result<Self> {
        let mut fields = Reader(frame);
        let message = match fields.byte()? {
            1 => ToGuest::Run(fields.job()?),
            2 => ToGuest::WindowSize(fields.size()?),
            3 => ToGuest::Signal(fields.byte()?),
            4 => ToGuest::InputEnd(fields.number()?),
            5 => ToGuest::Finish,
            _ => return Err(malformed("its kind is unknown")),
        };
        fields.end(message)
    }
}

impl ToHost {
    /// The frame's bytes, for [`send`].
    pub fn encode(&self) -> Vec<u8> {
        match self {
            ToHost::Hello(version, uptime) => Fields::new(1).number(u64::from(*version)).number(*uptime),
            ToHost::Started(uptime) => Fields::new(2).number(*uptime),
            ToHost::Alive => Fields::new(3),
            ToHost::Exited { how, stdout, stderr } => {
                let (kind, value) = match how {
                    Exit::Code(code) => (0, *code),
                    Exit::Signal(signal) => (1, *signal),
                };
                Fields::new(4)
                    .byte(kind)
                    .byte(value)
                    .number(*stdout)
                    .number(*stderr)
            }
            ToHost::Fatal(why) => Fields::new(5).bytes(why.as_bytes()),
        }
        .0
    }

    /// The message of a frame.
    pub fn decode(frame: &[u8]) -> io::Result<Self> {
        let mut fields = Reader(frame);
        let message = match fields.byte()? {
            1 => ToHost::Hello(fields.number()? as u32, fields.number()?),
            2 => ToHost::Started(fields.number()?),
            3 => ToHost::Alive,
            4 => {
                let how = match (fields.byte()?, fields.byte()?) {
                    (0, code) => Exit::Code(code),
                    (1, signal) => Exit::Signal(signal),
                    _ => return Err(malformed("it tells an unknown way to end")),
                };
                let (stdout, stderr) = (fields.number()?, fields.number()?);
                ToHost::Exited { how, stdout, stderr }
            }
            5 => ToHost::Fatal(fields.string()?),
            _ => return Err(malformed("its kind is unknown")),
        };
        fields.end(message)
    }
}

/// A frame being written.
struct Fields(Vec<u8>);

impl Fields {
    fn new(kind: u8) -> Self {
        Fields(vec![kind])
    }

    fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    fn number(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn bytes(self, value: &[u8]) -> Self {
        let mut fields = self.number(value.len() as u64);
        fields.0.extend_from_slice(value);
        fields
    }

    fn size(self, size: Size) -> Self {
        self.number(u64::from(size.rows)).number(u64::from(size.columns))
    }

    fn list<T>(self, items: &[T], one: impl Fn(Self, &T) -> Self) -> Self {
        let fields = self.number(items.len() as u64);
        items.iter().fold(fields, one)
    }

    fn job(self, job: &Job) -> Self {
        let fields = self
            .list(&job.argv, |fields, word| fields.bytes(word))
            .list(&job.env, |fields, (name, value)| fields.bytes(name).bytes(value))
            .bytes(&job.cwd)
            .byte(job.root.into())
            .list(&job.mounts, |fields, (tag, path)| {
                fields.bytes(tag.as_bytes()).bytes(path)
            })
            .bytes(job.module_parameters.as_bytes())
            .byte(job.heartbeat.into());
        match job.terminal {
            None => fields.byte(0),
            Some(terminal) => fields
                .byte(1 + u8::from(terminal.stderr_apart))
                .size(terminal.size),
        }
    }
}

/// A frame being read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> io::Result<&[u8]> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or_else(|| malformed("it is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = self.number()?;
        let length = usize::try_from(length).map_err(|_| malformed("it is too short"))?;
        Ok(self.take(length)?.to_vec())
    }

    fn string(&mut self) -> io::Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| malformed("a string is not UTF-8"))
    }

    fn size(&mut self) -> io::Result<Size> {
        Ok(Size {
            rows: self.number()? as u16,
            columns: self.number()? as u16,
        })
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        // Each item takes bytes of the frame, so a wrong count ends with the frame.
        (0..self.number()?).map(|_| one(self)).collect()
    }

    fn job(&mut self) -> io::Result<Job> {
        Ok(Job {
            argv: self.list(Self::bytes)?,
            env: self.list(|fields| Ok((fields.bytes()?, fields.bytes()?)))?,
            cwd: self.bytes()?,
            root: self.byte()? != 0,
            mounts: self.list(|fields| Ok((fields.string()?, fields.bytes()?)))?,
            module_parameters: self.string()?,
            heartbeat: self.byte()? != 0,
            terminal: match self.byte()? {
                0 => None,
                kind => Some(Terminal {
                    size: self.size()?,
                    stderr_apart: kind == 2,
                }),
            },
        })
    }

    fn end<T>(&self, message: T) -> io::Result<T> {
        if self.0.is_empty() {
            Ok(message)
        } else {
            Err(malformed("bytes are left over"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            argv: vec![b"printf".to_vec(), b"\xff\n\0".to_vec(), Vec::new()],
            env: vec![(b"TERM".to_vec(), b"xterm".to_vec())],
            cwd: b"/home/u".to_vec(),
            root: true,
            mounts: vec![("cwd".into(), b"/home/u".to_vec())],
            module_parameters: "default_size=4096".into(),
            heartbeat: true,
            terminal: Some(Terminal {
                size: Size {
                    rows: 24,
                    columns: 80,
                },
                stderr_apart: true,
            }),
        }
    }

    #[test]
    fn messages_to_the_guest_arrive_as_they_were_sent() {
        let messages = [
            ToGuest::Run(job()),
            ToGuest::Run(Job::default()),
            ToGuest::WindowSize(Size {
                rows: 1,
                columns: u16::MAX,
            }),
            ToGuest::Signal(2),
            ToGuest::InputEnd(u64::MAX),
            ToGuest::Finish,
        ];
        for message in messages {
            assert_eq!(ToGuest::decode(&message.encode()).unwrap(), message);
        }
    }

    #[test]
    fn messages_to_the_host_arrive_as_they_were_sent() {
        let exited = |how| ToHost::Exited {
            how,
            stdout: 1,
            stderr: u64::MAX,
        };
        let messages = [
            ToHost::Hello(VERSION, 1),
            ToHost::Started(2),
            ToHost::Alive,
            exited(Exit::Code(255)),
            exited(Exit::Signal(9)),
            ToHost::Fatal("no 9p".into()),
        ];
        for message in messages {
            assert_eq!(ToHost::decode(&message.encode()).unwrap(), message);
        }
    }

    #[test]
    fn a_message_that_is_cut_or_has_bytes_left_over_is_an_error() {
        let whole = ToGuest::Run(job()).encode();
        for length in 0..whole.len() {
            assert!(ToGuest::decode(&whole[..length]).is_err(), "{length}");
        }
        assert!(ToHost::decode(&[ToHost::Alive.encode(), vec![0]].concat()).is_err());
        assert!(ToHost::decode(&[99]).is_err());
    }

    #[test]
    fn frames_are_told_apart_in_a_stream() {
        let mut stream = Vec::new();
        send(&mut stream, b"one").unwrap();
        send(&mut stream, b"").unwrap();
        let mut reader = stream.as_slice();
        assert_eq!(receive(&mut reader).unwrap().unwrap(), b"one");
        assert_eq!(receive(&mut reader).unwrap().unwrap(), b"");
        assert!(receive(&mut reader).unwrap().is_none());
        assert!(receive(&mut &stream[..2]).is_err());
        assert!(receive(&mut &[0xff; 8][..]).is_err());
    }

    #[test]
    fn a_signal_shows_as_in_a_shell() {
        assert_eq!(Exit::Code(3).status(), 3);
        assert_eq!(Exit::Signal(9).status(), 137);
    }
}
