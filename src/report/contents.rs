//! What a study returns.

use ndarray::ArrayD;

use super::{Figure, Stamp, Table};

/// The result of a study.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// How the result was produced.
    pub stamp: Stamp,
    /// The full result, one row for each measurement.
    pub rows: Table,
    /// Summaries for people, by name; the first is the main one.
    pub views: Vec<(String, Table)>,
    /// Tables too long for a terminal, by name: in JSON, and as CSV in a run folder.
    pub tables: Vec<(String, Table)>,
    /// Figures to draw.
    pub figures: Vec<Figure>,
    /// Arrays too large for a table, by name.
    pub arrays: Vec<(String, ArrayD<f64>)>,
    /// Texts in a form of their own, by the names of their files in a run folder.
    pub files: Vec<(String, String)>,
    /// Notes for the reader, one sentence each.
    pub notes: Vec<String>,
}

impl Report {
    /// The tables for people: the views, or the full result if there is no view.
    pub fn readable(&self) -> Vec<&Table> {
        if self.views.is_empty() {
            vec![&self.rows]
        } else {
            self.views.iter().map(|(_, table)| table).collect()
        }
    }
}
