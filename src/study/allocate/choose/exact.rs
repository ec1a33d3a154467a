//! The dynamic programme over costs.

use super::{Chosen, Offer};

/// Entries of the largest table that is computed: a byte of memory and an operation for each offer.
const LARGEST: u64 = 1 << 28;

/// The choice of the least harm within a budget, of equally harmful ones the cheapest; none if the budget is below the
/// cheapest choice, or the table would be too large.
///
/// Costs are counted in units of their greatest common divisor. `least[c]` is the least harm of the heads so far at a cost of
/// exactly c.
pub(in crate::study::allocate) fn exact(heads: &[Vec<Offer>], budget: u64) -> Option<Chosen> {
    let cheapest = super::cheapest(heads)?;
    if budget < cheapest || heads.iter().any(|head| head.len() > usize::from(u8::MAX)) {
        return None;
    }
    let dearest: u64 = heads.iter().filter_map(|head| head.iter().map(|offer| offer.cost).max()).sum();
    let unit = heads.iter().flatten().fold(0, |unit, offer| gcd(unit, offer.cost)).max(1);
    let size = budget.min(dearest) / unit;
    let offers = heads.iter().map(Vec::len).sum::<usize>() as u64;
    if size.saturating_mul(offers) > LARGEST {
        return None;
    }
    let size = size as usize;
    let mut least = vec![f64::INFINITY; size + 1];
    least[0] = 0.0;
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(heads.len());
    for head in heads {
        let mut next = vec![f64::INFINITY; size + 1];
        let mut by = vec![0; size + 1];
        for (at, offer) in head.iter().enumerate() {
            let cost = (offer.cost / unit) as usize;
            for before in 0..(size + 1).saturating_sub(cost) {
                let harm = least[before] + offer.harm;
                if harm < next[before + cost] {
                    (next[before + cost], by[before + cost]) = (harm, at as u8);
                }
            }
        }
        least = next;
        taken.push(by);
    }
    let mut at = (0..=size).min_by(|a, b| least[*a].total_cmp(&least[*b]))?;
    let mut offers = Vec::with_capacity(heads.len());
    for (head, by) in heads.iter().zip(&taken).rev() {
        let offer = usize::from(by[at]);
        at -= (head[offer].cost / unit) as usize;
        offers.push(offer);
    }
    offers.reverse();
    Some(Chosen::of(heads, offers, |harm| harm))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
