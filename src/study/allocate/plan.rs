//! What is judged: for every budget the allocation, and every mechanism alike in all heads.

use std::collections::BTreeMap;

use super::budget::Limit;
use super::choose::{self, Chosen, Offer};
use super::errors::Errors;
use super::offers::Offers;
use super::sensitivity::Harms;
use crate::error::{Error, Result};
use crate::name::Spec;
use crate::study::allocation::Assignment;

/// The harm of every head under every offer, as it is predicted from its error and its sensitivity.
pub(super) struct Predicted {
    /// By layer and head: sensitivity, and the harms of the offers.
    pub(super) heads: BTreeMap<(usize, usize), (f64, Vec<f64>)>,
    /// Of heads replaced alone by another offer than the reference (layer, head, offer): harm predicted, and measured.
    pub(super) checks: BTreeMap<(usize, usize, usize), (f64, f64)>,
}

impl Predicted {
    pub(super) fn of(errors: &Errors, harms: &Harms) -> Self {
        let sensitivities = harms.sensitivities(errors);
        let of = |(place, found): (&(usize, usize), &super::errors::HeadErrors)| {
            let sensitivity = sensitivities[place];
            let each = found.squares.iter().map(|square| harms.mean(sensitivity * square));
            (*place, (sensitivity, each.collect()))
        };
        let alone = harms.sensitivities_alone(errors);
        let check = |(at, measured): (&(usize, usize, usize), &f64)| {
            let place = (at.0, at.1);
            let predicted = alone[&place] * errors[&place].squares[at.2];
            (*at, (harms.mean(predicted), harms.mean(*measured)))
        };
        Self { heads: errors.iter().map(of).collect(), checks: harms.checks.iter().map(check).collect() }
    }

    /// The classes of the knapsack, in the order of layers and heads.
    fn offers(&self, offers: &Offers) -> Vec<Vec<Offer>> {
        let head = |(_, harms): &(f64, Vec<f64>)| {
            let pairs = offers.all.iter().zip(harms);
            pairs.map(|((_, cost), harm)| Offer { cost: *cost, harm: *harm }).collect()
        };
        self.heads.values().map(head).collect()
    }
}

/// A mechanism for every head.
pub(super) struct Choice {
    /// Which budget, by its number.
    pub(super) budget: usize,
    /// "allocated", or the spec that all heads have.
    pub(super) name: String,
    /// Of a uniform choice the spec without its l.
    pub(super) mechanism: Option<String>,
    pub(super) spent: u64,
    /// The harm that is predicted, where all of it was measured head by head.
    pub(super) predicted: Option<f64>,
    /// Of an allocation the offer of each head, in the order of [`Predicted::heads`].
    pub(super) chosen: Option<Chosen>,
    /// Of an allocation in which no head costs less than such a part of an equal share, the divisor of that part.
    pub(super) least: Option<u64>,
    pub(super) assignment: Assignment,
}

/// The name of the choice that differs from head to head.
pub(super) const ALLOCATED: &str = "allocated";

/// Parts of an equal share below which no head gets anything, by their divisors. Predicted harms leave out what errors do
/// together: where that is much, the farther an allocation is from the same for all, the more it loses.
const LEAST: [Option<u64>; 4] = [None, Some(4), Some(2), Some(1)];

/// For every budget its allocations, one for each of [`LEAST`] that differs from those before, and the uniform choices.
pub(super) fn candidates(
    (limits, offers, predicted): (&[Limit], &Offers, &Predicted),
    shape: (usize, usize),
    seed: u64,
) -> Result<Vec<Choice>> {
    let classes = predicted.offers(offers);
    let heads = classes.len();
    let places: Vec<(usize, usize)> = predicted.heads.keys().copied().collect();
    let mut all = Vec::new();
    for (budget, limit) in limits.iter().enumerate() {
        let mut known: Vec<Vec<usize>> = Vec::new();
        for least in LEAST {
            let share = limit.cost / heads as u64 / least.unwrap_or(u64::MAX);
            let chosen =
                above(share, &classes, limit.cost).ok_or_else(|| too_little(limit, offers, heads))?;
            if known.contains(&chosen.offers) {
                continue;
            }
            known.push(chosen.offers.clone());
            let mut assignment = Assignment::exact(shape, seed);
            for (place, offer) in places.iter().zip(&chosen.offers) {
                assignment.set(*place, &offers.all[*offer].0.spec);
            }
            all.push(Choice {
                budget,
                name: ALLOCATED.into(),
                mechanism: None,
                spent: chosen.cost,
                predicted: Some(chosen.harm),
                chosen: Some(chosen),
                least,
                assignment,
            });
        }
        for one in offers.uniform(limit, heads)? {
            let mut assignment = Assignment::exact(shape, seed);
            for place in &places {
                assignment.set(*place, &one.spec);
            }
            let offer = offers.all.iter().position(|(other, _)| other.spec == one.spec);
            all.push(Choice {
                budget,
                name: one.spec.to_string(),
                mechanism: Some(one.name),
                spent: one.cost * heads as u64,
                predicted: offer.map(|at| predicted.heads.values().map(|(_, harms)| harms[at]).sum()),
                chosen: None,
                least: None,
                assignment,
            });
        }
    }
    Ok(all)
}

/// The least predicted harm of choices in which no head costs less than the largest offer of at most `share`.
fn above(share: u64, classes: &[Vec<Offer>], budget: u64) -> Option<Chosen> {
    let costs = || classes.iter().flatten().map(|offer| offer.cost);
    let floor = costs().filter(|cost| *cost <= share).max().unwrap_or(0);
    let kept = |head: &Vec<Offer>| (0..head.len()).filter(|at| head[*at].cost >= floor).collect::<Vec<_>>();
    let few: Vec<Vec<Offer>> =
        classes.iter().map(|head| kept(head).into_iter().map(|at| head[at]).collect()).collect();
    let mut chosen = choose::choose(&few, budget)?;
    for (offer, head) in chosen.offers.iter_mut().zip(classes) {
        *offer = kept(head)[*offer];
    }
    Some(chosen)
}

/// Refuses budgets below the cheapest choice of every head.
pub(super) fn check(limits: &[Limit], offers: &Offers, heads: usize) -> Result<()> {
    let least = offers.all.iter().map(|(_, cost)| cost).min().copied().unwrap_or(0) * heads as u64;
    limits
        .iter()
        .find(|limit| limit.cost < least)
        .map_or(Ok(()), |limit| Err(too_little(limit, offers, heads)))
}

fn too_little(limit: &Limit, offers: &Offers, heads: usize) -> Error {
    let cheapest = offers.all.iter().min_by_key(|(_, cost)| *cost);
    let (spec, cost) = cheapest.map_or((String::new(), 0), |(one, cost)| (one.spec.to_string(), *cost));
    let least = offers.typed(cost * heads as u64, limit.softmax, heads);
    Error::value("--budget", &limit.asked, format!("{least} or more, what '{spec}' in every head costs"))
}

/// The specs of an allocation, head by head.
pub(super) fn specs<'a>(chosen: &'a Chosen, offers: &'a Offers) -> impl Iterator<Item = &'a Spec> {
    chosen.offers.iter().map(|offer| &offers.all[*offer].0.spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_the_cheap_offers_out() {
        let head = |harms: [f64; 3]| {
            let offers = [2, 4, 8].into_iter().zip(harms);
            offers.map(|(cost, harm)| Offer { cost, harm }).collect::<Vec<_>>()
        };
        let classes = [head([0.1, 0.1, 0.1]), head([9.0, 3.0, 1.0]), head([2.0, 1.0, 0.0])];
        let chosen = |share: u64, budget: u64| above(share, &classes, budget).map(|chosen| chosen.offers);
        assert_eq!(chosen(0, 14), Some(vec![0, 2, 1]));
        assert_eq!(chosen(3, 14), chosen(0, 14), "the largest offer of at most the share");
        assert_eq!(chosen(4, 14), Some(vec![1, 1, 1]));
        assert_eq!(chosen(4, 16), Some(vec![1, 2, 1]));
        assert_eq!(chosen(8, 23), None);
    }
}
