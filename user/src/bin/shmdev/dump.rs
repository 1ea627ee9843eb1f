// SPDX-License-Identifier: MIT OR Apache-2.0

//! `shmdev dump`: bytes of a segment in hexadecimal, as `hexdump -C`.

use std::io::{BufWriter, Write, stdout};

use crate::Node;
use crate::failure::{Failure, Result};
use crate::read::Part;

/// Show bytes of a segment in hexadecimal and as text
///
/// The last line is the offset behind the last byte.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    part: Part,
    /// Show lines that repeat the one before, instead of a *
    #[arg(long, short)]
    verbose: bool,
}

const LINE: usize = 16;

pub(crate) fn run(node: &Node, args: &Args) -> Result {
    let mut dump = Dump {
        out: BufWriter::new(stdout().lock()),
        squeeze: !args.verbose,
        last: None,
        starred: false,
    };
    let mut end = args.part.offset;
    args.part.each_block(node, |block, offset| {
        end = offset + block.len() as u64;
        dump.block(block, offset).map_err(Failure::output)
    })?;
    dump.end(end).map_err(Failure::output)
}

struct Dump<W> {
    out: W,
    squeeze: bool,
    last: Option<[u8; LINE]>,
    /// The lines since `last` repeat it.
    starred: bool,
}

impl<W: Write> Dump<W> {
    /// All but the last block of a dump are whole lines.
    fn block(&mut self, block: &[u8], offset: u64) -> std::io::Result<()> {
        for (line, offset) in block.chunks(LINE).zip((offset..).step_by(LINE)) {
            let whole: Option<[u8; LINE]> = line.try_into().ok();
            if self.squeeze && whole.is_some() && whole == self.last {
                if !self.starred {
                    writeln!(self.out, "*")?;
                }
                self.starred = true;
                continue;
            }
            self.last = whole;
            self.starred = false;
            self.line(line, offset)?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], offset: u64) -> std::io::Result<()> {
        write!(self.out, "{offset:08x} ")?;
        for column in 0..LINE {
            let gap = if column % 8 == 0 { " " } else { "" };
            match line.get(column) {
                Some(byte) => write!(self.out, "{gap}{byte:02x} ")?,
                None => write!(self.out, "{gap}   ")?,
            }
        }
        let text: String = line
            .iter()
            .map(|byte| {
                if matches!(byte, b' '..=b'~') {
                    *byte as char
                } else {
                    '.'
                }
            })
            .collect();
        writeln!(self.out, " |{text}|")
    }

    /// The line with the offset behind the last byte.
    fn end(&mut self, offset: u64) -> std::io::Result<()> {
        writeln!(self.out, "{offset:08x}")?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(blocks: &[&[u8]], start: u64, squeeze: bool) -> String {
        let mut dump = Dump {
            out: Vec::new(),
            squeeze,
            last: None,
            starred: false,
        };
        let mut offset = start;
        for block in blocks {
            dump.block(block, offset).unwrap();
            offset += block.len() as u64;
        }
        dump.end(offset).unwrap();
        String::from_utf8(dump.out).unwrap()
    }

    #[test]
    fn lines_are_those_of_hexdump() {
        assert_eq!(
            dump(&[b"Hello, world!\n\x00\xffrest"], 0x10, true),
            "00000010  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 0a 00 ff  |Hello, world!...|\n\
             00000020  72 65 73 74                                       |rest|\n\
             00000024\n"
        );
    }

    #[test]
    fn repeated_lines_are_one_star_also_across_blocks() {
        let zeros = "00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n";
        assert_eq!(
            dump(&[&[0; 32], &[0; 32]], 0, true),
            format!("{zeros}*\n00000040\n")
        );
        assert_eq!(dump(&[&[0; 32]], 0, false).lines().count(), 3);
    }
}
