// SPDX-License-Identifier: MIT OR Apache-2.0

//! Numbers and times as people read them. Pure, but for the local time zone.

use std::time::{Duration, SystemTime};

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

/// A position, exactly: in the largest unit that it is a multiple of, as commands take it.
pub(crate) fn position(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
    if bytes == 0 {
        return "0".to_owned();
    }
    let unit = bytes.trailing_zeros() / 10;
    format!("{}{}", bytes >> (unit * 10), UNITS[unit as usize])
}

/// For how long: `350ms`, `4.2s`, `5m07s`, `2h03m`, `3d04h`.
pub(crate) fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0 => format!("{}ms", age.as_millis()),
        1..60 => format!("{seconds}.{}s", age.subsec_millis() / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
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
    fn positions_are_exact() {
        for (bytes, text) in [
            (0, "0"),
            (100, "100"),
            (1024, "1K"),
            (1025, "1025"),
            (1536 << 10, "1536K"),
            (3 << 30, "3G"),
            (1 << 63, "8E"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(position(bytes), text);
            assert_eq!(crate::parse::size(text), Ok(bytes));
        }
    }

    #[test]
    fn ages_have_two_units_at_most() {
        for (ms, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1.0s"),
            (59_999, "59.9s"),
            (60_000, "1m00s"),
            (3_599_999, "59m59s"),
            (7_380_000, "2h03m"),
            (86_400_000, "1d00h"),
            (1_000_000_000, "11d13h"),
        ] {
            assert_eq!(age(Duration::from_millis(ms)), text);
        }
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
