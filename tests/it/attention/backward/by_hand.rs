//! Every mechanism in f64 with its matrices written out, forwards and backwards.

use luna::attention::Mask;
use luna::attention::luna_causal::Weight;
use ndarray::{Array2, Axis, s};

/// A mechanism.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Softmax,
    Local,
    Luna,
    Linear,
    Linformer,
    LunaCausal(Weight),
    Performer,
}

/// One head.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    pub(super) q: Array2<f64>,
    pub(super) k: Array2<f64>,
    pub(super) v: Array2<f64>,
    pub(super) p: Array2<f64>,
    pub(super) e: Array2<f64>,
    pub(super) f: Array2<f64>,
    pub(super) w: Array2<f64>,
    pub(super) scale: f64,
    pub(super) l: usize,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Softmax,
        Self::Local,
        Self::Luna,
        Self::Linear,
        Self::Linformer,
        Self::LunaCausal(Weight::Softplus),
        Self::LunaCausal(Weight::Elu),
        Self::Performer,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Local => "local",
            Self::Luna => "luna",
            Self::Linear => "linear",
            Self::Linformer => "linformer",
            Self::LunaCausal(_) => "luna-causal",
            Self::Performer => "performer",
        }
    }

    /// Those of a name.
    pub(super) fn of(name: &str) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |kind| kind.name() == name)
    }

    pub(super) fn masks(self) -> &'static [Mask] {
        match self {
            Self::Softmax | Self::Local | Self::Linear => &[Mask::Full, Mask::Causal],
            Self::Luna | Self::Linformer | Self::Performer => &[Mask::Full],
            Self::LunaCausal(_) => &[Mask::Causal],
        }
    }
}

/// Rows shared out by `sees`; rows that see nothing are zeros.
fn softmax(logits: &Array2<f64>, sees: impl Fn(usize, usize) -> bool) -> Array2<f64> {
    let mut a = logits.clone();
    for (i, mut row) in a.rows_mut().into_iter().enumerate() {
        let max =
            row.iter().enumerate().filter(|(j, _)| sees(i, *j)).fold(f64::MIN, |max, (_, x)| max.max(*x));
        for (j, x) in row.iter_mut().enumerate() {
            *x = if sees(i, j) { (*x - max).exp() } else { 0.0 };
        }
        let sum = row.sum();
        if sum > 0.0 {
            row /= sum;
        }
    }
    a
}

/// The gradient of the logits of a softmax `a` under the gradient of `a`.
fn softmax_back(a: &Array2<f64>, d_a: &Array2<f64>) -> Array2<f64> {
    let means = (a * d_a).sum_axis(Axis(1)).insert_axis(Axis(1));
    a * &(d_a - &means)
}

fn phi(x: f64) -> f64 {
    if x > 0.0 { x + 1.0 } else { x.exp() }
}

fn phi_slope(x: f64) -> f64 {
    if x > 0.0 { 1.0 } else { x.exp() }
}

fn weight(of: Weight, x: f64) -> f64 {
    match of {
        Weight::Softplus => (1.0 + x.exp2()).log2(),
        Weight::Elu => phi(x),
    }
}

fn weight_slope(of: Weight, x: f64) -> f64 {
    match of {
        Weight::Softplus => x.exp2() / (1.0 + x.exp2()),
        Weight::Elu => phi_slope(x),
    }
}

/// Zeros where a query does not see a key.
fn hide(a: &Array2<f64>, mask: Mask) -> Array2<f64> {
    let m = a.ncols();
    Array2::from_shape_fn(a.dim(), |(i, j)| if j < mask.visible(i, m) { a[[i, j]] } else { 0.0 })
}

/// Gradients of everything, of the shapes of the inputs.
pub(super) fn zeros(x: &Inputs) -> Inputs {
    let zero = |x: &Array2<f64>| Array2::zeros(x.dim());
    Inputs {
        q: zero(&x.q),
        k: zero(&x.k),
        v: zero(&x.v),
        p: zero(&x.p),
        e: zero(&x.e),
        f: zero(&x.f),
        w: zero(&x.w),
        ..*x
    }
}

/// The output, and the gradients of everything under the upstream gradient `g`.
pub(super) fn both(kind: Kind, mask: Mask, x: &Inputs, g: &Array2<f64>) -> (Array2<f64>, Inputs) {
    let (mut d, m, scale) = (zeros(x), x.k.nrows(), x.scale);
    let out = match kind {
        Kind::Softmax | Kind::Local => {
            let reach = match (kind, mask) {
                (Kind::Local, Mask::Full) => x.l / 2,
                (Kind::Local, Mask::Causal) => x.l - 1,
                _ => usize::MAX,
            };
            let a = softmax(&(x.q.dot(&x.k.t()) * scale), |i, j| {
                j < mask.visible(i, m) && i.abs_diff(j) <= reach
            });
            d.v = a.t().dot(g);
            let ds = softmax_back(&a, &g.dot(&x.v.t())) * scale;
            d.q = ds.dot(&x.k);
            d.k = ds.t().dot(&x.q);
            a.dot(&x.v)
        }
        Kind::Luna => {
            let p = x.p.slice(s![..x.p.nrows().min(x.q.nrows()), ..]);
            let pack = softmax(&(p.dot(&x.k.t()) * scale), |_, _| true);
            let (keys, values) = (pack.dot(&x.k), pack.dot(&x.v));
            let a = softmax(&(x.q.dot(&keys.t()) * scale), |_, _| true);
            let d_values = a.t().dot(g);
            let ds = softmax_back(&a, &g.dot(&values.t())) * scale;
            d.q = ds.dot(&keys);
            let d_keys = ds.t().dot(&x.q);
            let ds = softmax_back(&pack, &(d_keys.dot(&x.k.t()) + d_values.dot(&x.v.t()))) * scale;
            d.p.slice_mut(s![..p.nrows(), ..]).assign(&ds.dot(&x.k));
            d.k = ds.t().dot(&p) + pack.t().dot(&d_keys);
            d.v = pack.t().dot(&d_values);
            a.dot(&values)
        }
        Kind::Linformer => {
            let (keys, values) = (x.e.dot(&x.k), x.f.dot(&x.v));
            let a = softmax(&(x.q.dot(&keys.t()) * scale), |_, _| true);
            let d_values = a.t().dot(g);
            let ds = softmax_back(&a, &g.dot(&values.t())) * scale;
            d.q = ds.dot(&keys);
            let d_keys = ds.t().dot(&x.q);
            (d.e, d.f) = (d_keys.dot(&x.k.t()), d_values.dot(&x.v.t()));
            (d.k, d.v) = (x.e.t().dot(&d_keys), x.f.t().dot(&d_values));
            a.dot(&values)
        }
        Kind::Linear => {
            let (of_q, of_k) = (x.q.mapv(phi), x.k.mapv(phi));
            let a = hide(&of_q.dot(&of_k.t()), mask);
            let (out, of_a) = normalised(&a, f64::from(1e-6_f32), &x.v, g, &mut d.v);
            let of_a = hide(&of_a, mask);
            d.q = of_a.dot(&of_k) * x.q.mapv(phi_slope);
            d.k = of_a.t().dot(&of_q) * x.k.mapv(phi_slope);
            out
        }
        Kind::Performer => {
            let (of_q, of_k, ends) = positive(x);
            let (of_q, of_k) = (of_q - &ends.0, of_k - ends.1);
            let eps = f64::from(super::EPS);
            let a = (of_q.mapv(f64::exp) + eps).dot(&(of_k.mapv(f64::exp) + eps).t());
            let (out, of_a) = normalised(&a, 0.0, &x.v, g, &mut d.v);
            let d_q = of_a.dot(&(of_k.mapv(f64::exp) + eps)) * of_q.mapv(f64::exp);
            let d_k = of_a.t().dot(&(of_q.mapv(f64::exp) + eps)) * of_k.mapv(f64::exp);
            for (to, slopes, rows) in [(&mut d.q, d_q, &x.q), (&mut d.k, d_k, &x.k)] {
                let sums = slopes.sum_axis(Axis(1)).insert_axis(Axis(1));
                *to = slopes.dot(&x.w) * scale.sqrt() - rows * &(sums * scale);
            }
            out
        }
        Kind::LunaCausal(of) => {
            let logits = x.k.dot(&x.p.t()) * scale;
            let w = logits.mapv(|x| weight(of, x));
            let (out, [d_q, d_k, d_w, d_v]) = weighted(x, &w, g, 1.0);
            let d_logits = d_w * logits.mapv(|x| weight_slope(of, x)) * scale;
            (d.q, d.v) = (d_q, d_v);
            d.k = d_k + d_logits.dot(&x.p);
            d.p = d_logits.t().dot(&x.k);
            out
        }
    };
    (out, d)
}

/// Causal Luna from weights on, with the decay of its averages: the output, and the gradients of q, k, w and v.
pub(super) fn weighted(
    x: &Inputs,
    w: &Array2<f64>,
    g: &Array2<f64>,
    decay: f64,
) -> (Array2<f64>, [Array2<f64>; 4]) {
    let left = Array2::from_shape_fn((x.q.nrows(), x.k.nrows()), |(t, j)| {
        let seen = Mask::Causal.visible(t, x.k.nrows());
        if j < seen { decay.powi((seen - 1 - j) as i32) } else { 0.0 }
    });
    let shares_of_past = &left / &left.sum_axis(Axis(1)).insert_axis(Axis(1));
    let met = x.q.dot(&x.k.t()) * x.scale * &shares_of_past;
    let a = softmax(&met.dot(w), |_, _| true);
    let shares = a.dot(&w.t()) * &shares_of_past;
    let d_shares = g.dot(&x.v.t()) * &shares_of_past;
    let ds = softmax_back(&a, &d_shares.dot(w));
    let d_w = d_shares.t().dot(&a) + met.t().dot(&ds);
    let d_met = ds.dot(&w.t()) * x.scale * &shares_of_past;
    (shares.dot(&x.v), [d_met.dot(&x.k), d_met.t().dot(&x.q), d_w, shares.t().dot(g)])
}

/// `out = a v / (a 1 + eps)`; the gradient of `a` is returned, that of `v` written.
fn normalised(
    a: &Array2<f64>,
    eps: f64,
    v: &Array2<f64>,
    g: &Array2<f64>,
    d_v: &mut Array2<f64>,
) -> (Array2<f64>, Array2<f64>) {
    let sums = (a.sum_axis(Axis(1)) + eps).insert_axis(Axis(1));
    let out = a.dot(v) / &sums;
    *d_v = a.t().dot(&(g / &sums));
    let means = (&out * g).sum_axis(Axis(1)).insert_axis(Axis(1));
    let d_a = (g.dot(&v.t()) - means) / &sums;
    (out, d_a)
}

/// Exponents of Performer's features, and what is subtracted from them.
fn positive(x: &Inputs) -> (Array2<f64>, Array2<f64>, (Array2<f64>, f64)) {
    let exponents = |rows: &Array2<f64>| {
        let norms = rows.map_axis(Axis(1), |row| -0.5 * x.scale * row.dot(&row)).insert_axis(Axis(1));
        (rows.dot(&x.w.t()) * x.scale.sqrt(), norms)
    };
    let ((of_q, norm_q), (of_k, norm_k)) = (exponents(&x.q), exponents(&x.k));
    let max = of_k.fold(f64::NEG_INFINITY, |max, x| max.max(*x));
    let tops = of_q.map_axis(Axis(1), |row| row.fold(f64::NEG_INFINITY, |max, x| max.max(*x)));
    (of_q + norm_q, of_k + norm_k, (tops.insert_axis(Axis(1)), max))
}

/// The largest distance of a gradient from the central difference, relative to the largest entry of all.
pub(super) fn beside_differences(kind: Kind, mask: Mask, x: &Inputs, g: &Array2<f64>) -> f64 {
    const STEP: f64 = 1e-5;
    let (_, d) = both(kind, mask, x, g);
    let mut pairs = Vec::new();
    let fields: [fn(&mut Inputs) -> &mut Array2<f64>; 6] =
        [|x| &mut x.q, |x| &mut x.k, |x| &mut x.v, |x| &mut x.p, |x| &mut x.e, |x| &mut x.f];
    for field in fields {
        let slopes = field(&mut d.clone()).clone();
        for (index, slope) in slopes.indexed_iter() {
            let [up, down] = [STEP, -STEP].map(|step| {
                let mut moved = x.clone();
                field(&mut moved)[index] += step;
                loss(kind, mask, x, &moved, g)
            });
            pairs.push((*slope, (up - down) / (2.0 * STEP)));
        }
    }
    let largest = pairs.iter().fold(0.0_f64, |far, (x, _)| far.max(x.abs()));
    pairs.iter().fold(0.0_f64, |far, (x, y)| far.max((x - y).abs())) / largest
}

/// The sum of `out * g`; what Performer subtracts stays that of where the difference is taken.
fn loss(kind: Kind, mask: Mask, at: &Inputs, x: &Inputs, g: &Array2<f64>) -> f64 {
    if kind != Kind::Performer {
        return (both(kind, mask, x, g).0 * g).sum();
    }
    let (of_q, of_k, _) = positive(x);
    let (_, _, ends) = positive(at);
    let eps = f64::from(super::EPS);
    let a = ((of_q - ends.0).mapv(f64::exp) + eps).dot(&((of_k - ends.1).mapv(f64::exp) + eps).t());
    (normalised(&a, 0.0, &x.v, g, &mut Array2::zeros(x.v.dim())).0 * g).sum()
}
