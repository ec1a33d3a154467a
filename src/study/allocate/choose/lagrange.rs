//! The budget spent along the hulls, steepest segment first.

use super::hull::{Segment, hull};
use super::{Chosen, Offer};

/// The choice that Lagrange's multiplier finds within a budget, and what is left spent on segments that still fit; none if
/// the budget is below the cheapest choice.
///
/// Every multiplier lambda has a choice that minimises harm + lambda cost: each head takes the segments that save more than
/// lambda for each unit of cost. Going through the segments by what they save is going through all multipliers from infinity
/// to 0, and the choice before the first segment that does not fit is the best of its cost. The line along that segment up to
/// the budget bounds every other choice from below.
pub(in crate::study::allocate) fn lagrange(heads: &[Vec<Offer>], budget: u64) -> Option<Chosen> {
    let cheapest = super::cheapest(heads)?;
    let mut left = budget.checked_sub(cheapest)?;
    let hulls: Vec<(usize, Vec<Segment>)> = heads.iter().map(|head| hull(head)).collect();
    let mut offers: Vec<usize> = hulls.iter().map(|(first, _)| *first).collect();
    let all = hulls.iter().enumerate();
    let mut segments: Vec<(usize, Segment)> =
        all.flat_map(|(head, (_, segments))| segments.iter().map(move |one| (head, *one))).collect();
    // Stable: segments of one head stay in their order.
    segments.sort_by(|a, b| b.1.rate().total_cmp(&a.1.rate()));
    let mut bound = None;
    let mut ended = vec![false; heads.len()];
    for (head, segment) in segments {
        if segment.cost > left && bound.is_none() {
            let harm: f64 = heads.iter().zip(&offers).map(|(head, at)| head[*at].harm).sum();
            bound = Some(harm - segment.rate() * left as f64);
        }
        if ended[head] || segment.cost > left {
            ended[head] = true;
            continue;
        }
        left -= segment.cost;
        offers[head] = segment.to;
    }
    Some(Chosen::of(heads, offers, |harm| bound.unwrap_or(harm)))
}
