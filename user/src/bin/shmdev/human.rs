// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers and times as people read them. Pure, but for the local time zone.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// As `ls -h`: powers of 1024, three characters or so, rounded up.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return bytes.to_string();
    }
    let mut unit = 1024_u64;
    for letter in ['K', 'M', 'G', 'T', 'P', 'E'] {
        let next = unit.checked_mul(1024);
        // In tenths, so that 9.95 becomes 10.
        let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
        let whole = u128::from(bytes).div_ceil(u128::from(unit));
        if whole < 1024 || next.is_none() {
            return match tenths {
                _ if bytes % unit == 0 => format!("{}{letter}", bytes / unit),
                0..100 => format!("{}.{}{letter}", tenths / 10, tenths % 10),
                _ => format!("{whole}{letter}"),
            };
        }
        unit = next.unwrap_or(unit);
    }
    bytes.to_string()
}

/// A size in a table: as it is, or for people.
pub(crate) fn size_or_bytes(bytes: u64, exact: bool) -> String {
    if exact { bytes.to_string() } else { size(bytes) }
}

/// `1 handle`, `2 handles`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// In local time, to the second.
pub(crate) fn local(time: SystemTime) -> String {
    match Timestamp::try_from(time) {
        Ok(time) => time
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%d %H:%M:%S")
            .to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// The time of day, in local time.
pub(crate) fn clock(time: SystemTime) -> String {
    match Timestamp::try_from(time) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// For programs: RFC 3339, UTC.
pub(crate) fn utc(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| String::new(), |time| format!("{time:.9}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sizes_are_those_of_ls() {
        let sizes = [
            (0, "0"),
            (1023, "1023"),
            (1024, "1K"),
            (4096, "4K"),
            (4097, "4.1K"),
            (10 * 1024 - 1, "10K"),
            (100_000, "98K"),
            (1023 * 1024 + 1, "1.0M"),
            (1 << 20, "1M"),
            (1_500_000, "1.5M"),
            (1 << 40, "1T"),
            (u64::MAX, "16E"),
        ];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text, "{bytes}");
        }
        assert_eq!(size_or_bytes(4096, true), "4096");
    }

    #[test]
    fn things_are_counted() {
        assert_eq!(count(1, "handle"), "1 handle");
        assert_eq!(count(0, "handle"), "0 handles");
    }

    #[test]
    fn times_for_programs_are_rfc_3339() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 5);
        assert_eq!(utc(time), "2001-09-09T01:46:40.000000005Z");
    }
}
