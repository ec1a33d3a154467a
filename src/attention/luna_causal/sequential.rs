//! A token at a time: the reference implementation.

use ndarray::{Array2, ArrayView2};

use super::decay::Decay;
use super::state::State;
use crate::attention::reference::work::Work;

/// The outputs (n, `d_v`), a token at a time with two running sums: O(l (`d_h` + `d_v`)) memory beside them.
///
/// `q` (n, `d_h`) has the scale in it already; `k` (m, `d_h`); `w` (m, l) are the weights, past
/// [`Weight`](super::Weight); `v` (m, `d_v`). Queries after the last key see every key, and there is a query for every key.
///
/// # Panics
/// If the shapes do not fit each other.
pub(super) fn sequential(
    q: ArrayView2<'_, f32>,
    k: ArrayView2<'_, f32>,
    w: ArrayView2<'_, f32>,
    v: ArrayView2<'_, f32>,
    decay: Decay,
    work: &mut Work,
) -> Array2<f32> {
    assert_eq!((k.nrows(), k.nrows()), (w.nrows(), v.nrows()), "weights and a value for each key");
    let mut state = State::new(k.ncols(), w.ncols(), v.ncols(), decay);
    let mut out = Array2::zeros((q.nrows(), v.ncols()));
    for (t, mut row) in out.rows_mut().into_iter().enumerate() {
        if t < k.nrows() {
            state.pack(k.row(t), w.row(t), v.row(t), work);
        }
        row.assign(&state.unpack(q.row(t), work));
    }
    out
}

/// The softmax over the packed rows of every query, (n, l): the left factor of the matrix.
pub fn unpacking(
    q: ArrayView2<'_, f32>,
    k: ArrayView2<'_, f32>,
    w: ArrayView2<'_, f32>,
    decay: Decay,
) -> Array2<f32> {
    let nothing = Array2::zeros((k.nrows(), 0));
    let mut state = State::new(k.ncols(), w.ncols(), 0, decay);
    let mut shares = Array2::zeros((q.nrows(), w.ncols()));
    let mut work = Work::default();
    for (t, mut row) in shares.rows_mut().into_iter().enumerate() {
        if t < k.nrows() {
            state.pack(k.row(t), w.row(t), nothing.row(t), &mut work);
        }
        row.assign(&state.share(q.row(t), &mut work).row(0));
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::super::{State, Weight};
    use super::*;
    use crate::rng::{normal, stream};
    use ndarray::{Array1, Axis, s};
    use proptest::prelude::*;

    fn furthest(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
        (a - b).fold(0.0_f32, |far, x| if x.abs() <= far { far } else { x.abs() })
    }

    /// By the equation as it stands, in f64.
    fn by_hand([q, k, w, v]: [&Array2<f32>; 4], decay: f64) -> Array2<f32> {
        let [q, k, w, v] = [q, k, w, v].map(|x| x.mapv(f64::from));
        let mut out = Array2::zeros((q.nrows(), v.ncols()));
        for t in 0..q.nrows() {
            let w = w.slice(s![..=t, ..]);
            let left = Array1::from_shape_fn(t + 1, |j| decay.powi((t - j) as i32));
            let w = &w / left.sum() * left.insert_axis(Axis(1));
            let logits = q.row(t).dot(&k.slice(s![..=t, ..]).t().dot(&w));
            let top = logits.fold(f64::NEG_INFINITY, |top, x| top.max(*x));
            let exps = logits.mapv(|x| (x - top).exp());
            let value = exps.dot(&w.t().dot(&v.slice(s![..=t, ..]))) / exps.sum();
            out.row_mut(t).assign(&value.mapv(|x| x as f32));
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn both_forms_agree(
            seed in 0..1000_u64, n in 1..70_usize, d_h in 1..9_usize, l in 1..20_usize, d_v in 1..7_usize,
        ) {
            let mut rng = stream(seed, "luna causal");
            let [q, k, v] = [d_h, d_h, d_v].map(|d| normal(&mut rng, n, d));
            for weight in [Weight::Softplus, Weight::Elu] {
                let w = normal(&mut rng, n, l).mapv(|x| weight.apply(x));
                for decay in [1.0, 0.9] {
                    let expected = by_hand([&q, &k, &w, &v], decay);
                    let decay = Decay::of(decay);
                    let whole =
                        sequential(q.view(), k.view(), w.view(), v.view(), decay, &mut Work::default());
                    prop_assert!(furthest(&whole, &expected) < 1e-5);
                    let mut state = State::new(d_h, l, d_v, decay);
                    for t in 0..n {
                        let row = state.push(q.row(t), k.row(t), w.row(t), v.row(t));
                        prop_assert_eq!(row, whole.row(t));
                    }
                }
            }
        }
    }

    #[test]
    fn weights_are_torch_s() {
        for (x, softplus, elu) in [
            (0.0, 1.0, 1.0),
            (1.0, 3.0_f32.log2(), 2.0),
            (-3.0, 1.125_f32.log2(), 0.049_787_067),
            (28.0, 28.0, 29.0),
            (1e4, 1e4, 10_001.0),
            (-1e4, 0.0, 0.0),
        ] {
            assert!((Weight::Softplus.apply(x) - softplus).abs() <= 2e-7 * softplus, "softplus of {x}");
            assert!((Weight::Elu.apply(x) - elu).abs() <= 2e-7 * elu, "elu of {x}");
        }
    }
}
