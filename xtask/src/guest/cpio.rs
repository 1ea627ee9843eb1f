// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes cpio archives in the "newc" format, which the kernel unpacks as its first root file system. Pure.
//!
//! The same entries make the same bytes, whatever the order in which they were added, and whoever adds them: sorted
//! by path, owned by root, of 1970, numbered from 1.

use std::collections::BTreeMap;

/// An archive being put together.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    mode: u32,
    device: (u32, u32),
    contents: Vec<u8>,
}

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

impl Archive {
    /// Adds a directory, and its parents.
    pub fn dir(&mut self, path: &str) {
        self.put(path, DIRECTORY | 0o755, (0, 0), Vec::new());
    }

    /// Adds a regular file, and its parents.
    pub fn file(&mut self, path: &str, permissions: u32, contents: impl Into<Vec<u8>>) {
        self.put(path, REGULAR | permissions, (0, 0), contents.into());
    }

    /// Adds a character device, and its parents.
    pub fn character_device(&mut self, path: &str, permissions: u32, major: u32, minor: u32) {
        self.put(path, CHARACTER_DEVICE | permissions, (major, minor), Vec::new());
    }

    fn put(&mut self, path: &str, mode: u32, device: (u32, u32), contents: Vec<u8>) {
        let path = path.trim_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            if !self.entries.contains_key(parent) {
                self.dir(parent);
            }
        }
        let entry = Entry {
            mode,
            device,
            contents,
        };
        self.entries.insert(path.to_owned(), entry);
    }

    /// The archive's bytes. A parent sorts before what is in it, so the kernel has every directory in time.
    pub fn finish(&self) -> Vec<u8> {
        let mut archive = Vec::new();
        for (number, (path, entry)) in self.entries.iter().enumerate() {
            write_entry(&mut archive, number as u32 + 1, path, entry);
        }
        let end = Entry {
            mode: 0,
            device: (0, 0),
            contents: Vec::new(),
        };
        write_entry(&mut archive, 0, "TRAILER!!!", &end);
        archive
    }
}

fn write_entry(archive: &mut Vec<u8>, number: u32, path: &str, entry: &Entry) {
    let links = if entry.mode & DIRECTORY == DIRECTORY { 2 } else { 1 };
    let (owner, group, time, checksum) = (0, 0, 0, 0);
    let fields = [
        number,
        entry.mode,
        owner,
        group,
        links,
        time,
        entry.contents.len() as u32,
        0,
        0,
        entry.device.0,
        entry.device.1,
        path.len() as u32 + 1,
        checksum,
    ];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08X}").as_bytes());
    }
    archive.extend_from_slice(path.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(&entry.contents);
    pad(archive);
}

/// Names and contents end on multiples of four.
fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What GNU cpio 2.13 writes for the same tree (`--reproducible`, all times 0, inode numbers from 1), without the
    /// zeros with which it fills up the last block.
    const KNOWN: &str = concat!(
        "070701000000010000",
        "41ED00000000000000000000000200000000000000000000000000000000000000000000000000000004",
        "00000000etc\0\0\0",
        "070701000000020000",
        "81A400000000000000000000000100000000000000030000000000000000000000000000000000000006",
        "00000000etc/a\0hi\n\0",
        "070701000000000000",
        "00000000000000000000000000010000000000000000000000000000000000000000000000000000000B",
        "00000000TRAILER!!!\0\0\0\0",
    );

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut archive = Archive::default();
        archive.file("/etc/a", 0o644, "hi\n");
        let bytes = archive.finish();
        assert_eq!(String::from_utf8(bytes).unwrap(), KNOWN);
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let (mut one, mut other) = (Archive::default(), Archive::default());
        one.file("/b", 0o755, "1");
        one.character_device("/dev/null", 0o666, 1, 3);
        other.dir("/dev");
        other.character_device("dev/null", 0o666, 1, 3);
        other.file("b", 0o755, "1");
        assert_eq!(one.finish(), other.finish());
    }

    #[test]
    fn every_entry_begins_on_a_multiple_of_four() {
        let mut archive = Archive::default();
        for length in 0..9 {
            archive.file(&"n".repeat(length + 1), 0o644, vec![b'x'; length]);
        }
        let bytes = archive.finish();
        let magics = bytes
            .windows(6)
            .enumerate()
            .filter(|(_, bytes)| bytes == b"070701");
        let offsets: Vec<usize> = magics.map(|(offset, _)| offset).collect();
        assert_eq!(offsets.len(), 10);
        assert!(offsets.iter().all(|offset| offset % 4 == 0));
    }
}
