// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where on an axis a value is, and which values are marked. Pure.

/// Beyond this factor between values, equal steps would hide the small ones.
const WIDE: f64 = 50.0;

/// An axis, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Equal steps, from 0 to this.
    Linear(f64),
    /// Equal factors, from the first to the second.
    Log(f64, f64),
}

impl Scale {
    /// For bars: from zero, unless that would hide the small ones.
    pub fn for_bars(values: impl Iterator<Item = f64> + Clone) -> Scale {
        let most = values.clone().fold(0.0, f64::max);
        let least = values.fold(most, f64::min);
        if least > 0.0 && most / least > WIDE {
            // A power of ten below the least: even that has a bar.
            let low = 10f64.powf((least / 1.5).log10().floor());
            return Scale::Log(low, most);
        }
        Scale::Linear(if most > 0.0 { most } else { 1.0 })
    }

    /// For curves: equal factors, between round numbers. Zeros are not on it.
    pub fn for_curves(values: impl Iterator<Item = f64> + Clone) -> Scale {
        let values = values.filter(|&value| value > 0.0);
        let most = values.clone().fold(0.0, f64::max);
        if most == 0.0 {
            return Scale::Log(1.0, 10.0);
        }
        let least = values.fold(most, f64::min);
        let low = round_numbers(least / 10.0, least).last();
        let high = round_numbers(most, most * 10.0).next();
        match (low.unwrap_or(least), high.unwrap_or(most)) {
            // As flat a curve as can be has some room around it.
            (low, high) if low * 2.0 >= high => Scale::Log(low / 2.0, high * 2.0),
            (low, high) => Scale::Log(low, high),
        }
    }

    /// Where a value is, from 0 to 1.
    pub fn position(self, value: f64) -> f64 {
        let position = match self {
            Scale::Linear(most) => value / most,
            Scale::Log(low, high) => (value.max(low) / low).ln() / (high / low).ln(),
        };
        position.clamp(0.0, 1.0)
    }

    /// Values to mark, up to seven or so.
    pub fn ticks(self) -> Vec<f64> {
        match self {
            Scale::Linear(most) => {
                let step = round_numbers(most / 5.0, most).next().unwrap_or(most);
                let count = (most / step + 1e-9).floor() as u32;
                (0..=count).map(|index| f64::from(index) * step).collect()
            }
            Scale::Log(low, high) => {
                let all: Vec<f64> = round_numbers(low, high).collect();
                if all.len() <= 7 {
                    return all;
                }
                let decades: Vec<f64> = all.into_iter().filter(|&value| is_power(value)).collect();
                let each = decades.len().div_ceil(7);
                decades.into_iter().step_by(each).collect()
            }
        }
    }
}

/// 1, 2 and 5 times the powers of ten, from `low` to `high`.
fn round_numbers(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let exponents = low.log10().floor() as i32..=high.log10().ceil() as i32;
    // Some roundings are not exact.
    let (low, high) = (low * (1.0 - 1e-9), high * (1.0 + 1e-9));
    exponents
        .flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(exponent)))
        .filter(move |&value| (low..=high).contains(&value))
}

fn is_power(value: f64) -> bool {
    (value.log10() - value.log10().round()).abs() < 1e-6
}

/// Of places on an axis and their labels' widths, those to label: all, or every second, or so, that labels do not touch; the
/// last too, if it can be.
pub fn thinned(places: &[(f64, f64)]) -> Vec<usize> {
    const GAP: f64 = 10.0;
    let apart = |a: usize, b: usize| {
        let ((left, left_width), (right, right_width)) = (places[a], places[b]);
        right - left >= (left_width + right_width) / 2.0 + GAP
    };
    let every = |step: usize| (0..places.len()).step_by(step).collect::<Vec<_>>();
    let fits = |step: &usize| every(*step).windows(2).all(|pair| apart(pair[0], pair[1]));
    let Some(last) = places.len().checked_sub(1) else {
        return Vec::new();
    };
    let first = (1..=last).find(fits).unwrap_or(places.len());
    let even = [first, first + 1]
        .into_iter()
        .find(|step| last % step == 0 && fits(step));
    let mut kept = every(even.unwrap_or(first));
    if kept.last().is_some_and(|&end| end != last && apart(end, last)) {
        kept.push(last);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs())
    }

    #[test]
    fn bars_start_at_zero_unless_that_would_hide_some() {
        assert_eq!(Scale::for_bars([3.0, 100.0].into_iter()), Scale::Linear(100.0));
        assert_eq!(Scale::for_bars([1.0, 100.0].into_iter()), Scale::Log(0.1, 100.0));
        assert_eq!(Scale::for_bars([0.0, 100.0].into_iter()), Scale::Linear(100.0));
        assert_eq!(Scale::for_bars([0.0].into_iter()), Scale::Linear(1.0));
        assert_eq!(Scale::for_bars([].into_iter()), Scale::Linear(1.0));
    }

    #[test]
    fn the_least_bar_can_be_seen() {
        for least in [1.0, 1.4, 1.6, 9.9, 10.0] {
            let scale = Scale::for_bars([least, 1000.0].into_iter());
            assert!(scale.position(least) > 0.05, "{least}: {scale:?}");
        }
    }

    #[test]
    fn curves_are_between_round_numbers() {
        let scale = |values: &[f64]| match Scale::for_curves(values.iter().copied()) {
            Scale::Log(low, high) => vec![low, high],
            Scale::Linear(_) => vec![],
        };
        assert!(near(&scale(&[130.0, 7000.0]), &[100.0, 10_000.0]));
        assert!(near(&scale(&[0.0, 250.0, 900.0]), &[200.0, 1000.0]));
        assert!(near(&scale(&[1000.0, 1000.0]), &[500.0, 2000.0]));
        assert!(near(&scale(&[]), &[1.0, 10.0]));
    }

    #[test]
    fn positions_are_between_the_ends() {
        assert_eq!(Scale::Linear(10.0).position(2.5), 0.25);
        assert_eq!(Scale::Log(1.0, 100.0).position(10.0), 0.5);
        assert_eq!(Scale::Log(1.0, 100.0).position(0.0), 0.0);
        assert_eq!(Scale::Log(1.0, 100.0).position(1e9), 1.0);
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert!(near(&Scale::Linear(23.0).ticks(), &[0.0, 5.0, 10.0, 15.0, 20.0]));
        assert!(near(
            &Scale::Log(100.0, 1000.0).ticks(),
            &[100.0, 200.0, 500.0, 1000.0]
        ));
        assert!(near(&Scale::Log(1.0, 1e4).ticks(), &[1.0, 10.0, 100.0, 1e3, 1e4]));
        for high in [1e7, 1e9, 1e12] {
            assert!(Scale::Log(1.0, high).ticks().len() <= 7);
        }
        for most in [1.0, 1.9, 3.0, 7.7, 99.0, 12345.0] {
            let ticks = Scale::Linear(most).ticks();
            assert!((3..=6).contains(&ticks.len()), "{most}: {ticks:?}");
        }
    }

    #[test]
    fn labels_that_would_touch_are_left_out() {
        let at = |count: usize, width: f64| {
            thinned(
                &(0..count)
                    .map(|place| (40.0 * place as f64, width))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(at(4, 20.0), [0, 1, 2, 3]);
        assert_eq!(at(9, 50.0), [0, 2, 4, 6, 8]);
        assert_eq!(at(10, 50.0), [0, 3, 6, 9]);
        assert_eq!(at(12, 50.0), [0, 2, 4, 6, 8, 10]);
        assert_eq!(at(12, 90.0), [0, 3, 6, 9]);
        assert_eq!(at(2, 90.0), [0]);
        assert_eq!(at(1, 90.0), [0]);
        assert_eq!(at(0, 90.0), [0; 0]);
    }
}
