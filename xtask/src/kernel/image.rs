// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a bzImage says of itself.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// The version string in the image's setup header: `uname -r`, who built it, `uname -v`.
pub fn version(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&bytes).with_context(|| format!("{} is not a bzImage", path.display()))
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
    fn anything_else_is_refused() {
        assert_eq!(parse(b"short"), None);
        assert_eq!(parse(&[0; 0x400]), None);
    }
}
