//! How null models are drawn.

use ndarray::{Array2, Axis, s};
use rand::seq::SliceRandom;
use rayon::prelude::*;

use crate::attention::{Input, Mask, Terms, Visible, softmax};
use crate::error::Result;
use crate::layer::Factors;
use crate::linalg::gemm::{Threads, product};
use crate::metric::RowProfile;
use crate::name::Params;
use crate::rng::{Rng, normal};
use crate::study::input::{Body, Head};
use crate::task::dump::{Matrix, Precision};

/// The width of a null head where the input does not say its own.
pub(super) const WIDTH: usize = 64;

/// The width that a spec names.
pub(super) fn params_width(params: &Params<'_>) -> Result<Option<usize>> {
    // Only some null models declare a width.
    params.optional("d_h")
}

/// Softmax of Gaussian queries and keys.
pub(super) fn gaussian(
    params: &Params<'_>,
    head: &Head,
    matrix: &Matrix,
    rows: &RowProfile,
    rng: &mut Rng,
) -> Result<Matrix> {
    let width = params_width(params)?.or(head.width).unwrap_or(WIDTH);
    if let Some(own) = &head.own {
        let (unpack, pack) = (untrained(&own.unpack, width, rng), untrained(&own.pack, width, rng));
        return Ok(Matrix::F32(Factors { unpack, pack, causal: own.causal, decay: own.decay }.matrix()));
    }
    let (n, m) = head.shape;
    let (q, k) = (normal(rng, n, width), normal(rng, m, width));
    if let Some(input) = head.input().filter(|input| !input.terms.is_empty()) {
        let scale = (spread(&input) / (width as f64).sqrt()) as f32;
        return Ok(under_terms(Input { q: q.view(), k: k.view(), scale, ..input }, matrix));
    }
    let visible = head.visible();
    let logit_sd = match visible {
        Visible::Mask(_) | Visible::Window(..) => rows.logit_sd,
        // Of what is visible: what is not may hold more than zeros.
        Visible::Rows(_) => {
            RowProfile::of(only(&visible, &wide(matrix)).mapv(|x| x as f32).view(), &[]).logit_sd
        }
    };
    let scale = logit_sd / (width as f64).sqrt();
    let mut drawn = match (matrix, &visible) {
        (Matrix::F32(_), Visible::Mask(mask)) => {
            Matrix::F32(softmax::matrix(q.view(), k.view(), scale as f32, *mask))
        }
        (Matrix::F64(_), Visible::Mask(mask)) => {
            Matrix::F64(softmax::matrix_f64(q.view(), k.view(), scale, *mask))
        }
        (_, Visible::Window(..) | Visible::Rows(_)) => {
            let logits = product(q.mapv(f64::from).view(), k.mapv(f64::from).t(), Threads::One) * scale;
            let mut drawn = wide(matrix);
            softmax::within(&mut drawn, logits.view(), &visible);
            match matrix {
                Matrix::F32(_) => Matrix::F32(drawn.mapv(|x| x as f32)),
                Matrix::F64(_) => Matrix::F64(drawn),
            }
        }
    };
    // Rounding adds small singular values, which the head has too.
    if let Body::Given(given) = &head.body {
        round(&mut drawn, given.precision);
    }
    Ok(drawn)
}

/// Rows of logits that are held at a time.
const TILE: usize = 64;

/// The standard deviation of a head's logits within rows over the keys that each query sees, before softcap and bias;
/// pooled over rows with one degree of freedom less for each row.
pub(super) fn spread(input: &Input<'_>) -> f64 {
    let [q, k] = [input.q, input.k].map(|x| x.mapv(f64::from));
    let n = q.nrows();
    let tiles: Vec<(f64, usize)> = (0..n.div_ceil(TILE))
        .into_par_iter()
        .map(|tile| {
            let rows = tile * TILE..((tile + 1) * TILE).min(n);
            let logits = product(q.slice(s![rows.clone(), ..]), k.t(), Threads::One) * f64::from(input.scale);
            rows.zip(logits.rows()).fold((0.0, 0), |(squares, freedom), (i, row)| {
                let seen = row.slice(s![input.sees(i)]);
                seen.mean().map_or((squares, freedom), |mean| {
                    let apart = seen.fold(0.0, |sum, x| sum + (x - mean).powi(2));
                    (squares + apart, freedom + seen.len() - 1)
                })
            })
        })
        .collect();
    let (squares, freedom) = tiles.iter().fold((0.0, 0), |all, tile| (all.0 + tile.0, all.1 + tile.1));
    if freedom > 0 { (squares / freedom as f64).sqrt() } else { 0.0 }
}

/// Softmax of these queries and keys under the window, softcap and bias of a head; where it has a sink, rows have the sums
/// of the head's own `matrix`.
fn under_terms(input: Input<'_>, matrix: &Matrix) -> Matrix {
    let drawn = Input { terms: Terms { sink: None, ..input.terms }, ..input };
    let mut drawn = match matrix {
        Matrix::F32(_) => Matrix::F32(softmax::matrix_f32(&drawn)),
        Matrix::F64(_) => Matrix::F64(softmax::matrix_of(&drawn)),
    };
    if input.terms.sink.is_some() {
        match (&mut drawn, matrix) {
            (Matrix::F32(drawn), Matrix::F32(own)) => *drawn *= &own.sum_axis(Axis(1)).insert_axis(Axis(1)),
            (Matrix::F64(drawn), Matrix::F64(own)) => *drawn *= &own.sum_axis(Axis(1)).insert_axis(Axis(1)),
            _ => {}
        }
    }
    drawn
}

/// The probabilities of each row in random order.
#[allow(clippy::unnecessary_wraps)] // the form of every entry of the list
pub(super) fn shuffled(
    _: &Params<'_>,
    head: &Head,
    matrix: &Matrix,
    _: &RowProfile,
    rng: &mut Rng,
) -> Result<Matrix> {
    if let Some(own) = &head.own {
        let mut own = own.clone();
        for weights in [&mut own.unpack, &mut own.pack] {
            shuffle(weights, &Mask::Full.into(), rng);
        }
        return Ok(Matrix::F32(own.matrix()));
    }
    let (mut matrix, visible) = (matrix.clone(), head.visible());
    match &mut matrix {
        Matrix::F32(a) => shuffle(a, &visible, rng),
        Matrix::F64(a) => shuffle(a, &visible, rng),
    }
    Ok(matrix)
}

/// Independent Gaussian columns with the means and standard deviations of those of `x`.
pub(super) fn gaussian_columns(x: &Array2<f32>, rng: &mut Rng) -> Array2<f32> {
    let mut drawn = normal(rng, x.nrows(), x.ncols());
    for (mut drawn, column) in drawn.columns_mut().into_iter().zip(x.columns()) {
        let column = column.mapv(f64::from);
        let (mean, sd) = (column.mean().unwrap_or(0.0), column.std(0.0));
        drawn.mapv_inplace(|z| (mean + sd * f64::from(z)) as f32);
    }
    drawn
}

/// Each column in a random order of its own: what columns have in common is gone.
pub(super) fn shuffled_columns(x: &Array2<f32>, rng: &mut Rng) -> Array2<f32> {
    let mut columns = x.t().to_owned();
    shuffle(&mut columns, &Mask::Full.into(), rng);
    columns.reversed_axes()
}

pub(super) fn wide(matrix: &Matrix) -> Array2<f64> {
    match matrix {
        Matrix::F32(a) => a.mapv(f64::from),
        Matrix::F64(a) => a.clone(),
    }
}

/// The entries that a mask leaves visible, and 0 elsewhere.
fn only(visible: &Visible, a: &Array2<f64>) -> Array2<f64> {
    let mut seen = Array2::zeros(a.dim());
    for (i, mut row) in seen.rows_mut().into_iter().enumerate() {
        for j in visible.row(i, a.ncols()).flatten() {
            row[j] = a[[i, j]];
        }
    }
    seen
}

fn round(matrix: &mut Matrix, precision: Precision) {
    match matrix {
        // Nothing is narrower than the array itself.
        Matrix::F32(_) if precision == Precision::F32 => {}
        Matrix::F32(a) => a.mapv_inplace(|x| precision.round(f64::from(x)) as f32),
        Matrix::F64(a) => a.mapv_inplace(|x| precision.round(x)),
    }
}

/// One step of Luna by Gaussian queries and keys, of the same temperature; its rows have the sums of the given ones.
fn untrained(weights: &Array2<f32>, width: usize, rng: &mut Rng) -> Array2<f32> {
    let (n, m) = weights.dim();
    let (q, k) = (normal(rng, n, width), normal(rng, m, width));
    let scale = RowProfile::of(weights.view(), &[]).logit_sd / (width as f64).sqrt();
    softmax::matrix(q.view(), k.view(), scale as f32, Mask::Full)
        * weights.sum_axis(Axis(1)).insert_axis(Axis(1))
}

/// Permutes each row's values among the keys that its query sees.
fn shuffle<T: Copy>(a: &mut Array2<T>, visible: &Visible, rng: &mut Rng) {
    let m = a.ncols();
    for (i, mut row) in a.rows_mut().into_iter().enumerate() {
        let mut values: Vec<T> = visible.row(i, m).flatten().map(|j| row[j]).collect();
        values.shuffle(rng);
        for (j, value) in visible.row(i, m).flatten().zip(values) {
            row[j] = value;
        }
    }
}
