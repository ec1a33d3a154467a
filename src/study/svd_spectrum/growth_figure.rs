//! The figure of growth: ranks over the length, beside those of the null models.

use super::asked::Asked;
use super::measured::{Heads, Measured};
use super::null::NullSpec;
use crate::report::{self, Curves, Plot, Series};
use crate::stats;
use crate::study::input::HeadPlace;

/// The figures that are drawn.
const DRAWN: [(&str, &str); 2] =
    [("effective_rank", "effective rank"), ("rank90_energy", "values that hold 90 % of the sum of σ²")];

/// Each head over the length, means over heads and the means of the null models; none of a single length.
pub(super) fn figure(asked: Asked<'_>, heads: &Heads<'_>) -> Option<report::Figure> {
    let Asked { source, figures, nulls, .. } = asked;
    let mut panels = Vec::new();
    for (name, about) in DRAWN {
        let index = figures.iter().position(|figure| figure.metric.name == name)?;
        let series = series(heads, nulls, index);
        let curves = Curves {
            x_label: "n".into(),
            y_label: about.into(),
            log_x: true,
            log_y: true,
            series,
            marks: Vec::new(),
        };
        let title = if panels.is_empty() { source.name().to_string() } else { "the same heads".into() };
        panels.push(report::Figure { name: name.into(), title, kind: Plot::Curves(curves) });
    }
    let title = String::new();
    (source.lengths().len() > 1).then(|| report::Figure {
        name: "growth".into(),
        title,
        kind: Plot::Panels(panels),
    })
}

fn series(heads: &Heads<'_>, nulls: &[NullSpec], index: usize) -> Vec<Series> {
    let own = |one: &Measured| one.values.plain[index];
    let mut places: Vec<&HeadPlace> = Vec::new();
    for head in &heads.0 {
        places.extend(head.first().map(|one| &one.at.place).filter(|place| !places.contains(place)));
    }
    let mut all: Vec<Series> = places
        .iter()
        .enumerate()
        .map(|(number, place)| {
            let label = if number == 0 { "each head" } else { "" };
            Series {
                label: label.into(),
                name: place.label.clone(),
                faint: true,
                ..means(heads, |one| own(one).filter(|_| one.at.place == **place))
            }
        })
        .collect();
    let label = format!("mean of {} heads (geometric)", places.len());
    all.push(Series { label, dots: true, ..means(heads, own) });
    for (null, spec) in nulls.iter().enumerate() {
        let of_null = means(heads, |one| one.nulls.get(null).and_then(|null| null.values.plain[index]));
        all.push(Series { label: format!("{} null", spec.model.name), dashed: true, dots: true, ..of_null });
    }
    all
}

/// Geometric means over the measurements of each length.
fn means(heads: &Heads<'_>, value: impl Fn(&Measured) -> Option<f64>) -> Series {
    let mut lengths: Vec<usize> = heads.0.iter().flatten().map(|one| one.at.n).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let at = |n: usize| {
        let same = heads.0.iter().flatten().filter(|one| one.at.n == n);
        let logarithms: Vec<f64> =
            same.filter_map(|one| value(one)).filter(|value| *value > 0.0).map(f64::ln).collect();
        (!logarithms.is_empty()).then(|| (n as f64, stats::mean(&logarithms).exp()))
    };
    let (x, y) = lengths.into_iter().filter_map(at).unzip();
    Series { x, y, ..Series::default() }
}
