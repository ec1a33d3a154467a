//! What is shown of leading singular values.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Config;
use super::columns::{Figure, cell};
use crate::linalg::krylov::{KrylovOptions as Options, Leading, SingularValue};
use crate::linalg::rounding::Rounding;
use crate::metric::Spectrum;
use crate::report::{Column, Digits, Report, Table};
use crate::study::input::{HeadWindow, Source};
use crate::sweep::bits::{self, Bits};

/// What was found of one head over one window.
#[derive(Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) at: HeadWindow,
    /// Rows and columns of the matrix.
    pub(super) shape: (usize, usize),
    #[serde(with = "bits")]
    pub(super) leading: Leading,
}

impl Bits for Leading {
    /// Values, bounds, which of them converged, the sum of all squares, rounds.
    type Text = (String, String, Vec<bool>, String, usize);

    fn text(&self) -> Self::Text {
        let numbers = |of: fn(&SingularValue) -> f64| self.values.iter().map(of).collect::<Vec<f64>>().text();
        let converged = self.values.iter().map(|one| one.converged).collect();
        (numbers(|one| one.sigma), numbers(|one| one.bound), converged, self.energy.text(), self.rounds)
    }

    fn read((sigmas, bounds, converged, energy, rounds): &Self::Text) -> Option<Self> {
        let numbers = Vec::<f64>::read(sigmas)?.into_iter().zip(Vec::<f64>::read(bounds)?);
        let value =
            |((sigma, bound), converged): (_, &bool)| SingularValue { sigma, bound, converged: *converged };
        let values = numbers.zip(converged).map(value).collect();
        Some(Self { values, energy: f64::read(energy)?, rounds: *rounds })
    }
}

pub(super) fn report(config: &Config, options: Options, source: &dyn Source, all: &[Found]) -> Report {
    let figures = Figure::all(&config.at);
    // Only what leading values and the sum of all squares can tell; the rest would be columns of nothing.
    let known: Vec<&Figure> = figures
        .iter()
        .filter(|figure| {
            !figure.is_of_rows()
                && all.iter().any(|found| value(figure, &found.leading, found.shape).is_some())
        })
        .collect();
    let mut all_columns = HeadWindow::columns();
    for (name, about) in [
        ("asked", "leading values asked for"),
        ("converged", "leading values that converged; only these are counted"),
        ("rounds", "times that the whole matrix was computed"),
    ] {
        all_columns.push(Column::new(name, "", about, Digits::Integer));
    }
    all_columns.extend(
        known.iter().map(|f| Column::new(f.name(), f.metric.unit, f.metric.about, Digits::Significant(4))),
    );
    let title = format!("Leading singular values of attention: {}", source.name());
    let mut rows = Table::new(title.clone(), all_columns);
    let mut view = HeadWindow::columns();
    for (name, about, digits) in [
        ("index", "place of the value, from 1", Digits::Integer),
        ("sigma", "the value: ||A x|| of a unit vector x", Digits::Significant(7)),
        ("bound", "some singular value lies no further from it than this", Digits::Significant(2)),
        ("converged", "whether the bound is below the tolerance", Digits::Text),
        (
            "cum_energy",
            "share of ||A||_F^2 in the values up to here, if all have converged",
            Digits::Fixed(4),
        ),
    ] {
        view.push(Column::new(name, "", about, digits));
    }
    let mut values = Table::new(format!("{title}: values"), view);
    let mut missing = 0;
    for found in all {
        let keys = found.at.all_cells();
        let Leading { values: sigmas, energy, rounds } = &found.leading;
        let converged = found.leading.converged().len();
        missing += options.top.min(found.shape.0).min(found.shape.1) - converged;
        let mut row = keys.clone();
        row.extend([options.top.into(), converged.into(), (*rounds).into()]);
        row.extend(known.iter().map(|figure| cell(value(figure, &found.leading, found.shape), figure)));
        rows.push(row);
        let mut sum = 0.0;
        for (index, one) in sigmas.iter().enumerate() {
            sum += one.sigma * one.sigma;
            let share = (index < converged).then_some(sum / energy);
            let mut row = keys.clone();
            let state = if one.converged { "yes" } else { "no" };
            row.extend([(index + 1).into(), one.sigma.into(), one.bound.into(), state.into(), share.into()]);
            values.push(row);
        }
    }
    let mut notes = vec![
        "every value with its bound is in --format json (with --out in values.csv and .npy); figures that need the whole \
         spectrum are left out"
            .to_string(),
    ];
    if missing > 0 {
        notes.push(format!(
            "{missing} values did not converge in --rounds {} and count in no figure; take more --rounds or a larger \
             --tolerance",
            options.rounds
        ));
    }
    let views = vec![("summary".into(), for_people(&rows, source))];
    let tables = vec![("values".into(), values)];
    let sigma: Vec<Vec<f64>> =
        all.iter().map(|found| found.leading.values.iter().map(|one| one.sigma).collect()).collect();
    let arrays = vec![("leading_singular_values".into(), padded(&sigma).into_dyn())];
    Report { rows, views, tables, arrays, notes, ..Report::default() }
}

/// One row a head, filled up with NaN where fewer values were found.
fn padded(rows: &[Vec<f64>]) -> Array2<f64> {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    Array2::from_shape_fn((rows.len(), width), |(i, j)| rows[i].get(j).copied().unwrap_or(f64::NAN))
}

/// Leaves out the key columns that this input makes the same in every row.
fn for_people(table: &Table, source: &dyn Source) -> Table {
    let shown = HeadWindow::columns_for_people(source, true);
    let all = HeadWindow::columns();
    let has = |columns: &[Column], name: &str| columns.iter().any(|column| column.name == name);
    let hidden = |name: &&str| has(&all, name) && !has(&shown, name);
    let names = table.columns.iter().map(|column| column.name.as_str());
    table.select(&names.filter(|name| !hidden(name)).collect::<Vec<_>>()).unwrap_or_else(|_| table.clone())
}

fn value(figure: &Figure, leading: &Leading, (n, m): (usize, usize)) -> Option<f64> {
    let sigma = leading.converged();
    let spectrum = Spectrum {
        sigma: &sigma,
        weights: None,
        size: n.min(m),
        longest: n.max(m),
        energy: leading.energy,
        epsilon: f32::EPSILON.into(),
        rounding: Rounding::default(),
    };
    (!sigma.is_empty()).then(|| figure.of(&spectrum, None)).flatten()
}
