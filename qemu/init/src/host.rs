// SPDX-License-Identifier: MIT OR Apache-2.0
//! The connection to the host: virtio-serial ports by name, and messages over the control port.

use std::{
    fs::{self, File},
    path::PathBuf,
    sync::{Condvar, Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::protocol::{self, ToGuest, ToHost, port};

/// How long the ports may take to appear; they are there some milliseconds after their driver.
const PORTS_APPEAR: Duration = Duration::from_secs(10);

/// The control port. There is one, for the whole program.
#[derive(Debug)]
pub struct Host {
    control: File,
    /// Held while a frame is read.
    reading: Mutex<()>,
    /// Held while a frame is written.
    writing: Mutex<()>,
    finished: Mutex<bool>,
    finish: Condvar,
}

static HOST: OnceLock<Host> = OnceLock::new();

impl Host {
    /// Opens the control port; once.
    pub fn connect() -> Result<&'static Self> {
        let host = Host {
            control: open_port(port::CONTROL)?,
            reading: Mutex::new(()),
            writing: Mutex::new(()),
            finished: Mutex::new(false),
            finish: Condvar::new(),
        };
        Ok(HOST.get_or_init(|| host))
    }

    /// The connection, if there is one.
    pub fn connected() -> Option<&'static Self> {
        HOST.get()
    }

    /// Sends a message.
    pub fn send(&self, message: &ToHost) -> Result<()> {
        let _whole = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        protocol::send(&mut &self.control, &message.encode()).context("cannot write to the control port")
    }

    /// Waits for a message; `None` when the host has closed the port.
    pub fn receive(&self) -> Result<Option<ToGuest>> {
        let _whole = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = protocol::receive(&mut &self.control).context("cannot read the control port")?;
        let message = frame.map(|frame| ToGuest::decode(&frame)).transpose()?;
        if matches!(message, None | Some(ToGuest::Finish)) {
            *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.finish.notify_all();
        }
        Ok(message)
    }

    /// Waits until somebody has received [`ToGuest::Finish`], but not for ever.
    pub fn wait_for_finish(&self, limit: Duration) {
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        drop(
            self.finish
                .wait_timeout_while(finished, limit, |finished| !*finished),
        );
    }
}

/// Opens the virtio-serial port of this name. A port can be open once at a time.
pub fn open_port(name: &str) -> Result<File> {
    let deadline = Instant::now() + PORTS_APPEAR;
    loop {
        if let Some(path) = find_port(name) {
            let port = File::options().read(true).write(true).open(&path);
            return port.with_context(|| format!("cannot open {} ({name})", path.display()));
        }
        if Instant::now() > deadline {
            bail!(
                "there is no virtio-serial port {name}; this image is started by cargo xtask or by its run.sh"
            );
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn find_port(name: &str) -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    let found = ports.flatten().find(|port| {
        fs::read_to_string(port.path().join("name")).is_ok_and(|found| found.trim_end() == name)
    })?;
    let node = PathBuf::from("/dev").join(found.file_name());
    // The name is in sysfs a moment before the node is in devtmpfs.
    node.exists().then_some(node)
}
