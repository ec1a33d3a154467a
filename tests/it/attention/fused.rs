//! Fused forward passes beside f64 by the equations, and beside the obvious forms.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use luna::attention::fused::{ALL, Fused, Given, Heads, Path, find};
use luna::attention::luna_causal::Weight;
use luna::attention::{Attention, Input, Learned, Mask, Origin};
use luna::cost::{Shape, Tally};
use luna::rng::{normal, stream};
use ndarray::{Array2, Array3, ArrayView2, Axis, s};

const L: usize = 9;
const EPS: f32 = 1e-4;

/// Everything that a pass is given, for any mechanism.
struct Sample {
    q: Array3<f32>,
    k: Array3<f32>,
    v: Array3<f32>,
    p: Array3<f32>,
    e: Array2<f32>,
    f: Array2<f32>,
    w: Array2<f32>,
    window: usize,
    weight: Weight,
}

impl Sample {
    fn new(heads: usize, [n, m, d_h, d_v]: [usize; 4], l: usize) -> Self {
        let mut rng = stream(7, "fused");
        let mut cube = |rows: usize, columns: usize| {
            let flat = normal(&mut rng, heads * rows, columns);
            flat.into_shape_with_order((heads, rows, columns)).unwrap()
        };
        let (q, k, v, p) = (cube(n, d_h), cube(m, d_h), cube(m, d_v), cube(l, d_h));
        let [e, f] = [0, 1].map(|_| normal(&mut rng, l, m + 2) / (l as f32).sqrt());
        let w = normal(&mut rng, l, d_h);
        Self { q, k, v, p, e, f, w, window: l, weight: Weight::Softplus }
    }

    fn heads(&self, mask: Mask) -> Heads<'_> {
        Heads::new(self.q.view(), self.k.view(), self.v.view(), mask)
    }

    fn given(&self, name: &str) -> Given<'_> {
        match name {
            "luna" => Given::Luna { p: self.p.view() },
            "luna-causal" => Given::LunaCausal { p: self.p.view(), weight: self.weight },
            "linformer" => Given::Linformer { e: self.e.view(), f: self.f.view() },
            "performer" => Given::Performer { w: self.w.view(), eps: EPS },
            "local" => Given::Local { l: self.window },
            _ => Given::Nothing,
        }
    }

    fn run(&self, name: &str, path: Path, mask: Mask) -> Array3<f32> {
        let mut out = Array3::from_elem((self.q.dim().0, self.q.dim().1, self.v.dim().2), f32::NAN);
        find(name).unwrap().forward_by(path, &self.heads(mask), &self.given(name), out.view_mut()).unwrap();
        out
    }

    /// One head by the equations in f64.
    fn exact(&self, name: &str, mask: Mask, head: usize) -> Array2<f64> {
        let double = |x: ArrayView2<'_, f32>| x.mapv(f64::from);
        let [q, k, v, p] = [&self.q, &self.k, &self.v, &self.p].map(|x| double(x.index_axis(Axis(0), head)));
        let scale = f64::from(self.heads(mask).scale);
        let m = k.nrows();
        match name {
            "softmax" => softmax(q.dot(&k.t()) * scale, |i, j| j < mask.visible(i, m)).dot(&v),
            "local" => {
                let half = self.window / 2;
                softmax(q.dot(&k.t()) * scale, |i, j| j < mask.visible(i, m) && i.abs_diff(j) <= half).dot(&v)
            }
            "luna" => {
                let p = p.slice(s![..p.nrows().min(q.nrows()), ..]);
                let pack = softmax(p.dot(&k.t()) * scale, |_, _| true);
                softmax(q.dot(&pack.dot(&k).t()) * scale, |_, _| true).dot(&pack.dot(&v))
            }
            "luna-causal" => {
                let w = (k.dot(&p.t()) * scale).mapv(|x| match self.weight {
                    Weight::Softplus => x.max(0.0) + (-x.abs()).exp2().ln_1p() / std::f64::consts::LN_2,
                    Weight::Elu => x.min(0.0).exp() + x.max(0.0),
                });
                let mut out = Array2::zeros((q.nrows(), v.ncols()));
                let mut keys = Array2::<f64>::zeros((k.ncols(), w.ncols()));
                let mut values = Array2::<f64>::zeros((w.ncols(), v.ncols()));
                for (t, mut row) in out.rows_mut().into_iter().enumerate() {
                    if t < m {
                        let [k, w, v] = [&k, &w, &v].map(|x| x.slice(s![t..=t, ..]));
                        keys = keys + k.t().dot(&w);
                        values = values + w.t().dot(&v);
                    }
                    let seen = mask.visible(t, m) as f64;
                    let logits = q.slice(s![t..=t, ..]).dot(&keys) * (scale / seen);
                    row.assign(&(softmax(logits, |_, _| true).dot(&values) / seen).row(0));
                }
                out
            }
            "linformer" => {
                let [e, f] = [&self.e, &self.f].map(|x| double(x.slice(s![.., ..m])));
                softmax(q.dot(&e.dot(&k).t()) * scale, |_, _| true).dot(&f.dot(&v))
            }
            "linear" => {
                let phi = |x: &Array2<f64>| x.mapv(|x| if x > 0.0 { x + 1.0 } else { x.exp() });
                let mut a = phi(&q).dot(&phi(&k).t());
                for (i, mut row) in a.rows_mut().into_iter().enumerate() {
                    row.slice_mut(s![mask.visible(i, m)..]).fill(0.0);
                }
                let sums = (a.sum_axis(Axis(1)) + f64::from(1e-6_f32)).insert_axis(Axis(1));
                (a / sums).dot(&v)
            }
            "performer" => {
                let w = double(self.w.view());
                let parts = |x: &Array2<f64>| {
                    let norms = x.map_axis(Axis(1), |x| -0.5 * scale * x.dot(&x)).insert_axis(Axis(1));
                    (x.dot(&w.t()) * scale.sqrt(), norms)
                };
                let ((of_q, norm_q), (of_k, norm_k)) = (parts(&q), parts(&k));
                let max = of_k.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
                let tops = of_q.map_axis(Axis(1), |row| row.fold(f64::NEG_INFINITY, |max, x| max.max(*x)));
                let phi_q = (of_q + norm_q - tops.insert_axis(Axis(1))).mapv(f64::exp) + f64::from(EPS);
                let exponents = of_k.clone() + norm_k;
                let mut a = phi_q.dot(&((&exponents - max).mapv(f64::exp) + f64::from(EPS)).t());
                if mask == Mask::Causal {
                    a.fill(0.0);
                    let mut max = f64::NEG_INFINITY;
                    for (i, mut row) in a.rows_mut().into_iter().enumerate() {
                        let seen = mask.visible(i, m);
                        max = of_k.row(seen - 1).fold(max, |max, x| max.max(*x));
                        let phi = (&exponents.slice(s![..seen, ..]) - max).mapv(f64::exp) + f64::from(EPS);
                        row.slice_mut(s![..seen]).assign(&phi.dot(&phi_q.row(i)));
                    }
                }
                let sums = a.sum_axis(Axis(1)).insert_axis(Axis(1));
                (a / sums).dot(&v)
            }
            _ => unreachable!("{name} has no equation here"),
        }
    }
}

fn softmax(mut a: Array2<f64>, sees: impl Fn(usize, usize) -> bool) -> Array2<f64> {
    for (i, mut row) in a.rows_mut().into_iter().enumerate() {
        for (j, x) in row.iter_mut().enumerate() {
            *x = if sees(i, j) { *x } else { f64::NEG_INFINITY };
        }
        let max = row.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
        if max == f64::NEG_INFINITY {
            row.fill(0.0);
        } else {
            row.mapv_inplace(|x| (x - max).exp());
            row /= row.sum();
        }
    }
    a
}

/// The masks that a fused form has.
fn masks(fused: &Fused) -> impl Iterator<Item = Mask> {
    [Mask::Full, Mask::Causal].into_iter().filter(|mask| fused.honours(*mask))
}

#[test]
fn every_path_agrees_with_f64() {
    for (shape, l) in [
        ([1, 1, 1, 1], 1),
        ([7, 5, 3, 2], 1),
        ([5, 7, 8, 3], 7),
        ([33, 64, 16, 16], L),
        ([70, 3, 20, 5], 130),
        ([150, 97, 64, 64], 16),
        ([65, 600, 40, 33], 33),
        ([300, 530, 64, 64], 130),
        ([49, 200, 48, 48], 48),
        ([200, 40, 17, 96], 80),
        ([1100, 900, 24, 40], 20),
    ] {
        let mut sample = Sample::new(2, shape, l);
        sample.weight = if l % 2 == 0 { Weight::Softplus } else { Weight::Elu };
        for fused in ALL {
            for mask in masks(fused) {
                for path in Path::ALL {
                    let out = sample.run(fused.name, path, mask);
                    for (head, out) in out.outer_iter().enumerate() {
                        let exact = sample.exact(fused.name, mask, head);
                        let off = (&exact - &out.mapv(f64::from)).fold(0.0_f64, |far, x| {
                            assert!(x.is_finite());
                            far.max(x.abs())
                        });
                        let size = exact.fold(0.0_f64, |far, x| far.max(x.abs()));
                        assert!(
                            off <= 1e-5 * size,
                            "{} {path:?} {mask:?} {shape:?} l {l}: {}",
                            fused.name,
                            off / size
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn the_obvious_forms_give_the_same() {
    let sample = Sample::new(1, [90, 90, 32, 24], L);
    let [q, k, v, p] = [&sample.q, &sample.k, &sample.v, &sample.p].map(|x| x.index_axis(Axis(0), 0));
    let learned = Learned(
        [
            ("p", p.to_owned()),
            ("e", sample.e.clone()),
            ("f", sample.f.clone()),
            ("features", sample.w.clone()),
        ]
        .into(),
    );
    let origin = Origin { seed: 1, label: "head", learned: Some(&learned) };
    for spec in [
        "softmax",
        "luna:p=fitted",
        "luna-causal:p=fitted",
        "linformer:e=fitted,shared=false",
        "linear",
        "performer:features=fitted,eps=1e-4",
        "local:l=9",
    ] {
        let name = spec.split(':').next().unwrap();
        let attention = Attention::build(&spec.parse().unwrap(), &origin).unwrap();
        for mask in masks(find(name).unwrap()) {
            let obvious = attention.forward(&Input::new(q, k, mask), v).unwrap();
            let off = (&sample.run(name, Path::Widest, mask).index_axis(Axis(0), 0) - &obvious)
                .fold(0.0_f32, |far, x| far.max(x.abs()));
            assert!(off < 2e-5, "{spec} {mask:?}: {off}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for shape in [[130, 700, 24, 40], [1800, 1700, 24, 40]] {
        let sample = Sample::new(3, shape, 70);
        for (fused, mask) in ALL.iter().flat_map(|fused| masks(fused).map(move |mask| (fused, mask))) {
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| sample.run(fused.name, Path::Widest, mask))
            };
            let one = on(1);
            for threads in [2, 3, 7] {
                assert_eq!(one, on(threads), "{} {mask:?} on {threads} threads", fused.name);
            }
        }
    }
}

#[test]
fn nobody_looks_ahead() {
    let mut sample = Sample::new(2, [210, 210, 16, 8], L);
    for name in ALL.iter().filter(|fused| fused.honours(Mask::Causal)).map(|fused| fused.name) {
        for path in Path::ALL {
            let before = sample.run(name, path, Mask::Causal);
            let (k, v) = (sample.k.clone(), sample.v.clone());
            for x in [&mut sample.k, &mut sample.v] {
                x.slice_mut(s![.., 101.., ..]).mapv_inplace(|x| 50.0 - x);
            }
            let after = sample.run(name, path, Mask::Causal);
            assert_eq!(before.slice(s![.., ..101, ..]), after.slice(s![.., ..101, ..]), "{name} {path:?}");
            assert_ne!(before.slice(s![.., 101.., ..]), after.slice(s![.., 101.., ..]), "{name} {path:?}");
            (sample.k, sample.v) = (k, v);
        }
    }
}

#[test]
fn enormous_logits_stay_finite() {
    let mut sample = Sample::new(1, [80, 130, 16, 8], L);
    for x in [&mut sample.q, &mut sample.k, &mut sample.p] {
        // Products of 16 numbers of this size, divided by 4: about +-1e4.
        x.mapv_inplace(|x| 100.0 * x);
    }
    for fused in ALL {
        for mask in masks(fused) {
            for path in Path::ALL {
                let out = sample.run(fused.name, path, mask);
                assert!(out.iter().all(|x| x.is_finite()), "{} {path:?} {mask:?}", fused.name);
            }
        }
    }
}

#[test]
fn padding_counts_for_nothing_and_rows_without_keys_are_zeros() {
    let sample = Sample::new(2, [60, 75, 16, 8], L);
    let mut short = Sample::new(2, [60, 75, 16, 8], L);
    for x in [&mut short.q, &mut short.k, &mut short.v] {
        let rows = if x.dim().1 == 60 { 41 } else { 33 };
        *x = x.slice(s![.., ..rows, ..]).to_owned();
    }
    for (fused, mask) in ALL.iter().flat_map(|fused| masks(fused).map(move |mask| (fused, mask))) {
        let mut out = Array3::from_elem((2, 60, 8), f32::NAN);
        let heads = Heads { real: (41, 33), ..sample.heads(mask) };
        let given = sample.given(fused.name);
        fused.forward_into(&heads, &given, out.view_mut()).unwrap();
        assert_eq!(out.slice(s![.., ..41, ..]), short.run(fused.name, Path::Widest, mask), "{}", fused.name);
        assert!(out.slice(s![.., 41.., ..]).iter().all(|x| *x == 0.0), "{}", fused.name);
        fused.forward_into(&Heads { real: (41, 0), ..heads }, &given, out.view_mut()).unwrap();
        assert!(out.iter().all(|x| *x == 0.0), "{} without keys", fused.name);
    }
    // Behind the last key and beyond the window's reach.
    let far = Sample::new(1, [90, 20, 8, 4], 10);
    for path in Path::ALL {
        let out = far.run("local", path, Mask::Full);
        assert!(out.slice(s![0, 25.., ..]).iter().all(|x| *x == 0.0), "{path:?}");
        assert!(out.slice(s![0, ..25, ..]).iter().all(|x| *x != 0.0), "{path:?}");
    }
}

#[test]
fn any_layout() {
    let sample = Sample::new(2, [50, 40, 12, 10], L);
    let turned = |x: &Array3<f32>| {
        x.view().permuted_axes([1, 2, 0]).as_standard_layout().into_owned().permuted_axes([2, 0, 1])
    };
    let [q, k, v] = [&sample.q, &sample.k, &sample.v].map(turned);
    for (fused, mask) in ALL.iter().flat_map(|fused| masks(fused).map(move |mask| (fused, mask))) {
        let mut out = Array3::zeros((50, 10, 2)).permuted_axes([2, 0, 1]);
        let heads = Heads::new(q.view(), k.view(), v.view(), mask);
        fused.forward_into(&heads, &sample.given(fused.name), out.view_mut()).unwrap();
        assert_eq!(out, sample.run(fused.name, Path::Widest, mask), "{}", fused.name);
    }
}

#[test]
fn tied_values_are_packed_once_and_alike() {
    let sample = Sample::new(2, [70, 300, 16, 16], 20);
    let given = sample.given("luna");
    let mut outs = [0, 1].map(|_| Array3::<f32>::zeros((2, 70, 16)));
    let copy = sample.k.clone();
    for (out, v) in outs.iter_mut().zip([&sample.k, &copy]) {
        let heads = Heads::new(sample.q.view(), sample.k.view(), v.view(), Mask::Full);
        find("luna").unwrap().forward_into(&heads, &given, out.view_mut()).unwrap();
    }
    assert_eq!(outs[0], outs[1]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let sample = Sample::new(2, [10, 12, 8, 4], L);
    let mut out = Array3::zeros((2, 10, 4));
    for fused in ALL {
        let heads = sample.heads(masks(fused).next().unwrap());
        let other = if fused.name == "local" { Given::Nothing } else { Given::Local { l: 3 } };
        let error = fused.forward_into(&heads, &other, out.view_mut()).unwrap_err().to_string();
        assert!(error.contains(fused.name), "{error}");
        let given = sample.given(fused.name);
        let long = Heads { real: (11, 12), ..heads };
        assert!(fused.forward_into(&long, &given, out.view_mut()).is_err());
        assert!(fused.forward_into(&heads, &given, Array3::zeros((2, 10, 5)).view_mut()).is_err());
        for mask in [Mask::Full, Mask::Causal] {
            let done = fused.forward_into(&sample.heads(mask), &given, out.view_mut());
            assert_eq!(done.is_ok(), fused.honours(mask), "{} {mask:?}", fused.name);
        }
    }
    assert!(find("reformer").is_none());
}

#[test]
fn work_space_does_not_grow_with_length() {
    for fused in ALL {
        let name = fused.name;
        for causal in [false, true] {
            let at = |n| fused.extra_bytes(&Shape { causal, ..Shape::square(n, 64) }, 8, 16, 2);
            assert_eq!(at(4096), at(65_536), "{name}");
            assert!(at(4096) < 2 << 20, "{name}: {}", at(4096));
        }
    }
}

#[test]
fn sums_over_many_tokens_stay_exact() {
    // Tokens that are all alike: whatever rounding does to a running sum, it does to it every time.
    let mut sample = Sample::new(1, [65_536, 65_536, 8, 4], 5);
    for x in [&mut sample.k, &mut sample.v] {
        let (row, all) = (x.slice(s![0, 0, ..]).to_owned(), x.dim());
        x.assign(&row.broadcast(all).unwrap());
    }
    for name in ["luna-causal", "linear"] {
        let exact = if name == "linear" {
            // A mean of values that are all alike.
            sample.v.index_axis(Axis(0), 0).mapv(f64::from)
        } else {
            sample.exact(name, Mask::Causal, 0)
        };
        let out = sample.run(name, Path::Widest, Mask::Causal).index_axis(Axis(0), 0).mapv(f64::from);
        let size = exact.fold(0.0_f64, |far, x| far.max(x.abs()));
        let off = (&exact - &out).fold(0.0_f64, |far, x| far.max(x.abs()));
        assert!(off <= 1e-5 * size, "{name}: {}", off / size);
    }
}

#[test]
fn a_largest_that_rises_and_rises_keeps_every_row() {
    // Every key's exponents are far above those of the key before: no block can go by its last row's.
    let mut sample = Sample::new(1, [150, 140, 4, 3], L);
    for (j, mut row) in sample.k.index_axis_mut(Axis(0), 0).rows_mut().into_iter().enumerate() {
        row.fill(0.1 * j as f32);
    }
    sample.w.mapv_inplace(f32::abs);
    let exact = sample.exact("performer", Mask::Causal, 0);
    for path in Path::ALL {
        let out = sample.run("performer", path, Mask::Causal).index_axis(Axis(0), 0).mapv(f64::from);
        let off = (&exact - &out).fold(0.0_f64, |far, x| far.max(x.abs()));
        assert!(off <= 1e-5, "{path:?}: {off}");
    }
}

#[test]
fn tiles_count_what_the_equations_say() {
    for (shape, l) in [
        ([1, 1, 1, 1], 1),
        ([7, 5, 3, 2], 4),
        ([150, 97, 17, 33], 16),
        ([97, 150, 20, 5], 70),
        ([1301, 1203, 12, 9], 5),
    ] {
        let sample = Sample::new(3, shape, l);
        let [n, m, d_h, d_v] = shape;
        let origin = Origin { seed: 1, label: "head", learned: None };
        let mut out = Array3::zeros((3, n, d_v));
        for (fused, mask) in ALL.iter().flat_map(|fused| masks(fused).map(move |mask| (fused, mask))) {
            let spec = match fused.name {
                "softmax" | "linear" => fused.name.to_owned(),
                name => format!("{name}:l={l}"),
            };
            let attention = Attention::build(&spec.parse().unwrap(), &origin).unwrap();
            let cost = attention.cost(&Shape { n, m, d_h, d_v, causal: mask == Mask::Causal });
            let tally = Tally::default();
            fused.counted(&sample.heads(mask), &sample.given(fused.name), out.view_mut(), &tally).unwrap();
            assert_eq!(tally.macs(), 3 * cost.macs, "{spec} {mask:?} {shape:?}");
            assert_eq!(
                out,
                sample.run(fused.name, Path::Widest, mask),
                "{spec} {mask:?}: counting changes it"
            );
        }
    }
}

#[test]
fn tied_values_are_counted_once() {
    let (l, n, m, d) = (20, 70, 300, 16);
    let sample = Sample::new(2, [n, m, d, d], l);
    let mut out = Array3::zeros((2, n, d));
    let count = |v: &Array3<f32>, out: &mut Array3<f32>| {
        let heads = Heads::new(sample.q.view(), sample.k.view(), v.view(), Mask::Full);
        let tally = Tally::default();
        find("luna").unwrap().counted(&heads, &sample.given("luna"), out.view_mut(), &tally).unwrap();
        tally.macs()
    };
    let (tied, apart) = (count(&sample.k, &mut out), count(&sample.v, &mut out));
    assert_eq!(apart - tied, (2 * l * m * d) as u64);
}
