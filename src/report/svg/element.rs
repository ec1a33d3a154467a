//! The SVG elements that the figures consist of.

use std::fmt::Write;

use super::super::markup::escape;
use super::super::wrap::shorten;

/// Size of a title, in pixels.
pub(super) const TITLE: f64 = 14.0;
/// Size of the label of an axis.
pub(super) const LABEL: f64 = 13.0;
/// Size of everything else.
pub(super) const SMALL: f64 = 11.5;
/// Axes and text.
pub(super) const INK: &str = "#222222";
/// Marks and their labels.
pub(super) const GREY: &str = "#6b6b6b";

/// The alignment of a text at its position.
#[derive(Clone, Copy, Default)]
pub(super) enum Anchor {
    #[default]
    Start,
    Middle,
    End,
}

/// The style of a text.
pub(super) struct Words<'a> {
    pub(super) size: f64,
    pub(super) anchor: Anchor,
    pub(super) colour: &'a str,
    pub(super) bold: bool,
    /// Rotated, to be read upwards.
    pub(super) upright: bool,
}

impl Default for Words<'_> {
    fn default() -> Self {
        Self { size: SMALL, anchor: Anchor::Start, colour: INK, bold: false, upright: false }
    }
}

/// The style of a line.
#[derive(Clone, Copy)]
pub(super) struct Pen<'a> {
    pub(super) colour: &'a str,
    pub(super) width: f64,
    pub(super) opacity: f64,
    /// Lengths of dashes and gaps; empty for a solid line.
    pub(super) dashes: &'a str,
}

impl<'a> Pen<'a> {
    pub(super) fn solid(colour: &'a str, width: f64) -> Self {
        Self { colour, width, opacity: 1.0, dashes: "" }
    }
}

/// An SVG file that is being written.
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

// Writing to a String cannot fail, so the results of `write!` carry nothing.
impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width: width.ceil(), height: height.ceil(), body: String::new() }
    }

    /// Begins a part that a page can find by its class, with what it says of itself in attributes `data-NAME`. The class
    /// `data` is what draws data, as opposed to axes, legends and titles.
    pub(super) fn begin(&mut self, class: &str, facts: &[(&str, &str)]) {
        let _ = write!(self.body, r#"<g class="{class}""#);
        for (name, value) in facts {
            let _ = write!(self.body, r#" data-{name}="{}""#, escape(value));
        }
        self.body.push_str(">\n");
    }

    /// Ends that part.
    pub(super) fn end(&mut self) {
        self.body.push_str("</g>\n");
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), pen: Pen) {
        self.path(&[from, to], pen);
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], pen: Pen) {
        let _ = write!(
            self.body,
            r#"<path d="{}" fill="none" stroke="{}" stroke-width="{}" stroke-linejoin="round""#,
            data(points),
            pen.colour,
            number(pen.width)
        );
        if pen.opacity < 1.0 {
            let _ = write!(self.body, r#" stroke-opacity="{}""#, number(pen.opacity));
        }
        if !pen.dashes.is_empty() {
            let _ = write!(self.body, r#" stroke-dasharray="{}""#, pen.dashes);
        }
        self.body.push_str("/>\n");
    }

    pub(super) fn area(&mut self, points: &[(f64, f64)], colour: &str, opacity: f64) {
        let (data, opacity) = (data(points), number(opacity));
        let _ = writeln!(self.body, r#"<path d="{data}Z" fill="{colour}" fill-opacity="{opacity}"/>"#);
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), colour: &str) {
        let _ = writeln!(
            self.body,
            r#"<rect x="{}" y="{}" width="{}" height="{}" fill="{colour}"/>"#,
            number(x),
            number(y),
            number(width),
            number(height)
        );
    }

    /// A rectangle that stands for a value.
    pub(super) fn cell(&mut self, place: (f64, f64), size: (f64, f64), colour: &str, value: &str) {
        self.rect(place, size, colour);
        let open = self.body.trim_end_matches("/>\n").len();
        self.body.truncate(open);
        let _ = writeln!(self.body, r#" data-v="{value}"/>"#);
    }

    pub(super) fn dot(&mut self, (x, y): (f64, f64), radius: f64, colour: &str) {
        let (x, y, radius) = (number(x), number(y), number(radius));
        let _ = writeln!(self.body, r#"<circle cx="{x}" cy="{y}" r="{radius}" fill="{colour}"/>"#);
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), text: &str, words: &Words) {
        let (x, y) = (number(x), number(y));
        let _ = write!(self.body, r#"<text x="{x}" y="{y}" font-size="{}""#, number(words.size));
        match words.anchor {
            Anchor::Start => {}
            Anchor::Middle => self.body.push_str(r#" text-anchor="middle""#),
            Anchor::End => self.body.push_str(r#" text-anchor="end""#),
        }
        if words.colour != INK {
            let _ = write!(self.body, r#" fill="{}""#, words.colour);
        }
        if words.bold {
            self.body.push_str(r#" font-weight="bold""#);
        }
        if words.upright {
            let _ = write!(self.body, r#" transform="rotate(-90 {x} {y})""#);
        }
        let _ = writeln!(self.body, ">{}</text>", escape(text));
    }

    /// The complete file; `title` is read by screen readers.
    pub(super) fn finish(self, title: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif\" fill=\"{INK}\">\n\
             <title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escape(title),
            self.body
        )
    }
}

/// An estimate of the width of a text, on the wide side because fonts differ.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.57
}

/// A text shortened to a width.
pub(super) fn fitted(text: &str, size: f64, room: f64) -> String {
    shorten(text, (room / (size * 0.57)).floor().max(2.0) as usize)
}

/// Positions and sizes, as a page reads them.
pub(super) fn numbers(values: &[f64]) -> String {
    values.iter().map(|value| number(*value)).collect::<Vec<_>>().join(" ")
}

fn data(points: &[(f64, f64)]) -> String {
    let mut data = String::with_capacity(points.len() * 12);
    for (index, (x, y)) in points.iter().enumerate() {
        let _ = write!(data, "{}{} {}", if index == 0 { 'M' } else { 'L' }, number(*x), number(*y));
    }
    data
}

/// A coordinate to a hundredth of a pixel, without trailing zeros.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}
