//! The figure of a comparison: losses over the steps.

use super::cell::CellResult;
use super::log::LogLine;
use crate::report::{Curves, Figure, Plot, Series};
use crate::stats;
use crate::study::hue;
use crate::task::judge::Judge;

/// Points of a training curve, each a mean over a stretch of steps.
const MAX_POINTS: usize = 60;

/// Training losses in the mean over stretches of steps, and validation losses at each evaluation.
pub(super) fn losses(results: &[CellResult], judge: Judge, several_rates: bool) -> Figure {
    let unit = 1.0 / judge.bits_per_nat().unwrap_or(1.0);
    let mut series = Vec::new();
    for result in results.iter().filter(|result| !result.log.is_empty()) {
        let decoder =
            result.decoder.as_ref().map(|decoder| format!(", {decoder} decoder")).unwrap_or_default();
        let rate = if several_rates { format!(" rate {:?}", result.rate) } else { String::new() };
        let label = format!("{}{decoder}{rate} seed {}", result.mechanism, result.seed);
        let steps = result.log.iter().filter_map(|line| match line {
            LogLine::Step { step, loss, .. } => Some((*step as f64, loss / unit)),
            LogLine::Evaluation { .. } => None,
        });
        let steps: Vec<(f64, f64)> = steps.collect();
        let stretch = steps.len().div_ceil(MAX_POINTS).max(1);
        let means = steps.chunks(stretch).map(|chunk| {
            let of = |part: fn(&(f64, f64)) -> f64| stats::mean(&chunk.iter().map(part).collect::<Vec<_>>());
            (of(|pair| pair.0), of(|pair| pair.1))
        });
        let (x, y) = means.unzip();
        series.push(Series { hue: hue::of(&label), label, x, y, ..Series::default() });
        let evaluations = result.log.iter().filter_map(|line| match line {
            LogLine::Evaluation { step, validation_loss, .. } => Some((*step as f64, validation_loss / unit)),
            LogLine::Step { .. } => None,
        });
        let (x, y) = evaluations.unzip();
        series.push(Series { x, y, dashed: true, dots: true, ..Series::default() });
    }
    let y_label = if judge.bits_per_nat().is_some() { "loss (bits per byte)" } else { "loss (nats)" };
    Figure {
        name: "loss".into(),
        title: "Training and validation loss (dashed)".into(),
        kind: Plot::Curves(Curves {
            x_label: "steps".into(),
            y_label: y_label.into(),
            series,
            ..Curves::default()
        }),
    }
}
