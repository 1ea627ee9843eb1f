// SPDX-License-Identifier: MIT OR Apache-2.0

//! Reading the kernel log, record by record, from where the last reading ended.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use crate::trouble;

/// A place in the kernel log.
pub(crate) struct Reader {
    log: File,
}

impl Reader {
    /// Starts at the oldest record that the kernel still has.
    pub(crate) fn from_the_start() -> std::io::Result<Reader> {
        let log = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/kmsg")?;
        Ok(Reader { log })
    }

    /// Starts after the newest record.
    pub(crate) fn from_now() -> std::io::Result<Reader> {
        let mut reader = Reader::from_the_start()?;
        reader.log.seek(SeekFrom::End(0))?;
        Ok(reader)
    }

    /// The messages since the last call. Records that were overwritten before they could be read are lost, and said
    /// to be, which is trouble.
    pub(crate) fn news(&mut self) -> std::io::Result<Vec<String>> {
        let mut messages = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match self.log.read(&mut buffer) {
                Ok(0) => return Ok(messages),
                Ok(count) => {
                    if let Some(text) = message(&String::from_utf8_lossy(&buffer[..count])) {
                        messages.push(text);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(messages),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                    messages.push(trouble::LOST.into());
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What the kernel said in a record of `/dev/kmsg` (`priority,sequence,time,flags;text`, then lines of properties
/// that begin with a space). Nothing for what user space wrote to the log: its facility is not 0.
fn message(record: &str) -> Option<String> {
    let (prefix, rest) = record.split_once(';')?;
    let priority: u32 = prefix.split(',').next()?.parse().ok()?;
    let text = rest.lines().next()?;
    (priority >> 3 == 0).then(|| text.to_owned())
}

/// What is troubling about these messages: a paragraph that shows them all from the first bad one on, if there is one.
pub(crate) fn trouble(messages: &[String]) -> Option<String> {
    let first = messages
        .iter()
        .position(|message| trouble::find(message).is_some())?;
    let pattern = trouble::find(&messages[first])?;
    let context = first.saturating_sub(2);
    let shown = messages[context..]
        .iter()
        .take(100)
        .map(|line| format!("    {line}\n"))
        .collect::<String>();
    Some(format!("trouble in the kernel log: {}\n{shown}", pattern.meaning))
}

#[cfg(test)]
mod tests {
    use super::{message, trouble};

    #[test]
    fn a_record_gives_its_text_alone() {
        let record = "6,339,5140900,-;NET: Registered protocol family 10\n SUBSYSTEM=net\n DEVICE=+net:lo\n";
        assert_eq!(
            message(record).as_deref(),
            Some("NET: Registered protocol family 10")
        );
        assert_eq!(message("4,1,2,-,caller=T1;a;b\n").as_deref(), Some("a;b"));
    }

    #[test]
    fn a_text_that_begins_with_a_space_is_a_text() {
        assert_eq!(
            message("4,1,2,-; dump_stack_lvl+0x1/0x2\n").as_deref(),
            Some(" dump_stack_lvl+0x1/0x2")
        );
    }

    #[test]
    fn what_user_space_wrote_to_the_log_is_not_the_kernels_word() {
        assert_eq!(message("12,1,2,-;BUG: said a daemon\n"), None);
        assert_eq!(message("nonsense"), None);
    }

    #[test]
    fn trouble_is_shown_from_a_little_before_to_the_end() {
        let lines: Vec<String> = ["one", "two", "three", "BUG: KASAN: bad", "after"]
            .map(str::to_owned)
            .into();
        let text = trouble(&lines).unwrap();
        assert!(text.starts_with("trouble in the kernel log: KASAN found a bad memory access\n"));
        assert!(!text.contains("one") && text.contains("two") && text.contains("after"));
        assert_eq!(trouble(&lines[..3]), None);
        assert!(trouble(&[trouble::LOST.into()]).is_some());
    }
}
