//! Results as data, and every way to write them.
//!
//! A study returns a [`Report`]: a full table (one row a measurement), the views that people read,
//! figures, arrays, notes, and the [`Stamp`] that says how it came about. Nothing here prints, reads
//! the clock or knows what was measured: a report is rendered to text, or to whatever can be written to.
//!
//! # How to add an output format
//!
//! One new file and two lines: write `report/NAME.rs` with
//! `pub(super) fn write(report: &Report, style: Style, out: &mut dyn Write) -> io::Result<()>`, then add
//! `mod NAME;` and one line to [`Format::ALL`] in `report/format.rs`. The command line, its help,
//! `luna list` and the tests read that list.

mod cell;
mod csv;
mod dots;
mod figure;
pub mod folder;
mod format;
mod heat;
mod json;
mod markdown;
mod palette;
mod printable;
mod read;
mod scale;
mod stamp;
mod svg;
mod table;
mod terminal;
mod text;
mod wrap;

pub use cell::{Cell, Digits};
pub use figure::{Curves, Dot, Dots, Figure, Heat, Kind, Mark, Series};
pub use format::{Format, Style};
pub use heat::heat_map;
pub use printable::printable;
pub use stamp::Stamp;
pub use svg::to_svg;
pub use table::{Column, Table};
pub use terminal::to_terminal;
pub use wrap::wrap;

use ndarray::ArrayD;

/// Everything that a study found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How the result came about.
    pub stamp: Stamp,
    /// The full result, one row a measurement.
    pub rows: Table,
    /// What people read (a summary and others), by name; the first is the main one.
    pub views: Vec<(String, Table)>,
    /// Tables that are too long for people, by name: in JSON, and as CSV in a run folder.
    pub tables: Vec<(String, Table)>,
    /// Figures to draw.
    pub figures: Vec<Figure>,
    /// Arrays too large for a table, by name.
    pub arrays: Vec<(String, ArrayD<f64>)>,
    /// What a reader must know beside the numbers, one sentence each.
    pub notes: Vec<String>,
}

impl Report {
    /// The tables for a person's eyes: the views, or the full result where there is no view.
    pub fn readable(&self) -> Vec<&Table> {
        if self.views.is_empty() {
            vec![&self.rows]
        } else {
            self.views.iter().map(|(_, table)| table).collect()
        }
    }
}

#[cfg(test)]
mod sample {
    use super::*;

    /// A small report with everything that a format has to get right.
    pub(super) fn report() -> Report {
        let mut rows = Table::new(
            "spectra",
            vec![
                Column::new("head", "", "layer.head", Digits::Text),
                Column::new("rank90_energy", "values", "share of sigma squared", Digits::Integer),
                Column::new("effective_rank", "", "exp of the entropy", Digits::Significant(3)),
                Column::new("lower_than_null", "", "below the null model", Digits::Text),
            ],
        );
        rows.push(vec!["0.0".into(), 12.into(), 34.567.into(), true.into()]);
        rows.push(vec!["0.1, \"q|k\"".into(), Cell::Missing, f64::NAN.into(), false.into()]);
        rows.push(vec!["λ".into(), 3.into(), (1.0 / 3.0).into(), Cell::Missing]);
        let mut stamp = Stamp::default();
        stamp.push("version", "0.1.0");
        stamp.push("seed", 7);
        let summary = rows.select(&["head", "effective_rank"]).unwrap();
        Report {
            stamp,
            rows,
            views: vec![("summary".into(), summary)],
            notes: vec!["one head of three is lower than its null model".into()],
            ..Report::default()
        }
    }
}
