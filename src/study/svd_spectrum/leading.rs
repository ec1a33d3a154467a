//! The leading singular values of heads whose matrices are too large to keep.

use ndarray::Array2;

use super::Config;
use super::columns::{self, Figure, cell};
use crate::attention::softmax::Unmaterialised;
use crate::error::{Error, Result};
use crate::linalg::krylov::{self, Leading, Operator, Options};
use crate::linalg::rounding::Rounding;
use crate::metric::Spectrum;
use crate::profile::ram;
use crate::report::{Column, Digits, Report, Table};
use crate::rng::stream;
use crate::study::input::{Body, Head, Source};
use crate::study::{Context, Outcome};
use crate::task::dump::Matrix;

/// Rounds that a head takes as a rule, for the estimate of the time left.
const ROUNDS: usize = 20;

/// What was found of one head.
struct Found {
    label: String,
    layer: usize,
    head: usize,
    window: usize,
    shape: (usize, usize),
    leading: Leading,
}

pub(super) fn run(config: &Config, source: &dyn Source, context: Context<'_>) -> Result<Outcome> {
    let options = config.leading();
    for n in source.lengths() {
        check_memory(*n, options)?;
    }
    let total = source.lengths().len() * source.windows() * source.heads() * ROUNDS;
    context.watch.begin(total, "rounds");
    let mut all = Vec::new();
    let mut complete = true;
    'lengths: for n in source.lengths() {
        for window in 0..source.windows() {
            let visit = source.visit(*n, window, false, &mut |head| {
                let found = find(&head, options, context)?;
                // A head that needed fewer rounds than expected is as done as one that needed more.
                context.watch.step(ROUNDS.saturating_sub(found.leading.rounds), &head.label);
                all.push(found);
                Ok(())
            });
            match visit {
                Ok(()) => {}
                Err(Error::Interrupted) if !all.is_empty() => {
                    complete = false;
                    break 'lengths;
                }
                Err(error) => return Err(error),
            }
        }
    }
    let mut report = report(config, options, source, &all);
    if !complete {
        report.notes.insert(
            0,
            format!("interrupted: {} of {} heads and windows are here", all.len(), total / ROUNDS),
        );
    }
    Ok(Outcome { report, complete })
}

fn find(head: &Head, options: Options, context: Context<'_>) -> Result<Found> {
    let owned;
    let lazy;
    let operator: &dyn Operator = match (&head.own, &head.body) {
        (Some(own), _) => own,
        (None, Body::Projected { q, k, scale, .. }) => {
            lazy = Unmaterialised { q: q.view(), k: k.view(), scale: *scale as f32, mask: head.mask };
            &lazy
        }
        (None, Body::Logits(_) | Body::Given(_)) => {
            owned = match head.matrix().into_owned() {
                Matrix::F32(a) => a,
                Matrix::F64(a) => a.mapv(|x| x as f32),
            };
            &owned
        }
    };
    let label = format!("krylov {} n {} window {}", head.label, head.shape.0, head.window);
    let mut on_round = |round: krylov::Round| {
        let message = format!("{}: {} of {} values converged", head.label, round.converged, options.top);
        context.watch.step(usize::from(round.rounds < ROUNDS), &message);
        context.watch.check()
    };
    let leading = krylov::leading(operator, options, &mut stream(context.seed, &label), &mut on_round)?;
    let Head { label, layer, head, window, shape, .. } = head;
    Ok(Found { label: label.clone(), layer: *layer, head: *head, window: *window, shape: *shape, leading })
}

fn check_memory(n: usize, options: Options) -> Result<()> {
    let needed = options.bytes((n, n), rayon::current_num_threads()) as u64;
    let what = format!("--method lanczos --top {} at n = {n}", options.top);
    ram::require(what, needed, "fewer --top values or --threads need less")
}

fn report(config: &Config, options: Options, source: &dyn Source, all: &[Found]) -> Report {
    let figures = Figure::all(&config.at);
    // Only what leading values and the sum of all squares can tell; the rest would be columns of nothing.
    let known: Vec<&Figure> = figures
        .iter()
        .filter(|figure| {
            !figure.is_of_rows()
                && all.iter().any(|found| value(figure, &found.leading, found.shape).is_some())
        })
        .collect();
    let mut all_columns = columns::keys();
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
    let mut view = columns::keys();
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
        let keys = vec![
            found.label.as_str().into(),
            found.layer.into(),
            found.head.into(),
            found.window.into(),
            found.shape.0.into(),
        ];
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
        "values: every value with its bound stands in --format json, and with --out in values.csv and .npy".to_string(),
        "sigma is right to within its bound (f32 arithmetic included, by estimate); ||A||_F^2 is from every entry, so \
         cum_energy is exact; figures that need the whole spectrum are left out"
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

/// Leaves out the columns that this input makes the same in every row.
fn for_people(table: &Table, source: &dyn Source) -> Table {
    let hidden = |name: &str| match name {
        "input" => source.is_layered(),
        "layer" | "head" => !source.is_layered(),
        "window" => source.windows() == 1,
        "n" => source.lengths().len() == 1,
        _ => false,
    };
    let kept: Vec<&str> =
        table.columns.iter().map(|column| column.name.as_str()).filter(|name| !hidden(name)).collect();
    table.select(&kept).unwrap_or_else(|_| table.clone())
}

fn value(figure: &Figure, leading: &Leading, (n, m): (usize, usize)) -> Option<f64> {
    let sigma = leading.converged();
    let spectrum = Spectrum {
        sigma: &sigma,
        size: n.min(m),
        longest: n.max(m),
        energy: leading.energy,
        epsilon: f32::EPSILON.into(),
        rounding: Rounding::default(),
    };
    (!sigma.is_empty()).then(|| figure.of(&spectrum, None)).flatten()
}
