//! Fused forward passes beside f64 by the equations, and beside the reference implementations, over the whole registry.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use luna::attention::{
    ALL, Arrays, Attention, By, ExactHead, Fused, Heads, Input, Learned, Mask, Maxima, Origin, Path, Under,
    fused,
};
use luna::cost::{Shape, Tally};
use luna::rng::{normal, stream};
use ndarray::{Array2, Array3, Axis, s};

const L: usize = 9;

/// Parameters that change what is computed, beside the defaults of every mechanism.
const VARIANTS: &[&str] = &["luna-causal:weight=elu", "luna-causal:decay=0.9", "linformer:shared=false"];

/// Mechanisms that choose keys by what they prepare of a head, in proportion to its length.
const CHOOSING: &[&str] = &["block-top-k", "vertical-slash"];

/// Every mechanism that has a fused implementation, at this l.
fn all(l: usize) -> impl Iterator<Item = Attention> {
    let variants = VARIANTS.iter().map(move |spec| format!("{spec},l={l}"));
    let defaults = ALL
        .iter()
        .map(move |kind| if kind.takes_l() { format!("{}:l={l}", kind.name) } else { kind.name.to_string() });
    let origin = Origin { seed: 1, label: "head", learned: None };
    let built = move |spec: String| Attention::build(&spec.parse().unwrap(), &origin).ok();
    defaults.chain(variants).filter_map(built).filter(|attention| attention.fused().is_some())
}

/// The fused implementations of [`all`].
fn forms(l: usize) -> impl Iterator<Item = Fused> {
    all(l).filter_map(|attention| attention.fused())
}

/// Queries, keys and values.
struct Sample {
    q: Array3<f32>,
    k: Array3<f32>,
    v: Array3<f32>,
    l: usize,
    learned: Owned,
    /// Factor on P, and whether features' directions are all positive.
    longer: f32,
    positive: bool,
}

/// Learned arrays by name.
type Owned = Vec<(&'static str, Array3<f32>)>;

fn views(arrays: &Owned) -> Arrays<'_> {
    arrays.iter().fold(Arrays::none(), |all, (name, x)| all.with(name, x.view()))
}

impl Sample {
    fn new(heads: usize, [n, m, d_h, d_v]: [usize; 4], l: usize) -> Self {
        let mut rng = stream(7, "fused");
        let mut cube = |rows: usize, columns: usize| {
            let flat = normal(&mut rng, heads * rows, columns);
            flat.into_shape_with_order((heads, rows, columns)).unwrap()
        };
        let (q, k, v, p) = (cube(n, d_h), cube(m, d_h), cube(m, d_v), cube(l, d_h));
        let [e, f] = [0, 1].map(|_| (normal(&mut rng, l, m + 2) / (l as f32).sqrt()).insert_axis(Axis(0)));
        let w = normal(&mut rng, l, d_h).insert_axis(Axis(0));
        let learned = vec![("p", p), ("e", e), ("f", f), ("features", w)];
        Self { q, k, v, l, learned, longer: 1.0, positive: false }
    }

    fn heads(&self, mask: Mask) -> Heads<'_> {
        Heads::new(self.q.view(), self.k.view(), self.v.view(), mask)
    }

    /// The learned arrays of a mechanism, longer than the context where that is accepted.
    fn arrays(&self, form: &Fused) -> Owned {
        let (h, m, d_h) = self.k.dim();
        let one = |part: luna::attention::Part| {
            let own = self.learned.iter().find(|(name, x)| *name == part.name && x.dim().1 == part.shape.0);
            let drawn = || part.drawn(h, |head| stream(8, &format!("{} {head}", part.name)));
            let mut drawn = own.map_or_else(drawn, |(_, x)| x.clone());
            if part.name == "p" {
                drawn *= self.longer;
            }
            if self.positive {
                drawn.mapv_inplace(f32::abs);
            }
            (part.name, drawn)
        };
        form.parts(m + 2, d_h).into_iter().map(one).collect()
    }

    fn run<'b>(&self, form: &Fused, by: impl Into<By<'b>>, mask: Mask) -> Array3<f32> {
        let mut out = Array3::from_elem((self.q.dim().0, self.q.dim().1, self.v.dim().2), f32::NAN);
        let arrays = self.arrays(form);
        form.forward_into(by, &self.heads(mask), &views(&arrays), out.view_mut()).unwrap();
        out
    }

    /// One head by the equations in f64.
    fn exact(&self, form: &Fused, mask: Mask, head: usize) -> Array2<f64> {
        let arrays = self.arrays(form);
        let arrays: Vec<_> =
            views(&arrays).of_head(head).map(|(name, x)| (name, x.mapv(f64::from))).collect();
        form.exact(&ExactHead::of(&self.heads(mask), head), &arrays, &mut Maxima::default())
    }
}

/// The masks that a fused implementation honours.
fn masks(fused: &Fused) -> impl Iterator<Item = Mask> + use<'_> {
    [Mask::Full, Mask::Causal].into_iter().filter(|mask| fused.honours(*mask))
}

/// Every fused implementation under every mask that it honours.
fn cases(l: usize) -> impl Iterator<Item = (Fused, Mask)> {
    forms(l).flat_map(|fused| {
        let masks: Vec<Mask> = masks(&fused).collect();
        masks.into_iter().map(move |mask| (fused.clone(), mask))
    })
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
        let sample = Sample::new(2, shape, l);
        for attention in all(l) {
            let form = attention.fused().unwrap();
            for mask in masks(&form) {
                for path in Path::ALL {
                    let out = sample.run(&form, path, mask);
                    for (head, out) in out.outer_iter().enumerate() {
                        let exact = sample.exact(&form, mask, head);
                        let off = (&exact - &out.mapv(f64::from)).fold(0.0_f64, |far, x| {
                            assert!(x.is_finite());
                            far.max(x.abs())
                        });
                        let size = exact.fold(0.0_f64, |far, x| far.max(x.abs()));
                        assert!(off <= 1e-5 * size, "{attention:?} {path:?} {mask:?} {shape:?}: {off}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_reference_implementations_give_the_same() {
    let sample = Sample::new(1, [90, 90, 32, 24], L);
    let [q, k, v] = [&sample.q, &sample.k, &sample.v].map(|x| x.index_axis(Axis(0), 0));
    for attention in all(L) {
        let form = attention.fused().unwrap();
        let arrays = sample.arrays(&form);
        let learned = Learned(views(&arrays).of_head(0).collect());
        let origin = Origin { seed: 1, label: "head", learned: Some(&learned) };
        let attention = Attention::build(attention.spec(), &origin).unwrap();
        for mask in masks(&form) {
            let reference = attention.forward(&Input::new(q, k, mask), v).unwrap();
            let off = (&sample.run(&form, Path::Widest, mask).index_axis(Axis(0), 0) - &reference)
                .fold(0.0_f32, |far, x| far.max(x.abs()));
            assert!(off < 2e-5, "{attention:?} {mask:?}: {off}");
        }
    }
}

#[test]
fn threads_change_no_bit() {
    for shape in [[130, 700, 24, 40], [1800, 1700, 24, 40]] {
        let sample = Sample::new(3, shape, 70);
        for (fused, mask) in cases(sample.l) {
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| sample.run(&fused, Path::Widest, mask))
            };
            let one = on(1);
            for threads in [2, 3, 7] {
                assert_eq!(one, on(threads), "{} {mask:?} on {threads} threads", fused.name());
            }
        }
    }
}

#[test]
fn no_query_reads_what_is_ahead() {
    let mut sample = Sample::new(2, [210, 210, 16, 8], L);
    for attention in all(L).filter(|attention| attention.kind().causal == Under::Honoured) {
        let fused = attention.fused().unwrap();
        let name = fused.name();
        for path in Path::ALL {
            let before = sample.run(&fused, path, Mask::Causal);
            let (k, v) = (sample.k.clone(), sample.v.clone());
            for x in [&mut sample.k, &mut sample.v] {
                x.slice_mut(s![.., 101.., ..]).mapv_inplace(|x| 50.0 - x);
            }
            let after = sample.run(&fused, path, Mask::Causal);
            assert_eq!(before.slice(s![.., ..101, ..]), after.slice(s![.., ..101, ..]), "{name} {path:?}");
            assert_ne!(before.slice(s![.., 101.., ..]), after.slice(s![.., 101.., ..]), "{name} {path:?}");
            (sample.k, sample.v) = (k, v);
        }
    }
}

#[test]
fn enormous_logits_stay_finite() {
    let mut sample = Sample::new(1, [80, 130, 16, 8], L);
    sample.longer = 100.0;
    for x in [&mut sample.q, &mut sample.k] {
        // Products of 16 numbers of this size, divided by 4: about +-1e4.
        x.mapv_inplace(|x| 100.0 * x);
    }
    for fused in forms(L) {
        for mask in masks(&fused) {
            for path in Path::ALL {
                let out = sample.run(&fused, path, mask);
                assert!(out.iter().all(|x| x.is_finite()), "{} {path:?} {mask:?}", fused.name());
            }
        }
    }
}

#[test]
fn padding_has_no_influence_and_rows_without_keys_are_zeros() {
    let sample = Sample::new(2, [60, 75, 16, 8], L);
    let mut short = Sample::new(2, [60, 75, 16, 8], L);
    for x in [&mut short.q, &mut short.k, &mut short.v] {
        let rows = if x.dim().1 == 60 { 41 } else { 33 };
        *x = x.slice(s![.., ..rows, ..]).to_owned();
    }
    for (fused, mask) in cases(sample.l) {
        let mut out = Array3::from_elem((2, 60, 8), f32::NAN);
        let heads = Heads { real: (41, 33), ..sample.heads(mask) };
        let owned = sample.arrays(&fused);
        let arrays = views(&owned);
        fused.forward_into(None, &heads, &arrays, out.view_mut()).unwrap();
        assert_eq!(
            out.slice(s![.., ..41, ..]),
            {
                let mut expected = Array3::from_elem((2, 41, 8), f32::NAN);
                fused.forward_into(None, &short.heads(mask), &arrays, expected.view_mut()).unwrap();
                expected
            },
            "{}",
            fused.name()
        );
        assert!(out.slice(s![.., 41.., ..]).iter().all(|x| *x == 0.0), "{}", fused.name());
        fused.forward_into(None, &Heads { real: (41, 0), ..heads }, &arrays, out.view_mut()).unwrap();
        assert!(out.iter().all(|x| *x == 0.0), "{} without keys", fused.name());
    }
    // After the last key and beyond the window's reach.
    let far = Sample::new(1, [90, 20, 8, 4], 10);
    for path in Path::ALL {
        let out = far.run(&fused("local", Some(10)).unwrap(), path, Mask::Full);
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
    for (fused, mask) in cases(sample.l) {
        let mut out = Array3::zeros((50, 10, 2)).permuted_axes([2, 0, 1]);
        let heads = Heads::new(q.view(), k.view(), v.view(), mask);
        fused.forward_into(None, &heads, &views(&sample.arrays(&fused)), out.view_mut()).unwrap();
        assert_eq!(out, sample.run(&fused, Path::Widest, mask), "{}", fused.name());
    }
}

#[test]
fn tied_values_are_packed_once_and_alike() {
    let sample = Sample::new(2, [70, 300, 16, 16], 20);
    let luna = fused("luna", Some(20)).unwrap();
    let arrays = sample.arrays(&luna);
    let mut outs = [0, 1].map(|_| Array3::<f32>::zeros((2, 70, 16)));
    let copy = sample.k.clone();
    for (out, v) in outs.iter_mut().zip([&sample.k, &copy]) {
        let heads = Heads::new(sample.q.view(), sample.k.view(), v.view(), Mask::Full);
        luna.forward_into(None, &heads, &views(&arrays), out.view_mut()).unwrap();
    }
    assert_eq!(outs[0], outs[1]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let sample = Sample::new(2, [10, 12, 8, 4], L);
    let mut out = Array3::zeros((2, 10, 4));
    for fused in forms(L) {
        let heads = sample.heads(masks(&fused).next().unwrap());
        let owned = sample.arrays(&fused);
        let arrays = views(&owned);
        let other = Array3::zeros((2, 3, 8));
        let refused = [arrays.clone().with("nonsense", other.view())];
        let missing = (!owned.is_empty()).then(Arrays::none);
        for wrong in refused.into_iter().chain(missing) {
            let error = fused.forward_into(None, &heads, &wrong, out.view_mut()).unwrap_err().to_string();
            assert!(error.contains(fused.name()), "{error}");
        }
        let long = Heads { real: (11, 12), ..heads };
        assert!(fused.forward_into(None, &long, &arrays, out.view_mut()).is_err());
        assert!(fused.forward_into(None, &heads, &arrays, Array3::zeros((2, 10, 5)).view_mut()).is_err());
        for mask in [Mask::Full, Mask::Causal] {
            let done = fused.forward_into(None, &sample.heads(mask), &arrays, out.view_mut());
            assert_eq!(done.is_ok(), fused.honours(mask), "{} {mask:?}", fused.name());
        }
    }
    assert!(fused("reformer", None).is_err());
}

#[test]
fn work_space_does_not_grow_with_length() {
    for fused in forms(16) {
        let name = fused.name();
        for causal in [false, true] {
            let at = |n| fused.extra_bytes(&Shape { causal, ..Shape::square(n, 64) }, 8, 2);
            if CHOOSING.contains(&name) {
                assert!(at(65_536) <= 16 * at(4096), "{name}");
                assert!(at(4096) < 4 << 20, "{name}: {}", at(4096));
                continue;
            }
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
        let form = fused(name, Some(5)).unwrap();
        let exact = if name == "linear" {
            // A mean of values that are all alike.
            sample.v.index_axis(Axis(0), 0).mapv(f64::from)
        } else {
            // Means of tokens that are all alike are those of the first one.
            let mut head = ExactHead::of(&sample.heads(Mask::Causal), 0);
            [head.k, head.v] = [&head.k, &head.v].map(|x| x.slice(s![..1, ..]).to_owned());
            let owned = sample.arrays(&form);
            let arrays: Vec<_> =
                views(&owned).of_head(0).map(|(name, x)| (name, x.mapv(f64::from))).collect();
            form.exact(&head, &arrays, &mut Maxima::default())
        };
        let out = sample.run(&form, Path::Widest, Mask::Causal).index_axis(Axis(0), 0).mapv(f64::from);
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
    sample.positive = true;
    let form = fused("performer", Some(L)).unwrap();
    let exact = sample.exact(&form, Mask::Causal, 0);
    for path in Path::ALL {
        let out = sample.run(&form, path, Mask::Causal).index_axis(Axis(0), 0).mapv(f64::from);
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
        for attention in all(l) {
            let fused = attention.fused().unwrap();
            for mask in masks(&fused) {
                let cost =
                    attention.cost(&Shape { n, m, d_h, d_v, causal: mask == Mask::Causal, window: None });
                let tally = Tally::default();
                let out = sample.run(&fused, Some(&tally), mask);
                assert_eq!(tally.macs(), 3 * cost.macs, "{attention:?} {mask:?} {shape:?}");
                assert_eq!(out, sample.run(&fused, Path::Widest, mask), "{attention:?}: counting changes it");
            }
        }
    }
}

#[test]
fn tied_values_are_counted_once() {
    let (l, n, m, d) = (20, 70, 300, 16);
    let sample = Sample::new(2, [n, m, d, d], l);
    let mut out = Array3::zeros((2, n, d));
    let luna = fused("luna", Some(l)).unwrap();
    let arrays = sample.arrays(&luna);
    let count = |v: &Array3<f32>, out: &mut Array3<f32>| {
        let heads = Heads::new(sample.q.view(), sample.k.view(), v.view(), Mask::Full);
        let tally = Tally::default();
        luna.forward_into(Some(&tally), &heads, &views(&arrays), out.view_mut()).unwrap();
        tally.macs()
    };
    let (tied, apart) = (count(&sample.k, &mut out), count(&sample.v, &mut out));
    assert_eq!(apart - tied, (2 * l * m * d) as u64);
}

#[test]
fn rows_one_at_a_time_are_the_causal_pass() {
    for l in [1, 7] {
        let sample = Sample::new(1, [70, 70, 6, 5], l);
        let mut stepped = Vec::new();
        for form in forms(l).filter(|form| form.honours(Mask::Causal)) {
            let Ok(mut past) = form.past(6, 5) else { continue };
            let owned = sample.arrays(&form);
            let whole = sample.run(&form, Path::Widest, Mask::Causal);
            let scale = sample.heads(Mask::Causal).scale;
            for t in 0..70 {
                let of = [&sample.q, &sample.k, &sample.v].map(|x| x.slice(s![0, t, ..]));
                let row = past.push(&views(&owned), scale, of);
                let off = (&row - &whole.slice(s![0, t, ..])).mapv(f32::abs);
                assert!(off.iter().all(|off| *off < 2e-5), "{}, row {t}: {off}", form.name());
            }
            stepped.push(form.name());
        }
        for name in ["softmax", "linear", "performer", "local"] {
            assert!(stepped.contains(&name), "{name}");
        }
    }
    assert!(fused("linformer", None).unwrap().past(6, 5).is_err());
}
