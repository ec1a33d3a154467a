//! What every head can choose from, and what all heads can have alike.

use super::budget::{Limit, Unit};
use super::config::AllocateConfig;
use crate::attention::{Attention, Mask};
use crate::cost::Shape;
use crate::error::{Error, Result};
use crate::name::{self, Spec};
use crate::study::allocation::Assignment;
use crate::study::approx_error::{Candidate, Candidates};
use crate::study::input::{Source, Trained};
use crate::sweep::Watch;

/// Mechanisms and lengths that a head can have, with the cost of a head.
pub(super) struct Offers {
    pub(super) all: Vec<(Candidate, u64)>,
    /// Notes on what cannot be chosen.
    pub(super) left_out: Vec<String>,
    unit: Unit,
    shape: Shape,
}

/// One mechanism in all heads.
pub(super) struct Uniform {
    pub(super) spec: Spec,
    /// The spec without its l.
    pub(super) name: String,
    /// The cost of a head.
    pub(super) cost: u64,
}

impl Offers {
    /// What the configuration names, on an input whose heads are so wide; layers with a sliding window, or that a mechanism
    /// has no form for, are left as they are.
    pub(super) fn of(
        config: &AllocateConfig,
        source: &mut Trained,
        d_h: usize,
        watch: &dyn Watch,
    ) -> Result<Self> {
        let runs = config.folder.runs_cells();
        let mut candidates = Candidates::named(&config.mechanism, &config.l, source, runs, watch)?;
        candidates.restrict(source, None, watch)?;
        let Candidates { all, mut left_out } = candidates;
        let kinds = source.kinds();
        let (whole, sliding): (Vec<usize>, Vec<usize>) =
            source.layers().iter().partition(|layer| kinds[**layer].window.is_none());
        if whole.is_empty() {
            return Err(Error::value("--model", source.name(), "a model with layers that see all tokens"));
        }
        if !sliding.is_empty() {
            left_out.push(format!("{} layers with a sliding window keep it", sliding.len()));
            source.restrict(&whole);
        }
        let n = source.lengths()[0];
        let shape = Shape { causal: source.mask() == Mask::Causal, ..Shape::square(n, d_h) };
        let unit = config.budget.unit;
        let mut priced = Vec::new();
        for one in all {
            if one.fitted {
                return Err(Error::value("--mechanism", &one.spec, "mechanisms without fitted parts"));
            }
            let price = unit.price(&Attention::of(&one.spec)?, &shape).ok_or_else(|| {
                let accepted = match unit {
                    Unit::Length if one.l.is_some() => {
                        "mechanisms that read fewer keys, or less in their place, at a smaller l; or --budget flops=B"
                    }
                    Unit::Cache => "mechanisms that read stored keys and values, or --budget l=B or flops=B",
                    _ => "softmax and mechanisms that take l, or --budget flops=B or cache=B",
                };
                Error::value(format!("--mechanism under a budget of {}", unit.name()), &one.spec, accepted)
            })?;
            priced.push((one, price));
        }
        if priced.iter().all(|(one, _)| Assignment::is_exact(&one.spec)) {
            if name::specs(&config.mechanism)?.iter().any(|spec| !Assignment::is_exact(spec)) {
                return Err(Error::value("--l", &config.l, format!("one of n = {n} or less at least")));
            }
            let accepted = format!("something beside softmax, at an l up to n = {n}");
            return Err(Error::value("--mechanism", &config.mechanism, accepted));
        }
        left_out.extend(Candidate::leaks(
            &priced.iter().map(|(one, _)| one.clone()).collect::<Vec<_>>(),
            source.mask(),
        ));
        let all = distinct(priced, &shape)?;
        if unit == Unit::Length {
            left_out.extend(scanning(&all, &shape)?);
        }
        Ok(Self { all, left_out, unit, shape })
    }

    /// What softmax attention costs in one head.
    pub(super) fn softmax(&self) -> Result<u64> {
        let softmax = Attention::plain("softmax", None)?;
        self.unit
            .price(&softmax, &self.shape)
            .ok_or_else(|| Error::Refused("softmax has no such cost".into()))
    }

    /// A cost of so many heads as a budget is typed, with its share of what softmax costs.
    pub(super) fn typed(&self, cost: u64, softmax: u64, heads: usize) -> String {
        self.unit.typed((cost, softmax), heads, self.shape.n)
    }

    /// The offer at which heads are replaced to see what their errors do: of the first mechanism with an offer that changes
    /// outputs, that whose l is nearest to n / 16 in ratio.
    pub(super) fn reference(&self, changes: impl Fn(usize) -> bool) -> usize {
        let first = (0..self.all.len()).find(|at| changes(*at)).unwrap_or(0);
        let aim = (self.shape.n as f64 / 16.0).ln();
        let off = |at: &usize| self.all[*at].0.l.map_or(f64::INFINITY, |l| ((l as f64).ln() - aim).abs());
        let same = |at: &usize| self.all[*at].0.name == self.all[first].0.name;
        let others = (first..self.all.len()).filter(|at| same(at) && changes(*at));
        others.min_by(|a, b| off(a).total_cmp(&off(b))).unwrap_or(first)
    }

    /// Every mechanism in all of so many heads, at the largest l that a budget allows: of one with an l of its own that, if
    /// the budget allows it.
    pub(super) fn uniform(&self, limit: &Limit, heads: usize) -> Result<Vec<Uniform>> {
        let each = limit.cost / heads as u64;
        let mut found: Vec<Uniform> = Vec::new();
        for (one, cost) in &self.all {
            let searched = one.l.is_some() && !one.has_own_l;
            if !searched {
                if *cost <= each {
                    found.push(Uniform { spec: one.spec.clone(), name: one.name.clone(), cost: *cost });
                }
                continue;
            }
            if !found.iter().any(|other| other.name == one.name)
                && let Some((spec, cost)) = self.largest(one, each)?
            {
                found.push(Uniform { spec, name: one.name.clone(), cost });
            }
        }
        Ok(found)
    }

    /// A mechanism at the largest l of at most this cost; costs do not fall as l rises.
    fn largest(&self, one: &Candidate, most: u64) -> Result<Option<(Spec, u64)>> {
        let spec = one.spec.without("l");
        let at = |l: usize| -> Result<(Spec, Option<u64>)> {
            let spec = Candidate::one(&spec, one.kind, Some(l))?.spec;
            let attention = Attention::of(&spec)?;
            let price = self.unit.price(&attention, &self.shape);
            // Where keys are read in blocks, the l of the whole blocks says what is read.
            match keys(&attention, &self.shape).filter(|keys| (1..l).contains(keys)) {
                Some(keys) => {
                    let whole = Candidate::one(&spec.without("l"), one.kind, Some(keys))?.spec;
                    let same = Attention::of(&whole)
                        .is_ok_and(|other| self.unit.price(&other, &self.shape) == price);
                    Ok((if same { whole } else { spec }, price))
                }
                None => Ok((spec, price)),
            }
        };
        let (mut low, mut high, mut best) = (1, self.shape.n, None);
        while low <= high {
            let l = usize::midpoint(low, high);
            match at(l) {
                Ok((spec, Some(price))) if price <= most => {
                    best = Some((spec, price));
                    low = l + 1;
                }
                // An l below what other parameters ask for.
                Err(_) if l < one.l.unwrap_or(1) => low = l + 1,
                Err(error) => return Err(error),
                _ => high = l - 1,
            }
        }
        Ok(best)
    }
}

/// Without those that read as many keys as another l of the same mechanism: the l nearest to what is read stays.
fn distinct(all: Vec<(Candidate, u64)>, shape: &Shape) -> Result<Vec<(Candidate, u64)>> {
    let read: Vec<Option<usize>> =
        all.iter().map(|(one, _)| Ok(keys(&Attention::of(&one.spec)?, shape))).collect::<Result<_>>()?;
    let off = |at: usize| read[at].zip(all[at].0.l).map(|(keys, l)| keys.abs_diff(l));
    let is_same = |at: usize, other: usize| {
        let (own, others) = (&all[at].0, &all[other].0);
        !own.has_own_l && !others.has_own_l && own.name == others.name && read[at] == read[other]
    };
    let is_nearer =
        |at: usize, other: usize| off(other).map(|off| (off, other)) < off(at).map(|off| (off, at));
    let stays: Vec<bool> = (0..all.len())
        .map(|at| {
            off(at).is_none() || !(0..all.len()).any(|other| is_same(at, other) && is_nearer(at, other))
        })
        .collect();
    Ok(all.into_iter().zip(stays).filter(|(_, stays)| *stays).map(|(one, _)| one).collect())
}

/// The note on mechanisms whose choice of keys reads more than l says.
fn scanning(all: &[(Candidate, u64)], shape: &Shape) -> Result<Option<String>> {
    let mut names: Vec<&str> = Vec::new();
    for (one, _) in all {
        let scans = Attention::of(&one.spec)?.choice().is_some_and(|choice| choice.scans(shape));
        if scans && !names.contains(&one.name.as_str()) {
            names.push(&one.name);
        }
    }
    Ok((!names.is_empty()).then(|| {
        format!(
            "a budget of l counts the keys that are attended to, and not what is read to choose them ({}); cache=B counts both",
            names.join(", ")
        )
    }))
}

/// How many keys a query reads, of a mechanism that reads some of them.
fn keys(attention: &Attention, shape: &Shape) -> Option<usize> {
    attention.l()?;
    attention.choice().map(|choice| choice.keys(shape))
}
