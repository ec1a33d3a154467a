use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array2, s};

use super::*;
use crate::attention::{Attention, Input, Mask, find, softmax};
use crate::error::Error;
use crate::rng::{normal, stream};

fn samples(count: usize, n: usize, m: usize) -> Vec<Sample> {
    let mut rng = stream(5, "samples of a fit");
    let one = |_| {
        let (q, k, v) = (normal(&mut rng, n, 4), normal(&mut rng, m, 4), normal(&mut rng, m, 3));
        Sample { q, k, v, scale: 0.9 }
    };
    (0..count).map(one).collect()
}

fn origin(label: &str) -> Origin<'_> {
    Origin { seed: 0, label, learned: None }
}

fn fitted(spec: &str, samples: &[Sample], options: &Options) -> Fitted {
    fit(&spec.parse().unwrap(), samples, options, &origin("head"), &|| Ok(())).unwrap()
}

/// The loss in f64, from the equations.
fn loss(name: &str, pieces: &[Array2<f64>], sample: &Sample) -> f64 {
    let [q, k, v] = [&sample.q, &sample.k, &sample.v].map(|x| x.mapv(f64::from));
    let scale = f64::from(sample.scale);
    let attend = |q: &Array2<f64>, k: &Array2<f64>| softmax::from_logits(q.dot(&k.t()) * scale, Mask::Full);
    let (keys, values) = if name == "luna" {
        let pack = attend(&pieces[0], &k);
        (pack.dot(&k), pack.dot(&v))
    } else {
        let (e, f) = (&pieces[0], &pieces[pieces.len() - 1]);
        (e.slice(s![.., ..k.nrows()]).dot(&k), f.slice(s![.., ..k.nrows()]).dot(&v))
    };
    let target = attend(&q, &k).dot(&v);
    let off = attend(&q, &keys).dot(&values) - &target;
    (&off * &off).sum() / (&target * &target).sum()
}

fn entry(name: &str) -> &'static Fit {
    find(&name.parse().unwrap()).unwrap().fit.unwrap()
}

#[test]
fn gradients_are_central_differences() {
    // The second window is shorter than the first, and the third has fewer queries than p has rows.
    let mut all = samples(1, 9, 11);
    all.extend(samples(1, 6, 7));
    all.extend(samples(1, 3, 7));
    let mut rng = stream(1, "gradients");
    for (name, mechanism, sizes) in [
        ("luna", "luna", vec![(5, 4)]),
        ("linformer", "linformer", vec![(5, 11), (5, 11)]),
        ("linformer shared", "linformer", vec![(5, 11)]),
    ] {
        let pieces: Vec<_> =
            sizes.iter().map(|(rows, columns)| normal(&mut rng, *rows, *columns) * 0.7).collect();
        let windows = window::all(&all).unwrap();
        let mut objective = (entry(mechanism).objective)(&pieces, Room::of(&windows));
        for (window, sample) in windows.iter().zip(&all) {
            let exact: Vec<_> = pieces.iter().map(|x| x.mapv(f64::from)).collect();
            // Gradients add up on what is there already.
            let mut found: Vec<_> = pieces.iter().map(|x| Array2::from_elem(x.dim(), 1.0)).collect();
            let value = objective.loss(&pieces, window, Some(&mut found));
            let of = |pieces: &[Array2<f64>]| {
                // As the mechanism, no more rows of p than queries.
                let l = if mechanism == "luna" { sample.q.nrows().min(5) } else { 5 };
                let cut: Vec<_> = pieces.iter().map(|x| x.slice(s![..l, ..]).to_owned()).collect();
                loss(mechanism, &cut, sample)
            };
            assert!((value / of(&exact) - 1.0).abs() < 1e-5, "{name}: {value}");
            for (piece, found) in found.iter().enumerate() {
                let slopes = Array2::from_shape_fn(found.dim(), |at| {
                    let moved = |by: f64| {
                        let mut moved = exact.clone();
                        moved[piece][at] += by;
                        of(&moved)
                    };
                    (moved(1e-5) - moved(-1e-5)) / 2e-5
                });
                let size = slopes.fold(0.0_f64, |size, x| size.max(x.abs()));
                let off = (&(found - 1.0).mapv(f64::from) - &slopes).fold(0.0_f64, |off, x| off.max(x.abs()));
                assert!(size > 1e-3, "{name}: a gradient of zeros would pin nothing");
                assert!(off < 1e-3 * size, "{name}, piece {piece}: off by {off} of {size}");
            }
        }
    }
}

#[test]
fn a_fit_lowers_the_error_on_its_own_windows() {
    let few = samples(2, 24, 24);
    for spec in ["luna:l=4,p=fitted", "linformer:l=4,e=fitted", "linformer:l=4,e=fitted,shared=false"] {
        let options = Options { woven: 0, decay: Some(0.0), ..Options::default() };
        let before = fitted(spec, &few, &Options { steps: 0, ..options.clone() });
        let after = fitted(spec, &few, &options);
        assert!(after.train < 0.9 * before.train, "{spec}: {} to {}", before.train, after.train);
        assert_eq!((before.steps, after.steps), (0, options.steps));
        assert_eq!(after.validation, None, "two windows are too few to hold one out");
        let names: Vec<_> = after.learned.0.keys().copied().collect();
        let expected: &[_] = if spec.contains("false") { &["e", "f"] } else { &["e"] };
        assert_eq!(names, if spec.starts_with("luna") { &["p"] } else { expected });
    }
}

#[test]
fn the_error_is_that_of_the_mechanism_itself() {
    let few = samples(3, 20, 20);
    let exact = Attention::build(&"softmax".parse().unwrap(), &origin("head")).unwrap();
    for spec in ["luna:l=6,p=fitted", "linformer:l=6,e=fitted", "linformer:l=6,e=fitted,shared=false"] {
        let fitted = fitted(spec, &few, &Options::default());
        let origin = Origin { learned: Some(&fitted.learned), ..origin("head") };
        let attention = Attention::build(&spec.parse().unwrap(), &origin).unwrap();
        let errors = few.iter().map(|Sample { q, k, v, scale }| {
            let input = Input { scale: *scale, ..Input::new(q.view(), k.view(), Mask::Full) };
            let target = exact.forward(&input, v.view()).unwrap();
            let off = attention.forward(&input, v.view()).unwrap() - &target;
            f64::from((&off * &off).sum() / (&target * &target).sum()).sqrt()
        });
        let mean = errors.sum::<f64>() / few.len() as f64;
        assert!((fitted.train / mean - 1.0).abs() < 1e-5, "{spec}: {} and {mean}", fitted.train);
    }
}

#[test]
fn defaults_are_those_of_the_list() {
    let found = fitted("luna:p=fitted", &samples(1, 40, 40), &Options { steps: 1, ..Options::default() });
    assert_eq!(found.learned.0["p"].nrows(), 16);
    let found =
        fitted("linformer:e=fitted", &samples(1, 80, 80), &Options { steps: 1, ..Options::default() });
    assert_eq!(found.learned.0["e"].dim(), (64, 80));
    assert!(!found.learned.0.contains_key("f"), "shared");
}

#[test]
fn a_p_that_made_the_outputs_is_recovered() {
    let mut rng = stream(2, "teacher");
    // The targets are what Luna itself makes with the teacher's p.
    let samples = samples(4, 32, 32);
    let mut windows = window::all(&samples).unwrap();
    let teacher = normal(&mut rng, 3, 4) * 2.0;
    let learned = Learned([("p", teacher.clone())].into());
    let origin = Origin { learned: Some(&learned), ..origin("teacher") };
    let luna = Attention::build(&"luna:l=3,p=fitted".parse().unwrap(), &origin).unwrap();
    for (window, Sample { q, k, v, scale }) in windows.iter_mut().zip(&samples) {
        let input = Input { scale: *scale, ..Input::new(q.view(), k.view(), Mask::Full) };
        window.target = luna.forward(&input, v.view()).unwrap();
        window.weight = 1.0 / window.target.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    }
    let start = vec![&teacher + &(normal(&mut rng, 3, 4) * 0.5)];
    let mut objective = (entry("luna").objective)(&start, Room::of(&windows));
    let options = Options { steps: 1500, ..Options::default() };
    let before = objective.loss(&start, &windows[0], None).sqrt();
    let stop = Stop::After(options.steps);
    let found =
        descend::descend(&mut *objective, start, &windows, &stop, (&options, 0.0), &mut rng, &|| Ok(()))
            .unwrap();
    let after = objective.loss(&found.pieces, &windows[0], None).sqrt();
    assert!(before > 0.02 && after < 1e-3, "error {before} to {after}");
    let off = (&found.pieces[0] - &teacher).fold(0.0_f32, |off, x| off.max(x.abs()));
    assert!(off < 0.02, "p is off by {off}");
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let few = samples(4, 16, 16);
    let options = Options { steps: 30, ..Options::default() };
    for spec in ["luna:l=4,p=fitted", "linformer:l=4,e=fitted"] {
        let once = fitted(spec, &few, &options);
        assert_eq!(once, fitted(spec, &few, &options));
        let other = fit(&spec.parse().unwrap(), &few, &options, &origin("another head"), &|| Ok(())).unwrap();
        assert_ne!(once.learned, other.learned, "another label, other draws");
    }
}

#[test]
fn one_window_is_enough_and_any_lengths_fit() {
    let one = fitted("luna:l=4,p=fitted", &samples(1, 16, 16), &Options::default());
    assert!(one.train < 0.5 && one.validation.is_none(), "{one:?}");
    // More rows than queries or keys; windows of unlike lengths, which cannot be woven.
    for lengths in [[(5, 5), (7, 9), (7, 9)], [(5, 5), (5, 5), (7, 9)]] {
        let unlike: Vec<_> = lengths.iter().flat_map(|(n, m)| samples(1, *n, *m)).collect();
        for (spec, piece, shape) in
            [("luna:l=6,p=fitted", "p", (6, 4)), ("linformer:l=7,e=fitted", "e", (7, 9))]
        {
            let found = fitted(spec, &unlike, &Options { steps: 50, ..Options::default() });
            assert_eq!(found.learned.0[piece].dim(), shape);
            assert!(found.validation.is_some_and(f64::is_finite));
            assert!(found.steps <= 50);
        }
    }
}

#[test]
fn a_held_out_window_ends_a_fit_that_learns_nothing_of_it() {
    // Random windows have nothing in common but their positions, of which E learns by heart.
    let found =
        fitted("linformer:l=4,e=fitted", &samples(4, 24, 24), &Options { woven: 0, ..Options::default() });
    assert!(found.steps < 400, "{} steps", found.steps);
    assert!(found.validation.is_some());
}

#[test]
fn an_interruption_ends_a_fit() {
    let calls = AtomicUsize::new(0);
    let check = || if calls.fetch_add(1, Ordering::Relaxed) < 7 { Ok(()) } else { Err(Error::Interrupted) };
    let spec = "luna:l=4,p=fitted".parse().unwrap();
    let error = fit(&spec, &samples(2, 16, 16), &Options::default(), &origin("head"), &check).unwrap_err();
    assert!(matches!(error, Error::Interrupted));
    assert_eq!(calls.load(Ordering::Relaxed), 8, "it is asked at every step");
}

#[test]
fn what_asks_for_a_fit() {
    for (spec, expected) in [
        ("luna:p=fitted", true),
        ("luna:l=8,p=fitted", true),
        ("luna", false),
        ("luna:p=segment", false),
        ("linformer:e=fitted", true),
        ("linformer:l=8", false),
        ("softmax", false),
        ("softmax:p=fitted", false),
    ] {
        assert_eq!(wanted(&spec.parse().unwrap()), expected, "{spec}");
    }
}

#[test]
fn bad_samples_are_refused_in_one_line() {
    let refused = |spec: &str, samples: &[Sample]| {
        let spec = spec.parse().unwrap();
        fit(&spec, samples, &Options::default(), &origin("head"), &|| Ok(())).unwrap_err().to_string()
    };
    let luna = "luna:l=4,p=fitted";
    let good = samples(1, 8, 8).remove(0);
    assert_eq!(
        refused("softmax", std::slice::from_ref(&good)),
        "attention to fit: 'softmax' is not accepted; accepted: luna, linformer"
    );
    assert_eq!(refused(luna, &[]), "windows of a fit: '0' is not accepted; accepted: 1 or more");
    assert!(refused("luna:l=0,p=fitted", std::slice::from_ref(&good)).starts_with("parameter 'l'"));
    let narrow = Sample { k: Array2::zeros((8, 3)), ..good.clone() };
    assert_eq!(refused(luna, &[narrow]), "keys of a fit: shape [8, 3]; expected (m, 4), m 1 or more");
    let short = Sample { v: Array2::zeros((7, 3)), ..good.clone() };
    assert_eq!(refused(luna, &[short]), "values of a fit: shape [7, 3]; expected (8, 3)");
    let mut broken = good.clone();
    broken.q[[3, 1]] = f32::NAN;
    assert!(refused(luna, &[broken]).starts_with("error of a fit: NaN at the windows"));
}
