//! What holds of the spectrum of any attention matrix.

use luna::attention::{Mask, softmax};
use luna::linalg::engine::Engine;
use luna::linalg::spectra::{self, Spectra};
use luna::metric::{self, Of, Spectrum};
use luna::rng::{below, stream};
use ndarray::{Array2, Axis};
use proptest::prelude::*;

use super::{far, random};

/// Random attention: its shape, how sharp it is, whether it looks back only.
fn attention() -> impl Strategy<Value = Array2<f64>> {
    (0_u64..1000, 1_usize..40, 1_usize..40, 0.0_f64..8.0, any::<bool>()).prop_map(
        |(seed, n, m, sd, causal)| {
            let mask = if causal { Mask::Causal } else { Mask::Full };
            softmax::from_logits(sd * random(seed, n, if causal { n } else { m }), mask)
        },
    )
}

fn both(a: &Array2<f64>) -> Spectra {
    spectra::of_f64(a.view(), Engine::Faer, &spectra::uninterrupted).unwrap()
}

fn by_name(name: &str, spectrum: &Spectrum<'_>, k: usize) -> f64 {
    let metric = metric::ALL.iter().find(|metric| metric.name == name).unwrap();
    let value = match metric.of {
        Of::Spectrum(value) => value(spectrum),
        Of::SpectrumAt(value) => value(spectrum, k),
        Of::Rows(_) | Of::RowsAt(_) | Of::Pair(_) | Of::Output(_) => None,
    };
    value.unwrap_or_else(|| panic!("{name} has no value"))
}

/// A random order of the numbers below n.
fn order(seed: u64, n: usize) -> Vec<usize> {
    let mut rng = stream(seed, "order");
    let mut order: Vec<usize> = (0..n).collect();
    (1..n).rev().for_each(|i| order.swap(i, below(&mut rng, i + 1)));
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_order_of_rows_and_columns_does_not_matter(a in attention(), seed in 0_u64..1000) {
        let (n, m) = a.dim();
        let permuted = a.select(Axis(0), &order(seed, n)).select(Axis(1), &order(seed + 1, m));
        let (before, after) = (both(&a), both(&permuted));
        let bound = 1e-13 * before.plain[0];
        prop_assert!(far(&before.plain, &after.plain) <= bound);
        prop_assert!(far(&before.centred, &after.centred) <= bound);
        let [before, after] = [&a, &permuted].map(|a| {
            spectra::of_f32(a.mapv(|x| x as f32).view(), Engine::Faer, &spectra::uninterrupted).unwrap()
        });
        let bound = 5e-8 * before.plain[0];
        prop_assert!(far(&before.plain, &after.plain) <= bound);
        prop_assert!(far(&before.centred, &after.centred) <= bound);
    }

    #[test]
    fn ranks_keep_their_order(a in attention()) {
        let spectra = both(&a);
        // The mean row is all that some matrices have: what centring leaves of them is rounding.
        let centred = (spectra.centred[0] > 1e-10).then_some(&spectra.centred);
        for sigma in std::iter::once(&spectra.plain).chain(centred) {
            let spectrum = Spectrum::whole(sigma, a.dim(), f64::EPSILON);
            let rank = |name| by_name(name, &spectrum, 0);
            let (stable, effective) = (rank("stable_rank"), rank("effective_rank"));
            let (nuclear, participation) = (rank("nuclear_rank"), rank("participation_ratio"));
            let numerical = rank("numerical_rank");
            let least = |a: f64, b: f64| a <= b * (1.0 + 1e-9);
            let all = format!("{stable} {participation} {nuclear} {effective} {numerical} of {sigma:?}");
            prop_assert!(least(1.0, stable) && least(stable, participation), "{}", all);
            prop_assert!(least(participation, effective) && least(effective, numerical), "{}", all);
            prop_assert!(least(stable, nuclear) && least(nuclear, effective), "{}", all);
            prop_assert!(numerical as usize <= a.nrows().min(a.ncols()), "{}", all);
            let counts = ["rank90_energy", "rank95_energy", "rank99_energy"].map(rank);
            prop_assert!(1.0 <= counts[0] && counts.is_sorted() && counts[2] <= numerical);
            prop_assert!(counts[0] <= rank("rank90_l1"), "the sum of squares is reached no later");
        }
    }

    #[test]
    fn shares_grow_from_0_to_1_and_errors_fall(a in attention()) {
        let sigma = both(&a).plain;
        let spectrum = Spectrum::whole(&sigma, a.dim(), f64::EPSILON);
        let curve = |name: &str| (1..=sigma.len()).map(|k| by_name(name, &spectrum, k)).collect::<Vec<_>>();
        let (l1, energy) = (curve("cum_l1_at"), curve("cum_energy_at"));
        for share in [&l1, &energy] {
            prop_assert!(share.is_sorted() && share[0] > 0.0, "{:?}", share);
            prop_assert!((share[share.len() - 1] - 1.0).abs() < 1e-12, "{:?}", share);
        }
        prop_assert!(l1.iter().zip(&energy).all(|(l1, energy)| *l1 <= energy + 1e-12));
        let errors = curve("best_rel_fro_at");
        for (error, energy) in errors.iter().zip(&energy) {
            prop_assert!((error * error + energy - 1.0).abs() < 1e-10, "Eckart and Young: {} {}", error, energy);
        }
        prop_assert!(curve("best_rel_spectral_at").iter().rev().is_sorted());
    }

    /// Rows sum to 1, so the vector of ones is mapped to itself; and a row has at most norm 1.
    #[test]
    fn the_largest_value_of_attention_has_ends(a in attention()) {
        let (n, m) = a.dim();
        let largest = both(&a).plain[0];
        prop_assert!(largest >= (n as f64 / m as f64).sqrt() * (1.0 - 1e-12));
        prop_assert!(largest <= (n as f64).sqrt() * (1.0 + 1e-12));
    }

    /// Cauchy's interlacing: leaving out one direction leaves every value at least as large as the next one was.
    #[test]
    fn centring_takes_out_one_direction(a in attention()) {
        let Spectra { plain, centred, .. } = both(&a);
        let slack = 1e-13 * plain[0];
        for i in 0..plain.len() {
            prop_assert!(centred[i] <= plain[i] + slack);
            prop_assert!(centred[i] >= plain.get(i + 1).copied().unwrap_or(0.0) - slack);
        }
        // Without their mean, n rows span at most n - 1 directions.
        prop_assert!(a.nrows() > a.ncols() || centred[a.nrows() - 1] <= slack);
    }
}
