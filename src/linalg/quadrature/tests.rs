use ndarray::{Array1, Array2, Axis};

use super::*;
use crate::error::Error;
use crate::linalg::engine::Engine;
use crate::linalg::gemm::{Threads, product};
use crate::linalg::{engine, rounding, spectra};
use crate::rng::{normal, stream};

fn find(a: &Array2<f32>, options: Options, seed: u64) -> Estimate {
    let mut rng = stream(seed, "quadrature");
    estimate(a, options, rounding::F32, &mut rng, &|| Ok(()), &mut |_, _| Ok(false)).unwrap()
}

#[allow(clippy::unnecessary_wraps)] // the form of every figure
fn sum(sigma: &[f64], weights: &[f64]) -> Option<f64> {
    Some(sigma.iter().zip(weights).map(|(s, w)| s * w).sum())
}

fn effective_rank(sigma: &[f64], weights: &[f64]) -> Option<f64> {
    let all = sum(sigma, weights)?;
    let shares = sigma.iter().zip(weights).map(|(s, w)| (s / all, w)).filter(|(p, _)| *p > 0.0);
    Some((-shares.map(|(p, w)| w * p * p.ln()).sum::<f64>()).exp())
}

/// A matrix with these singular values and random singular vectors.
fn planted(sigma: &[f64], seed: u64) -> Array2<f32> {
    let n = sigma.len();
    let mut rng = stream(seed, "planted");
    let mut basis = || engine::thin_svd(normal(&mut rng, n, n).mapv(f64::from).view()).unwrap().0;
    let (u, v) = (basis() * &Array1::from(sigma.to_vec()), basis());
    product(u.view(), v.t(), Threads::All).mapv(|x| x as f32)
}

const EFFORT: Options = Options { probes: 8, rounds: 12 };

/// A singular value by its place.
type Value = Box<dyn Fn(usize) -> f64>;

#[test]
fn planted_spectra_are_recovered() {
    let n = 240;
    let steps = |i: usize| {
        if i < 40 {
            5.0
        } else if i < 160 {
            1.0
        } else {
            0.02
        }
    };
    let kinds: [(&str, Value, f64); 6] = [
        ("rank 30", Box::new(|i| if i < 30 { 1.0 + i as f64 } else { 0.0 }), 1e-5),
        ("one value", Box::new(|_| 2.0), 1e-5),
        ("steps", Box::new(steps), 0.1),
        ("power 1", Box::new(|i| 1.0 / (1.0 + i as f64)), 0.05),
        ("power 0.5", Box::new(|i| (1.0 + i as f64).powf(-0.5)), 0.05),
        ("exponential", Box::new(|i| 0.9_f64.powi(i as i32)), 0.02),
    ];
    for (kind, value, width) in kinds {
        let mut sigma: Vec<f64> = (0..n).map(value).collect();
        sigma.sort_by(|a, b| b.total_cmp(a));
        let found = find(&planted(&sigma, 3), EFFORT, 4).plain;
        for (what, of) in [("sum", sum as fn(&[f64], &[f64]) -> Option<f64>), ("erank", effective_rank)] {
            let exact = of(&sigma, &vec![1.0; n]).unwrap();
            let interval = found.figure(&of).unwrap();
            // Rounding of the entries, beside intervals without width.
            let rounding = 1e-5 * exact;
            let inside = (interval.low - rounding..=interval.high + rounding).contains(&exact);
            let wide = (interval.high - interval.low) / exact;
            assert!(inside && wide < 2.0 * width, "{kind}: {what} {interval:?} and not {exact}");
        }
        let values = found.values(n);
        let exact: f64 = sigma.iter().sum();
        assert!((values.iter().sum::<f64>() / exact - 1.0).abs() < 2.0 * width, "{kind}");
        assert!((values[0] / sigma[0] - 1.0).abs() < 1e-3, "{kind}: {}", values[0]);
    }
}

/// A matrix (60, 50) with this much of a mean row.
fn shifted(seed: u64, strength: f32) -> Array2<f32> {
    let mut rng = stream(seed, "shift");
    normal(&mut rng, 60, 50) * 0.3 + &(normal(&mut rng, 1, 50) * strength)
}

/// The densities, squared norms and exact values of a matrix, plain and centred.
fn both(a: &Array2<f32>, options: Options, seed: u64) -> [(Density, f64, Vec<f64>); 2] {
    let exact = spectra::of_f64(a.mapv(f64::from).view(), Engine::Faer, &spectra::uninterrupted).unwrap();
    let found = find(a, options, seed);
    [(found.plain, found.energy, exact.plain), (found.centred, found.centred_energy, exact.centred)]
}

#[test]
fn a_basis_of_the_whole_space_has_no_error() {
    for strength in [0.0, 3.0] {
        for (density, energy, exact) in both(&shifted(1, strength), Options { probes: 8, rounds: 20 }, 5) {
            assert_eq!(density.apart(), 50);
            let squares: f64 = exact.iter().map(|s| s * s).sum();
            assert!((energy / squares - 1.0).abs() < 1e-6);
            let (all, interval) = (exact.iter().sum::<f64>(), density.figure(&sum).unwrap());
            assert!((interval.mid / all - 1.0).abs() < 1e-6 && interval.high - interval.low < 1e-6 * all);
            for (found, exact) in density.values(50).iter().zip(&exact) {
                assert!((found - exact).abs() < 1e-5 * all, "{found} {exact}");
            }
        }
    }
}

/// The spectrum without the mean row comes from the same rounds.
#[test]
fn centred_spectra_are_covered_as_plain_ones() {
    let mut inside = [0, 0];
    for seed in 0..40 {
        let found = both(&shifted(seed, 3.0), Options { probes: 8, rounds: 3 }, seed);
        for ((density, energy, exact), inside) in found.iter().zip(&mut inside) {
            let (interval, all) = (density.figure(&sum).unwrap(), exact.iter().sum::<f64>());
            *inside += usize::from((interval.low..=interval.high).contains(&all));
            assert!((interval.high - interval.low) < 0.2 * all, "{interval:?}");
            let squares: f64 = exact.iter().map(|s| s * s).sum();
            assert!((energy / squares - 1.0).abs() < 1e-6);
        }
    }
    assert!(inside.iter().all(|inside| *inside >= 35), "{inside:?} of 40");
}

#[test]
fn degenerate_matrices_have_their_figures() {
    for (a, exact) in [
        (Array2::zeros((40, 40)), 0.0),
        (Array2::eye(100), 100.0),
        (Array2::from_elem((64, 64), 1.0 / 64.0), 1.0),
        (Array2::from_elem((1, 1), 3.0), 3.0),
        (Array2::from_elem((3, 40), 0.5), 0.5 * 120.0_f64.sqrt()),
    ] {
        let found = find(&a, EFFORT, 6);
        let interval = found.plain.figure(&sum).unwrap();
        let near = |x: f64| (x - exact).abs() < 1e-6 * exact.max(1e-9);
        assert!(near(interval.low) && near(interval.high), "{interval:?} and not {exact}");
    }
    let uniform = find(&Array2::from_elem((64, 64), 1.0 / 64.0), EFFORT, 6);
    assert!(uniform.centred.figure(&sum).unwrap().high <= uniform.rounding.nuclear.max(1e-6));
}

/// Heads of several kinds, small: the intervals hold the sum and the effective rank as often as they say.
#[test]
fn intervals_cover() {
    let n = 160;
    let (mut inside, mut all) = (0, 0);
    for seed in 0..60 {
        let mut rng = stream(seed, "cover");
        let scale = [0.5, 1.0, 2.0, 4.0][seed as usize % 4];
        let logits = product(normal(&mut rng, n, 16).view(), normal(&mut rng, 16, n).view(), Threads::One);
        let mut a = logits.mapv(|x| (scale * x / 4.0).exp());
        let window = [n, 40, 8][seed as usize % 3];
        a.indexed_iter_mut().for_each(|((i, j), x)| {
            if (seed % 2 == 0 && j > i) || i.abs_diff(j) > window {
                *x = 0.0;
            }
        });
        a /= &a.sum_axis(Axis(1)).insert_axis(Axis(1));
        let exact = spectra::of_f64(a.mapv(f64::from).view(), Engine::Faer, &spectra::uninterrupted).unwrap();
        let found = find(&a, Options { probes: 8, rounds: 6 }, seed);
        for (density, exact) in [(&found.plain, exact.plain), (&found.centred, exact.centred)] {
            for of in [sum as fn(&[f64], &[f64]) -> Option<f64>, effective_rank] {
                let (interval, exact) = (density.figure(&of).unwrap(), of(&exact, &vec![1.0; n]).unwrap());
                all += 1;
                inside += usize::from((interval.low..=interval.high).contains(&exact));
            }
        }
    }
    assert!(inside * 100 >= 93 * all, "{inside} of {all}");
}

#[test]
fn threads_do_not_change_a_bit() {
    let a = normal(&mut stream(11, "matrix"), 700, 300);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let found = pool.install(|| find(&a, EFFORT, 7));
        [&found.plain, &found.centred].map(|density| (density.figure(&sum), density.figure(&effective_rank)))
    };
    assert_eq!(with(1), with(3));
}

#[test]
fn a_round_ends_where_it_is_told_to() {
    let a = normal(&mut stream(11, "matrix"), 700, 300);
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let check = || match calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0..5 => Ok(()),
        _ => Err(Error::Interrupted),
    };
    let mut rounds = 0;
    let mut on_round = |_: usize, _: Option<&Estimate>| {
        rounds += 1;
        Ok(false)
    };
    let found = estimate(&a, EFFORT, rounding::F32, &mut stream(1, "stop"), &check, &mut on_round);
    assert!(matches!(found, Err(Error::Interrupted)));
    assert_eq!(rounds, 0, "in the middle of the first round");
}
