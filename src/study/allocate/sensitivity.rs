//! Second stage: what the error of a head, or of a layer's heads, does to the model. A cell is a layer over one window to
//! choose on.
//!
//! The heads are replaced by one offer, the reference, and the pass goes on from the hidden states that the layer reads: what
//! comes before is as it was. A few heads are replaced by another offer as well, which no choice rests on: whether the harm
//! that the reference predicts for it is the harm that is measured.
//!
//! Heads make up for each other: what one of them does in a model that is otherwise exact leaves out what its error does
//! beside those of the others. By [`Sensitivity::Shapley`] every head is therefore also restored alone where all are
//! replaced, and counts with the mean of the harm that it does and the harm that this saves. If the harm is a quadratic form
//! of the errors, `sum_ij G_ij e_i e_j`, the first is `G_ii` and the second `G_ii + 2 sum_j G_ij` over the others, so that the
//! mean is `sum_j G_ij`: the derivative of the harm by `e_i^2` at `e = 1`, and the head's Shapley value (Shapley 1953). The
//! values add to the harm with all heads replaced.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::config::Sensitivity;
use super::errors::{Errors, ROUNDING};
use super::harm::Exact;
use super::offers::Offers;
use crate::error::{Error, Result};
use crate::model::{Model, Observer, Unobserved};
use crate::rng::{below, stream};
use crate::study::Context;
use crate::study::allocation::Assignment;
use crate::study::input::{Source, Trained};
use crate::sweep::{Cell, Hand, Study, bits};

/// Heads at most that are replaced by another offer too.
const CHECKED: usize = 64;

pub(super) struct SensitivityStudy<'a> {
    pub(super) source: &'a Trained,
    pub(super) model: &'a Model,
    pub(super) windows: &'a [usize],
    pub(super) offers: &'a Offers,
    /// The offer that heads are replaced by.
    pub(super) reference: usize,
    pub(super) by: Sensitivity,
    pub(super) context: Context<'a>,
}

/// A layer over one window.
pub(super) struct LayerWindow {
    layer: usize,
    window: usize,
}

/// What a layer's heads do, replaced.
#[derive(Serialize, Deserialize)]
pub(super) struct Found {
    /// By the reference: of every head, or of all of them together.
    #[serde(with = "bits")]
    harms: Vec<f64>,
    /// What restoring every head alone saves where all are replaced; empty where this is not measured.
    #[serde(with = "bits")]
    saved: Vec<f64>,
    /// By another offer: head, offer.
    checked: Vec<(usize, usize)>,
    #[serde(with = "bits")]
    checks: Vec<f64>,
}

/// What is known of replaced heads, summed over windows.
#[derive(Default)]
pub(super) struct Harms {
    /// By layer: of every head, or of all together, replaced in a model that is otherwise exact.
    alone: BTreeMap<usize, Vec<f64>>,
    /// By layer: what restoring every head saves, where this was measured.
    saved: BTreeMap<usize, Vec<f64>>,
    /// By layer, head and offer.
    pub(super) checks: BTreeMap<(usize, usize, usize), f64>,
    windows: usize,
    reference: usize,
}

/// The input of a cell: what the layer reads, and the output of the whole pass.
pub(super) struct Before {
    x: Array2<f32>,
    exact: Arc<Exact>,
    /// What the layer reads where all heads are replaced, and the harm of that, if it is needed.
    replaced: Option<(Array2<f32>, f64)>,
}

impl SensitivityStudy<'_> {
    /// The heads of a layer that are checked, each with an offer that is drawn for it.
    fn checked(&self, layer: usize) -> Vec<(usize, usize)> {
        let heads = self.model.config().heads;
        let every = (self.source.layers().len() * heads).div_ceil(CHECKED);
        let others: Vec<usize> = (0..self.offers.all.len())
            .filter(|at| *at != self.reference && !Assignment::is_exact(&self.offers.all[*at].0.spec))
            .collect();
        let first = self.source.layers().iter().position(|one| *one == layer).unwrap_or(0) * heads;
        let drawn = |head: usize| {
            let mut rng = stream(self.context.seed, &format!("allocate check layer {layer} head {head}"));
            others.get(below(&mut rng, others.len().max(1))).map(|offer| (head, *offer))
        };
        (0..heads).filter(|head| (first + head).is_multiple_of(every)).filter_map(drawn).collect()
    }

    /// The harm of some heads of a layer under an offer each.
    fn replaced(&self, layer: usize, heads: &[(usize, usize)], before: &Before) -> Result<f64> {
        let config = self.model.config();
        let mut assignment = Assignment::exact((config.layers, config.heads), self.context.seed);
        for (head, offer) in heads {
            assignment.set((layer, *head), &self.offers.all[*offer].0.spec);
        }
        self.harm(layer, &before.x, &assignment, &before.exact)
    }

    /// What restoring each head of a layer saves where all heads of the model are replaced.
    fn saved(&self, layer: usize, before: &Before) -> Result<Vec<f64>> {
        let Some((x, all)) = &before.replaced else { return Ok(Vec::new()) };
        let one = |head: usize| {
            let assignment = self.all_but(Some((layer, head)));
            Ok(all - self.harm(layer, x, &assignment, &before.exact)?)
        };
        (0..self.model.config().heads).map(one).collect()
    }

    /// All heads replaced by the reference, or all but one.
    fn all_but(&self, restored: Option<(usize, usize)>) -> Assignment {
        let config = self.model.config();
        let mut assignment = Assignment::exact((config.layers, config.heads), self.context.seed);
        let spec = &self.offers.all[self.reference].0.spec;
        for layer in self.source.layers() {
            for place in (0..config.heads).map(|head| (*layer, head)) {
                if restored != Some(place) {
                    assignment.set(place, spec);
                }
            }
        }
        assignment
    }

    /// The harm of a pass that goes on from what a layer reads.
    fn harm(&self, layer: usize, x: &Array2<f32>, assignment: &Assignment, exact: &Exact) -> Result<f64> {
        self.context.watch.check()?;
        let out = self.model.run_from(layer, x.clone(), &mut Unobserved, Some(assignment))?;
        let harm = finite(exact.harm(self.model, &out.last()?)?, layer)?;
        self.context.watch.step(1, &format!("layer {layer}"));
        Ok(harm)
    }
}

fn finite(harm: f64, layer: usize) -> Result<f64> {
    if harm.is_finite() {
        return Ok(harm);
    }
    let what = format!("predictions with heads of layer {layer} replaced");
    Err(Error::NotFinite { what, value: harm, at: "the mean over positions".into() })
}

impl Study for SensitivityStudy<'_> {
    type Cell = LayerWindow;
    type Input = Before;
    type Rows = Found;
    type View = Harms;

    fn unit(&self) -> &'static str {
        "passes with heads replaced"
    }

    fn is_first_stage(&self) -> bool {
        true
    }

    fn plan(&self) -> Vec<Cell<LayerWindow>> {
        let heads = match self.by {
            Sensitivity::Shapley => 2 * self.model.config().heads,
            Sensitivity::Head => self.model.config().heads,
            Sensitivity::Layer => 1,
        };
        let layers = self.model.config().layers;
        let reference = &self.offers.all[self.reference].0.spec;
        let mut cells = Vec::new();
        for window in self.windows {
            cells.extend(self.source.layers().iter().map(|layer| {
                let steps = heads + self.checked(*layer).len();
                let by = self.by.name();
                let key = format!("sensitivity of a {by} to {reference} window {window} layer {layer}");
                let cost = (steps * (layers - layer + 1)) as f64;
                Cell { key, steps, cost, of: LayerWindow { layer: *layer, window: *window } }
            }));
        }
        cells
    }

    /// Two passes a window as the model was trained, its output and what each layer reads, and where it is needed the same with
    /// all heads replaced.
    fn inputs(&self, cells: &[(usize, &LayerWindow)], hand: &mut Hand<'_, Before>) -> Result<()> {
        for of_window in cells.chunk_by(|(_, a), (_, b)| a.window == b.window) {
            let input = self.source.window(self.source.lengths()[0], of_window[0].1.window)?;
            let last = self.model.run(input, &mut Unobserved, None)?.last()?;
            let exact = Arc::new(Exact::of(self.model, input, &last)?);
            let Sensitivity::Shapley = self.by else {
                let mut take = |at: usize, x: Array2<f32>| {
                    hand(at, Before { x, exact: Arc::clone(&exact), replaced: None })
                };
                self.model.run(input, &mut LayerInputs { cells: of_window, take: &mut take }, None)?;
                continue;
            };
            let all = self.all_but(None);
            let last = self.model.run(input, &mut Unobserved, Some(&all))?.last()?;
            let harm = finite(exact.harm(self.model, &last)?, 0)?;
            let mut reads = BTreeMap::new();
            let mut keep = |at: usize, x: Array2<f32>| {
                reads.insert(at, x);
                Ok(())
            };
            self.model.run(input, &mut LayerInputs { cells: of_window, take: &mut keep }, Some(&all))?;
            let mut take = |at: usize, x: Array2<f32>| {
                let replaced = reads.remove(&at).map(|x| (x, harm));
                hand(at, Before { x, exact: Arc::clone(&exact), replaced })
            };
            self.model.run(input, &mut LayerInputs { cells: of_window, take: &mut take }, None)?;
        }
        Ok(())
    }

    fn run(&self, of: &LayerWindow, before: &Before) -> Result<Found> {
        let heads = 0..self.model.config().heads;
        let all: Vec<(usize, usize)> = heads.map(|head| (head, self.reference)).collect();
        let groups: Vec<&[(usize, usize)]> = match self.by {
            Sensitivity::Shapley | Sensitivity::Head => all.chunks(1).collect(),
            Sensitivity::Layer => vec![&all[..]],
        };
        let harm = |heads: &[(usize, usize)]| self.replaced(of.layer, heads, before);
        let harms = groups.into_iter().map(harm).collect::<Result<_>>()?;
        let saved = self.saved(of.layer, before)?;
        let checked = self.checked(of.layer);
        let checks = checked.chunks(1).map(harm).collect::<Result<_>>()?;
        Ok(Found { harms, saved, checked, checks })
    }

    fn view(&self, rows: Vec<(LayerWindow, Found)>) -> Result<Harms> {
        let (windows, reference) = (self.windows.len(), self.reference);
        let mut all = Harms { windows, reference, ..Harms::default() };
        for (of, found) in rows {
            for (sums, each) in [(&mut all.alone, &found.harms), (&mut all.saved, &found.saved)] {
                let sums = sums.entry(of.layer).or_insert_with(|| vec![0.0; each.len()]);
                sums.iter_mut().zip(each).for_each(|(sum, harm)| *sum += harm);
            }
            for ((head, offer), harm) in found.checked.into_iter().zip(found.checks) {
                *all.checks.entry((of.layer, head, offer)).or_default() += harm;
            }
        }
        Ok(all)
    }
}

/// Takes what the layers read, by the number of the cell.
struct LayerInputs<'a> {
    cells: &'a [(usize, &'a LayerWindow)],
    take: &'a mut dyn FnMut(usize, Array2<f32>) -> Result<()>,
}

impl Observer for LayerInputs<'_> {
    fn wants_layer(&self, _: usize) -> bool {
        false
    }

    fn last_layer(&self) -> Option<usize> {
        self.cells.iter().map(|(_, of)| of.layer).max()
    }

    fn hidden(&mut self, layer: usize, x: &Array2<f32>) -> Result<()> {
        for (at, _) in self.cells.iter().filter(|(_, of)| of.layer == layer) {
            (self.take)(*at, x.clone())?;
        }
        Ok(())
    }
}

impl Harms {
    /// The harm for each unit of squared error, by layer and head: what choices are weighed by.
    ///
    /// A head counts with what it does alone at least: what restoring it saves may be below 0, and holds where all others are
    /// replaced, not where they are exact.
    pub(super) fn sensitivities(&self, errors: &Errors) -> BTreeMap<(usize, usize), f64> {
        let mean = |(layer, alone): (&usize, &Vec<f64>)| {
            let saved = &self.saved[layer];
            let both = |(head, harm): (usize, &f64)| {
                saved.get(head).map_or(*harm, |saved| harm.max((harm + saved) / 2.0))
            };
            (*layer, alone.iter().enumerate().map(both).collect())
        };
        self.by_square(errors, &self.alone.iter().map(mean).collect())
    }

    /// The same of heads replaced in a model that is otherwise exact.
    pub(super) fn sensitivities_alone(&self, errors: &Errors) -> BTreeMap<(usize, usize), f64> {
        self.by_square(errors, &self.alone)
    }

    /// Of heads whose error at the reference is rounding it is the median of the others.
    fn by_square(&self, errors: &Errors, harms: &BTreeMap<usize, Vec<f64>>) -> BTreeMap<(usize, usize), f64> {
        let mut known = BTreeMap::new();
        let sums = |layer: usize| errors.range((layer, 0)..(layer + 1, 0));
        for (place, found) in errors {
            let harms = &harms[&place.0];
            let (harm, square, norm) = if harms.len() == 1 {
                let total = sums(place.0).fold((0.0, 0.0), |(squares, norms), (_, head)| {
                    (squares + head.squares[self.reference], norms + head.norm)
                });
                (harms[0], total.0, total.1)
            } else {
                (harms[place.1], found.squares[self.reference], found.norm)
            };
            known.insert(*place, (square > ROUNDING * norm).then(|| harm.max(0.0) / square));
        }
        let mut found: Vec<f64> = known.values().flatten().copied().collect();
        found.sort_by(f64::total_cmp);
        let median = found.get(found.len() / 2).copied().unwrap_or(1.0);
        known.into_iter().map(|(place, one)| (place, one.unwrap_or(median))).collect()
    }

    /// Of a sum over windows the mean.
    pub(super) fn mean(&self, sum: f64) -> f64 {
        sum / self.windows as f64
    }
}
