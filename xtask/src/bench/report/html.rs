// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report as one HTML file.

use std::fmt::Write;

use shmdev_bench_model::Measure;

use super::{escape, particulars, plot, svg};
use crate::bench::{Outcome, results::Results, show};

/// How the page looks, but for its pictures.
const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(outcome: &Outcome) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Benchmarks of shmdev</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n\
         <h1>Benchmarks of shmdev</h1>\n<dl>\n",
        svg::STYLE
    );
    for (name, value) in particulars(outcome) {
        let _ = writeln!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escape(&value));
    }
    page += "</dl>\n";
    if !outcome.goals.0.is_empty() {
        page += "<h2>Goals</h2>\n";
        page += &show::goals(&outcome.goals, &outcome.values).html();
    }
    for results in &outcome.runs {
        let _ = writeln!(
            page,
            "<h2>Figures</h2>\n<p>{}</p>",
            escape(&results.machine.describe())
        );
        page += "<div class=\"cards\">\n";
        for measure in results.measured() {
            card(&mut page, results, measure);
        }
        page += "</div>\n";
    }
    page + "</body>\n</html>\n"
}

fn card(page: &mut String, results: &Results, measure: &Measure) {
    let Measure { id, title, about, .. } = measure;
    let _ = writeln!(
        page,
        "<section>\n<h3>{} <code>{id}</code></h3>\n<p>{}</p>",
        escape(title),
        escape(about)
    );
    if let Some((svg, height)) = plot(results, measure) {
        *page += &svg.inline(height);
        *page += "<details><summary>figures</summary>\n";
        *page += &show::figures(results, measure).html();
        if let Some(note) = show::footnote(results, measure) {
            let _ = writeln!(page, "<p>{}</p>", escape(&note));
        }
        *page += "</details>\n";
    }
    for why in show::skipped(results, measure) {
        let _ = writeln!(page, "<p class=\"skipped\">{}</p>", escape(&why));
    }
    *page += "</section>\n";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sample;

    #[test]
    fn the_page_needs_no_network_and_escapes_what_it_shows() {
        let page = page(&sample::outcome());
        for foreign in ["http:", "https:", "src=", "<link", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(page.contains("touch &lt;every&gt; page"), "{page}");
        assert!(page.contains("attach 4 MiB &amp; touch it"), "{page}");
        assert_eq!(page.matches("<svg").count(), 3);
    }
}
