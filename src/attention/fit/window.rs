//! What a fit aims at: windows of one head, each with the output of softmax attention on it.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, concatenate, s};

use crate::attention::mask::Mask;
use crate::attention::softmax;
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};

/// One window of one head.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Queries, shape (n, `d_h`).
    pub q: Array2<f32>,
    /// Keys, shape (m, `d_h`).
    pub k: Array2<f32>,
    /// Values, shape (m, `d_v`).
    pub v: Array2<f32>,
    /// The factor on `q k^T`.
    pub scale: f32,
}

/// One window, with what does not change while the arrays do.
pub(in crate::attention) struct Window {
    /// Queries, shape (n, `d_h`).
    pub(in crate::attention) q: Array2<f32>,
    /// Keys and values side by side, shape (m, `d_h` + `d_v`): one product packs both.
    kv: Array2<f32>,
    /// The factor on the logits.
    pub(in crate::attention) scale: f32,
    /// The output of softmax attention, shape (n, `d_v`).
    pub(in crate::attention) target: Array2<f32>,
    /// `1 / ||target||_F^2`, so that every window weighs the same.
    pub(in crate::attention) weight: f64,
}

impl Window {
    /// A window of queries (n, `d_h`), and of keys and values side by side (m, `d_h` + `d_v`).
    pub(in crate::attention) fn new(q: Array2<f32>, kv: Array2<f32>, scale: f32) -> Self {
        let (k, v) = kv.view().split_at(Axis(1), q.ncols());
        let target = product(softmax::matrix(q.view(), k, scale, Mask::Full).view(), v, Threads::One);
        let square: f64 = target.iter().map(|x| f64::from(*x).powi(2)).sum();
        // An output of zeros has no relative error; its absolute one stands in.
        let weight = if square == 0.0 { 1.0 } else { 1.0 / square };
        Self { q, kv, scale, target, weight }
    }

    /// Keys, shape (m, `d_h`).
    pub(in crate::attention) fn k(&self) -> ArrayView2<'_, f32> {
        self.kv.slice(s![.., ..self.q.ncols()])
    }

    /// Values, shape (m, `d_v`).
    pub(in crate::attention) fn v(&self) -> ArrayView2<'_, f32> {
        self.kv.slice(s![.., self.q.ncols()..])
    }

    /// Keys and values side by side, shape (m, `d_h` + `d_v`).
    pub(in crate::attention) fn kv(&self) -> ArrayView2<'_, f32> {
        self.kv.view()
    }

    /// Turns an output (n, `d_v`) into the gradient of `||out - target||^2 / ||target||^2` with respect to it, and
    /// gives that loss.
    pub(in crate::attention) fn loss(&self, mut out: ArrayViewMut2<'_, f32>) -> f64 {
        out -= &self.target;
        let mut square = 0.0_f64;
        for row in out.rows() {
            square += f64::from(row.iter().map(|x| x * x).sum::<f32>());
        }
        out *= (2.0 * self.weight) as f32;
        square * self.weight
    }
}

/// The windows of all samples, which must agree on their widths.
pub(in crate::attention) fn all(samples: &[Sample]) -> Result<Vec<Window>> {
    let Some(first) = samples.first() else {
        return Err(Error::value("windows of a fit", 0, "1 or more"));
    };
    let (d_h, d_v) = (first.q.ncols(), first.v.ncols());
    let one = |Sample { q, k, v, scale }: &Sample| {
        let refuse = |what: &str, found: &[usize], expected: String| {
            Err(Error::Shape { what: format!("{what} of a fit"), found: found.to_vec(), expected })
        };
        let m = k.nrows();
        if q.is_empty() || q.ncols() != d_h {
            return refuse("queries", q.shape(), format!("(n, {}), n 1 or more", d_h.max(1)));
        }
        if m == 0 || k.ncols() != d_h {
            return refuse("keys", k.shape(), format!("(m, {d_h}), m 1 or more"));
        }
        if v.is_empty() || v.dim() != (m, d_v) {
            return refuse("values", v.shape(), format!("({m}, {})", d_v.max(1)));
        }
        let kv = concatenate(Axis(1), &[k.view(), v.view()]).expect("as many keys as values");
        Ok(Window::new(q.clone(), kv, *scale))
    };
    samples.iter().map(one).collect()
}

/// Room for every window: the largest of each length.
#[derive(Clone, Copy, Default)]
pub(in crate::attention) struct Room {
    pub(in crate::attention) n: usize,
    pub(in crate::attention) m: usize,
    pub(in crate::attention) d_h: usize,
    pub(in crate::attention) d_v: usize,
}

impl Room {
    pub(in crate::attention) fn of(windows: &[Window]) -> Self {
        windows.iter().fold(Self::default(), |room, window| {
            let ((n, d_h), (m, d_v)) = (window.q.dim(), window.v().dim());
            Self { n: room.n.max(n), m: room.m.max(m), d_h: room.d_h.max(d_h), d_v: room.d_v.max(d_v) }
        })
    }
}
