//! The attention block of a Transformer layer: projections around any of the mechanisms.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, ArrayViewMut2, ArrayViewMut3, s};

use super::{EncoderConfig, Mechanism};
use crate::attention::fused::{self, Fused, Given, Heads};
use crate::attention::{Mask, Past, materialised};
use crate::model::kernel;
use crate::model::linear::{Count, Linear};
use crate::model::luna::Named;
use crate::{Error, Result};

/// Added to each feature of Performer, as its mechanism has it.
pub(crate) const PERFORMER_EPS: f32 = 1e-4;

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

/// What a mechanism needs beside queries, keys and values.
enum Core {
    Materialised,
    Fused(&'static Fused, Piece),
}

enum Piece {
    None,
    /// E of Linformer, (l, max).
    Compress(Array2<f32>),
    /// Features of Performer, (l, `d_h`).
    Features(Array2<f32>),
    /// Width of the window.
    Window(usize),
}

impl Piece {
    fn given(&self) -> Given<'_> {
        match self {
            Self::None => Given::Nothing,
            Self::Compress(e) => Given::Linformer { e: e.view(), f: e.view() },
            Self::Features(w) => Given::Performer { w: w.view(), eps: PERFORMER_EPS },
            Self::Window(l) => Given::Local { l: *l },
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
        let piece = match config.mechanism {
            Mechanism::Linformer { l, max } => Piece::Compress(named.matrix("compress.weight", (l, max))?),
            Mechanism::Performer { l } => Piece::Features(named.matrix("features", (l, d_h))?),
            Mechanism::Local { l } => Piece::Window(l),
            _ => Piece::None,
        };
        let core = match fused::find(config.mechanism.core()) {
            Some(fused) if config.mechanism != Mechanism::Materialised => Core::Fused(fused, piece),
            _ => Core::Materialised,
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
    pub(in crate::model) fn start(&self, d_h: usize) -> Result<Vec<Past>> {
        let (name, given) = match &self.core {
            Core::Fused(fused, piece) => (fused.name, piece.given()),
            Core::Materialised => ("softmax", Given::Nothing),
        };
        (0..self.heads).map(|_| Past::new(name, &given, d_h, d_h)).collect()
    }

    /// What the next row of each sequence reads, rows (b, d) to (h, b, `d_h`), of the pasts of its heads.
    pub(in crate::model) fn step<'a>(
        &self,
        pasts: impl IntoIterator<Item = &'a mut [Past]>,
        rows: ArrayView2<'_, f32>,
    ) -> Array3<f32> {
        let [q, k, v] =
            [&self.query, &self.key, &self.value].map(|linear| linear.heads(&rows, self.heads, None));
        let given = match &self.core {
            Core::Fused(_, piece) => piece.given(),
            Core::Materialised => Given::Nothing,
        };
        let scale = Heads::new(q.view(), k.view(), v.view(), self.mask).scale;
        let mut read = Array3::zeros(q.raw_dim());
        for (row, pasts) in pasts.into_iter().enumerate() {
            for (head, past) in pasts.iter_mut().enumerate() {
                let of = [&q, &k, &v].map(|x| x.slice(s![head, row, ..]));
                read.slice_mut(s![head, row, ..]).assign(&past.push(&given, scale, of));
            }
        }
        read
    }

    fn attend(&self, heads: &Heads<'_>, out: ArrayViewMut3<'_, f32>, count: Count<'_>) -> Result<()> {
        match &self.core {
            Core::Fused(fused, piece) => kernel::attend(fused, heads, &piece.given(), out, count),
            Core::Materialised => materialised::forward_into(heads, out, count),
        }
    }
}

/// Heads (h, b n, `d_h`) as (h b, n, `d_h`).
fn by_sequence(x: ArrayView3<'_, f32>, b: usize, n: usize) -> ArrayView3<'_, f32> {
    let (h, _, width) = x.dim();
    x.into_shape_with_order((h * b, n, width)).expect("in standard layout")
}
