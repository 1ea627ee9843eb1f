// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bar for each subject of a measure, the least first.

use shmdev_bench_model::Measure;

use super::{
    scale::{Scale, thinned},
    svg::{Anchor, Svg, WIDTH, bold_width, text_width},
};
use crate::bench::{
    number,
    results::{Results, is_ours},
};

/// Between the picture's edge and what is in it.
const MARGIN: f64 = 8.0;

/// Of a bar and its label.
const ROW: f64 = 38.0;

/// The picture and its height; nothing if nothing was measured.
pub fn plot(results: &Results, measure: &Measure) -> Option<(Svg, f64)> {
    let mut figures: Vec<_> = results.of(measure.id).collect();
    figures.sort_by(|a, b| a.least.total_cmp(&b.least));
    let unit = figures.first()?.unit;
    let scale = Scale::for_bars(figures.iter().map(|figure| figure.least));
    let values: Vec<String> = figures.iter().map(|figure| number::count(figure.least)).collect();
    let widest = values.iter().map(|value| bold_width(value)).fold(0.0, f64::max);
    let width = WIDTH - 2.0 * MARGIN - widest - 6.0;
    let x = |value: f64| MARGIN + width * scale.position(value);
    let bottom = 4.0 + ROW * figures.len() as f64;

    let mut svg = Svg::new(measure.title);
    let ticks = scale.ticks();
    let labels: Vec<String> = ticks.iter().map(|&tick| number::tick(tick)).collect();
    for &tick in &ticks {
        svg.line((x(tick), 4.0), (x(tick), bottom), "grid");
    }
    for (index, (figure, value)) in figures.iter().zip(&values).enumerate() {
        let top = 4.0 + ROW * index as f64;
        let (label, bar) = match is_ours(&figure.subject) {
            true => ("mine", "ours"),
            false => ("", "peer"),
        };
        svg.text((MARGIN + 4.0, top + 15.0), Anchor::Start, label, &figure.subject);
        let length = (x(figure.least) - MARGIN).max(1.5);
        svg.rect((MARGIN, top + 20.0), (length, 12.0), bar);
        svg.text((MARGIN + length + 5.0, top + 30.5), Anchor::Start, label, value);
    }
    svg.line((MARGIN, 4.0), (MARGIN, bottom), "axis");
    let places: Vec<_> = ticks
        .iter()
        .zip(&labels)
        .map(|(&tick, label)| (x(tick), text_width(label)))
        .collect();
    for index in thinned(&places) {
        let (place, width) = places[index];
        svg.text(
            (place.max(width / 2.0), bottom + 15.0),
            Anchor::Middle,
            "tick",
            &labels[index],
        );
    }
    let log = match scale {
        Scale::Linear(_) => "",
        Scale::Log(..) => ", log scale",
    };
    let caption = format!("{}{log}; less is better", number::unit_in_full(unit));
    svg.text((WIDTH - MARGIN, bottom + 33.0), Anchor::End, "tick", &caption);
    Some((svg, bottom + 40.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn ours_are_told_apart_from_peers() {
        let (svg, height) = plot(&sample::results(), &sample::MEASURES[0]).unwrap();
        let text = svg.inline(height);
        assert_eq!(text.matches("class=\"ours\"").count(), 2, "{text}");
        assert_eq!(text.matches("class=\"peer\"").count(), 3, "{text}");
        assert!(
            text.contains(">guest instructions; less is better</text>"),
            "{text}"
        );
    }

    #[test]
    fn a_log_scale_is_said() {
        let mut results = sample::results();
        results.figures[0].least *= 1000.0;
        let (svg, height) = plot(&results, &sample::MEASURES[0]).unwrap();
        assert!(svg.inline(height).contains("log scale"));
    }

    #[test]
    fn nothing_measured_is_no_picture() {
        let mut results = sample::results();
        results.figures.clear();
        assert!(plot(&results, &sample::MEASURES[0]).is_none());
    }
}
