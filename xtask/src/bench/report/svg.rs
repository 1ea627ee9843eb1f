// SPDX-License-Identifier: MIT OR Apache-2.0
//! The little of SVG that plots need. Colours are classes, so that a page's dark mode changes them.

use std::fmt::Write;

/// Width of all plots: narrow, so that their text is readable on a phone.
pub const WIDTH: f64 = 480.0;

/// Colours and fonts. Ours are blue and its neighbours, peers the other half of the circle and grey.
pub const STYLE: &str = include_str!("plot.css");

/// A picture in the making.
#[derive(Debug)]
pub struct Svg {
    title: String,
    body: String,
}

/// Where a text is tied to its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// Its left end.
    Start,
    /// Its middle.
    Middle,
    /// Its right end.
    End,
}

/// The width of a text of the plots' size, about: nobody measures fonts here. Rather too much than too little.
pub fn text_width(text: &str) -> f64 {
    7.2 * text.chars().count() as f64
}

/// The same, of a text that may be bold.
pub fn bold_width(text: &str) -> f64 {
    1.2 * text_width(text)
}

impl Svg {
    /// Empty.
    pub fn new(title: &str) -> Self {
        Svg {
            title: title.to_owned(),
            body: String::new(),
        }
    }

    /// A text; `y` is its base line.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.element(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" class="{class}">{}</text>"#,
            escape(text)
        ));
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.path(&[from, to], class);
    }

    /// A filled rectangle.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        self.element(&format!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="1.5" class="{class}"/>"#
        ));
    }

    /// Straight lines from point to point.
    pub fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        self.element(&format!(r#"<path d="{path}" class="{class}"/>"#));
    }

    /// One of several shapes around a point.
    pub fn marker(&mut self, (x, y): (f64, f64), shape: usize, class: &str) {
        let path = match shape % 4 {
            0 => format!("M{:.1} {y:.1}a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0z", x - 3.2),
            1 => format!("M{:.1} {:.1}h5.8v5.8h-5.8z", x - 2.9, y - 2.9),
            2 => format!("M{x:.1} {:.1}l3.8 6.6h-7.6z", y - 4.2),
            _ => format!("M{x:.1} {:.1}l4.2 4.2l-4.2 4.2l-4.2 -4.2z", y - 4.2),
        };
        self.element(&format!(r#"<path d="{path}" class="marker {class}"/>"#));
    }

    fn element(&mut self, element: &str) {
        self.body.push_str(element);
        self.body.push('\n');
    }

    /// The picture, for a page that has [`STYLE`].
    pub fn inline(self, height: f64) -> String {
        self.finish(height, "", "")
    }

    /// The picture as a file of its own.
    pub fn document(self, height: f64) -> String {
        let style = format!("<style>\n{STYLE}</style>\n");
        let paper = format!(r#"<rect width="{WIDTH}" height="{height:.0}" class="paper"/>"#);
        let namespace = r#" xmlns="http://www.w3.org/2000/svg""#;
        self.finish(height, namespace, &format!("{style}{paper}\n"))
    }

    fn finish(self, height: f64, namespace: &str, prelude: &str) -> String {
        let title = escape(&self.title);
        format!(
            "<svg{namespace} class=\"plot\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\">\n\
             <title>{title}</title>\n{prelude}{}</svg>\n",
            self.body
        )
    }
}

/// Text as HTML and SVG take it, in attributes too.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
        let mut svg = Svg::new("<t>");
        svg.text((1.0, 2.0), Anchor::End, "x", "<script>");
        let text = svg.inline(10.0);
        assert!(text.contains("<title>&lt;t&gt;</title>"), "{text}");
        assert!(text.contains(">&lt;script&gt;</text>"), "{text}");
    }

    #[test]
    fn a_file_of_its_own_brings_its_style() {
        assert!(!Svg::new("t").inline(10.0).contains("<style>"));
        let document = Svg::new("t").document(10.0);
        assert!(
            document.contains("xmlns=") && document.contains("<style>"),
            "{document}"
        );
    }
}
