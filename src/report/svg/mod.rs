//! Figures as SVG, for a page: white background, safe for colour-blind readers, no label over a curve.
//!
//! Why own code (about 900 lines with tests) and not a library: kuva 0.6 was tried. Its legend shrinks the plot by half or
//! covers it, labels of logarithmic ticks overlap, reference lines are labelled on top of the curves, the ticks of heat maps
//! count cells in halves, and no option changes any of the four. Here legends are below the axis, marks are labelled outside
//! the frame, and a figure always gives the same bytes, so that tests can compare figures.

mod curves;
mod dots;
mod draw;
mod element;
mod heat;
mod panels;
#[cfg(test)]
mod tests;

pub use draw::to_svg;
pub use panels::{is_figure, panels_of};
