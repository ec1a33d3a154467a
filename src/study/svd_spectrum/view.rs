//! What is shown of the heads that were measured: rows, tables, notes, the figure and the spectra themselves.

use ndarray::Array2;

use super::asked::Asked;
use super::measured::{Heads, Measured};
use super::subject::Subject;
use super::{aggregated, curves, growth, growth_figure, notes, rounding, rows, sparsity, summary};
use crate::linalg::engine::Engine;
use crate::linalg::spectra::Spectra;
use crate::report::Report;
use crate::study::Aggregate;

/// The report on measurements that are sorted by head and window.
pub(super) fn report(asked: Asked<'_>, measured: &[Measured], engine: Engine) -> Report {
    let Asked { config, source, figures, nulls } = asked;
    let heads = Heads::of(measured);
    let rows = match config.aggregate {
        Aggregate::Yes => aggregated::table(asked, &heads),
        Aggregate::Auto | Aggregate::No => rows::table(asked, measured),
    };
    let mut report = Report { rows, ..Report::default() };
    let mut growth_notes = Vec::new();
    if config.aggregate != Aggregate::No {
        report.views.push(("summary".into(), summary::table(asked, &heads)));
        if config.of == Subject::Attention {
            report.views.push(("sparsity".into(), sparsity::table(&heads, source, figures)));
        }
        report.views.push(("overall".into(), summary::overall(asked, measured)));
        if source.lengths().len() > 1 {
            let table = growth::table(&heads, source, figures);
            growth_notes = growth::notes(&table, source.lengths().len());
            report.views.push(("growth".into(), table));
        }
    }
    report.notes = notes::all(asked, &heads, engine);
    report.notes.extend(growth_notes);
    if config.of == Subject::Attention {
        report.notes.extend(sparsity::notes(&sparsity::shapes(&heads, figures), "effective_rank"));
    }
    report.notes.extend(rounding::notes(measured));
    report.figures = curves::figures(asked, &heads);
    report.figures.extend(growth_figure::figure(asked, &heads));
    for n in source.lengths() {
        let of = |side: fn(&Spectra) -> &Vec<f64>| {
            let same = measured.iter().filter(|one| one.at.n == *n);
            stack(&same.map(|one| side(&one.spectra).as_slice()).collect::<Vec<_>>()).into_dyn()
        };
        report.arrays.push((format!("singular_values_n{n}"), of(|spectra| &spectra.plain)));
        report.arrays.push((format!("centred_singular_values_n{n}"), of(|spectra| &spectra.centred)));
        for (null, spec) in nulls.iter().enumerate() {
            let same = measured.iter().filter(|one| one.at.n == *n);
            let shares = same.filter_map(|one| Some(one.nulls.get(null)?.cumulative.as_slice()));
            let name = format!("null_{}_cumulative_n{n}", spec.model.name);
            report.arrays.push((name, stack(&shares.collect::<Vec<_>>()).into_dyn()));
        }
    }
    report
}

/// One row a head and window; of a rectangular dump all have one length.
fn stack(spectra: &[&[f64]]) -> Array2<f64> {
    let size = spectra.iter().map(|spectrum| spectrum.len()).max().unwrap_or(0);
    let value = |(i, j): (usize, usize)| spectra[i].get(j).copied().unwrap_or(0.0);
    Array2::from_shape_fn((spectra.len(), size), value)
}
