//! What is shown of the rows of P at work.

use ndarray::{Array2, ArrayD, ArrayView2, Axis};

use super::measure::Measured;
use super::slots::{Slots as HeadSlots, Weights};
use crate::report::Digits::{Fixed, Integer, Significant, Text};
use crate::report::{Column, Figure, Heat, Plot, Table};
use crate::stats;
use crate::study::columns::described;
use crate::study::input::{HeadWindow, Source};

/// The two sides of the weights, by the names of their arrays.
type Side = (&'static str, fn(&Weights) -> &Array2<f32>);
const SIDES: [Side; 2] = [("unpack", |weights| &weights.unpack), ("pack", |weights| &weights.pack)];
/// Positions of a figure beyond which they are drawn in blocks.
const COLUMNS: usize = 48;

/// The slots of every head and length: means over windows, of which there were so many.
pub(super) struct Slots<'a>(Vec<(&'a Measured, HeadSlots, usize)>);

impl<'a> Slots<'a> {
    /// Of measurements in the order of n, layers and heads; none if no head has slots.
    pub(super) fn of(measured: &'a [Measured]) -> Option<Self> {
        let heads = measured.chunk_by(|a, b| a.at.is_same_head(&b.at));
        let all: Vec<_> = heads
            .filter_map(|head| {
                let slots: Option<Vec<&HeadSlots>> = head.iter().map(|one| one.slots.as_ref()).collect();
                slots.map(|slots| (&head[0], HeadSlots::mean(&slots), head.len()))
            })
            .collect();
        (!all.is_empty()).then_some(Self(all))
    }

    /// One row a head: what people read.
    pub(super) fn view(&self, source: &dyn Source) -> Table {
        let mut columns = keys(source, false);
        columns.extend(described(&[
            ("l", "", "rows of P that are in use, its slots", Integer),
            ("slots", "", "exp of the entropy of their usage: slots in effect, 1 to l", Fixed(1)),
            ("per_row", "", "exp of the mean entropy of a row's unpack weights: slots it reads", Fixed(1)),
            ("dead", "", "slots whose usage is below 1 / (10 l)", Integer),
            ("most", "", "usage of the slot that is used most: mean of its unpack weights", Fixed(3)),
            ("least", "", "usage of the slot that is used least", Significant(2)),
            ("positions", "", "positions in effect that a slot gathers, median over slots", Fixed(1)),
        ]));
        let keys = keys(source, false);
        let mut table = Table::new(format!("Slots of P: {}", source.name()), columns);
        for (one, slots, _) in &self.0 {
            let usage = &slots.usage;
            let mut row = one.at.cells(&keys);
            row.extend([
                usage.len().into(),
                slots.effective().into(),
                slots.in_a_row.into(),
                slots.dead().into(),
                usage.iter().copied().fold(0.0, f64::max).into(),
                usage.iter().copied().fold(f64::INFINITY, f64::min).into(),
                stats::median(&slots.positions).into(),
            ]);
            table.push(row);
        }
        table
    }

    /// The weights over the first window, of all heads of a length: `unpack_weights_nN` of shape (heads, N, l) and
    /// `pack_weights_nN` of shape (heads, l, N), heads in the order of the table.
    pub(super) fn arrays(&self) -> Vec<(String, ArrayD<f64>)> {
        let mut arrays = Vec::new();
        for same in self.0.chunk_by(|a, b| a.0.at.n == b.0.at.n) {
            let weights: Vec<&Weights> =
                same.iter().filter_map(|(_, slots, _)| slots.weights.as_ref()).collect();
            let n = same[0].0.at.n;
            for (name, side) in SIDES {
                let all: Vec<_> = weights.iter().map(|one| side(one).view()).collect();
                // Heads of one model have one shape.
                if let Ok(stacked) = ndarray::stack(Axis(0), &all) {
                    arrays.push((format!("{name}_weights_n{n}"), stacked.mapv(f64::from).into_dyn()));
                }
            }
        }
        arrays
    }

    /// Pack and unpack weights of two heads of the longest length: those with the most and the fewest slots in effect.
    pub(super) fn figures(&self) -> Vec<Figure> {
        let longest = self.0.iter().map(|(one, ..)| one.at.n).max();
        let mut heads: Vec<_> = self.0.iter().filter(|(one, ..)| Some(one.at.n) == longest).collect();
        heads.sort_by(|a, b| b.1.effective().total_cmp(&a.1.effective()));
        let ends: Vec<_> = match &heads[..] {
            [] => return Vec::new(),
            [only] => vec![only],
            [most, .., fewest] => vec![most, fewest],
        };
        let mut panels = Vec::new();
        for (one, slots, _) in ends {
            let Some(weights) = &slots.weights else { return Vec::new() };
            for (side, values) in [("pack", weights.pack.view()), ("unpack", weights.unpack.t())] {
                panels.push(panel(&one.at.place.label, side, values));
            }
        }
        vec![Figure { name: "slots".into(), title: String::new(), kind: Plot::Panels(panels) }]
    }

    /// One row a slot, for a file.
    pub(super) fn rows(&self, source: &dyn Source) -> Table {
        let mut columns = keys(source, true);
        columns.extend(described(&[
            ("slot", "", "row of P, from 0", Integer),
            ("usage", "", "mean over rows and windows of its unpack weight", Significant(4)),
            ("peak", "", "its largest unpack weight in any row", Significant(4)),
            ("dead", "", "whether its usage is below 1 / (10 l)", Text),
            ("positions", "", "exp of the entropy of its pack weights over positions", Significant(4)),
        ]));
        let keys = keys(source, true);
        let mut table = Table::new(format!("Every slot of P: {}", source.name()), columns);
        for (one, slots, _) in &self.0 {
            for slot in 0..slots.usage.len() {
                let mut row = one.at.cells(&keys);
                row.extend([
                    slot.into(),
                    slots.usage[slot].into(),
                    slots.peak[slot].into(),
                    slots.is_dead(slot).into(),
                    slots.positions[slot].into(),
                ]);
                table.push(row);
            }
        }
        table
    }

    /// What a reader must know beside the numbers.
    pub(super) fn notes(&self) -> Vec<String> {
        let heads = self.0.len();
        let counts = self.0.iter().map(|(.., windows)| *windows);
        let (fewest, most) = counts.fold((usize::MAX, 0), |(a, b), count| (a.min(count), b.max(count)));
        let windows = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
        let dead: usize = self.0.iter().map(|(_, slots, _)| slots.dead()).sum();
        let all: usize = self.0.iter().map(|(_, slots, _)| slots.usage.len()).sum();
        let revived = self.0.iter().flat_map(|(_, slots, _)| {
            (0..slots.usage.len()).filter(|slot| slots.is_dead(*slot)).map(|slot| slots.peak[slot])
        });
        let peak = revived.fold(0.0, f64::max);
        let mut notes = vec![format!(
            "slots: {dead} of {all} in {heads} heads are dead: their mean unpack weight is below 1 / (10 l) in {windows} windows \
             of this text"
        )];
        if dead > 0 {
            notes.push(format!(
                "the largest weight of any dead slot in any row is {peak:.3}: a slot that is dead in the mean may still \
                 decide a few rows"
            ));
        }
        notes
    }
}

/// Weights of shape (slots, positions), as means over blocks of positions where there are many.
fn panel(label: &str, side: &str, values: ArrayView2<'_, f32>) -> Figure {
    let block = values.ncols().div_ceil(COLUMNS).max(1);
    let mut shown = Array2::zeros((values.nrows(), values.ncols().div_ceil(block)));
    for (at, part) in values.axis_chunks_iter(Axis(1), block).enumerate() {
        let sums = part.rows().into_iter().map(|row| row.iter().map(|x| f64::from(*x)).sum::<f64>());
        let means = sums.map(|sum| sum / part.ncols() as f64);
        shown.column_mut(at).assign(&means.collect::<ndarray::Array1<f64>>());
    }
    let of = if block > 1 { format!("block of {block} positions") } else { "position".into() };
    let heat = Heat {
        row_label: "slot".into(),
        col_label: of,
        value_label: format!("{side} weight"),
        values: shown,
    };
    Figure {
        name: side.into(),
        title: format!("{label}: {side} weights, first window"),
        kind: Plot::Heat(heat),
    }
}

/// Length, layer and head; for people without a length that is the same everywhere.
fn keys(source: &dyn Source, all: bool) -> Vec<Column> {
    let mut columns = HeadWindow::columns();
    let shown =
        |name: &str| matches!(name, "layer" | "head") || (name == "n" && (all || source.lengths().len() > 1));
    columns.retain(|column| shown(&column.name));
    // The length comes first.
    let lengths = columns.len() - 2;
    columns.rotate_right(lengths);
    columns
}
