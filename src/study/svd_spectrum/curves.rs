//! Linformer's figure 1, with its controls: the cumulative curves beside the null models, and the heat map.

use ndarray::Array2;

use super::asked::Asked;
use super::measured::{Heads, Measured, windows_of};
use super::null::NullSpec;
use super::shares::{cumulative, cumulative_energy, mean};
use crate::report::{Curves, Figure, Heat, Mark, Plot, Series};
use crate::stats;

/// Points of a curve beyond which they are thinned.
const DENSE: usize = 64;

/// The figures of a result.
pub(super) fn figures(asked: Asked<'_>, heads: &Heads<'_>) -> Vec<Figure> {
    let Asked { config, source, nulls, .. } = asked;
    let Some(n) = heads.0.iter().flatten().map(|one| one.at.n).max() else { return Vec::new() };
    let k = config.shown(heads.size(config.of, Some(n)));
    let longest: Vec<&Vec<&Measured>> =
        heads.0.iter().filter(|head| head.iter().all(|one| one.at.n == n)).collect();
    let each: Vec<(String, Vec<f64>)> = longest
        .iter()
        .map(|head| {
            let curves: Vec<Vec<f64>> = head.iter().map(|one| cumulative(&one.spectra.plain)).collect();
            (
                head.first().map_or_else(String::new, |one| one.at.place.label.clone()),
                mean(curves.iter().map(Vec::as_slice)),
            )
        })
        .collect();
    let series = if source.is_layered() {
        layered(&longest, &each, nulls)
    } else {
        each.iter().map(|(label, curve)| line(label, curve)).collect()
    };
    let curves = Figure {
        name: "cumulative".into(),
        title: format!("{}, n = {n}", source.name()),
        kind: Plot::Curves(Curves {
            x_label: "leading singular values k".into(),
            y_label: "share of the spectrum in the first k".into(),
            log_x: true,
            series,
            marks: vec![Mark::Vertical { at: k as f64, label: format!("k = {k}") }],
            ..Curves::default()
        }),
    };
    let mut panels = vec![curves];
    if source.is_layered() {
        panels.push(heat(&longest, k));
    }
    vec![Figure { name: "spectrum".into(), title: String::new(), kind: Plot::Panels(panels) }]
}

/// Every head faintly, the means of both definitions, and each null model with the band of 95 % of the heads.
fn layered(heads: &[&Vec<&Measured>], each: &[(String, Vec<f64>)], nulls: &[NullSpec]) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    for (index, (name, curve)) in each.iter().enumerate() {
        let label = if index == 0 { "each head" } else { "" };
        series.push(Series { faint: true, name: name.clone(), ..line(label, curve) });
    }
    let average = mean(each.iter().map(|(_, curve)| curve.as_slice()));
    series.push(line(&format!("sum of σ, mean of {} heads (Linformer)", each.len()), &average));
    let energies: Vec<Vec<f64>> =
        heads.iter().copied().flatten().map(|one| cumulative_energy(&one.spectra.plain)).collect();
    series.push(line("sum of σ², mean", &mean(energies.iter().map(Vec::as_slice))));
    let centred: Vec<Vec<f64>> =
        heads.iter().copied().flatten().map(|one| cumulative(&one.spectra.centred)).collect();
    series.push(line("sum of σ, centred, mean", &mean(centred.iter().map(Vec::as_slice))));
    for (null, spec) in nulls.iter().enumerate() {
        let curves: Vec<&[f64]> =
            heads.iter().copied().flatten().map(|one| one.nulls[null].cumulative.as_slice()).collect();
        let average = mean(curves.iter().copied());
        let edge = |share: f64| -> Vec<f64> {
            (0..average.len())
                .map(|k| {
                    let mut at: Vec<f64> = curves.iter().filter_map(|curve| curve.get(k).copied()).collect();
                    at.sort_unstable_by(f64::total_cmp);
                    stats::quantile(&at, share)
                })
                .collect()
        };
        let (low, high) = (thin(&edge(0.025)).1, thin(&edge(0.975)).1);
        let label = format!("sum of σ, {} null, 95 % of heads", spec.model.name);
        series.push(Series { band: Some((low, high)), dashed: true, ..line(&label, &average) });
    }
    series
}

fn line(label: &str, curve: &[f64]) -> Series {
    let (x, y) = thin(curve);
    Series { label: label.into(), x, y, ..Series::default() }
}

/// The points of a curve that a figure needs: all of the first ones, then a few an octave, and the last.
fn thin(curve: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut points = Vec::new();
    let mut k = 1;
    while k < curve.len() {
        points.push(k);
        k += (k / DENSE).max(1);
    }
    points.push(curve.len());
    points.retain(|k| *k > 0);
    (points.iter().map(|k| *k as f64).collect(), points.iter().map(|k| curve[k - 1]).collect())
}

fn heat(heads: &[&Vec<&Measured>], k: usize) -> Figure {
    let size = |side: fn(&Measured) -> usize| heads.iter().copied().flatten().map(|one| side(one) + 1).max();
    let (layers, width) =
        (size(|one| one.at.place.layer).unwrap_or(0), size(|one| one.at.place.head).unwrap_or(0));
    let mut values = Array2::from_elem((layers, width), f64::NAN);
    for head in heads {
        let value = windows_of(head, |one| cumulative(&one.spectra.plain).get(k.saturating_sub(1)).copied());
        if let (Some(one), Some(value)) = (head.first(), value) {
            values[[one.at.place.layer, one.at.place.head]] = stats::mean(&value);
        }
    }
    Figure {
        name: "heat".into(),
        title: format!("share of the sum of σ at k = {k}"),
        kind: Plot::Heat(Heat {
            row_label: "layer".into(),
            col_label: "head".into(),
            value_label: format!("cum_l1_at_{k}"),
            values,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_the_first_and_the_last() {
        let curve: Vec<f64> = (1..=1000).map(f64::from).collect();
        let (x, y) = thin(&curve);
        assert_eq!((x[0], x[63], *x.last().unwrap()), (1.0, 64.0, 1000.0));
        assert!(x == y && x.windows(2).all(|pair| pair[0] < pair[1]) && x.len() < 300);
        assert_eq!(thin(&[]), (vec![], vec![]));
    }
}
