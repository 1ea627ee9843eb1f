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
    kernel.starts_with(b"\x7fELF") && kernel.windows(NOTE.len()).any(|bytes| bytes == NOTE)
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
    fn anything_else_is_refused() {
        assert_eq!(parse(b"short"), None);
        assert_eq!(parse(&[0; 0x400]), None);
    }
}
