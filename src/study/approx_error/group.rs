//! Means of a mechanism over windows and heads, with intervals.

use super::candidate::Candidate;
use super::fits::Role;
use super::measure::{Job, Measured, Price, metrics};
use super::rows::place;
use crate::stats::{self, Interval};

/// What the best matrix of a rank is called in tables.
const OPTIMUM: &str = "best of rank l (SVD)";
/// What the best choice of keys is called in tables.
const TOP: &str = "top-k (best of l keys)";

/// A mechanism on one length in one role: the mean over windows of every head.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) n: usize,
    /// Its number; none for the best of an l.
    pub(super) candidate: Option<usize>,
    /// What the best of an l is called.
    best: &'static str,
    pub(super) l: Option<usize>,
    pub(super) role: Role,
    /// Which heads of this length were measured, by their number.
    pub(super) places: Vec<usize>,
    /// By head, in the order of the heads: values of [`metrics`], of which the optimum knows three.
    pub(super) heads: Vec<Vec<Option<f64>>>,
    /// What it costs on one head; the heads of a length have one shape.
    pub(super) price: Option<Price>,
    /// By head: what the best matrix of the same rank leaves, where the rank is bounded.
    pub(super) optima: Vec<Option<f64>>,
}

/// What is known of a mechanism over one window: values of [`metrics`], what the best matrix of the same rank leaves, and
/// what it costs.
type Known = (Vec<Option<f64>>, Option<f64>, Option<Price>);

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
            groups.extend(job.lengths.iter().filter_map(|l| Self::top(job, window_sets, n, *l)));
        }
        groups
    }

    fn of(job: &Job<'_>, measured: &[Measured], n: usize, at: usize, role: Role) -> Option<Self> {
        Self::of_heads(measured, n, (Some(at), ""), job.candidates[at].l, role, |one| {
            let cell = one.mechanisms.iter().find(|cell| cell.candidate == at && cell.role == role)?;
            Some((cell.values.clone(), cell.optimum.map(|best| best.rel_fro), cell.price))
        })
    }

    /// The best matrix of rank l, of which some errors are known.
    fn floor(job: &Job<'_>, measured: &[Measured], n: usize, l: usize) -> Option<Self> {
        let known = ["matrix_rel_fro", "matrix_rel_spectral", "output_rel_fro"].map(place);
        Self::best(job, measured, (n, l), OPTIMUM, |one| {
            let (_, best) = one.floor.iter().find(|(at, _)| *at == l)?;
            let mut values = vec![None; metrics().count()];
            for (at, value) in known.into_iter().zip([best.rel_fro, best.rel_spectral, best.output_rel_fro]) {
                values[at] = Some(value);
            }
            Some(values)
        })
    }

    /// The l most probable keys of each row.
    fn top(job: &Job<'_>, measured: &[Measured], n: usize, l: usize) -> Option<Self> {
        Self::best(job, measured, (n, l), TOP, |one| {
            let top = one.top.iter().find(|top| top.l == l)?;
            Some(top.values.clone())
        })
    }

    /// The best of an l, of which `values` are known on a window.
    fn best(
        job: &Job<'_>,
        measured: &[Measured],
        (n, l): (usize, usize),
        best: &'static str,
        values: impl Fn(&Measured) -> Option<Vec<Option<f64>>>,
    ) -> Option<Self> {
        Self::of_heads(measured, n, (None, best), Some(l), Role::Judged, |one| {
            let judged = Some(one).filter(|one| job.fits.is_judged(one.at.window));
            Some((values(judged?)?, None, None))
        })
    }

    /// Means over the windows of each head of which something is known; none where nothing is known of any head.
    fn of_heads(
        measured: &[Measured],
        n: usize,
        (candidate, best): (Option<usize>, &'static str),
        l: Option<usize>,
        role: Role,
        known: impl Fn(&Measured) -> Option<Known>,
    ) -> Option<Self> {
        let (places, heads, optima) = (Vec::new(), Vec::new(), Vec::new());
        let mut group = Self { n, candidate, best, l, role, places, heads, price: None, optima };
        for (place, head) in by_head(measured).enumerate() {
            let windows: Vec<Known> = head.iter().filter_map(&known).collect();
            // Of a run that was interrupted, some heads have no such window yet.
            let Some((.., price)) = windows.first() else { continue };
            let mean = |value: &dyn Fn(&Known) -> Option<f64>| {
                let all: Option<Vec<f64>> = windows.iter().map(value).collect();
                all.map(|all| stats::mean(&all))
            };
            group.price = *price;
            group.places.push(place);
            group.heads.push((0..metrics().count()).map(|at| mean(&|(values, ..)| values[at])).collect());
            group.optima.push(mean(&|(_, optimum, _)| *optimum));
        }
        (!group.heads.is_empty()).then_some(group)
    }

    /// What stands in tables and legends.
    pub(super) fn name<'a>(&self, candidates: &'a [Candidate]) -> &'a str {
        self.candidate.map_or(self.best, |at| &candidates[at].name)
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
