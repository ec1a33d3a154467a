//! The lower convex hull of a head's curve of harm over cost.

use super::Offer;

/// One step along a hull, to an offer that costs more and does less harm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Segment {
    /// The offer that it leads to.
    pub(super) to: usize,
    /// What it costs more.
    pub(super) cost: u64,
    /// The harm that it saves.
    pub(super) saves: f64,
}

impl Segment {
    /// The harm that it saves for each unit of cost.
    pub(super) fn rate(&self) -> f64 {
        self.saves / self.cost as f64
    }
}

/// The cheapest offer (of equally cheap ones the least harmful), and the segments from it, the steepest first.
///
/// # Panics
/// If there is no offer.
pub(super) fn hull(offers: &[Offer]) -> (usize, Vec<Segment>) {
    let mut order: Vec<usize> = (0..offers.len()).collect();
    let key = |at: usize| (offers[at].cost, offers[at].harm);
    order.sort_by(|a, b| key(*a).0.cmp(&key(*b).0).then(key(*a).1.total_cmp(&key(*b).1)));
    let mut corners: Vec<usize> = Vec::new();
    for at in order {
        let offer = offers[at];
        if corners.last().is_some_and(|last| offers[*last].harm <= offer.harm) {
            continue;
        }
        // A corner above the line from the one before it to this offer is none.
        while let [.., before, last] = corners[..] {
            let (to_last, to_this) =
                (segment(offers, before, last).rate(), segment(offers, before, at).rate());
            if to_last > to_this {
                break;
            }
            corners.pop();
        }
        corners.push(at);
    }
    let segments = corners.windows(2).map(|pair| segment(offers, pair[0], pair[1])).collect();
    (corners[0], segments)
}

fn segment(offers: &[Offer], from: usize, to: usize) -> Segment {
    Segment { to, cost: offers[to].cost - offers[from].cost, saves: offers[from].harm - offers[to].harm }
}
