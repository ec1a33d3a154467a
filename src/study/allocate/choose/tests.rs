//! Both ways of choosing beside every choice there is.

use proptest::prelude::*;

use super::hull::hull;
use super::{Chosen, Offer, cheapest, choose, exact, lagrange};

/// The least harm within a budget, by trying all.
fn brute(heads: &[Vec<Offer>], budget: u64) -> Option<f64> {
    let mut best: Option<f64> = None;
    let mut at = vec![0; heads.len()];
    loop {
        let taken: Vec<Offer> = heads.iter().zip(&at).map(|(head, at)| head[*at]).collect();
        let harm: f64 = taken.iter().map(|offer| offer.harm).sum();
        if taken.iter().map(|offer| offer.cost).sum::<u64>() <= budget && best.is_none_or(|best| harm < best)
        {
            best = Some(harm);
        }
        let Some(head) = (0..heads.len()).find(|head| at[*head] + 1 < heads[*head].len()) else {
            return best;
        };
        at[..head].fill(0);
        at[head] += 1;
    }
}

fn heads() -> impl Strategy<Value = Vec<Vec<Offer>>> {
    let offer =
        (0_u64..40, 0_u32..1000).prop_map(|(cost, harm)| Offer { cost, harm: f64::from(harm) / 64.0 });
    prop::collection::vec(prop::collection::vec(offer, 1..5), 1..6)
}

fn is_as_it_says(heads: &[Vec<Offer>], chosen: &Chosen, budget: u64) -> bool {
    let again = Chosen::of(heads, chosen.offers.clone(), |_| chosen.bound);
    again == *chosen && chosen.cost <= budget
}

proptest! {
    #[test]
    fn the_dynamic_programme_finds_the_best(heads in heads(), budget in 0_u64..200) {
        let found = exact(&heads, budget);
        prop_assert_eq!(found.as_ref().map(|chosen| chosen.harm), brute(&heads, budget));
        if let Some(chosen) = found {
            prop_assert!(is_as_it_says(&heads, &chosen, budget));
            prop_assert_eq!(Some(chosen), choose(&heads, budget));
        }
    }

    #[test]
    fn the_multiplier_is_the_best_of_what_it_spends_and_a_segment_away_from_any_other(
        heads in heads(),
        budget in 0_u64..200,
    ) {
        let Some(chosen) = lagrange(&heads, budget) else {
            prop_assert!(cheapest(&heads).is_none_or(|least| budget < least));
            return Ok(());
        };
        prop_assert!(is_as_it_says(&heads, &chosen, budget));
        let best = brute(&heads, budget).unwrap();
        prop_assert!(chosen.bound <= best + 1e-9 && best <= chosen.harm + 1e-9);
        let widest = heads.iter().flat_map(|head| hull(head).1).map(|segment| segment.saves);
        prop_assert!(chosen.harm - best <= widest.fold(0.0, f64::max) + 1e-9);
        // Of the budget that the multiplier's own choice uses up, before the rest of a budget is filled, it is the best:
        // every budget at which a whole number of segments fits.
        let mut spent = cheapest(&heads).unwrap();
        let mut segments: Vec<_> = heads.iter().flat_map(|head| hull(head).1).collect();
        segments.sort_by(|a, b| b.rate().total_cmp(&a.rate()));
        for segment in [None].into_iter().chain(segments.into_iter().map(Some)) {
            spent += segment.map_or(0, |segment| segment.cost);
            let whole = lagrange(&heads, spent).unwrap();
            prop_assert!((whole.harm - brute(&heads, spent).unwrap()).abs() < 1e-9, "at {}", spent);
            prop_assert!((whole.harm - whole.bound).abs() < 1e-9);
        }
    }

    #[test]
    fn a_hull_is_convex_and_below_every_offer(heads in heads()) {
        for offers in &heads {
            let (first, segments) = hull(offers);
            prop_assert!(segments.windows(2).all(|pair| pair[0].rate() > pair[1].rate()));
            for offer in offers {
                let (mut cost, mut harm) = (offers[first].cost, offers[first].harm);
                for segment in &segments {
                    let share = offer.cost.saturating_sub(cost).min(segment.cost);
                    harm -= segment.rate() * share as f64;
                    cost += share;
                }
                prop_assert!(offer.cost >= offers[first].cost && harm <= offer.harm + 1e-9);
            }
        }
    }
}

/// More budget never harms, and all of it takes the least harmful offer of every head.
#[test]
fn by_hand() {
    let offer = |cost, harm| Offer { cost, harm };
    let heads = [
        vec![offer(8, 10.0), offer(16, 9.0), offer(32, 1.0)],
        vec![offer(8, 4.0), offer(16, 0.5), offer(32, 0.25)],
    ];
    let of = |budget| choose(&heads, budget).map(|chosen| (chosen.offers, chosen.harm));
    assert_eq!(of(15), None);
    assert_eq!(of(16), Some((vec![0, 0], 14.0)));
    assert_eq!(of(24), Some((vec![0, 1], 10.5)));
    assert_eq!(of(40), Some((vec![2, 0], 5.0)));
    assert_eq!(of(48), Some((vec![2, 1], 1.5)));
    assert_eq!(of(1000), Some((vec![2, 2], 1.25)));
    assert_eq!(choose(&[vec![]], 10), None);
}
