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
}

impl Predicted {
    pub(super) fn of(errors: &Errors, harms: &Harms) -> Self {
        let sensitivities = harms.sensitivities(errors);
        let of = |(place, found): (&(usize, usize), &super::errors::HeadErrors)| {
            let sensitivity = sensitivities[place];
            let each = found.squares.iter().map(|square| harms.mean(sensitivity * square));
            (*place, (sensitivity, each.collect()))
        };
        Self { heads: errors.iter().map(of).collect() }
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
    pub(super) assignment: Assignment,
}

/// The name of the choice that differs from head to head.
pub(super) const ALLOCATED: &str = "allocated";

/// Every choice for every budget, the allocation first.
pub(super) fn choices(
    (limits, offers, predicted): (&[Limit], &Offers, &Predicted),
    shape: (usize, usize),
    seed: u64,
) -> Result<Vec<Choice>> {
    let classes = predicted.offers(offers);
    let heads = classes.len();
    let places: Vec<(usize, usize)> = predicted.heads.keys().copied().collect();
    let mut all = Vec::new();
    for (budget, limit) in limits.iter().enumerate() {
        let chosen = choose::choose(&classes, limit.cost).ok_or_else(|| too_little(limit, offers, heads))?;
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
            assignment,
        });
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
                assignment,
            });
        }
    }
    Ok(all)
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
