//! The rows of P at work: which of them are read, and how many positions each gathers.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::layer::Factors;
use crate::metric::RowProfile;
use crate::stats;
use crate::sweep::bits::{self, Bits};

/// A slot is dead if its mean usage is below this part of an equal share 1/l.
const DEAD: f64 = 0.1;

/// The slots of one head over one window, or their means over several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Slots {
    /// Of each slot the mean over rows of its unpack weight; they sum to 1.
    #[serde(with = "bits")]
    pub(super) usage: Vec<f64>,
    /// Of each slot its largest unpack weight in any row.
    #[serde(with = "bits")]
    pub(super) peak: Vec<f64>,
    /// Of each slot exp of the entropy over positions of its pack weights, which are brought to sum 1 for it.
    #[serde(with = "bits")]
    pub(super) positions: Vec<f64>,
    /// exp of the mean entropy of the rows of the unpack weights: how many slots one row reads.
    #[serde(with = "bits")]
    pub(super) in_a_row: f64,
    /// The weights themselves: unpack (n, l) and pack (l, n); kept of the first window.
    #[serde(with = "bits", default)]
    pub(super) weights: Option<Weights>,
}

/// Unpack (n, l) and pack (l, n) weights of one head over one window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights {
    pub(super) unpack: Array2<f32>,
    pub(super) pack: Array2<f32>,
}

impl Bits for Weights {
    type Text = [<Array2<f32> as Bits>::Text; 2];

    fn text(&self) -> Self::Text {
        [self.unpack.text(), self.pack.text()]
    }

    fn read([unpack, pack]: &Self::Text) -> Option<Self> {
        Some(Self { unpack: Bits::read(unpack)?, pack: Bits::read(pack)? })
    }
}

impl Slots {
    /// Those of one head over one window, with their weights if they are kept.
    pub(super) fn of(factors: &Factors, kept: bool) -> Self {
        let Factors { unpack, pack, .. } = factors;
        let rows = unpack.nrows().max(1) as f64;
        let columns = unpack.columns().into_iter();
        let (usage, peak) = columns
            .map(|slot| {
                let sum: f64 = slot.iter().map(|x| f64::from(*x)).sum();
                (sum / rows, f64::from(slot.fold(0.0, |largest: f32, x| largest.max(*x))))
            })
            .unzip();
        let positions =
            pack.rows().into_iter().map(|slot| effective(slot.iter().map(|x| f64::from(*x)))).collect();
        let weights = kept.then(|| Weights { unpack: unpack.clone(), pack: pack.clone() });
        let in_a_row = RowProfile::of(unpack.view(), &[]).entropy.exp();
        Self { usage, peak, positions, in_a_row, weights }
    }

    /// Means over windows; of the peaks the highest, of the weights those that were kept.
    pub(super) fn mean(all: &[&Self]) -> Self {
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
            weights: all.iter().find_map(|one| one.weights.clone()),
        }
    }

    /// exp of the entropy of the usage: how many slots there are in effect, 1 to l.
    pub(super) fn effective(&self) -> f64 {
        effective(self.usage.iter().copied())
    }

    pub(super) fn is_dead(&self, slot: usize) -> bool {
        self.usage[slot] < DEAD / self.usage.len() as f64
    }

    /// How many slots are hardly read.
    pub(super) fn dead(&self) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::luna_causal::Decay;
    use ndarray::array;

    fn slots(unpack: Array2<f32>, pack: Array2<f32>) -> Slots {
        Slots::of(&Factors { unpack, pack, causal: false, decay: Decay::NONE }, true)
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
        // Weights are those of the first window, and survive a record.
        assert_eq!(both.weights, one.weights);
        let record = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Slots>(&record).unwrap(), both);
    }
}
