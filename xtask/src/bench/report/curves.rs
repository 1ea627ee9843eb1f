// SPDX-License-Identifier: MIT OR Apache-2.0
//! A curve for each subject of a measure that has an axis, both axes logarithmic.

use shmdev_bench_model::{Axis, AxisUnit, Figure, Measure};

use super::{
    scale::{Scale, thinned},
    svg::{Anchor, Svg, WIDTH, bold_width, text_width},
};
use crate::bench::{
    number,
    results::{Results, is_ours},
};

/// Of the picture, above and right of the plot.
const MARGIN: f64 = 14.0;

/// Of the plot.
const HEIGHT: f64 = 250.0;

/// Of a line of the legend.
const LINE: f64 = 19.0;

/// How many colours there are for either.
const COLOURS: [usize; 2] = [4, 6];

/// How a subject's curve is drawn.
struct Pen {
    colour: String,
    line: String,
    label: &'static str,
    shape: usize,
}

/// The picture and its height; nothing if nothing was measured.
pub fn plot(results: &Results, measure: &Measure, axis: Axis) -> Option<(Svg, f64)> {
    let figures = results.of(measure.id);
    let unit = figures.clone().next()?.unit;
    let places: Vec<u64> = results.places(measure.id).into_iter().collect();
    let moves = axis.unit == AxisUnit::BytesMoved;
    let value = |figure: &Figure| match moves {
        true => throughput(figure),
        false => figure.least,
    };
    let frame = Frame::new(&places, figures.clone().map(value));

    let mut svg = Svg::new(measure.title);
    let what = number::unit_in_full(unit);
    let what = match moves {
        true => format!("bytes for {} {what}", number::exact(SPAN)),
        false => what.to_owned(),
    };
    let caption = format!("{what}, by {}; both log scale", axis.title);
    svg.text((4.0, 15.0), Anchor::Start, "tick", &caption);
    frame.draw(&mut svg, &places, axis.unit);
    let subjects = results.subjects(measure.id);
    let pens = pens(&subjects);
    // Ours last, so that they lie above the others.
    let mut order: Vec<_> = subjects.iter().zip(&pens).collect();
    order.sort_by_key(|(subject, _)| is_ours(subject));
    for (subject, pen) in order {
        let mut curve: Vec<&Figure> = figures
            .clone()
            .filter(|figure| figure.subject == **subject)
            .collect();
        curve.sort_by_key(|figure| figure.at);
        let point = |figure: &&Figure| (frame.x(figure.at.unwrap_or(0)), frame.y(value(figure)));
        let points: Vec<_> = curve.iter().map(point).collect();
        svg.path(&points, &pen.line);
        for &point in &points {
            svg.marker(point, pen.shape, &pen.colour);
        }
    }
    let height = legend(&mut svg, &subjects, &pens, frame.bottom + 40.0);
    Some((svg, height))
}

/// So many instructions, or nanoseconds, throughput is of.
const SPAN: f64 = 1000.0;

/// How many bytes are moved in that.
fn throughput(figure: &Figure) -> f64 {
    figure.at.unwrap_or(0) as f64 * SPAN / figure.least.max(f64::MIN_POSITIVE)
}

/// The plot's place in the picture, and its scales.
struct Frame {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
    across: Scale,
    up: Scale,
    /// Nothing has no logarithm: it is shown left of the least there is.
    zero: f64,
}

impl Frame {
    fn new(places: &[u64], values: impl Iterator<Item = f64> + Clone) -> Self {
        let up = Scale::for_curves(values);
        let labels = up.ticks().into_iter().map(|tick| text_width(&number::tick(tick)));
        let least = places.iter().copied().find(|&place| place > 0).unwrap_or(1) as f64;
        let zero = least / 4.0;
        let first = if places.first() == Some(&0) { zero } else { least };
        let last = places.last().map_or(least, |&place| place as f64);
        Frame {
            left: 10.0 + labels.fold(0.0, f64::max),
            right: WIDTH - MARGIN,
            top: MARGIN + 14.0,
            bottom: MARGIN + 14.0 + HEIGHT,
            across: Scale::Log(first, last.max(first * 2.0)),
            up,
            zero,
        }
    }

    fn x(&self, place: u64) -> f64 {
        let place = if place == 0 { self.zero } else { place as f64 };
        // Markers at the ends are not to lie on the frame.
        let (left, right) = (self.left + 12.0, self.right - 12.0);
        left + (right - left) * self.across.position(place)
    }

    fn y(&self, value: f64) -> f64 {
        self.bottom - (self.bottom - self.top) * self.up.position(value)
    }

    fn draw(&self, svg: &mut Svg, places: &[u64], unit: AxisUnit) {
        for tick in self.up.ticks() {
            let y = self.y(tick);
            svg.line((self.left, y), (self.right, y), "grid");
            svg.text(
                (self.left - 6.0, y + 4.0),
                Anchor::End,
                "tick",
                &number::tick(tick),
            );
        }
        let labels: Vec<String> = places.iter().map(|&place| number::place(place, unit)).collect();
        let ends = places
            .iter()
            .zip(&labels)
            .map(|(&place, label)| (self.x(place), text_width(label)));
        let ends: Vec<(f64, f64)> = ends.collect();
        for index in thinned(&ends) {
            let (x, width) = ends[index];
            svg.line((x, self.top), (x, self.bottom), "grid");
            svg.line((x, self.bottom), (x, self.bottom + 4.0), "axis");
            let x = x.min(WIDTH - 2.0 - width / 2.0);
            svg.text((x, self.bottom + 18.0), Anchor::Middle, "tick", &labels[index]);
        }
        svg.line((self.left, self.bottom), (self.right, self.bottom), "axis");
        svg.line((self.left, self.top), (self.left, self.bottom), "axis");
    }
}

/// Colours, dashes and shapes; none are the same until the colours are used up, and then the dashes differ.
fn pens(subjects: &[&str]) -> Vec<Pen> {
    let mut counts = [0; 2];
    let pen = |subject: &&str| {
        let kind = usize::from(!is_ours(subject));
        let number = counts[kind];
        counts[kind] += 1;
        let colour = format!("{}{}", ["o", "p"][kind], number % COLOURS[kind]);
        let round = number / COLOURS[kind];
        let (line, label) = match kind {
            0 if round == 0 => (format!("mine {colour}"), "mine"),
            0 => (format!("mine d{} {colour}", round % 3), "mine"),
            _ => (format!("d{} {colour}", (number + round) % 3), ""),
        };
        Pen {
            colour,
            line,
            label,
            shape: if kind == 0 { number } else { number + 1 },
        }
    };
    subjects.iter().map(pen).collect()
}

/// Below the plot, in as many lines as it takes; where the last one ends.
fn legend(svg: &mut Svg, subjects: &[&str], pens: &[Pen], top: f64) -> f64 {
    const SAMPLE: f64 = 30.0;
    let (mut x, mut y) = (MARGIN, top);
    for (subject, pen) in subjects.iter().zip(pens) {
        let width = SAMPLE + 6.0 + bold_width(subject);
        if x > MARGIN && x + width > WIDTH {
            (x, y) = (MARGIN, y + LINE);
        }
        svg.line((x, y - 4.0), (x + SAMPLE, y - 4.0), &pen.line);
        svg.marker((x + SAMPLE / 2.0, y - 4.0), pen.shape, &pen.colour);
        svg.text((x + SAMPLE + 6.0, y), Anchor::Start, pen.label, subject);
        x += width + 14.0;
    }
    y + 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    fn picture(results: &Results) -> String {
        let measure = &sample::MEASURES[1];
        let (svg, height) = plot(results, measure, measure.axis.unwrap()).unwrap();
        svg.inline(height)
    }

    #[test]
    fn a_curve_has_a_marker_for_each_figure_and_one_in_the_legend() {
        let text = picture(&sample::results());
        assert_eq!(text.matches("class=\"marker ").count(), 4 * (5 + 1), "{text}");
        assert!(text.contains(">256 MiB</text>"), "{text}");
        assert!(
            text.contains(">guest instructions, by segment size; both log scale</text>"),
            "{text}"
        );
    }

    #[test]
    fn throughput_grows_where_cost_does_not() {
        let results = sample::results();
        let measure = &sample::MEASURES[1];
        let axis = Axis {
            title: "record size",
            unit: AxisUnit::BytesMoved,
        };
        let (svg, height) = plot(&results, measure, axis).unwrap();
        let text = svg.inline(height);
        assert!(
            text.contains(">bytes for 1,000 guest instructions, by record size; both log scale</text>"),
            "{text}"
        );
        let figure = |at, least| Figure {
            at: Some(at),
            least,
            ..results.figures[0].clone()
        };
        assert_eq!(throughput(&figure(64, 500.0)), 128.0);
        assert_eq!(throughput(&figure(0, 500.0)), 0.0);
    }

    #[test]
    fn everything_is_inside_the_picture() {
        let mut results = sample::results();
        // None has no logarithm, nor has a cost of nothing.
        results
            .figures
            .iter_mut()
            .filter(|figure| figure.at == Some(4096))
            .for_each(|figure| {
                figure.at = Some(0);
                figure.least = 0.0;
            });
        let text = picture(&results);
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        assert!(text.contains(">0 B</text>"), "{text}");
    }

    #[test]
    fn pens_differ() {
        let names: Vec<String> = (0..16)
            .map(|n| {
                if n < 6 {
                    format!("shmdev {n}")
                } else {
                    format!("peer {n}")
                }
            })
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut seen: Vec<String> = pens(&names)
            .into_iter()
            .map(|pen| format!("{} {}", pen.line, pen.shape % 4))
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), names.len());
    }
}
