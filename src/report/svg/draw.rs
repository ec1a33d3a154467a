//! A figure with its title, or its panels side by side.

use super::super::figure::{Figure, Plot};
use super::element::{self, Svg, Words};
use super::{curves, dots, heat};

/// Around the whole figure.
const MARGIN: f64 = 12.0;
/// Between two panels.
const GAP: f64 = 28.0;
/// A title with the space below it.
const TITLE: f64 = 26.0;

/// The figure as a complete SVG file.
pub fn to_svg(figure: &Figure) -> String {
    let (width, height) = size(figure, false);
    let mut svg = Svg::new(width + 2.0 * MARGIN, height + 2.0 * MARGIN);
    draw(figure, &mut svg, (MARGIN, MARGIN), None);
    let panels = if let Plot::Panels(panels) = &figure.kind { panels.as_slice() } else { &[] };
    let titles = std::iter::once(figure).chain(panels).map(|one| one.title.as_str());
    let titles: Vec<&str> = titles.filter(|title| !title.is_empty()).collect();
    svg.finish(&titles.join("; "))
}

/// Width and height; a panel has a line for its letter even without a title.
fn size(figure: &Figure, panel: bool) -> (f64, f64) {
    let (width, height) = match &figure.kind {
        Plot::Curves(curves) => curves::size(curves),
        Plot::Heat(heat) => heat::size(heat),
        Plot::Dots(dots) => dots::size(dots),
        Plot::Panels(panels) => {
            let sizes = panels.iter().map(|panel| size(panel, true));
            sizes.fold((-GAP, 0.0), |(width, height), (w, h)| (width + w + GAP, f64::max(height, h)))
        }
    };
    let title = if panel || !figure.title.is_empty() { TITLE } else { 0.0 };
    (width.max(element::width(&figure.title, element::TITLE) + TITLE), height + title)
}

fn draw(figure: &Figure, svg: &mut Svg, (x, mut y): (f64, f64), letter: Option<char>) {
    let mut indent = 0.0;
    if let Some(letter) = letter {
        let words = Words { size: element::TITLE, bold: true, ..Words::default() };
        svg.text((x, y + 14.0), &letter.to_string(), &words);
        indent = 20.0;
    }
    if !figure.title.is_empty() {
        let words = Words { size: element::TITLE, bold: letter.is_none(), ..Words::default() };
        svg.text((x + indent, y + 14.0), &figure.title, &words);
    }
    if letter.is_some() || !figure.title.is_empty() {
        y += TITLE;
    }
    match &figure.kind {
        Plot::Curves(curves) => curves::draw(curves, svg, (x, y)),
        Plot::Heat(heat) => heat::draw(heat, svg, (x, y)),
        Plot::Dots(dots) => dots::draw(dots, svg, (x, y)),
        Plot::Panels(panels) => {
            let mut x = x;
            for (panel, letter) in panels.iter().zip(('a'..='z').cycle()) {
                let (width, height) = size(panel, true);
                svg.begin("panel", &[("box", &element::numbers(&[x, y, width, height]))]);
                draw(panel, svg, (x, y), Some(letter));
                svg.end();
                x += width + GAP;
            }
        }
    }
}
