// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers as a person reads them.

use shmdev_bench_model::{AxisUnit, Unit};

/// A count: `0.85`, `12.5`, `1,226`, `0.904 M`, `11.9 M`, `1.07 G`.
pub fn count(value: f64) -> String {
    match value.abs() {
        size if size < 9.995 && size.fract() != 0.0 => format!("{value:.2}"),
        size if size < 99.95 && size.fract() != 0.0 => format!("{value:.1}"),
        size if size < 99_999.5 => grouped(value),
        size if size < 999.5e6 => format!("{} M", significant(value / 1e6)),
        _ => format!("{} G", significant(value / 1e9)),
    }
}

/// A whole number, with its thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A round number on an axis: `0.5`, `1,000`, `0.2 M`.
pub fn tick(value: f64) -> String {
    match value.abs() {
        size if size < 99_999.5 => exact(value),
        size if size < 999.5e6 => format!("{} M", exact(value / 1e6)),
        _ => format!("{} G", exact(value / 1e9)),
    }
}

/// Three digits that count: `0.904`, `11.9`, `143`.
fn significant(value: f64) -> String {
    match value.abs() {
        size if size < 0.9995 => format!("{value:.3}"),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A ratio, with so many digits that count; three: `0.00512`, `0.257`, `1.00`, `12.3`.
pub fn ratio(value: f64, digits: usize) -> String {
    if !(value.is_finite() && value > 0.0) {
        return format!("{value}");
    }
    // Of the number as it will be rounded: 0.9996 is 1.00.
    let exponent = format!("{value:.*e}", digits - 1);
    let exponent = exponent
        .split_once('e')
        .and_then(|(_, digits)| digits.parse().ok());
    let exponent: i32 = exponent.unwrap_or(0);
    let decimals = (digits as i32 - 1 - exponent).clamp(0, 9) as usize;
    format!("{value:.decimals$}")
}

/// A limit, as short as it is exact: `0.25`, `0.005`, `1,024`.
pub fn exact(value: f64) -> String {
    // Some sums are not.
    let near = format!("{value:.6}").parse().unwrap_or(value);
    match near {
        whole if whole.fract() == 0.0 => grouped(whole),
        part => part.to_string(),
    }
}

/// Where on an axis: `4 KiB`, `256 MiB`, `1,024`.
pub fn place(value: u64, unit: AxisUnit) -> String {
    match unit {
        AxisUnit::Count => grouped(value as f64),
        AxisUnit::Bytes | AxisUnit::BytesMoved => bytes(value),
    }
}

/// In the largest unit that leaves nothing over.
fn bytes(value: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if value >= 1 << shift && value % (1 << shift) == 0 {
            return format!("{} {unit}", grouped((value >> shift) as f64));
        }
    }
    format!("{} B", grouped(value as f64))
}

/// How far one is above the least: `+0.3 %`.
pub fn above(least: f64, most: f64) -> String {
    if least <= 0.0 {
        return if most > least { "?" } else { "" }.to_owned();
    }
    match 100.0 * (most - least) / least {
        none if none < 0.05 => "0 %".to_owned(),
        little if little < 9.95 => format!("+{little:.1} %"),
        much => format!("+{} %", grouped(much)),
    }
}

/// A unit for a column.
pub fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Instructions => "instr.",
        Unit::Nanoseconds => "ns",
        Unit::Bytes => "bytes",
    }
}

/// The same in full.
pub fn unit_in_full(unit: Unit) -> &'static str {
    match unit {
        Unit::Instructions => "guest instructions",
        Unit::Nanoseconds => "nanoseconds",
        Unit::Bytes => "bytes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_the_digits_that_matter() {
        for (value, text) in [
            (0.0, "0"),
            (0.4, "0.40"),
            (12.54, "12.5"),
            (99.96, "100"),
            (133.2, "133"),
            (1226.0, "1,226"),
            (99_999.0, "99,999"),
            (99_999.6, "0.100 M"),
            (904_123.0, "0.904 M"),
            (999_999.0, "1.00 M"),
            (11.9e6, "11.9 M"),
            (700.4e6, "700 M"),
            (999.7e6, "1.00 G"),
            (12.34e9, "12.3 G"),
        ] {
            assert_eq!(count(value), text);
        }
    }

    #[test]
    fn ratios_have_three_digits_that_count() {
        for (value, text) in [
            (0.005_123, "0.00512"),
            (0.25, "0.250"),
            (0.9996, "1.00"),
            (1.0, "1.00"),
            (12.34, "12.3"),
            (1234.0, "1234"),
            (0.0, "0"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(ratio(value, 3), text);
        }
        assert_eq!(ratio(0.100_06, 4), "0.1001");
        assert_eq!(ratio(1.0, 4), "1.000");
    }

    #[test]
    fn ticks_have_no_more_digits_than_they_need() {
        for (value, text) in [
            (0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (50_000.0, "50,000"),
            (100_000.0, "0.1 M"),
            (20e6, "20 M"),
            (1e9, "1 G"),
        ] {
            assert_eq!(tick(value), text);
        }
    }

    #[test]
    fn limits_are_exact() {
        assert_eq!(exact(0.25), "0.25");
        assert_eq!(exact(0.005), "0.005");
        assert_eq!(exact(1024.0), "1,024");
        assert_eq!(exact(1.0), "1");
    }

    #[test]
    fn places_are_in_the_largest_unit_that_leaves_nothing_over() {
        assert_eq!(place(4096, AxisUnit::Bytes), "4 KiB");
        assert_eq!(place(256 << 20, AxisUnit::Bytes), "256 MiB");
        assert_eq!(place(4097, AxisUnit::Bytes), "4,097 B");
        assert_eq!(place(8, AxisUnit::Bytes), "8 B");
        assert_eq!(place(10_000, AxisUnit::Count), "10,000");
    }

    #[test]
    fn what_is_above_is_told_in_percent() {
        assert_eq!(above(100.0, 100.0), "0 %");
        assert_eq!(above(100.0, 100.3), "+0.3 %");
        assert_eq!(above(100.0, 136.4), "+36 %");
        assert_eq!(above(0.0, 0.0), "");
    }
}
