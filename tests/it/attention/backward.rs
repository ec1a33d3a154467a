//! Fused backward passes beside gradients by hand in f64, those beside finite differences, and every mechanism of the
//! registry beside differences of its own equations.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod by_hand;

use by_hand::{Inputs, Kind};
use luna::attention::luna_causal::{Decay, Weight, WeightedGradients, WeightedHeads};
use luna::attention::{
    ALL, Arrays, Attention, By, ExactHead, Fused, Gradients, Heads, Mask, Maxima, Origin, Path, Saved, fused,
};
use luna::cost::{Shape, Tally};
use luna::linalg::random_mask::RandomMask;
use luna::rng::{normal, stream};
use ndarray::{Array2, Array3, Axis, s};

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
    d_out: Array3<f32>,
    l: usize,
    real: (usize, usize),
}

impl Sample {
    fn new(heads: usize, [n, m, d_h, d_v]: [usize; 4], l: usize) -> Self {
        let mut rng = stream(11, "backward");
        let mut cube = |rows: usize, columns: usize| {
            let flat = normal(&mut rng, heads * rows, columns);
            flat.into_shape_with_order((heads, rows, columns)).unwrap()
        };
        let (q, k, v, p, d_out) = (cube(n, d_h), cube(m, d_h), cube(m, d_v), cube(l, d_h), cube(n, d_v));
        let [e, f] = [0, 1].map(|_| normal(&mut rng, l, m + 2) / (l as f32).sqrt());
        let w = normal(&mut rng, l, d_h);
        Self { q, k, v, p, e, f, w, d_out, l, real: (n, m) }
    }

    fn heads(&self, mask: Mask) -> Heads<'_> {
        Heads { real: self.real, ..Heads::new(self.q.view(), self.k.view(), self.v.view(), mask) }
    }

    fn form(&self, kind: Kind) -> Fused {
        let (name, l) = (kind.name(), self.l);
        let spec = match kind {
            Kind::Softmax | Kind::Linear => name.to_string(),
            Kind::Linformer => format!("{name}:l={l},shared=false"),
            Kind::LunaCausal(Weight::Elu) => format!("{name}:l={l},weight=elu"),
            _ => format!("{name}:l={l}"),
        };
        let origin = Origin { seed: 0, label: "backward", learned: None };
        Attention::build(&spec.parse().unwrap(), &origin).unwrap().fused().unwrap()
    }

    fn arrays(&self, kind: Kind) -> Arrays<'_> {
        match kind {
            Kind::Softmax | Kind::Linear | Kind::Local => Arrays::none(),
            Kind::Luna | Kind::LunaCausal(_) => Arrays::none().with("p", self.p.view()),
            Kind::Linformer => Arrays::none().shared("e", self.e.view()).shared("f", self.f.view()),
            Kind::Performer => Arrays::none().shared("features", self.w.view()),
        }
    }

    /// Output and gradients by the fused passes.
    fn run<'b>(&self, kind: Kind, by: impl Into<By<'b>>, mask: Mask) -> (Array3<f32>, Gradients) {
        let by = by.into();
        let (heads, arrays, form) = (self.heads(mask), self.arrays(kind), self.form(kind));
        let mut out = Array3::from_elem(self.d_out.dim(), f32::NAN);
        let saved = form.forward_saving(by, &heads, &arrays, out.view_mut()).unwrap();
        let mut gradients = form.gradients(&heads, &arrays);
        for x in [&mut gradients.q, &mut gradients.k, &mut gradients.v] {
            x.fill(f32::NAN);
        }
        form.backward_into(by, &heads, &arrays, &saved, out.view(), self.d_out.view(), &mut gradients)
            .unwrap();
        (out, gradients)
    }

    /// The real part of one head in f64, with the upstream gradient.
    fn inputs(&self, head: usize) -> (Inputs, Array2<f64>) {
        let cut = |x: &Array3<f32>, rows: usize| x.slice(s![head, ..rows, ..]).mapv(f64::from);
        let (n, m) = self.real;
        let inputs = Inputs {
            q: cut(&self.q, n),
            k: cut(&self.k, m),
            v: cut(&self.v, m),
            p: cut(&self.p, self.p.dim().1),
            e: self.e.slice(s![.., ..m]).mapv(f64::from),
            f: self.f.slice(s![.., ..m]).mapv(f64::from),
            w: self.w.mapv(f64::from),
            scale: f64::from(self.heads(Mask::Full).scale),
            l: self.l,
        };
        (inputs, cut(&self.d_out, n))
    }

    /// The largest distance of an output or a gradient from the one by hand, relative to its largest entry.
    fn off(&self, kind: Kind, path: Path, mask: Mask) -> f64 {
        let (out, gradients) = self.run(kind, path, mask);
        let (mut e, mut f) = (self.e.mapv(|_| 0.0_f64), self.f.mapv(|_| 0.0_f64));
        let mut most = 0.0_f64;
        let (n, m) = self.real;
        for head in 0..self.q.dim().0 {
            let (inputs, d_out) = self.inputs(head);
            let (expected, slopes) = by_hand::both(kind, mask, &inputs, &d_out);
            let of = |x: &Array3<f32>| x.index_axis(Axis(0), head).mapv(f64::from);
            most = most
                .max(off(&of(&out), &expected))
                .max(off(&of(&gradients.q), &slopes.q))
                .max(off(&of(&gradients.k), &slopes.k))
                .max(off(&of(&gradients.v), &slopes.v));
            if let Some(p) = gradients.learned.get("p") {
                most = most.max(off(&of(p), &slopes.p));
            }
            if gradients.learned.contains_key("e") {
                let mut here = e.slice_mut(s![.., ..m]);
                here += &slopes.e;
                let mut here = f.slice_mut(s![.., ..m]);
                here += &slopes.f;
            }
        }
        assert!(gradients.q.slice(s![.., n.., ..]).iter().all(|x| *x == 0.0));
        for (found, expected) in [("e", e), ("f", f)] {
            if let Some(found) = gradients.learned.get(found) {
                most = most.max(off(&found.index_axis(Axis(0), 0).mapv(f64::from), &expected));
            }
        }
        most
    }
}

/// The largest difference, relative to the largest entry; what is found may have rows more, of zeros.
fn off(found: &Array2<f64>, expected: &Array2<f64>) -> f64 {
    let rows = expected.nrows();
    assert!(found.slice(s![rows.., ..]).iter().all(|x| *x == 0.0), "padding");
    let largest = |x: &Array2<f64>| {
        x.fold(0.0_f64, |far, x| {
            assert!(x.is_finite());
            far.max(x.abs())
        })
    };
    let far = largest(&(&found.slice(s![..rows, ..]) - expected));
    // Where all cancels (a query that sees one key), nothing but rounding is left: that of numbers around 1.
    far / largest(expected).max(0.1)
}

/// Every kind that the list of fused passes has, under every mask that it takes.
fn cases() -> Vec<(Kind, Mask)> {
    let known = ALL.iter().flat_map(|kind| Kind::of(kind.name));
    known.flat_map(|kind| kind.masks().iter().map(move |mask| (kind, *mask))).collect()
}

#[test]
fn gradients_by_hand_are_finite_differences() {
    for (n, m, l) in [(5, 7, 3), (6, 4, 2), (3, 3, 5)] {
        let sample = Sample::new(1, [n, m, 3, 2], l);
        let (inputs, d_out) = sample.inputs(0);
        for kind in Kind::ALL {
            for mask in kind.masks() {
                let off = by_hand::beside_differences(kind, *mask, &inputs, &d_out);
                assert!(off < 1e-7, "{kind:?} {mask:?} {n} {m}: {off}");
            }
        }
    }
}

#[test]
fn every_path_agrees_with_f64() {
    for (shape, l) in [
        ([1, 1, 1, 1], 1),
        ([7, 5, 3, 2], 1),
        ([5, 7, 8, 3], 7),
        ([33, 64, 16, 16], 9),
        ([70, 3, 20, 5], 130),
        ([150, 97, 64, 64], 16),
        ([65, 600, 40, 33], 33),
        ([300, 530, 64, 64], 100),
        ([590, 300, 17, 48], 48),
    ] {
        let sample = Sample::new(2, shape, l);
        for (kind, mask) in cases() {
            for path in Path::ALL {
                let off = sample.off(kind, path, mask);
                assert!(off <= 1e-5, "{kind:?} {path:?} {mask:?} {shape:?} l {l}: {off}");
            }
        }
    }
}

#[test]
fn every_pass_counts_what_its_closed_form_says() {
    for (heads, shape, real, l) in [
        (1, [33, 64, 16, 16], (33, 64), 9),
        (2, [70, 90, 20, 5], (61, 83), 100),
        (3, [300, 530, 17, 48], (300, 530), 24),
        // One head in several segments, whose last chunks are parts of one.
        (1, [1100, 700, 24, 16], (1090, 700), 33),
        (1, [700, 1100, 16, 24], (700, 1100), 16),
    ] {
        let sample = Sample { real, ..Sample::new(heads, shape, l) };
        for (kind, mask) in cases() {
            let tally = Tally::default();
            sample.run(kind, Some(&tally), mask);
            let ((n, m), [_, _, d_h, d_v]) = (real, shape);
            let shape = Shape { n, m, d_h, d_v, causal: mask == Mask::Causal, window: None };
            let [forward, backward] = sample.form(kind).train_cost(&shape);
            let expected = heads as u64 * (forward + backward).macs;
            assert_eq!(tally.macs(), expected, "{kind:?} {mask:?} {shape:?} l {l}");
        }
    }
}

#[test]
fn forward_passes_are_those_of_the_fused_forms() {
    let sample = Sample::new(2, [90, 90, 32, 24], 9);
    for (kind, mask) in cases() {
        let mut out = Array3::zeros(sample.d_out.dim());
        let (form, arrays) = (sample.form(kind), sample.arrays(kind));
        form.forward_into(None, &sample.heads(mask), &arrays, out.view_mut()).unwrap();
        let off = (&sample.run(kind, Path::Widest, mask).0 - &out).fold(0.0_f32, |far, x| far.max(x.abs()));
        assert!(off < 2e-5, "{kind:?} {mask:?}: {off}");
    }
}

#[test]
fn threads_change_no_bit() {
    for (heads, shape) in [(3, [130, 700, 24, 40]), (1, [600, 520, 16, 16])] {
        let sample = Sample::new(heads, shape, 40);
        for (kind, mask) in cases() {
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| sample.run(kind, Path::Widest, mask))
            };
            let one = on(1);
            for threads in [2, 7] {
                assert!(one == on(threads), "{kind:?} {mask:?} on {threads} threads");
            }
        }
    }
}

#[test]
fn padding_has_no_influence() {
    for real in [(41, 33), (33, 41), (60, 70)] {
        let sample = Sample { real, ..Sample::new(2, [60, 75, 16, 24], 9) };
        for (kind, mask) in cases() {
            let off = sample.off(kind, Path::Widest, mask);
            assert!(off <= 1e-5, "{kind:?} {mask:?} {real:?}: {off}");
        }
    }
    let sample = Sample { real: (41, 0), ..Sample::new(2, [60, 75, 16, 8], 9) };
    for (kind, mask) in cases() {
        let (out, gradients) = sample.run(kind, Path::Widest, mask);
        assert!(out.iter().chain(&gradients.q).chain(&gradients.k).chain(&gradients.v).all(|x| *x == 0.0));
    }
}

#[test]
fn rows_without_keys_have_no_gradient() {
    // After the last key and beyond the window's reach.
    let far = Sample::new(1, [90, 20, 8, 4], 10);
    for path in Path::ALL {
        let (_, gradients) = far.run(Kind::Local, path, Mask::Full);
        assert!(gradients.q.slice(s![0, 25.., ..]).iter().all(|x| *x == 0.0), "{path:?}");
        assert!(far.off(Kind::Local, path, Mask::Full) < 1e-5);
    }
}

#[test]
fn enormous_logits_stay_finite() {
    for (shape, l) in [([80, 130, 16, 8], 9), ([300, 280, 16, 16], 20)] {
        let mut sample = Sample::new(1, shape, l);
        for x in [&mut sample.q, &mut sample.k, &mut sample.p] {
            // Products of 16 numbers of this size, divided by 4: about +-1e4.
            x.mapv_inplace(|x| 100.0 * x);
        }
        for (kind, mask) in cases() {
            for path in Path::ALL {
                let (out, gradients) = sample.run(kind, path, mask);
                let learned = gradients.learned.values().flatten();
                let rows = gradients.q.iter().chain(&gradients.k).chain(&gradients.v);
                let all = out.iter().chain(rows).chain(learned);
                assert!({ all }.all(|x| x.is_finite()), "{kind:?} {path:?} {mask:?}");
            }
        }
    }
}

#[test]
fn any_layout() {
    let sample = Sample::new(2, [50, 40, 16, 32], 9);
    let turned = |x: &Array3<f32>| {
        x.view().permuted_axes([1, 2, 0]).as_standard_layout().into_owned().permuted_axes([2, 0, 1])
    };
    let [q, k, v, d_out] = [&sample.q, &sample.k, &sample.v, &sample.d_out].map(turned);
    for (kind, mask) in cases() {
        let (heads, arrays) = (Heads::new(q.view(), k.view(), v.view(), mask), sample.arrays(kind));
        let form = sample.form(kind);
        let mut out = Array3::zeros((50, 32, 2)).permuted_axes([2, 0, 1]);
        let saved = form.forward_saving(Path::Widest, &heads, &arrays, out.view_mut()).unwrap();
        let mut found = form.gradients(&heads, &arrays);
        found.k = Array3::zeros((40, 16, 2)).permuted_axes([2, 0, 1]);
        form.backward_into(Path::Widest, &heads, &arrays, &saved, out.view(), d_out.view(), &mut found)
            .unwrap();
        assert_eq!((out, found), sample.run(kind, Path::Widest, mask), "{kind:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let sample = Sample::new(2, [10, 12, 8, 4], 5);
    let mut out = Array3::zeros((2, 10, 4));
    for (kind, mask) in cases() {
        let (heads, arrays, form) = (sample.heads(mask), sample.arrays(kind), sample.form(kind));
        let other = arrays.clone().shared("nonsense", sample.w.view());
        let error = form.forward_saving(Path::Widest, &heads, &other, out.view_mut()).unwrap_err();
        assert!(error.to_string().contains(form.name()), "{error}");
        let narrow = Array3::zeros((2, 10, 5));
        assert!(form.forward_saving(Path::Widest, &heads, &arrays, narrow.clone().view_mut()).is_err());
        let saved = form.forward_saving(Path::Widest, &heads, &arrays, out.view_mut()).unwrap();
        let zeros = form.gradients(&heads, &arrays);
        let into = |saved: &Saved, d_out: &Array3<f32>, gradients: &Gradients| {
            let mut gradients = gradients.clone();
            let (out, d_out) = (out.view(), d_out.view());
            form.backward_into(Path::Widest, &heads, &arrays, saved, out, d_out, &mut gradients)
        };
        into(&saved, &sample.d_out, &zeros).unwrap();
        assert!(into(&saved, &narrow, &zeros).is_err());
        assert!(into(&Saved::default(), &sample.d_out, &zeros).is_err());
        let mut wrong = zeros.clone();
        if wrong.learned.remove("p").is_none() {
            wrong.learned.insert("p", sample.p.clone());
        }
        assert!(into(&saved, &sample.d_out, &wrong).is_err());
        if kind.masks().len() == 1 {
            let refused = match mask {
                Mask::Full => sample.heads(Mask::Causal),
                Mask::Causal => sample.heads(Mask::Full),
            };
            assert!(form.forward_saving(Path::Widest, &refused, &arrays, out.view_mut()).is_err());
        }
    }
}

#[test]
fn costs_and_space() {
    let shape = Shape::square(512, 64);
    let [forward, backward] = fused("softmax", None).unwrap().train_cost(&shape);
    assert_eq!(forward.macs, 2 * 512 * 512 * 64);
    // Five products, and the sums of d_out * out.
    assert_eq!(backward.macs, 5 * 512 * 512 * 64 + 512 * 64);
    for form in ALL.iter().filter_map(|kind| fused(kind.name, Some(16)).ok()) {
        let at = |n: usize| form.train_extra_bytes(&Shape::square(n, 64), 8, 2);
        let ([small, small_back], [large, large_back]) = (at(4096), at(65_536));
        // What grows with the length is less than what the gradients themselves take.
        for grown in [large - small, large_back - small_back] {
            assert!(grown <= 4 * 8 * (65_536 - 4096) * 3 * 64, "{}: {grown}", form.name());
        }
    }
}

#[test]
fn weights_of_other_keys_have_gradients_of_their_own() {
    for (shape, l, real) in [([130, 150, 16, 24], 9, (130, 140)), ([90, 70, 32, 8], 16, (80, 70))] {
        let sample = Sample { real, ..Sample::new(2, shape, l) };
        let (h, m) = (2, shape[1]);
        let w = normal(&mut stream(3, "weights"), h * m, l).mapv(f32::exp2);
        let w = w.into_shape_with_order((h, m, l)).unwrap();
        let of = |decays| WeightedHeads { heads: sample.heads(Mask::Causal), w: w.view(), decays };
        let two = [1.0, 0.97];
        let decays = two.map(Decay::of);
        // Without a decay, with one of each head, and with one for both.
        let cases = [&[Decay::NONE][..], &decays[..], &decays[1..]];
        for (path, decays) in Path::ALL.into_iter().flat_map(|path| cases.map(|decays| (path, decays))) {
            let heads = of(decays);
            let mut out = sample.d_out.clone();
            let saved = heads.forward_saving(path, out.view_mut()).unwrap();
            let [q, k, v, of_w] = [&sample.q, &sample.k, &sample.v, &w].map(|x| x.mapv(|_| f32::NAN));
            let mut found = WeightedGradients { q, k, w: of_w, v };
            heads.backward_into(path, &saved, out.view(), sample.d_out.view(), &mut found).unwrap();
            for head in 0..h {
                let (inputs, d_out) = sample.inputs(head);
                let weights = w.slice(s![head, ..real.1, ..]).mapv(f64::from);
                let decay = match decays {
                    [Decay::NONE] => 1.0,
                    [_] => two[1],
                    _ => two[head],
                };
                let (expected, [q, k, d_w, v]) = by_hand::weighted(&inputs, &weights, &d_out, decay);
                for (found, expected) in
                    [(&out, expected), (&found.q, q), (&found.k, k), (&found.w, d_w), (&found.v, v)]
                {
                    let off = off(&found.index_axis(Axis(0), head).mapv(f64::from), &expected);
                    assert!(off <= 1e-5, "{path:?} {shape:?}: {off}");
                }
            }
        }
        let mut wrong = WeightedGradients {
            q: sample.q.clone(),
            k: sample.k.clone(),
            w: w.slice(s![.., 1.., ..]).to_owned(),
            v: sample.v.clone(),
        };
        let mut out = sample.d_out.clone();
        let heads = of(&[Decay::NONE]);
        assert!(of(&[]).forward_saving(Path::Widest, out.view_mut()).is_err());
        let saved = heads.forward_saving(Path::Widest, out.view_mut()).unwrap();
        assert!(heads.backward_into(Path::Widest, &saved, out.view(), out.view(), &mut wrong).is_err());
    }
}

/// Every gradient of every mechanism, entry by entry, beside central differences of its equations in f64.
#[test]
fn every_gradient_of_the_registry_is_a_finite_difference() {
    const STEP: f64 = 1e-5;
    for ([n, m, d_h, d_v], l) in [([5, 7, 3, 2], 3), ([6, 4, 4, 3], 2), ([9, 9, 2, 3], 4)] {
        let mut rng = stream(12, "registry");
        let mut cube = |rows: usize, columns: usize| normal(&mut rng, rows, columns).insert_axis(Axis(0));
        let (q, k, v, d_out) = (cube(n, d_h), cube(m, d_h), cube(m, d_v), cube(n, d_v));
        for form in ALL.iter().filter_map(|kind| fused(kind.name, Some(l)).ok()) {
            for mask in [Mask::Full, Mask::Causal].into_iter().filter(|mask| form.has_backward(*mask)) {
                let drawn =
                    |part: luna::attention::Part| (part.name, part.drawn(1, |_| stream(3, part.name)));
                let owned: Vec<_> = form.parts(m, d_h).into_iter().map(drawn).collect();
                let arrays = owned.iter().fold(Arrays::none(), |all, (name, x)| all.with(name, x.view()));
                let heads = Heads::new(q.view(), k.view(), v.view(), mask);
                let mut out = d_out.clone();
                let saved = form.forward_saving(None, &heads, &arrays, out.view_mut()).unwrap();
                let mut found = form.gradients(&heads, &arrays);
                form.backward_into(None, &heads, &arrays, &saved, out.view(), d_out.view(), &mut found)
                    .unwrap();

                let wide = |x: &Array3<f32>| x.index_axis(Axis(0), 0).mapv(f64::from);
                let mut inputs = vec![wide(&q), wide(&k), wide(&v)];
                let mut gradients = vec![wide(&found.q), wide(&found.k), wide(&found.v)];
                let names: Vec<&str> = owned.iter().map(|(name, _)| *name).collect();
                inputs.extend(owned.iter().map(|(_, x)| wide(x)));
                gradients.extend(found.learned.values().map(wide));
                let trained: Vec<usize> = found
                    .learned
                    .keys()
                    .map(|name| 3 + names.iter().position(|own| own == name).unwrap())
                    .collect();
                let mut maxima = Maxima::default();
                let mut loss = |x: &[Array2<f64>]| {
                    let (q, k, v) = (x[0].clone(), x[1].clone(), x[2].clone());
                    let head = ExactHead { q, k, v, scale: f64::from(heads.scale), mask };
                    let arrays: Vec<_> =
                        owned.iter().zip(&x[3..]).map(|((name, _), x)| (*name, x.clone())).collect();
                    let out = form.exact(&head, &arrays, &mut maxima);
                    maxima.again();
                    (out * wide(&d_out)).sum()
                };
                loss(&inputs);
                let largest = gradients.iter().flatten().fold(0.0_f64, |far, x| far.max(x.abs()));
                for (at, gradient) in [0, 1, 2].into_iter().chain(trained).zip(&gradients) {
                    for (index, gradient) in gradient.indexed_iter() {
                        let [up, down] = [STEP, -STEP].map(|step| {
                            let mut moved = inputs.clone();
                            moved[at][index] += step;
                            loss(&moved)
                        });
                        let off = (gradient - (up - down) / (2.0 * STEP)).abs() / largest;
                        assert!(off < 1e-5, "{} {mask:?} input {at} at {index:?}: {off}", form.name());
                    }
                }
            }
        }
    }
}

/// Output and gradients beside the definition in f64, with the masks that [`Heads::dropout`] says: over several blocks and
/// segments, with padding.
#[test]
fn weights_that_are_dropped_are_those_of_the_mask() {
    let mask = RandomMask::new(0.3, 17);
    let sample = Sample { real: (530, 290), ..Sample::new(2, [540, 300, 5, 7], 4) };
    let factor = |part: usize, at: usize| {
        let mut row = vec![1.0_f32; at + 1];
        mask.part(part).apply(0, &mut row);
        f64::from(row[at])
    };
    for causal in [Mask::Full, Mask::Causal] {
        let heads = Heads { dropout: mask, ..sample.heads(causal) };
        let form = fused("softmax", None).unwrap();
        for path in Path::ALL {
            let mut out = Array3::from_elem(sample.d_out.dim(), f32::NAN);
            let saved = form.forward_saving(path, &heads, &Arrays::none(), out.view_mut()).unwrap();
            let mut found = form.gradients(&heads, &Arrays::none());
            let (of, d_out) = (out.view(), sample.d_out.view());
            form.backward_into(path, &heads, &Arrays::none(), &saved, of, d_out, &mut found).unwrap();
            for head in 0..2 {
                let (Inputs { q, k, v, scale, .. }, d_out) = sample.inputs(head);
                let (n, m) = sample.real;
                let kept = Array2::from_shape_fn((n, m), |(i, j)| factor(head * n + i, j));
                let mut a = q.dot(&k.t()) * scale;
                for (i, mut row) in a.rows_mut().into_iter().enumerate() {
                    row.iter_mut().enumerate().for_each(|(j, x)| {
                        *x = if j < causal.visible(i, m) { x.exp() } else { 0.0 };
                    });
                    row /= row.sum();
                }
                let dropped = &a * &kept;
                let d_a = d_out.dot(&v.t()) * &kept;
                let means = (&d_a * &a).sum_axis(Axis(1)).insert_axis(Axis(1));
                let d_logits = &a * &(d_a - means) * scale;
                for (found, exact) in [
                    (&out, dropped.dot(&v)),
                    (&found.q, d_logits.dot(&k)),
                    (&found.k, d_logits.t().dot(&q)),
                    (&found.v, dropped.t().dot(&d_out)),
                ] {
                    let found = found.slice(s![head, ..exact.nrows(), ..]).mapv(f64::from);
                    let size = exact.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
                    let off = (found - exact).iter().fold(0.0_f64, |most, x| most.max(x.abs()));
                    assert!(off < 1e-4 * size, "{causal:?} {path:?} head {head}: {off} of {size}");
                }
            }
        }
    }
    let linear = fused("linear", None).unwrap();
    let mut out = sample.d_out.clone();
    let heads = Heads { dropout: mask, ..sample.heads(Mask::Full) };
    let refused = linear.forward_into(None, &heads, &Arrays::none(), out.view_mut()).unwrap_err().to_string();
    assert!(refused.contains("dropout of the weights of attention 'linear'"), "{refused}");
}
