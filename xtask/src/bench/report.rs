// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report: a directory with a page that needs nothing else and no network, and the same in Markdown with its pictures
//! beside it.

mod bars;
mod curves;
mod html;
mod markdown;
mod scale;
mod svg;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use shmdev_bench_model::Measure;

pub use svg::escape;

use super::{Outcome, results::Results};
use svg::Svg;

/// Writes it. The directory is there.
pub fn write(dir: &Path, outcome: &Outcome) -> Result<()> {
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("report.html", html::page(outcome))?;
    write("report.md", markdown::page(outcome))?;
    for results in &outcome.runs {
        for measure in results.measured() {
            if let Some((svg, height)) = plot(results, measure) {
                write(&file_name(results, measure), svg.document(height))?;
            }
        }
    }
    Ok(())
}

/// A picture of a measure, and its height.
fn plot(results: &Results, measure: &Measure) -> Option<(Svg, f64)> {
    match measure.axis {
        None => bars::plot(results, measure),
        Some(axis) => curves::plot(results, measure, axis),
    }
}

/// Of a measure's picture.
fn file_name(results: &Results, measure: &Measure) -> String {
    match results.machine.icount {
        true => format!("{}.svg", measure.id),
        false => format!("{}-{}cpu.svg", measure.id, results.machine.cpus),
    }
}

/// What the figures are of: rows of a name and what it is.
fn particulars(outcome: &Outcome) -> Vec<(&'static str, String)> {
    let mut rows = vec![("commit", outcome.commit.clone())];
    if let Some(Results { machine, guest, .. }) = outcome.runs.first() {
        rows.push(("kernel", guest.release.clone()));
        rows.push(("programs", guest.made_by()));
        rows.push(("QEMU", format!("{}, {}", machine.qemu, machine.accel)));
        rows.push(("host", machine.host_cpu.clone()));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn the_pictures_that_the_page_shows_are_there() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &sample::outcome()).unwrap();
        let page = fs::read_to_string(dir.path().join("report.md")).unwrap();
        let shown: Vec<&str> = page
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
            .collect();
        assert_eq!(shown, ["attach.svg", "map_size.svg", "alone.svg"]);
        for picture in shown {
            assert!(dir.path().join(picture).exists(), "{picture}");
        }
    }
}
