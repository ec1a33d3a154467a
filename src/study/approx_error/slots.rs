//! The rows of P at work: which of them are read, and how many positions each gathers.

use super::measure::Measured;
use crate::layer::Factors;
use crate::metric::RowProfile;
use crate::report::{Cell, Column, Digits, Table};
use crate::stats;
use crate::study::input::Source;

/// A slot is dead if its mean usage is below this part of an equal share 1/l.
const DEAD: f64 = 0.1;

/// The slots of one head over one window, or their means over several.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Slots {
    /// Of each slot the mean over rows of its unpack weight; they sum to 1.
    pub(super) usage: Vec<f64>,
    /// Of each slot its largest unpack weight in any row.
    pub(super) peak: Vec<f64>,
    /// Of each slot exp of the entropy over positions of its pack weights, which are brought to sum 1 for it.
    pub(super) positions: Vec<f64>,
    /// exp of the mean entropy of the rows of the unpack weights: how many slots one row reads.
    pub(super) in_a_row: f64,
}

impl Slots {
    /// Those of one head over one window.
    pub(super) fn of(factors: &Factors) -> Self {
        let Factors { unpack, pack, .. } = factors;
        let rows = unpack.nrows().max(1) as f64;
        let columns = unpack.columns().into_iter();
        let (usage, peak) = columns
            .map(|slot| {
                let sum: f64 = slot.iter().map(|x| f64::from(*x)).sum();
                (sum / rows, f64::from(slot.fold(0.0, |most: f32, x| most.max(*x))))
            })
            .unzip();
        let positions =
            pack.rows().into_iter().map(|slot| effective(slot.iter().map(|x| f64::from(*x)))).collect();
        Self { usage, peak, positions, in_a_row: RowProfile::of(unpack.view()).entropy.exp() }
    }

    /// Means over windows; of the peaks the highest.
    fn mean(all: &[&Self]) -> Self {
        let each = |of: fn(&Self) -> &Vec<f64>, fold: fn(&[f64]) -> f64| -> Vec<f64> {
            let slots = all.first().map_or(0, |one| of(one).len());
            (0..slots).map(|slot| fold(&all.iter().map(|one| of(one)[slot]).collect::<Vec<_>>())).collect()
        };
        let in_a_row: Vec<f64> = all.iter().map(|one| one.in_a_row).collect();
        Self {
            usage: each(|one| &one.usage, stats::mean),
            peak: each(|one| &one.peak, |all| all.iter().copied().fold(0.0, f64::max)),
            positions: each(|one| &one.positions, stats::mean),
            in_a_row: stats::mean(&in_a_row),
        }
    }

    /// exp of the entropy of the usage: how many slots there are in effect, 1 to l.
    fn effective(&self) -> f64 {
        effective(self.usage.iter().copied())
    }

    fn is_dead(&self, slot: usize) -> bool {
        self.usage[slot] < DEAD / self.usage.len() as f64
    }

    /// How many slots are hardly read.
    fn dead(&self) -> usize {
        (0..self.usage.len()).filter(|slot| self.is_dead(*slot)).count()
    }
}

/// exp of the entropy of weights that are brought to sum 1: as many equal ones have the same; 0 of zeros.
fn effective(weights: impl Iterator<Item = f64> + Clone) -> f64 {
    let sum: f64 = weights.clone().sum();
    if sum <= 0.0 {
        return 0.0;
    }
    let entropy: f64 = weights.map(|x| x / sum).filter(|p| *p > 0.0).map(|p| -p * p.ln()).sum();
    entropy.exp()
}

/// The slots of every head and length: means over windows, of which there were so many.
pub(super) struct All<'a>(Vec<(&'a Measured, Slots, usize)>);

impl<'a> All<'a> {
    /// Of measurements in the order of n, layers and heads; none if no head has slots.
    pub(super) fn of(measured: &'a [Measured]) -> Option<Self> {
        let heads = measured.chunk_by(|a, b| (a.n, a.layer, a.head) == (b.n, b.layer, b.head));
        let all: Vec<_> = heads
            .filter_map(|head| {
                let slots: Option<Vec<&Slots>> = head.iter().map(|one| one.slots.as_ref()).collect();
                slots.map(|slots| (&head[0], Slots::mean(&slots), head.len()))
            })
            .collect();
        (!all.is_empty()).then_some(Self(all))
    }

    /// One row a head: what people read.
    pub(super) fn view(&self, source: &dyn Source) -> Table {
        let mut columns = keys();
        columns.extend(
            [
                ("l", "rows of P that are in use, its slots", Digits::Integer),
                ("slots", "exp of the entropy of their usage: slots in effect, 1 to l", Digits::Fixed(1)),
                (
                    "per_row",
                    "exp of the mean entropy of a row's unpack weights: slots it reads",
                    Digits::Fixed(1),
                ),
                ("dead", "slots whose usage is below 1 / (10 l)", Digits::Integer),
                ("most", "usage of the slot that is used most: mean of its unpack weights", Digits::Fixed(3)),
                ("least", "usage of the slot that is used least", Digits::Significant(2)),
                ("positions", "positions in effect that a slot gathers, median over slots", Digits::Fixed(1)),
            ]
            .map(|(name, about, digits)| Column::new(name, "", about, digits)),
        );
        let mut table = Table::new(format!("Slots of P: {}", source.name()), columns);
        for (one, slots, _) in &self.0 {
            let usage = &slots.usage;
            let mut row = cells(one);
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
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let kept: Vec<&str> =
            names.into_iter().filter(|name| *name != "n" || source.lengths().len() > 1).collect();
        table.select(&kept).unwrap_or_else(|_| table.clone())
    }

    /// One row a slot, for a file.
    pub(super) fn rows(&self, source: &dyn Source) -> Table {
        let mut columns = keys();
        columns.extend(
            [
                ("slot", "row of P, from 0", Digits::Integer),
                ("usage", "mean over rows and windows of its unpack weight", Digits::Significant(4)),
                ("peak", "its largest unpack weight in any row", Digits::Significant(4)),
                ("dead", "whether its usage is below 1 / (10 l)", Digits::Text),
                (
                    "positions",
                    "exp of the entropy of its pack weights over positions",
                    Digits::Significant(4),
                ),
            ]
            .map(|(name, about, digits)| Column::new(name, "", about, digits)),
        );
        let mut table = Table::new(format!("Every slot of P: {}", source.name()), columns);
        for (one, slots, _) in &self.0 {
            for slot in 0..slots.usage.len() {
                let mut row = cells(one);
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
    pub(super) fn notes(&self, source: &dyn Source) -> Vec<String> {
        let heads = self.0.len();
        let counts = self.0.iter().map(|(.., windows)| *windows);
        let (least, most) = counts.fold((usize::MAX, 0), |(a, b), count| (a.min(count), b.max(count)));
        let windows = if least == most { most.to_string() } else { format!("{least} to {most}") };
        let dead: usize = self.0.iter().map(|(_, slots, _)| slots.dead()).sum();
        let all: usize = self.0.iter().map(|(_, slots, _)| slots.usage.len()).sum();
        let revived = self.0.iter().flat_map(|(_, slots, _)| {
            (0..slots.usage.len()).filter(|slot| slots.is_dead(*slot)).map(|slot| slots.peak[slot])
        });
        let peak = revived.fold(0.0, f64::max);
        let mut notes = vec![format!(
            "slots: {dead} of {all} in {heads} heads are dead, which means a mean unpack weight below 1 / (10 l) over the \
             rows of {windows} windows of this text; on another text they may be read"
        )];
        if dead > 0 {
            notes.push(format!(
                "the largest weight of any dead slot in any row is {peak:.3}: a slot that is dead in the mean may still \
                 decide a few rows"
            ));
        }
        notes.push(
            "slots counts usage over all rows, per_row what one row reads: near l, a row reads the mean of all slots and \
             chooses none, so that even usage alone is no praise; two rows of P that are alike count as two"
                .into(),
        );
        if source.mask() == crate::attention::Mask::Causal {
            notes.push(
                "positions: a causal Luna never normalises its pack weights; for this figure those of the whole window are \
                 brought to sum 1, and most of its rows see fewer"
                    .into(),
            );
        }
        notes
    }
}

fn keys() -> Vec<Column> {
    [("n", "rows of the attention matrix"), ("layer", "layer, from 0"), ("head", "head in its layer, from 0")]
        .map(|(name, about)| Column::new(name, "", about, Digits::Integer))
        .into()
}

fn cells(one: &Measured) -> Vec<Cell> {
    vec![one.n.into(), one.layer.into(), one.head.into()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    fn slots(unpack: Array2<f32>, pack: Array2<f32>) -> Slots {
        Slots::of(&Factors { unpack, pack, causal: false })
    }

    #[test]
    fn a_dead_slot_is_found() {
        let unpack = array![[0.5, 0.49, 0.01], [0.6, 0.39, 0.01], [0.5, 0.41, 0.09], [0.4, 0.6, 0.0]];
        let slots = slots(unpack, Array2::from_elem((3, 4), 0.25));
        assert_eq!((slots.dead(), slots.is_dead(2)), (1, true));
        assert!((slots.usage[2] - 0.0275).abs() < 1e-6 && (slots.peak[2] - 0.09).abs() < 1e-6);
        assert!(slots.effective() > 2.0 && slots.effective() < 2.3);
    }

    #[test]
    fn as_many_as_are_equal() {
        let uniform = slots(Array2::from_elem((5, 4), 0.25), Array2::from_elem((4, 8), 3.0));
        assert!((uniform.effective() - 4.0).abs() < 1e-6 && (uniform.in_a_row - 4.0).abs() < 1e-5);
        assert!(uniform.positions.iter().all(|positions| (positions - 8.0).abs() < 1e-6));
        // Every row reads one slot, and all slots are read.
        let sharp = slots(Array2::eye(4), Array2::eye(4));
        assert!((sharp.effective() - 4.0).abs() < 1e-6 && (sharp.in_a_row - 1.0).abs() < 1e-6);
        assert!(sharp.positions.iter().all(|positions| (positions - 1.0).abs() < 1e-6));
        assert_eq!(sharp.dead(), 0);
    }

    #[test]
    fn windows_are_averaged_before_slots_are_counted() {
        let [one, other] = [[1.0, 0.0], [0.0, 1.0]].map(|row| slots(array![row], Array2::eye(2)));
        assert_eq!((one.dead(), other.dead()), (1, 1));
        let both = Slots::mean(&[&one, &other]);
        assert_eq!(both.dead(), 0);
        assert!((both.effective() - 2.0).abs() < 1e-9 && (both.in_a_row - 1.0).abs() < 1e-6);
        assert_eq!(both.peak, [1.0, 1.0]);
    }
}
