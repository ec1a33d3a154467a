//! A token at a time: the obvious form.

use ndarray::{Array2, ArrayView2};

use super::State;
use crate::attention::Work;

/// The outputs (n, `d_v`), a token at a time with two running sums: O(l (`d_h` + `d_v`)) memory beside them.
///
/// `q` (n, `d_h`) has the scale in it already; `k` (n, `d_h`); `w` (n, l) are the weights, past
/// [`Weight`](super::Weight); `v` (n, `d_v`).
///
/// # Panics
/// If the shapes do not fit each other.
pub fn sequential(
    q: ArrayView2<'_, f32>,
    k: ArrayView2<'_, f32>,
    w: ArrayView2<'_, f32>,
    v: ArrayView2<'_, f32>,
) -> Array2<f32> {
    assert_eq!(q.nrows(), k.nrows(), "a query for each key");
    counted(q, k, w, v, &mut Work::default())
}

/// As [`sequential()`], counting; queries behind the last key see every key, and there is a query for every key.
pub(super) fn counted(
    q: ArrayView2<'_, f32>,
    k: ArrayView2<'_, f32>,
    w: ArrayView2<'_, f32>,
    v: ArrayView2<'_, f32>,
    work: &mut Work,
) -> Array2<f32> {
    assert_eq!((k.nrows(), k.nrows()), (w.nrows(), v.nrows()), "weights and a value for each key");
    let mut state = State::new(k.ncols(), w.ncols(), v.ncols());
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
pub fn unpacking(q: ArrayView2<'_, f32>, k: ArrayView2<'_, f32>, w: ArrayView2<'_, f32>) -> Array2<f32> {
    let nothing = Array2::zeros((k.nrows(), 0));
    let mut state = State::new(k.ncols(), w.ncols(), 0);
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
