//! The figures of one spectrum, in the order of the columns, and the columns of the result.

use serde::{Deserialize, Serialize};

use super::null::NullSpec;
use crate::metric::{self, Metric, Of, RowProfile, Spectrum};
use crate::report::{Cell, Column, Digits};
use crate::study::columns::with_ends;
use crate::sweep::bits;

/// A metric, and its index where it has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) metric: &'static Metric,
    pub(super) at: Option<usize>,
}

impl Figure {
    /// Every figure for these indices, in the order of [`metric::ALL`].
    pub(super) fn all(at: &[usize]) -> Vec<Self> {
        let mut at = at.to_vec();
        at.sort_unstable();
        metric::ALL
            .iter()
            .flat_map(|metric| match metric.of {
                Of::SpectrumAt(_) | Of::RowsAt(_) => {
                    at.iter().map(|k| Self { metric, at: Some(*k) }).collect()
                }
                Of::Spectrum(_) | Of::Rows(_) => vec![Self { metric, at: None }],
                Of::Pair(_) | Of::Output(_) => Vec::new(),
            })
            .collect()
    }

    /// The indices of those that have one.
    pub(super) fn indices(figures: &[Self]) -> Vec<usize> {
        figures.iter().filter_map(|figure| figure.at).collect()
    }

    /// Where the effective rank, on which verdicts rest, stands among the figures.
    pub(super) fn effective_rank(figures: &[Self]) -> usize {
        figures.iter().position(|figure| figure.metric.name == "effective_rank").unwrap_or(0)
    }

    /// The figure whose column has this name, and its place.
    pub(super) fn find<'a>(figures: &'a [Self], name: &str) -> Option<(usize, &'a Self)> {
        figures.iter().enumerate().find(|(_, figure)| figure.name() == name)
    }

    /// Its column in tables that people read.
    pub(super) fn short(&self) -> Column {
        let name = if self.metric.name == "effective_rank" { "erank".into() } else { self.name() };
        Column::new(name, "", self.metric.about, self.digits())
    }

    /// The name of its column.
    pub(super) fn name(&self) -> String {
        match self.at {
            Some(k) => format!("{}_{k}", self.metric.name),
            None => self.metric.name.to_string(),
        }
    }

    /// Its value; none where it does not exist for this spectrum, and for figures of rows without rows.
    pub(super) fn of(&self, spectrum: &Spectrum<'_>, rows: Option<&RowProfile>) -> Option<f64> {
        match (self.metric.of, self.at) {
            (Of::Spectrum(value), _) => value(spectrum),
            (Of::SpectrumAt(value), Some(k)) if k < spectrum.size => value(spectrum, k),
            (Of::Rows(_) | Of::RowsAt(_), _) => rows.and_then(|rows| self.of_rows(rows)),
            // An index beyond the spectrum; and what is not among these figures.
            (Of::SpectrumAt(_) | Of::Pair(_) | Of::Output(_), _) => None,
        }
    }

    /// Its value of rows; none of figures of spectra.
    pub(super) fn of_rows(&self, rows: &RowProfile) -> Option<f64> {
        match (self.metric.of, self.at) {
            (Of::Rows(value), _) => value(rows),
            (Of::RowsAt(value), Some(k)) => value(rows, k),
            _ => None,
        }
    }

    /// Whether it reads rows, which a centred matrix has none of that would mean anything.
    pub(super) fn is_of_rows(&self) -> bool {
        matches!(self.metric.of, Of::Rows(_) | Of::RowsAt(_))
    }

    fn column(&self, prefix: &str, of: &str) -> Column {
        let about = format!("{}{of}", self.metric.about);
        Column::new(format!("{prefix}{}", self.name()), self.metric.unit, about, self.digits())
    }

    /// How a table shows it.
    pub(super) fn digits(&self) -> Digits {
        match (self.metric.integer, self.metric.unit) {
            (true, _) => Digits::Fixed(0),
            (_, "values" | "keys" | "tokens") => Digits::Fixed(1),
            _ => Digits::Fixed(3),
        }
    }
}

/// Figures of one matrix, plain and centred, aligned with [`Figure::all`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Values {
    #[serde(with = "bits")]
    pub(super) plain: Vec<Option<f64>>,
    #[serde(with = "bits")]
    pub(super) centred: Vec<Option<f64>>,
}

impl Values {
    /// The cells of both, in the order of [`figure_columns`].
    pub(super) fn cells(&self, figures: &[Figure]) -> impl Iterator<Item = Option<f64>> {
        let centred = figures.iter().zip(&self.centred).filter(|(figure, _)| !figure.is_of_rows());
        let centred: Vec<Option<f64>> = centred.map(|(_, value)| *value).collect();
        self.plain.clone().into_iter().chain(centred)
    }
}

/// The columns of [`Values::cells`] under a prefix.
fn figure_columns(figures: &[Figure], prefix: &str, of: &str) -> Vec<Column> {
    let plain = figures.iter().map(|figure| figure.column(prefix, of));
    let centred = figures.iter().filter(|figure| !figure.is_of_rows());
    let of = format!(", of the matrix less its mean row{of}");
    plain.chain(centred.map(|figure| figure.column(&format!("{prefix}centred_"), &of))).collect()
}

/// The columns of everything that is measured of a head: itself, with the ends of its intervals where its figures are
/// estimated, and each null model.
pub(super) fn measured(figures: &[Figure], nulls: &[NullSpec], estimated: bool) -> Vec<Column> {
    let mut columns = figure_columns(figures, "", "");
    if estimated {
        let ends = |(figure, column): (&Figure, Column)| {
            if figure.is_of_rows() { vec![column] } else { with_ends(column).into() }
        };
        columns = both(figures).zip(columns).flat_map(ends).collect();
    }
    for null in nulls {
        let name = null.model.name;
        columns.extend(figure_columns(
            figures,
            &format!("null_{name}_"),
            &format!(", mean of the {name} null draws"),
        ));
    }
    columns
}

/// The figures in the order of their columns: plain, then centred.
pub(super) fn both(figures: &[Figure]) -> impl Iterator<Item = &Figure> {
    figures.iter().chain(figures.iter().filter(|figure| !figure.is_of_rows()))
}

/// A cell of a figure.
pub(super) fn cell(value: Option<f64>, figure: &Figure) -> Cell {
    match value {
        Some(value) if figure.metric.integer && value.fract() == 0.0 => Cell::Int(value as i64),
        Some(value) => Cell::Float(value),
        None => Cell::Missing,
    }
}
