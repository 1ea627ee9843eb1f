// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a bzImage says of itself.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// The version string in the image's setup header: `uname -r`, who built it, `uname -v`.
pub fn version(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is not a bzImage", path.display()))
}

/// The compressed kernel in an image, and how long it is when it is not.
///
/// See `Documentation/arch/x86/boot.rst`: the number of setup sectors less one at 0x1f1, the payload's offset from their end
/// at 0x248 and its length at 0x24c. Its last four bytes are what it unpacks to.
pub fn payload(image: &[u8]) -> Option<(&[u8], u32)> {
    let number = |at: usize| Some(u32::from_le_bytes(image.get(at..at + 4)?.try_into().ok()?));
    let start = (usize::from(*image.get(0x1f1)?) + 1) * 512;
    let start = start.checked_add(usize::try_from(number(0x248)?).ok()?)?;
    let end = start.checked_add(usize::try_from(number(0x24c)?).ok()?)?;
    let (packed, length) = image.get(start..end)?.split_last_chunk::<4>()?;
    Some((packed, u32::from_le_bytes(*length)))
}

/// Whether a kernel, unpacked, says that it can be started without a boot loader: by a note of type 18 of Xen's, for which
/// see `include/xen/interface/elfnote.h`.
pub fn starts_unpacked(kernel: &[u8]) -> bool {
    const NOTE: &[u8] = b"\x12\0\0\0Xen\0";
    notes(kernel).is_some_and(|notes| notes.windows(NOTE.len()).any(|bytes| bytes == NOTE))
}

/// The first segment of notes (`PT_NOTE`, 4) of a 64-bit ELF file; see elf(5) for where things are.
fn notes(file: &[u8]) -> Option<&[u8]> {
    let field = |at: usize, len: usize| {
        let bytes = file.get(at..at.checked_add(len)?)?.iter().rev();
        usize::try_from(bytes.fold(0, |number, &byte| number << 8 | u64::from(byte))).ok()
    };
    if !file.starts_with(b"\x7fELF\x02") {
        return None;
    }
    let (start, size, count) = (field(0x20, 8)?, field(0x36, 2)?, field(0x38, 2)?);
    let mut headers = (0..count).filter_map(|index| start.checked_add(index * size));
    let note = headers.find(|&header| field(header, 4) == Some(4))?;
    let (from, len) = (field(note + 8, 8)?, field(note + 0x20, 8)?);
    file.get(from..from.checked_add(len)?)
}

/// See `Documentation/arch/x86/boot.rst`: magic at 0x202, the version's offset less 0x200 at 0x20e.
fn parse(bytes: &[u8]) -> Option<String> {
    if bytes.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let offset = u16::from_le_bytes(bytes.get(0x20e..0x210)?.try_into().ok()?);
    let text = bytes.get(usize::from(offset) + 0x200..)?;
    let end = text.iter().position(|&byte| byte == 0)?;
    String::from_utf8(text[..end].to_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_through_the_header() {
        let mut bytes = vec![0; 0x400];
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x20e..0x210].copy_from_slice(&0x100u16.to_le_bytes());
        bytes[0x300..0x30b].copy_from_slice(b"7.3.4 #1 X\0");
        assert_eq!(parse(&bytes).as_deref(), Some("7.3.4 #1 X"));
    }

    #[test]
    fn the_payload_is_found_through_the_header() {
        let mut bytes = vec![0; 0x1000];
        bytes[0x1f1] = 3;
        bytes[0x248..0x24c].copy_from_slice(&0x100_u32.to_le_bytes());
        bytes[0x24c..0x250].copy_from_slice(&10_u32.to_le_bytes());
        bytes[0x900..0x90a].copy_from_slice(b"packed\x07\0\0\0");
        assert_eq!(payload(&bytes), Some((&b"packed"[..], 7)));
        bytes[0x24c..0x250].copy_from_slice(&0xffff_u32.to_le_bytes());
        assert_eq!(payload(&bytes), None);
        assert_eq!(payload(b"short"), None);
    }

    #[test]
    fn a_kernel_starts_unpacked_if_its_notes_say_so() {
        let mut elf = vec![0; 0x200];
        elf[..5].copy_from_slice(b"\x7fELF\x02");
        // Two headers of 0x38 bytes from 0x40 on, of which the second is of 0x20 bytes of notes from 0x100 on.
        (elf[0x20], elf[0x36], elf[0x38]) = (0x40, 0x38, 2);
        (elf[0x40], elf[0x78]) = (1, 4);
        (elf[0x78 + 9], elf[0x78 + 0x20]) = (1, 0x20);
        assert!(!starts_unpacked(&elf));
        elf[0x108..0x110].copy_from_slice(b"\x12\0\0\0Xen\0");
        assert!(starts_unpacked(&elf));
        // Elsewhere it is no note.
        elf[0x78 + 0x20] = 8;
        assert!(!starts_unpacked(&elf));
        elf[0x78 + 0x20..0x78 + 0x28].fill(0xff);
        assert!(!starts_unpacked(&elf));
        assert!(!starts_unpacked(b"\x7fELF\x02") && !starts_unpacked(b""));
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(parse(b"short"), None);
        assert_eq!(parse(&[0; 0x400]), None);
    }
}
