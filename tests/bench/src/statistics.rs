// SPDX-License-Identifier: MIT OR Apache-2.0

//! What several batches boil down to.

/// The least, the median and the most of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The least.
    pub least: f64,
    /// The one in the middle; of two in the middle, their mean.
    pub median: f64,
    /// The most.
    pub most: f64,
}

/// `None` of nothing.
pub fn spread(values: &[f64]) -> Option<Spread> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (*sorted.first()?, *sorted.last()?);
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    Some(Spread {
        least,
        median: f64::midpoint(low, high),
        most,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_odd_number_has_one_in_the_middle_and_an_even_number_has_two() {
        let of = |values: &[f64]| spread(values).map(|it| (it.least, it.median, it.most));
        assert_eq!(of(&[5.0, 1.0, 3.0]), Some((1.0, 3.0, 5.0)));
        assert_eq!(of(&[4.0, 1.0, 2.0, 9.0]), Some((1.0, 3.0, 9.0)));
        assert_eq!(of(&[7.0]), Some((7.0, 7.0, 7.0)));
        assert_eq!(of(&[]), None);
    }
}
