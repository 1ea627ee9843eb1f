// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines, out of whatever pieces a stream comes in.

/// What has come of a line that has no end yet.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// The lines that these bytes end, without their ends.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        self.0.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(end) = self.0.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        lines
    }

    /// What has no end.
    pub fn rest(self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.0).into_owned();
        Some(text).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn lines_are_found_in_whatever_pieces_they_come() {
        let mut lines = Lines::default();
        assert!(lines.feed(b"a").is_empty());
        assert_eq!(lines.feed(b"b\n\nc\nd"), ["ab", "", "c"]);
        assert_eq!(lines.rest().as_deref(), Some("d"));
        assert_eq!(Lines::default().rest(), None);
    }
}
