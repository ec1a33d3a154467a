//! Null models: what a head's spectrum would be if only its temperature, its mask or its probabilities counted.

use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;

use crate::attention::{Mask, softmax};
use crate::error::Result;
use crate::metric::RowProfile;
use crate::model::luna::Factors;
use crate::name::{Param, Params, Spec, specs};
use crate::rng::{Rng, normal};
use crate::study::input::Head;
use crate::task::dump::Matrix;

/// The width of a null head where the input does not say its own.
const WIDTH: usize = 64;

/// An entry of the list.
pub struct NullModel {
    /// The name on the command line and in columns.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its parameters with defaults.
    pub takes: &'static [Param],
    draw: fn(&Params<'_>, &Head, &Matrix, &RowProfile, &mut Rng) -> Result<Matrix>,
}

/// Every null model.
pub const ALL: &[NullModel] = &[
    // in the order of the columns
    NullModel {
        name: "gaussian",
        about: "softmax of Gaussian queries and keys of the head's width, with its logit_sd and mask: an untrained head \
                of the same temperature (of a Luna head both steps so, with the same l)",
        takes: &[Param { name: "d_h", default: None, about: "head width [default: the head's own, or 64]" }],
        draw: gaussian,
    },
    NullModel {
        name: "shuffled",
        about: "each row's probabilities in random order among the positions that its mask leaves open (of a Luna head \
                the weights of both steps so)",
        takes: &[],
        draw: |_, head, matrix, _, rng| {
            if let Some(own) = &head.own {
                let mut own = own.clone();
                for weights in [&mut own.unpack, &mut own.pack] {
                    shuffle(weights, Mask::Full, rng);
                }
                return Ok(Matrix::F32(own.matrix()));
            }
            let mut matrix = matrix.clone();
            match &mut matrix {
                Matrix::F32(a) => shuffle(a, head.mask, rng),
                Matrix::F64(a) => shuffle(a, head.mask, rng),
            }
            Ok(matrix)
        },
    },
];

/// A null model as it was asked for.
pub(super) struct Asked {
    pub(super) spec: Spec,
    pub(super) model: &'static NullModel,
}

/// Reads `--null`: a comma list of specs, or `none`.
pub(super) fn find(text: &str) -> Result<Vec<Asked>> {
    if text.trim() == "none" {
        return Ok(Vec::new());
    }
    let mut asked = Vec::new();
    for spec in specs(text)? {
        let model = crate::name::find("null model", &spec.name, ALL, |model| model.name)?;
        let params = spec.params("null model", model.takes)?;
        if let Some(0) = params_width(&params)? {
            return Err(params.refuse("d_h", &0, "1 or more"));
        }
        if !asked.iter().any(|other: &Asked| other.model.name == model.name) {
            asked.push(Asked { spec, model });
        }
    }
    Ok(asked)
}

impl Asked {
    /// One draw beside a head whose matrix and row figures are known.
    pub(super) fn draw(
        &self,
        head: &Head,
        matrix: &Matrix,
        rows: &RowProfile,
        rng: &mut Rng,
    ) -> Result<Matrix> {
        let params = self.spec.params("null model", self.model.takes)?;
        (self.model.draw)(&params, head, matrix, rows, rng)
    }
}

fn params_width(params: &Params<'_>) -> Result<Option<usize>> {
    // Only some null models declare a width.
    params.optional("d_h")
}

fn gaussian(
    params: &Params<'_>,
    head: &Head,
    matrix: &Matrix,
    rows: &RowProfile,
    rng: &mut Rng,
) -> Result<Matrix> {
    let width = params_width(params)?.or(head.width).unwrap_or(WIDTH);
    if let Some(own) = &head.own {
        let (unpack, pack) = (untrained(&own.unpack, width, rng), untrained(&own.pack, width, rng));
        return Ok(Matrix::F32(Factors { unpack, pack, causal: own.causal }.matrix()));
    }
    let (n, m) = head.shape;
    let (q, k) = (normal(rng, n, width), normal(rng, m, width));
    let scale = rows.logit_sd / (width as f64).sqrt();
    Ok(match matrix {
        Matrix::F32(_) => Matrix::F32(softmax::matrix(q.view(), k.view(), scale as f32, head.mask)),
        Matrix::F64(_) => Matrix::F64(softmax::matrix_f64(q.view(), k.view(), scale, head.mask)),
    })
}

/// One step of Luna by Gaussian queries and keys, of the same temperature; its rows have the sums of the given ones.
fn untrained(weights: &Array2<f32>, width: usize, rng: &mut Rng) -> Array2<f32> {
    let (n, m) = weights.dim();
    let (q, k) = (normal(rng, n, width), normal(rng, m, width));
    let scale = RowProfile::of(weights.view()).logit_sd / (width as f64).sqrt();
    softmax::matrix(q.view(), k.view(), scale as f32, Mask::Full)
        * weights.sum_axis(Axis(1)).insert_axis(Axis(1))
}

fn shuffle<T>(a: &mut Array2<T>, mask: Mask, rng: &mut Rng) {
    let m = a.ncols();
    for (i, mut row) in a.rows_mut().into_iter().enumerate() {
        if let Some(row) = row.as_slice_mut() {
            row[..mask.visible(i, m)].shuffle(rng);
        }
    }
}
