//! Dumped attention matrices as an input.

use std::path::Path;

use serde_json::Value;

use super::{Body, DumpArgs, Head, InputArgs, Sink, Source};
use crate::attention::Mask;
use crate::error::Result;
use crate::task::dump::{Dump, Matrix};

/// A row whose sum is further from 1 than this is reported.
const DRIFT: f64 = 1e-3;

pub(super) struct Dumped {
    name: String,
    file: String,
    dump: Dump,
    layers: Vec<usize>,
    heads: Vec<usize>,
    length: usize,
    notes: Vec<String>,
}

impl Dumped {
    pub(super) fn open(args: &InputArgs, file: &DumpArgs, path: &Path) -> Result<Self> {
        let dump = Dump::read(path, file.tensor.as_deref())?;
        let (layers, heads, n, _) = dump.shape();
        let (layers, heads) = args.select(layers, heads)?;
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut dumped =
            Self { name, file: path.display().to_string(), dump, layers, heads, length: n, notes: vec![] };
        dumped.notes = dumped.drifting_rows()?.into_iter().collect();
        Ok(dumped)
    }

    /// Says how many rows do not sum to 1, if any.
    fn drifting_rows(&self) -> Result<Option<String>> {
        let (mut rows, mut drifting, mut most) = (0_usize, 0_usize, 0.0_f64);
        for (layer, head) in self.each() {
            let drifts: Vec<f64> = match self.dump.matrix(layer, head)? {
                Matrix::F32(a) => {
                    a.rows().into_iter().map(|row| drift(row.iter().map(|x| f64::from(*x)))).collect()
                }
                Matrix::F64(a) => a.rows().into_iter().map(|row| drift(row.iter().copied())).collect(),
            };
            rows += drifts.len();
            drifting += drifts.iter().filter(|drift| **drift > DRIFT).count();
            most = drifts.iter().fold(most, |most, drift| most.max(*drift));
        }
        Ok((drifting > 0).then(|| {
            format!(
                "{drifting} of {rows} rows do not sum to 1 (furthest off by {most:.3e}): these are not attention \
                 matrices as softmax makes them, and figures of rows mean little"
            )
        }))
    }

    fn each(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.layers.iter().flat_map(|layer| self.heads.iter().map(|head| (*layer, *head)))
    }
}

impl Source for Dumped {
    fn name(&self) -> &str {
        &self.name
    }

    fn lengths(&self) -> &[usize] {
        std::slice::from_ref(&self.length)
    }

    fn windows(&self) -> usize {
        1
    }

    fn heads(&self) -> usize {
        self.layers.len() * self.heads.len()
    }

    fn facts(&self) -> Vec<(String, Value)> {
        let (layers, heads, n, m) = self.dump.shape();
        vec![
            ("attention".into(), self.file.clone().into()),
            ("shape".into(), vec![layers, heads, n, m].into()),
        ]
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    fn visit(&self, _n: usize, window: usize, _matrices: bool, sink: &mut Sink<'_>) -> Result<()> {
        let (_, _, n, m) = self.dump.shape();
        for (layer, head) in self.each() {
            let matrix = self.dump.matrix(layer, head)?;
            let mask = mask_of(&matrix);
            let label = format!("layer {layer} head {head}");
            sink(Head {
                label,
                layer,
                head,
                window,
                shape: (n, m),
                mask,
                width: None,
                body: Body::Given(matrix),
                own: None,
            })?;
        }
        Ok(())
    }
}

fn drift(row: impl Iterator<Item = f64>) -> f64 {
    (row.sum::<f64>() - 1.0).abs()
}

/// Causal if nothing stands above the diagonal of a square matrix of more than one row.
fn mask_of(matrix: &Matrix) -> Mask {
    fn is_causal<T: Copy + Into<f64>>(a: &ndarray::Array2<T>) -> bool {
        a.nrows() == a.ncols()
            && a.nrows() > 1
            && a.indexed_iter().all(|((i, j), x)| j <= i || (*x).into() == 0.0)
    }
    let causal = match matrix {
        Matrix::F32(a) => is_causal(a),
        Matrix::F64(a) => is_causal(a),
    };
    if causal { Mask::Causal } else { Mask::Full }
}
