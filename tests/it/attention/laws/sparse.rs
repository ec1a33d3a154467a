//! Choices of keys: what no choice can be better than, and what each is at its limits.

use std::collections::BTreeSet;

use luna::attention::{Attention, Mask, Under};
use ndarray::{Array2, ArrayView1};

use super::{Given, LENGTHS, MASKS, WIDTHS, built, name_of, walk};

/// Puts every case that is a choice of keys under `law`, with the exact matrix and that of the choice, in f64.
fn choices(mut law: impl FnMut(&Attention, &Given, &Array2<f64>, &Array2<f64>)) {
    let softmax = built("softmax", "laws");
    let mut seen = BTreeSet::new();
    walk(|attention, given| {
        if attention.choice().is_none() || attention.kind().name == "softmax" {
            return;
        }
        seen.insert(attention.kind().name);
        let [exact, chosen] = [&softmax, attention].map(|one| given.matrix(one).mapv(f64::from));
        law(attention, &given, &exact, &chosen);
    });
    assert!(seen.len() >= 9, "{seen:?}");
}

fn variation(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0
}

/// The softmax mass of the keys that a row of the choice keeps.
fn recall(exact: ArrayView1<'_, f64>, chosen: ArrayView1<'_, f64>) -> f64 {
    exact.iter().zip(chosen).filter(|(_, b)| **b > 0.0).map(|(a, _)| a).sum()
}

fn kept(row: ArrayView1<'_, f64>) -> usize {
    row.iter().filter(|x| **x > 0.0).count()
}

#[test]
fn the_variation_of_a_renormalised_choice_is_the_mass_dropped() {
    choices(|attention, given, exact, chosen| {
        for (i, (a, b)) in exact.rows().into_iter().zip(chosen.rows()).enumerate() {
            // What reads nothing has nothing to renormalise, and what is not renormalised drops twice as much as it moves.
            if kept(b) == 0 {
                continue;
            }
            let dropped = 1.0 - recall(a, b);
            let expected = if attention.is_stochastic() { dropped } else { dropped / 2.0 };
            let found = variation(a, b);
            let at = || format!("{attention:?}, {:?}, row {i}", given.shape());
            assert!((found - expected).abs() < 2e-6, "{}: {found} and not {expected}", at());
        }
    });
}

#[test]
fn no_choice_of_as_many_keys_is_nearer_than_top_k() {
    choices(|attention, given, exact, chosen| {
        let most = chosen.rows().into_iter().map(kept).max().unwrap_or(0).max(1);
        let best = given.matrix(&built(&format!("top-k:l={most}"), "laws")).mapv(f64::from);
        for (i, ((a, b), best)) in exact.rows().into_iter().zip(chosen.rows()).zip(best.rows()).enumerate() {
            let at = || format!("{attention:?}, {:?}, row {i}, {most} keys", given.shape());
            assert!(kept(best) <= most, "{}: top-k keeps {}", at(), kept(best));
            assert!(recall(a, b) <= recall(a, best) + 1e-6, "{}", at());
            if attention.is_stochastic() && kept(b) > 0 {
                let [found, least] = [b, best].map(|x| variation(a, x));
                assert!(found >= least - 1e-6, "{}: {found} is below {least}", at());
            }
        }
    });
}

/// Of any distribution over as many keys, not of choices alone.
#[test]
fn no_row_of_as_many_weights_is_nearer_than_its_bound() {
    let softmax = built("softmax", "laws");
    walk(|attention, given| {
        if !attention.is_stochastic() {
            return;
        }
        let [exact, found] = [&softmax, attention].map(|one| given.matrix(one).mapv(f64::from));
        for (a, b) in exact.rows().into_iter().zip(found.rows()).filter(|(_, b)| kept(*b) > 0) {
            let mut largest = a.to_vec();
            largest.sort_unstable_by(|a, b| b.total_cmp(a));
            let bound: f64 = largest[kept(b)..].iter().sum();
            assert!(variation(a, b) >= bound - 2e-6, "{attention:?}, {:?}", given.shape());
        }
    });
}

/// The largest difference of an entry from softmax.
fn from_softmax(spec: &str, given: &Given) -> f32 {
    let [a, b] = ["softmax", spec].map(|spec| given.matrix(&built(spec, "laws")));
    (a - b).fold(0.0, |far, x| far.max(x.abs()))
}

#[test]
fn all_keys_and_the_whole_rank_give_softmax_back() {
    for (&lengths, &widths) in LENGTHS.iter().flat_map(|lengths| WIDTHS.iter().map(move |w| (lengths, w))) {
        for mask in MASKS {
            let given = Given::normal(lengths, widths, mask);
            let most = lengths.0.max(lengths.1);
            // A window has half of its keys ahead, lines are columns and diagonals, sinks stand beside the window.
            let far = 2 * most + 4;
            for spec in [
                format!("top-k:l={most}"),
                format!("top-k:l={most},renormalise=false"),
                "top-p:mass=1".into(),
                format!("block-top-k:l={far},block=1"),
                format!("block-top-k:l={far},block={far}"),
                format!("vertical-slash:l={far}"),
                format!("sparse-low-rank:l=5,rank={most}"),
                format!("sparse-low-rank:l={far},rank=0"),
                format!("sink-window:l={far}"),
                format!("local:l={far}"),
            ] {
                if matches!(built(&spec, "laws").kind().under(mask), Under::Refused(_)) {
                    continue;
                }
                // A query after the last key is further from it than a window reaches.
                if lengths.0 > lengths.1 && name_of(&spec) == "local" && mask == Mask::Full {
                    continue;
                }
                let off = from_softmax(&spec, &given);
                assert!(off < 1e-5, "{spec}, {:?}: off by {off}", given.shape());
            }
            if mask == Mask::Causal && lengths.0 == lengths.1 {
                for spec in ["local", "sink-window", "top-k"] {
                    let spec = format!("{spec}:l={}", most.max(4));
                    let off = from_softmax(&spec, &given);
                    assert!(off < 1e-6, "{spec}, {:?}: off by {off}", given.shape());
                }
            }
        }
    }
}

#[test]
fn rank_0_is_the_window_without_its_sum() {
    for (&lengths, mask) in LENGTHS.iter().flat_map(|lengths| MASKS.map(|mask| (lengths, mask))) {
        let given = Given::normal(lengths, (8, 5), mask);
        let [exact, window, found] =
            ["softmax", "sink-window:l=6,sink=2", "sparse-low-rank:l=6,sink=2,rank=0"]
                .map(|spec| given.matrix(&built(spec, "laws")));
        for ((at, found), exact) in found.indexed_iter().zip(&exact) {
            let expected = if window[at] > 0.0 { *exact } else { 0.0 };
            assert!((found - expected).abs() < 1e-6, "{:?}, {at:?}: {found}", given.shape());
        }
    }
}
