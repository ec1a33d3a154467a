//! Every mechanism of split heads in f64, with its matrices written out: what fast code is held against.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};

use crate::attention::Mask;
use crate::attention::fused::{Given, Heads};
use crate::attention::luna_causal::Weight;
use crate::linalg::gemm::{Threads, product};

/// What linear attention adds to a sum of weights before it divides by it.
const LINEAR_EPS: f64 = 1e-6;

/// One head.
pub(super) struct Head {
    pub(super) q: Array2<f64>,
    pub(super) k: Array2<f64>,
    pub(super) v: Array2<f64>,
    pub(super) scale: f64,
    pub(super) mask: Mask,
}

/// How a head attends, with what it is given beside queries, keys and values.
pub(super) enum Way {
    Softmax,
    Local(usize),
    Linear,
    Luna(Array2<f64>),
    LunaCausal(Array2<f64>, Weight),
    Linformer(Array2<f64>, Array2<f64>),
    Performer(Array2<f64>, f64),
}

/// The maxima that Performer subtracts. Its gradients take them for constants: where differences are taken, the maxima of
/// the middle stand at both ends.
#[derive(Default)]
pub(super) struct Maxima {
    seen: Vec<f64>,
    /// The next one to be given again.
    next: Option<usize>,
}

impl Maxima {
    /// From here on those that were seen are given again, from the first one on.
    pub(super) fn again(&mut self) {
        self.next = Some(0);
    }

    fn of(&mut self, found: impl IntoIterator<Item = f64>) -> f64 {
        if let Some(next) = &mut self.next {
            *next += 1;
            return self.seen[*next - 1];
        }
        self.seen.push(found.into_iter().fold(f64::NEG_INFINITY, f64::max));
        self.seen[self.seen.len() - 1]
    }
}

/// The same numbers in f64.
pub(super) fn wide(x: ArrayView2<'_, f32>) -> Array2<f64> {
    x.mapv(f64::from)
}

pub(super) fn dot(a: &Array2<f64>, b: ArrayView2<'_, f64>) -> Array2<f64> {
    product(a.view(), b, Threads::All)
}

impl Head {
    pub(super) fn of(heads: &Heads<'_>, at: usize) -> Self {
        let one = |x: ArrayView3<'_, f32>| wide(x.index_axis(Axis(0), at));
        let [q, k, v] = [heads.q, heads.k, heads.v].map(one);
        Self { q, k, v, scale: f64::from(heads.scale), mask: heads.mask }
    }
}

impl Way {
    /// What a mechanism of this name is given in one head.
    pub(super) fn of(name: &str, given: &Given<'_>, at: usize) -> Self {
        match given {
            Given::Nothing if name == "linear" => Self::Linear,
            Given::Nothing => Self::Softmax,
            Given::Local { l } => Self::Local(*l),
            Given::Luna { p } => Self::Luna(wide(p.index_axis(Axis(0), at))),
            Given::LunaCausal { p, weight } => Self::LunaCausal(wide(p.index_axis(Axis(0), at)), *weight),
            Given::Linformer { e, f } => Self::Linformer(wide(e.view()), wide(f.view())),
            Given::Performer { w, eps } => Self::Performer(wide(w.view()), f64::from(*eps)),
        }
    }

    /// The output (n, `d_v`).
    pub(super) fn attend(&self, head: &Head, maxima: &mut Maxima) -> Array2<f64> {
        let Head { q, k, v, scale, mask } = head;
        let m = k.nrows();
        match self {
            Self::Softmax => softmax(q, k, v, *scale, |i, j| j < mask.visible(i, m)),
            Self::Local(l) => {
                softmax(q, k, v, *scale, |i, j| j < mask.visible(i, m) && i.abs_diff(j) <= l / 2)
            }
            Self::Linear => {
                let [q, k] = [q, k].map(|x| x.mapv(elu_plus_1));
                weighted(hidden(dot(&q, k.t()), *mask), LINEAR_EPS, v)
            }
            Self::Luna(p) => {
                let p = p.slice(s![..p.nrows().min(q.nrows()), ..]).to_owned();
                let all = |_, _| true;
                let (keys, values) = (softmax(&p, k, k, *scale, all), softmax(&p, k, v, *scale, all));
                softmax(q, &keys, &values, *scale, all)
            }
            Self::Linformer(e, f) => softmax(q, &dot(e, k.view()), &dot(f, v.view()), *scale, |_, _| true),
            Self::Performer(w, eps) => performer(head, w, *eps, maxima),
            Self::LunaCausal(p, weight) => {
                let w = (dot(k, p.t()) * *scale).mapv(|x| weigh(*weight, x));
                luna_causal(&(q * *scale), k, &w, v)
            }
        }
    }
}

/// `softmax(scale q k^T) v` over the pairs that are seen.
pub(super) fn softmax(
    q: &Array2<f64>,
    k: &Array2<f64>,
    v: &Array2<f64>,
    scale: f64,
    sees: impl Fn(usize, usize) -> bool,
) -> Array2<f64> {
    let mut a = dot(q, k.t()) * scale;
    for (i, mut row) in a.outer_iter_mut().enumerate() {
        row.indexed_iter_mut().filter(|(j, _)| !sees(i, *j)).for_each(|(_, x)| *x = f64::NEG_INFINITY);
        let max = row.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
        row.mapv_inplace(|x| (x - max).exp());
    }
    weighted(a, 0.0, v)
}

/// `a v / (a 1 + eps)`.
fn weighted(a: Array2<f64>, eps: f64, v: &Array2<f64>) -> Array2<f64> {
    let sums = (a.sum_axis(Axis(1)) + eps).insert_axis(Axis(1));
    dot(&a, v.view()) / sums
}

/// Zeros where a query does not see a key.
fn hidden(mut a: Array2<f64>, mask: Mask) -> Array2<f64> {
    let m = a.ncols();
    for (i, mut row) in a.outer_iter_mut().enumerate() {
        row.slice_mut(s![mask.visible(i, m)..]).fill(0.0);
    }
    a
}

fn elu_plus_1(x: f64) -> f64 {
    if x > 0.0 { x + 1.0 } else { x.exp() }
}

pub(super) fn weigh(weight: Weight, x: f64) -> f64 {
    match weight {
        Weight::Softplus => (1.0 + x.exp2()).log2(),
        Weight::Elu => elu_plus_1(x),
    }
}

/// Causal Luna from the weights of its keys on: `q` (n, `d_h`) with the scale in it, `w` (m, l).
pub(super) fn luna_causal(q: &Array2<f64>, k: &Array2<f64>, w: &Array2<f64>, v: &Array2<f64>) -> Array2<f64> {
    let m = k.nrows();
    let counts = Array2::from_shape_fn((q.nrows(), 1), |(t, _)| Mask::Causal.visible(t, m) as f64);
    let logits = dot(&(hidden(dot(q, k.t()), Mask::Causal) / &counts), w.view());
    let shares = softmax(&logits, &Array2::eye(w.ncols()), &Array2::eye(w.ncols()), 1.0, |_, _| true);
    dot(&(hidden(dot(&shares, w.t()), Mask::Causal) / &counts), v.view())
}

/// Positive features; under the causal mask the maximum is that of the keys so far.
fn performer(head: &Head, w: &Array2<f64>, eps: f64, maxima: &mut Maxima) -> Array2<f64> {
    let Head { q, k, v, scale, mask } = head;
    let exponents = |x: &Array2<f64>| {
        let norms = x.map_axis(Axis(1), |row| -0.5 * scale * row.dot(&row)).insert_axis(Axis(1));
        (dot(x, w.t()) * scale.sqrt(), norms)
    };
    let ((of_q, norms_q), (of_k, norms_k)) = (exponents(q), exponents(k));
    let mut phi_q = &of_q + &norms_q;
    for (mut row, of_q) in phi_q.outer_iter_mut().zip(of_q.outer_iter()) {
        let max = maxima.of(of_q.iter().copied());
        row.mapv_inplace(|x| (x - max).exp() + eps);
    }
    let whole = &of_k + &norms_k;
    let features = |seen: usize, max: f64| whole.slice(s![..seen, ..]).mapv(|x| (x - max).exp() + eps);
    if *mask == Mask::Full {
        let max = maxima.of(of_k.iter().copied());
        return weighted(dot(&phi_q, features(k.nrows(), max).t()), 0.0, v);
    }
    let mut a = Array2::zeros((q.nrows(), k.nrows()));
    for (i, mut row) in a.outer_iter_mut().enumerate() {
        let seen = mask.visible(i, k.nrows());
        let max = maxima.of(of_k.slice(s![..seen, ..]).iter().copied());
        row.slice_mut(s![..seen]).assign(&features(seen, max).dot(&phi_q.row(i)));
    }
    weighted(a, 0.0, v)
}
