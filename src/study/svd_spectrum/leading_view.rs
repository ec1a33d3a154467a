//! What is shown of leading singular values.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::asked::Asked;
use super::columns::{Figure, cell};
use super::sparsity::{self, Shape};
use crate::linalg::krylov::{KrylovOptions as Options, Leading, SingularValue};
use crate::linalg::rounding::Rounding;
use crate::metric::{RowProfile, Spectrum};
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Column, Report, Table};
use crate::stats;
use crate::study::columns::described;
use crate::study::input::{HeadWindow, lengths};
use crate::sweep::bits::{self, Bits};

/// What was found of one head over one window.
#[derive(Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) at: HeadWindow,
    /// Rows and columns of the matrix.
    pub(super) shape: (usize, usize),
    #[serde(with = "bits")]
    pub(super) leading: Leading,
    /// Those of [`Figure::all`].
    #[serde(with = "bits")]
    pub(super) values: Vec<Option<f64>>,
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

pub(super) fn report(asked: Asked<'_>, options: Options, all: &[Found]) -> Report {
    let Asked { source, figures, .. } = asked;
    // Only what leading values, the sum of all squares and the rows can tell; the rest would be columns of nothing.
    let known: Vec<(usize, &Figure)> = figures
        .iter()
        .enumerate()
        .filter(|(at, _)| all.iter().any(|found| found.values[*at].is_some()))
        .collect();
    let mut all_columns = HeadWindow::columns();
    all_columns.extend(described(&[
        ("asked", "", "leading values asked for", Integer),
        ("converged", "", "leading values that converged; only these are counted", Integer),
        ("rounds", "", "times that the whole matrix was computed", Integer),
    ]));
    let figure = |(_, figure): &(usize, &Figure)| {
        Column::new(figure.name(), figure.metric.unit, figure.metric.about, Significant(4))
    };
    all_columns.extend(known.iter().map(figure));
    let title = format!("Leading singular values of attention: {}", source.name());
    let mut rows = Table::new(title.clone(), all_columns);
    let mut view = HeadWindow::columns();
    view.extend(described(&[
        ("index", "", "place of the value, from 1", Integer),
        ("sigma", "", "the value: ||A x|| of a unit vector x", Significant(7)),
        ("bound", "", "some singular value lies no further from it than this", Significant(2)),
        ("converged", "", "whether the bound is below the tolerance", Text),
        ("cum_energy", "", "share of ||A||_F^2 in the values up to here, if all have converged", Fixed(4)),
    ]));
    let mut values = Table::new(format!("{title}: values"), view);
    let mut missing = 0;
    for found in all {
        let keys = found.at.all_cells();
        let Leading { values: sigmas, energy, rounds } = &found.leading;
        let converged = found.leading.converged().len();
        missing += options.top.min(found.shape.0).min(found.shape.1) - converged;
        let mut row = keys.clone();
        row.extend([options.top.into(), converged.into(), (*rounds).into()]);
        row.extend(known.iter().map(|(at, figure)| cell(found.values[*at], figure)));
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
    let heads: Vec<&[Found]> = all.chunk_by(|a, b| a.at.is_same_head(&b.at)).collect();
    notes.extend(sparsity::notes(&shapes(&heads, figures), "stable_rank"));
    let views = vec![("summary".into(), summary(asked, options, &heads))];
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

/// One row a head, means over its windows.
fn summary(asked: Asked<'_>, options: Options, heads: &[&[Found]]) -> Table {
    let Asked { config, source, figures, .. } = asked;
    let keys = HeadWindow::columns_for_people(source, false);
    let k = config.shown_of(source.lengths().last().copied().unwrap_or(0), options.top);
    let energy = format!("cum_energy_at_{k}");
    let shown = ["sigma_max", &energy, "stable_rank", "keys90", "sink_mass", "distance"];
    let shown: Vec<(usize, &Figure)> = shown.iter().filter_map(|name| Figure::find(figures, name)).collect();
    let mut all = keys.clone();
    let about = "leading values that converged, the fewest of any window, of those asked for";
    all.push(Column::new("converged", "", about, Text));
    let is_uneven = heads.iter().any(|head| head.len() != heads[0].len());
    if is_uneven {
        all.push(Column::new("windows", "", "windows that were measured of this head", Integer));
    }
    all.extend(shown.iter().map(|(_, figure)| figure.short()));
    let title = format!("Leading singular values of attention: {}, n = {}", source.name(), lengths(source));
    let mut table = Table::new(title, all);
    for head in heads {
        let Some(first) = head.first() else { continue };
        let mut row = first.at.cells(&keys);
        let converged = head.iter().map(|found| found.leading.converged().len()).min().unwrap_or(0);
        row.push(format!("{converged} of {}", options.top).into());
        if is_uneven {
            row.push(head.len().into());
        }
        row.extend(shown.iter().map(|(at, _)| mean(head, *at).into()));
        table.push(row);
    }
    table
}

/// The mean of a figure over windows, where all windows have it.
fn mean(head: &[Found], at: usize) -> Option<f64> {
    head.iter().map(|found| found.values[at]).collect::<Option<Vec<f64>>>().map(|all| stats::mean(&all))
}

fn shapes(heads: &[&[Found]], figures: &[Figure]) -> Vec<Shape> {
    let shape = |head: &&[Found]| {
        let value = |name| mean(head, Figure::find(figures, name)?.0);
        let (rank, keys90) = (value("stable_rank"), value("keys90"));
        Some(Shape { n: head.first()?.at.n, rank, keys90, sink_mass: value("sink_mass") })
    };
    heads.iter().filter_map(shape).collect()
}

/// The figures that leading values and rows tell.
pub(super) fn values(
    figures: &[Figure],
    leading: &Leading,
    (n, m): (usize, usize),
    rows: &RowProfile,
) -> Vec<Option<f64>> {
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
    let is_known = |figure: &&Figure| figure.is_of_rows() || !sigma.is_empty();
    let value = |figure| Some(figure).filter(is_known).and_then(|figure| figure.of(&spectrum, Some(rows)));
    figures.iter().map(value).collect()
}
