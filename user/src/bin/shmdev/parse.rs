// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers as people write them: sizes, ranges, times. Pure.

use std::time::Duration;

use shmdev::uapi::WORD_SIZE;
use shmdev::{Change, Deadline};

use crate::accounts::Accounts;

/// Bytes: `4096`, `0x1000`, `64K`, `1MiB`, `1MB`.
///
/// As in GNU's tools: a letter alone or with `iB` is a power of 1024, with `B` a power of 1000. Case does
/// not matter.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const NONE: &str = "not a size; examples: 4096, 0x1000, 64K, 1MiB";
    const TOO_LARGE: &str = "too large; it must fit in 64 bits";
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // `from_str_radix` takes a sign.
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NONE.into());
        }
        return u64::from_str_radix(digits, 16).map_err(|_| TOO_LARGE.into());
    }
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    match (number, unit.chars().next()) {
        ("", _) => return Err(NONE.into()),
        (_, Some('.' | ',')) => return Err("not a whole number; examples: 4096, 0x1000, 1536K, 1MiB".into()),
        _ => {}
    }
    let factor = factor(unit)?;
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| TOO_LARGE.into())
}

/// A size of a segment: [`size`], at least 1.
pub(crate) fn positive_size(text: &str) -> Result<u64, String> {
    match size(text)? {
        0 => Err("a segment has at least one byte".into()),
        size => Ok(size),
    }
}

/// Permission bits in octal: `640`, `0640`.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    const HELP: &str = "not permission bits in octal; examples: 600, 0644";
    if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b'0'..=b'7')) {
        return Err(HELP.into());
    }
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err("a mode has nine permission bits, 0 to 777".into()),
    }
}

/// Whom to give a segment to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl Owner {
    pub(crate) fn change(self, change: Change) -> Change {
        let change = self.uid.map_or(change, |uid| change.uid(uid));
        self.gid.map_or(change, |gid| change.gid(gid))
    }
}

/// `USER`, `USER:GROUP` or `:GROUP`, by name or number, as `chown` takes them.
pub(crate) fn owner(text: &str) -> Result<Owner, String> {
    owner_of(text, &Accounts::load())
}

fn owner_of(text: &str, accounts: &Accounts) -> Result<Owner, String> {
    let (user, group) = match text.split_once(':') {
        Some((_, "")) => return Err("no group after the colon; examples: alice, alice:video, :video".into()),
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let uid = match (user, group) {
        ("", Some(_)) => None,
        _ => Some(accounts.find_user(user)?),
    };
    let gid = group.map(|group| accounts.find_group(group)).transpose()?;
    Ok(Owner { uid, gid })
}

fn factor(unit: &str) -> Result<u64, String> {
    let lower = unit.to_ascii_lowercase();
    let (prefix, base) = match lower.as_str() {
        "" | "b" => return Ok(1),
        _ if lower.ends_with("ib") => (&lower[..lower.len() - 2], 1024u64),
        _ if lower.ends_with('b') => (&lower[..lower.len() - 1], 1000),
        _ => (lower.as_str(), 1024),
    };
    let power = match prefix {
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        "e" => 6,
        _ => {
            return Err(format!(
                "unknown unit {unit:?}; examples: 64K, 64KiB (powers of 1024), 64KB (powers of 1000); M, G, T, P, E"
            ));
        }
    };
    Ok(base.pow(power))
}

/// A byte range of a segment: `OFFSET:LENGTH`, or `OFFSET:` to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) offset: u64,
    pub(crate) len: Option<u64>,
}

impl Range {
    /// As the library takes one.
    pub(crate) fn bounds(self) -> Result<(std::ops::Bound<u64>, std::ops::Bound<u64>), String> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let end = match self.len {
            None => Unbounded,
            Some(len) => Excluded(
                self.offset
                    .checked_add(len)
                    .ok_or("the range does not fit in 64 bits")?,
            ),
        };
        Ok((Included(self.offset), end))
    }
}

pub(crate) fn range(text: &str) -> Result<Range, String> {
    let (offset, len) = text
        .split_once(':')
        .ok_or("not a range; examples: 0:4096, 1M:64K, 4096:")?;
    let len = if len.is_empty() { None } else { Some(size(len)?) };
    let range = Range {
        offset: size(offset)?,
        len,
    };
    match range.len {
        Some(0) => Err("a range has at least one byte".into()),
        _ => range.bounds().map(|_| range),
    }
}

/// A time to wait: `10`, `2.5` (seconds), `500ms`, `2m`, `1h`.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds_each = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("not a time; examples: 10, 2.5, 500ms, 2m".into()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "not a time; examples: 10, 2.5, 500ms, 2m")?;
    Duration::try_from_secs_f64(number * seconds_each).map_err(|_| "too long".into())
}

/// How often to look at something.
pub(crate) fn interval(text: &str) -> Result<Duration, String> {
    match timeout(text)? {
        time if time < Duration::from_millis(10) => Err("at least 10ms".into()),
        time => Ok(time),
    }
}

/// What is in a word: `5`, `0x40000000`.
pub(crate) fn word(text: &str) -> Result<u32, String> {
    const NONE: &str = "not the value of a word; examples: 0, 5, 0x40000000";
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    // `from_str_radix` takes a sign.
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(NONE.into());
    }
    u32::from_str_radix(digits, radix).map_err(|_| "too large; a word has 32 bits".into())
}

/// Where a word is: [`size`], a multiple of 4.
pub(crate) fn word_offset(text: &str) -> Result<u64, String> {
    match size(text)? {
        offset if offset % WORD_SIZE != 0 => Err("a word is at a multiple of 4".into()),
        offset => Ok(offset),
    }
}

/// No time given waits for as long as it takes, none at all does not wait.
pub(crate) fn deadline(timeout: Option<Duration>) -> Deadline {
    match timeout {
        None => Deadline::Never,
        Some(Duration::ZERO) => Deadline::Now,
        Some(timeout) => Deadline::after(timeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let sizes = [
            ("0", 0),
            ("4096", 4096),
            ("4096B", 4096),
            ("0x1000", 4096),
            ("0XfF", 255),
            ("64K", 65536),
            ("64k", 65536),
            ("64KiB", 65536),
            ("64KB", 64000),
            ("1MiB", 1 << 20),
            ("1M", 1 << 20),
            ("1MB", 1_000_000),
            ("3G", 3 << 30),
            ("15E", 15 << 60),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, expected) in sizes {
            assert_eq!(size(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "K",
            "-1",
            "+1",
            "0x",
            "0x+1",
            "0xg",
            "1.5M",
            "1X",
            "1Ki",
            "1 K",
            "16E",
            "18446744073709551616",
            "1µ",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_size_is_told_with_what_is_right() {
        let told = [
            (
                "64 K",
                "unknown unit \" K\"; examples: 64K, 64KiB (powers of 1024), 64KB (powers of 1000); M, G, T, P, E",
            ),
            ("1.5M", "not a whole number; examples: 4096, 0x1000, 1536K, 1MiB"),
            ("-1", "not a size; examples: 4096, 0x1000, 64K, 1MiB"),
            ("0xyz", "not a size; examples: 4096, 0x1000, 64K, 1MiB"),
            ("16E", "too large; it must fit in 64 bits"),
            ("99999999999999999999", "too large; it must fit in 64 bits"),
            ("0x10000000000000000", "too large; it must fit in 64 bits"),
        ];
        for (text, message) in told {
            assert_eq!(size(text), Err(message.into()), "{text}");
        }
    }

    #[test]
    fn a_segment_is_not_empty() {
        assert_eq!(positive_size("1"), Ok(1));
        assert_eq!(positive_size("0K"), Err("a segment has at least one byte".into()));
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("640"), Ok(0o640));
        assert_eq!(mode("0640"), Ok(0o640));
        assert_eq!(mode("0"), Ok(0));
        for text in ["", "8", "rw", "0o640", "1000", "-1", "+7", "77777777777777777777"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn owners_are_written_as_for_chown() {
        let accounts = Accounts::of("alice:x:1000:", "video:x:44:");
        let owner = |text| owner_of(text, &accounts);
        let of = |uid, gid| Ok(Owner { uid, gid });
        assert_eq!(owner("alice"), of(Some(1000), None));
        assert_eq!(owner("alice:video"), of(Some(1000), Some(44)));
        assert_eq!(owner(":5"), of(None, Some(5)));
        assert_eq!(owner("7:5"), of(Some(7), Some(5)));
        for text in ["", ":", "alice:", "bob", "alice:nobody", "alice:video:x"] {
            assert!(owner(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_have_an_offset_and_perhaps_a_length() {
        assert_eq!(
            range("0:4096"),
            Ok(Range {
                offset: 0,
                len: Some(4096)
            })
        );
        assert_eq!(
            range("1M:64K"),
            Ok(Range {
                offset: 1 << 20,
                len: Some(65536)
            })
        );
        assert_eq!(
            range("4096:"),
            Ok(Range {
                offset: 4096,
                len: None
            })
        );
        for text in ["", ":", "5", ":5", "0:0", "1:2:3", "18446744073709551615:1"] {
            assert!(range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_to_wait() {
        assert_eq!(timeout("10"), Ok(Duration::from_secs(10)));
        assert_eq!(timeout("2.5"), Ok(Duration::from_millis(2500)));
        assert_eq!(timeout("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(timeout("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(deadline(timeout("0").ok()), Deadline::Now);
        assert_eq!(deadline(None), Deadline::Never);
        for text in [
            "",
            "-1",
            "s",
            "1d",
            "1.2.3",
            "inf",
            "nan",
            "99999999999999999999999",
        ] {
            assert!(timeout(text).is_err(), "{text}");
        }
    }
    #[test]
    fn it_is_not_looked_more_often_than_a_hundred_times_a_second() {
        assert_eq!(interval("10ms"), Ok(Duration::from_millis(10)));
        assert_eq!(interval("9ms"), Err("at least 10ms".into()));
    }

    #[test]
    fn words_have_32_bits_and_are_at_multiples_of_4() {
        for (text, value) in [
            ("0", 0),
            ("0x40000000", 1 << 30),
            ("0Xff", 255),
            ("4294967295", u32::MAX),
        ] {
            assert_eq!(word(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "0x",
            "-1",
            "+1",
            "0x-1",
            "1K",
            "1.0",
            "4294967296",
            "0x100000000",
        ] {
            assert!(word(text).is_err(), "{text}");
        }
        assert_eq!(word_offset("1K"), Ok(1024));
        assert_eq!(word_offset("6"), Err("a word is at a multiple of 4".into()));
    }
}
