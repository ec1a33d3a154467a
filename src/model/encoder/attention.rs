//! The attention block of a Transformer layer: projections around any of the mechanisms.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, s};

use super::{EncoderConfig, Mechanism};
use crate::attention::{Arrays, Fused, Heads, Mask, Past, fused, materialised};
use crate::model::linear::{Count, Linear};
use crate::model::luna::Named;
use crate::{Error, Result};

/// Four projections (d, d) with biases, and what stands between them.
pub(in crate::model) struct Attention {
    heads: usize,
    query: Linear<'static>,
    key: Linear<'static>,
    value: Linear<'static>,
    out: Linear<'static>,
    core: Core,
    mask: Mask,
}

/// How heads attend.
enum Core {
    Materialised,
    /// With the layer's learned array, where there is one.
    Fused(Fused, Option<(&'static str, Array2<f32>)>),
}

impl Core {
    fn arrays(&self) -> Arrays<'_> {
        match self {
            Self::Fused(_, Some((name, array))) => Arrays::none().shared(name, array.view()),
            _ => Arrays::none(),
        }
    }
}

/// Rows of a batch: `b` sequences of length `n`, and how many rows of each are real.
#[derive(Clone, Copy, Debug)]
pub(in crate::model) struct Batch<'a> {
    pub(in crate::model) b: usize,
    pub(in crate::model) n: usize,
    pub(in crate::model) real: Option<&'a [usize]>,
}

impl<'a> Batch<'a> {
    /// Refuses lengths that are not one for each sequence, or longer than the sequences.
    pub(super) fn check(b: usize, n: usize, real: Option<&'a [usize]>) -> Result<Self> {
        if let Some(real) = real.filter(|real| real.len() != b || real.iter().any(|real| *real > n)) {
            return Err(Error::Shape {
                what: "real rows of a batch".into(),
                found: real.to_vec(),
                expected: format!("{b} lengths of at most {n}"),
            });
        }
        Ok(Self { b, n, real: real.filter(|real| real.iter().any(|real| *real < n)) })
    }

    /// Real rows of one sequence.
    pub(super) fn real(&self, sequence: usize) -> usize {
        self.real.map_or(self.n, |real| real[sequence])
    }
}

impl Attention {
    /// Reads `q_proj`, `k_proj`, `v_proj` and `out_proj`, and the mechanism's own piece.
    pub(in crate::model) fn load(named: &Named, config: &EncoderConfig) -> Result<Self> {
        let (d, d_h) = (config.d, config.head_width());
        let array = match config.mechanism {
            Mechanism::Linformer { l, max } => Some(("e", named.matrix("compress.weight", (l, max))?)),
            Mechanism::Performer { l } => Some(("features", named.matrix("features", (l, d_h))?)),
            _ => None,
        };
        let core = if config.mechanism == Mechanism::Materialised {
            Core::Materialised
        } else {
            Core::Fused(fused(config.mechanism.core(), config.mechanism.core_l())?, array)
        };
        let [query, key, value, out] =
            ["q_proj", "k_proj", "v_proj", "out_proj"].map(|name| named.linear(name, d, d));
        Ok(Self {
            heads: config.heads,
            query: query?,
            key: key?,
            value: value?,
            out: out?,
            core,
            mask: config.mask(),
        })
    }

    /// What every row of the input (b n, d) reads, shape (h, b n, `d_h`); rows of padding are zeros.
    pub(in crate::model) fn read(
        &self,
        input: ArrayView2<'_, f32>,
        batch: Batch<'_>,
        count: Count<'_>,
    ) -> Result<Array3<f32>> {
        let [q, k, v] =
            [&self.query, &self.key, &self.value].map(|linear| linear.heads(&input, self.heads, count));
        let mut out = Array3::zeros(q.raw_dim());
        let Batch { b, n, real } = batch;
        let width = q.dim().2;
        let [q, k, v] = [&q, &k, &v].map(|x| by_sequence(x.view(), b, n));
        let mut heads = out
            .view_mut()
            .into_shape_with_order((self.heads * b, n, width))
            .map_err(|error| Error::malformed("heads", error, "in standard layout"))?;
        if real.is_none() {
            self.attend(&Heads::new(q, k, v, self.mask), heads, count)?;
        } else {
            // Every sequence has a length of its own, and every b-th head is one of its heads.
            for sequence in 0..b {
                let of = s![sequence..;b, .., ..];
                let [q, k, v] = [q, k, v].map(|x| x.slice_move(of));
                let real = batch.real(sequence);
                let of_sequence = Heads { real: (real, real), ..Heads::new(q, k, v, self.mask) };
                self.attend(&of_sequence, heads.slice_mut(of), count)?;
            }
        }
        Ok(out)
    }

    /// Adds the output projection of what was read to rows (b n, d).
    pub(in crate::model) fn add(&self, rows: ArrayViewMut2<'_, f32>, read: &Array3<f32>, count: Count<'_>) {
        self.out.add_heads(rows, read.view(), count);
    }

    /// The pasts of all heads, before the first row.
    pub(in crate::model) fn start(&self, d_h: usize) -> Result<Vec<Box<dyn Past>>> {
        let past = match &self.core {
            Core::Fused(fused, _) => fused.past(d_h, d_h)?,
            Core::Materialised => fused("softmax", None)?.past(d_h, d_h)?,
        };
        Ok(vec![past; self.heads])
    }

    /// What the next row of each sequence reads, rows (b, d) to (h, b, `d_h`), of the pasts of its heads.
    pub(in crate::model) fn step<'a>(
        &self,
        pasts: impl IntoIterator<Item = &'a mut [Box<dyn Past>]>,
        rows: ArrayView2<'_, f32>,
    ) -> Array3<f32> {
        let [q, k, v] =
            [&self.query, &self.key, &self.value].map(|linear| linear.heads(&rows, self.heads, None));
        let arrays = self.core.arrays();
        let scale = Heads::new(q.view(), k.view(), v.view(), self.mask).scale;
        let mut read = Array3::zeros(q.raw_dim());
        for (row, pasts) in pasts.into_iter().enumerate() {
            for (head, past) in pasts.iter_mut().enumerate() {
                let of = [&q, &k, &v].map(|x| x.slice(s![head, row, ..]));
                read.slice_mut(s![head, row, ..]).assign(&past.push(&arrays, scale, of));
            }
        }
        read
    }

    fn attend(&self, heads: &Heads<'_>, out: ArrayViewMut3<'_, f32>, count: Count<'_>) -> Result<()> {
        match &self.core {
            Core::Fused(fused, _) => fused.forward_into(count, heads, &self.core.arrays(), out),
            Core::Materialised => materialised::forward_into(heads, out, count),
        }
    }
}

/// Heads (h, b n, `d_h`) as (h b, n, `d_h`).
fn by_sequence(x: ArrayView3<'_, f32>, b: usize, n: usize) -> ArrayView3<'_, f32> {
    let (h, _, width) = x.dim();
    x.into_shape_with_order((h * b, n, width)).expect("in standard layout")
}
