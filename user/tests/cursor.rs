// SPDX-License-Identifier: MIT OR Apache-2.0

//! The cursor against a model: a `Vec`, a position, and the rules of a file of fixed size.

use std::io::{BufRead, ErrorKind, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use proptest::prelude::*;
use shmdev::{Cursor, Mapping};

const ENOSPC: i32 = 28;
const EINVAL: i32 = 22;

#[derive(Clone, Debug)]
enum Op {
    Read(usize),
    Write(Vec<u8>),
    ReadByte,
    WriteByte(u8),
    ReadUntil(u8),
    SeekStart(u64),
    SeekCurrent(i64),
    SeekEnd(i64),
    Find(Vec<u8>),
    Rfind(Vec<u8>),
    CopyWithin(usize, usize, usize),
    /// Somebody else writes.
    Elsewhere(usize, u8),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let bytes = || prop::collection::vec(0..4u8, 0..40);
    let op = prop_oneof![
        (0..60usize).prop_map(Op::Read),
        bytes().prop_map(Op::Write),
        Just(Op::ReadByte),
        (0..4u8).prop_map(Op::WriteByte),
        (0..4u8).prop_map(Op::ReadUntil),
        prop_oneof![0..120u64, Just(u64::MAX)].prop_map(Op::SeekStart),
        prop_oneof![-120..120i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Op::SeekCurrent),
        prop_oneof![-120..20i64, Just(i64::MIN), Just(i64::MAX)].prop_map(Op::SeekEnd),
        prop::collection::vec(0..4u8, 0..3).prop_map(Op::Find),
        prop::collection::vec(0..4u8, 0..3).prop_map(Op::Rfind),
        (0..120usize, 0..120usize, 0..120usize).prop_map(|(from, to, len)| Op::CopyWithin(from, to, len)),
        (0..100usize, 0..4u8).prop_map(|(at, byte)| Op::Elsewhere(at, byte)),
    ];
    prop::collection::vec(op, 0..60)
}

struct Model {
    bytes: Vec<u8>,
    position: usize,
}

impl Model {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.position..]
    }

    fn seek(&mut self, to: i128) -> Option<u64> {
        let to = usize::try_from(to).ok().filter(|&to| to <= self.bytes.len())?;
        self.position = to;
        Some(to as u64)
    }

    /// Applies `op` to both and compares what they say.
    fn step(&mut self, cursor: &mut Cursor<&Mapping>, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Read(len) => {
                let mut buf = vec![0; len];
                let read = cursor.read(&mut buf).unwrap();
                prop_assert_eq!(read, len.min(self.rest().len()));
                prop_assert_eq!(&buf[..read], &self.rest()[..read]);
                self.position += read;
            }
            Op::Write(buf) => {
                let fits = buf.len().min(self.rest().len());
                match cursor.write(&buf) {
                    Ok(written) => prop_assert_eq!(written, fits),
                    Err(error) => {
                        prop_assert_eq!(error.raw_os_error(), Some(ENOSPC));
                        prop_assert!(fits == 0 && !buf.is_empty());
                    }
                }
                self.bytes[self.position..self.position + fits].copy_from_slice(&buf[..fits]);
                self.position += fits;
            }
            Op::ReadByte => match cursor.read_byte() {
                Ok(byte) => {
                    prop_assert_eq!(Some(&byte), self.rest().first());
                    self.position += 1;
                }
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
                    prop_assert!(self.rest().is_empty());
                }
            },
            Op::WriteByte(byte) => match cursor.write_byte(byte) {
                Ok(()) => {
                    self.bytes[self.position] = byte;
                    self.position += 1;
                }
                Err(error) => {
                    prop_assert_eq!(error.raw_os_error(), Some(ENOSPC));
                    prop_assert!(self.rest().is_empty());
                }
            },
            Op::ReadUntil(byte) => {
                let mut line = Vec::new();
                cursor.read_until(byte, &mut line).unwrap();
                let len = self
                    .rest()
                    .iter()
                    .position(|&b| b == byte)
                    .map_or(self.rest().len(), |at| at + 1);
                prop_assert_eq!(&line, &self.rest()[..len]);
                self.position += len;
            }
            Op::SeekStart(to) => {
                let sought = cursor.seek(SeekFrom::Start(to));
                self.check_seek(sought, i128::from(to))?;
            }
            Op::SeekCurrent(delta) => {
                let sought = cursor.seek(SeekFrom::Current(delta));
                self.check_seek(sought, self.position as i128 + i128::from(delta))?;
            }
            Op::SeekEnd(delta) => {
                let sought = cursor.seek(SeekFrom::End(delta));
                self.check_seek(sought, self.bytes.len() as i128 + i128::from(delta))?;
            }
            Op::Find(needle) => {
                let mut places =
                    (self.position..=self.bytes.len()).filter(|&at| self.bytes[at..].starts_with(&needle));
                prop_assert_eq!(cursor.find(&needle), places.next());
            }
            Op::Rfind(needle) => {
                let mut places =
                    (self.position..=self.bytes.len()).filter(|&at| self.bytes[at..].starts_with(&needle));
                prop_assert_eq!(cursor.rfind(&needle), places.next_back());
            }
            Op::CopyWithin(from, to, len) => {
                let fits = from.max(to) + len <= self.bytes.len();
                prop_assert_eq!(cursor.copy_within(from, to, len).is_ok(), fits);
                if fits {
                    self.bytes.copy_within(from..from + len, to);
                }
            }
            Op::Elsewhere(at, byte) => {
                cursor.mapping().set(at, &byte).unwrap();
                self.bytes[at] = byte;
            }
        }
        prop_assert_eq!(cursor.tell(), self.position);
        prop_assert_eq!(cursor.remaining(), self.rest().len());
        Ok(())
    }

    fn check_seek(&mut self, sought: std::io::Result<u64>, to: i128) -> Result<(), TestCaseError> {
        match (sought, self.seek(to)) {
            (Ok(position), expected) => prop_assert_eq!(Some(position), expected),
            (Err(error), expected) => {
                prop_assert_eq!(error.raw_os_error(), Some(EINVAL));
                prop_assert_eq!(expected, None);
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_cursor_is_a_file_of_fixed_size(ops in ops()) {
        let mapping = Mapping::anonymous(100).unwrap();
        let mut cursor = Cursor::new(&mapping);
        let mut model = Model { bytes: vec![0; 100], position: 0 };
        for op in ops {
            model.step(&mut cursor, op)?;
        }
        prop_assert_eq!(mapping.to_vec(0, 100).unwrap(), model.bytes);
    }
}

#[test]
fn lines_longer_than_a_peek_are_read_whole() {
    let mut cursor = Cursor::new(Mapping::anonymous(8192).unwrap());
    let long = "x".repeat(5000) + "\n";
    cursor.write_all(long.as_bytes()).unwrap();
    cursor.rewind().unwrap();
    let mut line = String::new();
    assert_eq!(cursor.read_line(&mut line).unwrap(), 5001);
    assert_eq!(line, long);
    assert_eq!(cursor.tell(), 5001);
}

#[test]
fn what_others_write_after_a_peek_is_seen_by_the_next() {
    let mapping = Mapping::anonymous(4096).unwrap();
    mapping.write_at(b"one\ntwo\n", 0).unwrap();
    let mut cursor = Cursor::new(&mapping);
    let mut line = Vec::new();
    cursor.read_until(b'\n', &mut line).unwrap();
    mapping.write_at(b"TWO", 4).unwrap();
    cursor.read_until(b'\n', &mut line).unwrap();
    assert_eq!(line, b"one\nTWO\n");
}

#[test]
fn consuming_more_than_there_is_ends_at_the_end() {
    let mut cursor = Cursor::new(Mapping::anonymous(10).unwrap());
    assert_eq!(cursor.fill_buf().unwrap().len(), 10);
    cursor.consume(usize::MAX);
    assert_eq!(cursor.tell(), 10);
    assert!(cursor.fill_buf().unwrap().is_empty());
}

#[test]
fn a_cursor_owns_borrows_or_shares_its_mapping() {
    let shared = Arc::new(Mapping::anonymous(16).unwrap());
    let mut one = Cursor::new(Arc::clone(&shared));
    let mut two = Cursor::new(Arc::clone(&shared));
    one.write_all(b"ab").unwrap();
    assert_eq!((two.read_byte().unwrap(), two.read_byte().unwrap()), (b'a', b'b'));
    assert_eq!(one.into_inner().len(), shared.len());
}
