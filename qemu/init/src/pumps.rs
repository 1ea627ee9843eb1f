// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that carry the job's standard streams between its pipes or terminal and the host's ports.

use std::{
    fs::File,
    io::{ErrorKind, Read, Write},
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, OnceLock},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Result;
use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    io::Errno,
};

/// One pump's appetite: a virtio-serial message's size.
const CHUNK: usize = 32 << 10;

/// How long what the job left behind may go on writing once the job has ended.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Something that happens once, and that threads poll for beside their input.
#[derive(Debug, Clone)]
pub struct Event(Arc<OwnedFd>);

impl Event {
    /// It has not happened yet.
    pub fn new() -> Result<Self> {
        Ok(Event(Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?)))
    }

    /// It happens.
    pub fn set(&self) {
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

/// Carries `source` to `port` until it ends or, after `stop`, has nothing more to give. Joined, the thread tells how
/// many bytes it carried.
pub fn output(source: OwnedFd, mut port: File, stop: &Event) -> JoinHandle<u64> {
    let stop = stop.clone();
    thread::spawn(move || {
        let mut source = File::from(source);
        let mut buffer = vec![0; CHUNK];
        let mut carried = 0;
        let mut deadline = None;
        loop {
            let (ready, stopped) = wait(&source, &stop);
            if stopped {
                let deadline = *deadline.get_or_insert_with(|| Instant::now() + AFTERMATH);
                if !ready || Instant::now() > deadline {
                    return carried;
                }
            }
            match source.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A terminal that nobody has open any more reads as an error, EIO.
                Ok(0) | Err(_) => return carried,
                Ok(count) if port.write_all(&buffer[..count]).is_err() => return carried,
                Ok(count) => carried += count as u64,
            }
        }
    })
}

/// Where standard input ends, which the host tells when it knows.
#[derive(Debug, Clone)]
pub struct InputEnd {
    bytes: Arc<OnceLock<u64>>,
    told: Event,
}

impl InputEnd {
    /// Not known yet.
    pub fn new() -> Result<Self> {
        Ok(InputEnd {
            bytes: Arc::default(),
            told: Event::new()?,
        })
    }

    /// It ends after so many bytes.
    pub fn tell(&self, bytes: u64) {
        let _ = self.bytes.set(bytes);
        self.told.set();
    }
}

/// Carries `port` to `sink` until the host's end of input, then closes `sink`. What the job does not want is thrown
/// away, so that the host is never blocked by it.
pub fn input(mut port: File, sink: OwnedFd, end: &InputEnd) {
    let end = end.clone();
    thread::spawn(move || {
        let mut sink = Some(File::from(sink));
        let mut buffer = vec![0; CHUNK];
        let mut carried = 0;
        while end.bytes.get().is_none_or(|end| carried < *end) {
            let (ready, _) = wait(&port, &end.told);
            if !ready {
                // Told where the end is, and that is further on: wait for the bytes alone.
                if end.bytes.get().is_some_and(|end| carried < *end) {
                    let _ = poll(&mut [PollFd::new(&port, PollFlags::IN)], None);
                }
                continue;
            }
            match port.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    carried += count as u64;
                    let taken = sink.as_mut().map(|sink| sink.write_all(&buffer[..count]));
                    if matches!(taken, Some(Err(_))) {
                        sink = None;
                    }
                }
            }
        }
    });
}

/// Waits for input or the event; says which of them it was.
fn wait(source: &impl AsFd, event: &Event) -> (bool, bool) {
    loop {
        let mut fds = [
            PollFd::new(source, PollFlags::IN),
            PollFd::new(&*event.0, PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Err(Errno::INTR) => {}
            _ => return (!fds[0].revents().is_empty(), !fds[1].revents().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::net::UnixStream;

    /// A port's two ends: the guest's and the host's.
    fn port() -> (File, UnixStream) {
        let (guest, host) = UnixStream::pair().unwrap();
        (File::from(OwnedFd::from(guest)), host)
    }

    #[test]
    fn output_is_carried_until_its_end() {
        let (guest, mut host) = port();
        let (job, source) = UnixStream::pair().unwrap();
        let pump = output(source.into(), guest, &Event::new().unwrap());
        (&job).write_all(b"a\0\xff\n").unwrap();
        drop(job);
        assert_eq!(pump.join().unwrap(), 4);
        let mut got = Vec::new();
        host.read_to_end(&mut got).unwrap();
        assert_eq!(got, b"a\0\xff\n");
    }

    #[test]
    fn output_ends_with_the_job_even_if_somebody_still_could_write() {
        let (guest, _host) = port();
        let (job, source) = UnixStream::pair().unwrap();
        let stop = Event::new().unwrap();
        (&job).write_all(b"last words").unwrap();
        let pump = output(source.into(), guest, &stop);
        stop.set();
        assert_eq!(pump.join().unwrap(), 10);
        drop(job);
    }

    #[test]
    fn input_ends_where_the_host_says_and_not_before() {
        let (guest, mut host) = port();
        let (mut job, sink) = UnixStream::pair().unwrap();
        let end = InputEnd::new().unwrap();
        input(guest, sink.into(), &end);
        end.tell(5);
        host.write_all(b"hel").unwrap();
        thread::sleep(Duration::from_millis(20));
        host.write_all(b"lo").unwrap();
        let mut got = String::new();
        job.read_to_string(&mut got).unwrap();
        assert_eq!(got, "hello");
    }

    #[test]
    fn input_that_nobody_wants_does_not_block_the_host() {
        let (guest, mut host) = port();
        let (job, sink) = UnixStream::pair().unwrap();
        drop(job);
        input(guest, sink.into(), &InputEnd::new().unwrap());
        host.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        host.write_all(&vec![0; 4 << 20]).unwrap();
    }
}
