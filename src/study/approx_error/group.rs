//! Means of a mechanism over windows and heads, with intervals.

use super::candidate::Candidate;
use super::fits::Role;
use super::measure::{Job, Measured, Optimum, metrics};
use super::rows::place;
use crate::stats::{self, Interval};

/// What the best matrix of a rank is called in tables.
pub(super) const OPTIMUM: &str = "best of rank l (SVD)";

/// A mechanism on one length in one role: the mean over windows of every head.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) n: usize,
    /// Its number; none for the optimum of an l.
    pub(super) candidate: Option<usize>,
    pub(super) l: Option<usize>,
    pub(super) role: Role,
    /// Which heads of this length were measured, by their number.
    pub(super) places: Vec<usize>,
    /// By head, in the order of the heads: values of [`metrics`], of which the optimum knows three.
    pub(super) heads: Vec<Vec<Option<f64>>>,
    /// By head: what the best matrix of the same rank leaves, where the rank is bounded.
    pub(super) optima: Vec<Option<f64>>,
}

impl Group {
    /// Every group, mechanisms in the order asked for, then the optimum at every l.
    pub(super) fn all(job: &Job<'_>, measured: &[Measured]) -> Vec<Self> {
        let mut groups = Vec::new();
        for window_sets in measured.chunk_by(|a, b| a.at.n == b.at.n) {
            let n = window_sets[0].at.n;
            for (at, candidate) in job.candidates.iter().enumerate() {
                let roles: &[Role] =
                    if candidate.fitted { &[Role::HeldOut, Role::Train] } else { &[Role::Judged] };
                groups.extend(roles.iter().filter_map(|role| Self::of(job, window_sets, n, at, *role)));
            }
            groups.extend(job.lengths.iter().filter_map(|l| Self::floor(job, window_sets, n, *l)));
        }
        groups
    }

    fn of(job: &Job<'_>, measured: &[Measured], n: usize, at: usize, role: Role) -> Option<Self> {
        let (mut places, mut heads, mut optima) = (Vec::new(), Vec::new(), Vec::new());
        for (place, head) in by_head(measured).enumerate() {
            let cells: Vec<_> = head
                .iter()
                .flat_map(|one| {
                    one.mechanisms.iter().filter(|cell| cell.candidate == at && cell.role == role)
                })
                .collect();
            if cells.is_empty() {
                continue;
            }
            let mean = |value: &dyn Fn(usize) -> Option<f64>| {
                let all: Option<Vec<f64>> = (0..cells.len()).map(value).collect();
                all.map(|all| stats::mean(&all))
            };
            places.push(place);
            heads.push((0..metrics().count()).map(|i| mean(&|c| Some(cells[c].values[i]))).collect());
            optima.push(mean(&|c| cells[c].optimum.map(|best| best.rel_fro)));
        }
        let l = job.candidates[at].l;
        (!heads.is_empty()).then_some(Self { n, candidate: Some(at), l, role, places, heads, optima })
    }

    fn floor(job: &Job<'_>, measured: &[Measured], n: usize, l: usize) -> Option<Self> {
        let known = ["matrix_rel_fro", "matrix_rel_spectral", "output_rel_fro"].map(place);
        let (mut places, mut heads) = (Vec::new(), Vec::new());
        for (place, head) in by_head(measured).enumerate() {
            let judged = head.iter().filter(|one| job.fits.is_judged(one.at.window));
            let best: Vec<Optimum> = judged
                .flat_map(|one| one.floor.iter().filter(|(at, _)| *at == l).map(|(_, best)| *best))
                .collect();
            // Of a run that was interrupted, some heads have no judged window yet.
            if best.is_empty() {
                continue;
            }
            let count = best.len() as f64;
            let mut values: Vec<Option<f64>> = vec![None; metrics().count()];
            for best in &best {
                let errors = [best.rel_fro, best.rel_spectral, best.output_rel_fro];
                for (at, value) in known.into_iter().zip(errors) {
                    *values[at].get_or_insert(0.0) += value / count;
                }
            }
            places.push(place);
            heads.push(values);
        }
        let optima = vec![None; heads.len()];
        (!heads.is_empty()).then_some(Self {
            n,
            candidate: None,
            l: Some(l),
            role: Role::Judged,
            places,
            heads,
            optima,
        })
    }

    /// What stands in tables and legends.
    pub(super) fn name<'a>(&self, candidates: &'a [Candidate]) -> &'a str {
        self.candidate.map_or(OPTIMUM, |at| &candidates[at].name)
    }

    /// The values of one metric, one a head, where it is known.
    pub(super) fn values(&self, metric: usize) -> Option<Vec<f64>> {
        self.heads.iter().map(|head| head[metric]).collect()
    }

    /// The mean of one metric over heads, with Student's interval over heads if there are several.
    pub(super) fn interval(&self, metric: usize) -> Option<(f64, Option<Interval>)> {
        let values = self.values(metric)?;
        Some((stats::mean(&values), stats::student_mean(&values)))
    }

    /// How many times the mean error of the best matrices of its rank its own mean error is, with Student's interval
    /// over heads if there are several.
    pub(super) fn gap(&self) -> Option<(f64, Option<Interval>)> {
        let (values, best) = (
            self.values(place("matrix_rel_fro"))?,
            self.optima.iter().copied().collect::<Option<Vec<f64>>>()?,
        );
        // An optimum of 0 (the matrices have that rank themselves) leaves no gap to speak of.
        let optimum = Some(stats::mean(&best)).filter(|optimum| *optimum > 1e-6)?;
        Some((stats::mean(&values) / optimum, stats::student_ratio(&values, &best)))
    }
}

/// The windows of each head, of measurements of one length.
pub(super) fn by_head(measured: &[Measured]) -> impl Iterator<Item = &[Measured]> {
    measured.chunk_by(|a, b| a.at.place == b.at.place)
}
