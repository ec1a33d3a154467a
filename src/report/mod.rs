//! Results as data, and every way to write them.
//!
//! A study returns a [`Report`]: a full table (one row for each measurement), summaries for people, figures, arrays, notes,
//! and the [`Stamp`] that says how it was produced. Nothing here prints, reads the clock or knows what was measured: a
//! report is written to a text or to any writer.
//!
//! # How to add an output format
//!
//! One new file and two lines: write `report/NAME.rs` with
//! `pub(super) fn write(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()>`, then add
//! `mod NAME;` and one line to [`Format::ALL`] in `report/format.rs`. The command line, its help,
//! `luna list` and the tests read that list.

mod axis;
mod cell;
mod contents;
mod csv;
mod dots;
mod figure;
pub mod folder;
mod format;
mod heat;
mod json;
mod latex;
mod markdown;
mod markup;
pub mod page;
mod palette;
#[cfg(feature = "parquet")]
mod parquet;
mod printable;
mod read;
#[cfg(test)]
mod sample;
mod scale;
mod stamp;
mod style;
mod svg;
mod table;
mod terminal;
mod text;
mod wrap;

pub use cell::{Cell, Digits};
pub use contents::Report;
pub use figure::{Curves, Dot, Dots, Figure, Heat, Mark, Plot, Series};
pub use format::Format;
pub use heat::heat_map;
pub use printable::printable;
pub use stamp::Stamp;
pub use style::Style;
pub use svg::{is_figure, panels_of, to_svg};
pub use table::{Column, Table};
pub use terminal::to_terminal;
pub use wrap::{shorten, wrap};
