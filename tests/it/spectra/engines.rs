//! Planted spectra are found, and faer and LAPACK find the same.

use luna::linalg::engine::{Engine, singular_values, thin_svd};
use luna::linalg::spectra;
use ndarray::Array2;
use proptest::prelude::*;

use super::{far, random};

/// `U diag(sigma) V^T` with random orthonormal columns in U (n, r) and V (m, r).
fn planted(seed: u64, (n, m): (usize, usize), sigma: &[f64]) -> Array2<f64> {
    let columns = |seed, rows| thin_svd(random(seed, rows, sigma.len()).view()).unwrap().0;
    let scaled = columns(seed, n) * ndarray::aview1(sigma);
    scaled.dot(&columns(seed + 1, m).t())
}

/// Values from 1 down to about 1e-10, evenly in their logarithm.
fn graded(r: usize) -> Vec<f64> {
    (0..r).map(|i| 10.0_f64.powf(-10.0 * i as f64 / r as f64)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn planted_spectra_are_found(
        seed in 0_u64..1000,
        extra in (0_usize..20, 0_usize..20),
        logarithms in prop::collection::vec(-6.0_f64..2.0, 1..24),
    ) {
        let mut sigma: Vec<f64> = logarithms.iter().map(|x| 10.0_f64.powf(*x)).collect();
        sigma.sort_by(|a, b| b.total_cmp(a));
        let shape = (sigma.len() + extra.0, sigma.len() + extra.1);
        let a = planted(seed, shape, &sigma);
        sigma.resize(shape.0.min(shape.1), 0.0);
        let found = spectra::of_f64(a.view(), Engine::Faer, &spectra::uninterrupted).unwrap().plain;
        prop_assert!(far(&found, &sigma) <= 1e-13 * sigma[0], "{:e}", far(&found, &sigma) / sigma[0]);
        // Half a unit of 2^-23 in each entry moves no value by more than the same share of ||A||_F; the Gram matrix
        // adds the root of f64's unit.
        let norm = a.iter().map(|x| x * x).sum::<f64>().sqrt();
        let found = spectra::of_f32(a.mapv(|x| x as f32).view(), Engine::Faer, &spectra::uninterrupted).unwrap().plain;
        prop_assert!(far(&found, &sigma) <= 6e-8 * norm + 5e-8 * sigma[0], "{:e}", far(&found, &sigma) / sigma[0]);
    }
}

#[test]
fn a_graded_spectrum_is_found_in_f64() {
    let sigma = graded(60);
    let found = singular_values(planted(3, (80, 70), &sigma).view(), Engine::Faer).unwrap();
    assert!(far(&found[..60], &sigma) < 1e-14, "{:e}", far(&found[..60], &sigma));
    assert!(found[60..].iter().all(|s| *s < 1e-14));
}

/// Two implementations that share nothing, on matrices of every kind.
#[test]
#[cfg(feature = "lapack")]
fn faer_and_lapack_agree() {
    let kinds = [
        ("random", random(1, 200, 200)),
        ("tall", random(2, 300, 40)),
        ("wide", random(3, 40, 300)),
        ("one column", random(4, 50, 1)),
        ("one row", random(5, 1, 50)),
        ("low rank", random(6, 150, 7).dot(&random(7, 7, 120))),
        ("graded", planted(8, (130, 110), &graded(110))),
        ("clustered", planted(9, (90, 90), &[1.0; 90])),
        ("row-stochastic", luna::attention::softmax::from_logits(4.0 * random(10, 256, 256), FULL)),
        ("large", 1e150 * random(11, 30, 30)),
        ("zero", Array2::zeros((20, 30))),
    ];
    for (kind, a) in kinds {
        let [faer, lapack] = [Engine::Faer, Engine::Lapack]
            .map(|engine| spectra::of_f64(a.view(), engine, &spectra::uninterrupted).unwrap());
        let largest = lapack.plain[0];
        for (side, faer, lapack) in
            [("plain", &faer.plain, &lapack.plain), ("centred", &faer.centred, &lapack.centred)]
        {
            assert!(
                far(faer, lapack) <= 1e-10 * largest,
                "{kind}, {side}: {:e}",
                far(faer, lapack) / largest
            );
        }
        // The reduction of f32 matrices against LAPACK on the same entries.
        if largest < 1e30 {
            let a = a.mapv(|x| x as f32);
            let [faer, lapack] = [Engine::Faer, Engine::Lapack]
                .map(|engine| spectra::of_f32(a.view(), engine, &spectra::uninterrupted).unwrap());
            assert!(far(&faer.plain, &lapack.plain) <= 5e-8 * largest, "{kind} in f32");
            assert!(far(&faer.centred, &lapack.centred) <= 5e-8 * largest, "{kind} in f32, centred");
        }
    }
}

#[cfg(feature = "lapack")]
const FULL: luna::attention::Mask = luna::attention::Mask::Full;
