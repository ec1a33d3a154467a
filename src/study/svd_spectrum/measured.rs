//! What is recorded of a head over one window, and the windows of each head.

use serde::{Deserialize, Serialize};

use super::columns::{Figure, Values};
use super::shares;
use super::subject::Subject;
use super::verdict::{Difference, difference};
use crate::linalg::rounding::Rounding;
use crate::linalg::spectra::Spectra;
use crate::stats;
use crate::study::input::HeadWindow;
use crate::sweep::bits::{self, Bits};

/// What was measured of one head over one window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) at: HeadWindow,
    #[serde(with = "bits")]
    pub(super) spectra: Spectra,
    pub(super) values: Values,
    /// Of figures that are estimated, their intervals; `spectra` then hold smooth curves.
    pub(super) ends: Option<Ends>,
    /// The share of zeros among the probabilities that the mask leaves open.
    #[serde(with = "bits")]
    pub(super) zeros: f64,
    pub(super) nulls: Vec<NullMeasured>,
}

/// What is recorded of an estimate beside its figures.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ends {
    /// Lower ends of the 95 % intervals.
    pub(super) low: Values,
    /// Upper ends.
    pub(super) high: Values,
    /// Rounds over the matrix.
    pub(super) rounds: usize,
    /// Leading values that are known one by one.
    pub(super) apart: usize,
}

/// What was measured of one null model beside it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct NullMeasured {
    /// Mean over draws.
    pub(super) values: Values,
    /// Of each draw.
    #[serde(with = "bits")]
    pub(super) effective_ranks: Vec<f64>,
    /// Mean over draws of the cumulative share of the singular values.
    #[serde(with = "bits")]
    pub(super) cumulative: Vec<f64>,
}

impl NullMeasured {
    /// Of draws, each with its singular values and figures.
    pub(super) fn mean(figures: &[Figure], drawn: &[(Vec<f64>, Values)]) -> Self {
        let mean = |side: fn(&Values) -> &Vec<Option<f64>>| {
            let of = |i: usize| drawn.iter().map(|(_, values)| side(values)[i]).collect::<Option<Vec<f64>>>();
            (0..figures.len()).map(|i| of(i).map(|values| stats::mean(&values))).collect()
        };
        let effective_rank = Figure::effective_rank(figures);
        let shares: Vec<Vec<f64>> = drawn.iter().map(|(sigma, _)| shares::cumulative(sigma)).collect();
        Self {
            values: Values { plain: mean(|values| &values.plain), centred: mean(|values| &values.centred) },
            effective_ranks: drawn.iter().filter_map(|(_, values)| values.plain[effective_rank]).collect(),
            cumulative: shares::mean(shares.iter().map(Vec::as_slice)),
        }
    }
}

impl Bits for Spectra {
    type Text = (String, String, String);

    fn text(&self) -> Self::Text {
        let Rounding { epsilon, spectral, nuclear, frobenius } = self.rounding;
        let rounding = vec![epsilon, spectral, nuclear, frobenius];
        (self.plain.text(), self.centred.text(), rounding.text())
    }

    fn read((plain, centred, rounding): &Self::Text) -> Option<Self> {
        let [epsilon, spectral, nuclear, frobenius] = Vec::read(rounding)?[..] else { return None };
        let rounding = Rounding { epsilon, spectral, nuclear, frobenius };
        Some(Self { plain: Vec::read(plain)?, centred: Vec::read(centred)?, rounding })
    }
}

/// Measurements grouped by head and length, in the order of the rows.
pub(super) struct Heads<'a>(pub(super) Vec<Vec<&'a Measured>>);

impl<'a> Heads<'a> {
    /// Groups measurements that are sorted by head and window.
    pub(super) fn of(measured: &'a [Measured]) -> Self {
        let same = measured.chunk_by(|a, b| a.at.is_same_head(&b.at));
        Self(same.map(|head| head.iter().collect()).collect())
    }

    /// How many values a spectrum has at the longest length n: that of the input for attention matrices, which an
    /// interrupted run need not have reached; for all else the width of what was measured.
    pub(super) fn size(&self, of: Subject, n: Option<usize>) -> usize {
        let widths = self.0.iter().flatten().map(|one| one.spectra.plain.len());
        if of == Subject::Attention { n.unwrap_or(0) } else { widths.max().unwrap_or(0) }
    }

    /// How many heads have how many windows, where an interrupted run left them with different numbers.
    pub(super) fn uneven(&self) -> Option<Vec<(usize, usize)>> {
        let mut counts: Vec<usize> = self.0.iter().map(Vec::len).collect();
        counts.sort_unstable();
        let groups: Vec<(usize, usize)> =
            counts.chunk_by(|a, b| a == b).map(|group| (group[0], group.len())).collect();
        (groups.len() > 1).then_some(groups)
    }
}

/// The value of every window of a head, where all windows have it.
pub(super) fn windows_of(head: &[&Measured], value: impl Fn(&Measured) -> Option<f64>) -> Option<Vec<f64>> {
    head.iter().map(|one| value(one)).collect()
}

/// Its mean.
pub(super) fn mean_of(head: &[&Measured], value: impl Fn(&Measured) -> Option<f64>) -> Option<f64> {
    windows_of(head, value).map(|all| stats::mean(&all))
}

/// A head's differences from each null model, over its windows.
pub(super) fn differences(head: &[&Measured], figures: &[Figure], nulls: usize) -> Vec<Option<Difference>> {
    let rank = Figure::effective_rank(figures);
    (0..nulls)
        .map(|null| {
            let windows =
                head.iter().map(|one| (one.values.plain[rank], one.nulls[null].effective_ranks.as_slice()));
            difference(&windows.collect::<Vec<_>>())
        })
        .collect()
}
