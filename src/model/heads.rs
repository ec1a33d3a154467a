//! Softmax attention of one layer's heads, from projected queries, keys and values side by side.

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, Axis, s};
use rayon::prelude::*;

use super::observe::{HeadTap, Observer};
use super::substitute::Substitute;
use crate::attention::{HeadTerms, Input, Mask, Window, softmax};
use crate::linalg::gemm::{Threads, product, product_into};
use crate::{Error, Result};

/// Rows of logits that are computed at once if no matrix is requested.
const BLOCK: usize = 128;

/// The projections of one layer, shape (n, (h + 2 kv) `d_h)`: queries, then keys, then values, head by head.
#[allow(clippy::struct_field_names)] // h and kv heads are their names
pub(super) struct Heads {
    pub(super) qkv: Array2<f32>,
    pub(super) layer: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) d_h: usize,
    pub(super) scale: f32,
    pub(super) causal: bool,
    pub(super) terms: LayerTerms,
}

/// What changes the logits of a layer's heads beside scale and mask.
#[derive(Default)]
pub(super) struct LayerTerms {
    pub(super) softcap: Option<f32>,
    pub(super) window: Option<Window>,
    /// Added to the logits by distance: for each head, as `Bias::Distances`.
    pub(super) biases: Option<Vec<Array1<f32>>>,
    /// A sink for each head.
    pub(super) sinks: Option<Vec<f32>>,
}

impl LayerTerms {
    fn of(&self, head: usize) -> HeadTerms {
        HeadTerms {
            softcap: self.softcap,
            bias: self.biases.as_ref().map(|biases| biases[head].clone()),
            window: self.window,
            sink: self.sinks.as_ref().map(|sinks| sinks[head]),
        }
    }
}

impl Heads {
    /// The heads' outputs side by side, shape (n, h `d_h`); heads in parallel.
    pub(super) fn attend(&self) -> Array2<f32> {
        let mut out = Array2::zeros((self.qkv.nrows(), self.heads * self.d_h));
        let columns = out.axis_chunks_iter_mut(Axis(1), self.d_h).into_par_iter().enumerate();
        columns.for_each(|(head, out)| self.attend_head(head, out));
        out
    }

    /// As `attend`, with each head passed to the observer, and its output computed by the substitute if there is one; no
    /// outputs are computed if `outputs` is false.
    ///
    /// As many heads as there are threads are computed at once, so no more matrices than that are allocated.
    pub(super) fn observe(
        &self,
        mut observer: Option<&mut dyn Observer>,
        substitute: Option<&dyn Substitute>,
        outputs: bool,
    ) -> Result<Option<Array2<f32>>> {
        let wants_matrix = observer.as_ref().is_some_and(|observer| observer.wants_matrix(self.layer));
        let mut out = outputs.then(|| Array2::zeros((self.qkv.nrows(), self.heads * self.d_h)));
        let heads: Vec<usize> = (0..self.heads).collect();
        for batch in heads.chunks(rayon::current_num_threads()) {
            let work = |&head: &usize| {
                let tap = self.tap(head, wants_matrix);
                let out = outputs.then(|| self.output(&tap, substitute)).transpose()?;
                Ok((tap, out))
            };
            let done: Vec<(HeadTap, Option<Array2<f32>>)> =
                batch.par_iter().map(work).collect::<Result<_>>()?;
            for (tap, head_out) in done {
                if let (Some(out), Some(head_out)) = (&mut out, head_out) {
                    out.slice_mut(s![.., tap.head * self.d_h..(tap.head + 1) * self.d_h]).assign(&head_out);
                }
                if let Some(observer) = &mut observer {
                    observer.head(tap)?;
                }
            }
        }
        Ok(out)
    }

    /// One head's output, shape (n, `d_h`).
    fn output(&self, tap: &HeadTap, substitute: Option<&dyn Substitute>) -> Result<Array2<f32>> {
        let shape = (self.qkv.nrows(), self.d_h);
        if let Some(substitute) = substitute.filter(|one| one.replaces_head(tap.layer, tap.head)) {
            let out = substitute.attend(tap)?;
            if out.dim() != shape {
                let what = format!("substituted output of layer {} head {}", tap.layer, tap.head);
                let expected = format!("(n, d_h) = {shape:?}");
                return Err(Error::Shape { what, found: out.shape().to_vec(), expected });
            }
            return Ok(out);
        }
        let mut out = Array2::zeros(shape);
        match &tap.matrix {
            Some(a) => product_into(out.view_mut(), 0.0, a.view(), self.v(tap.head), 1.0, Threads::One),
            None => self.attend_head(tap.head, out.view_mut()),
        }
        Ok(out)
    }

    fn tap(&self, head: usize, wants_matrix: bool) -> HeadTap {
        let (q, k, terms) = (self.q(head), self.k(head), self.terms.of(head));
        let matrix = wants_matrix.then(|| softmax::matrix_f32(&self.input(head, &terms)));
        let (q, k, v) = (q.to_owned(), k.to_owned(), self.v(head).to_owned());
        HeadTap {
            layer: self.layer,
            head,
            q,
            k,
            v,
            scale: self.scale,
            causal: self.causal,
            terms,
            matrix,
            factors: None,
        }
    }

    fn input<'a>(&'a self, head: usize, terms: &'a HeadTerms) -> Input<'a> {
        let mask = if self.causal { Mask::Causal } else { Mask::Full };
        Input { scale: self.scale, terms: terms.view(), ..Input::new(self.q(head), self.k(head), mask) }
    }

    /// One head's output, a block of rows at a time, each over the keys that it sees.
    fn attend_head(&self, head: usize, mut out: ArrayViewMut2<'_, f32>) {
        let terms = self.terms.of(head);
        let (input, v) = (self.input(head, &terms), self.v(head));
        let n = v.nrows();
        for first in (0..n).step_by(BLOCK) {
            let queries = first..(first + BLOCK).min(n);
            let (keys, a) = softmax::block(&input, queries.clone());
            let block = product(a.view(), v.slice(s![keys, ..]), Threads::One);
            out.slice_mut(s![queries, ..]).assign(&block);
        }
    }

    fn q(&self, head: usize) -> ArrayView2<'_, f32> {
        self.columns(head)
    }

    fn k(&self, head: usize) -> ArrayView2<'_, f32> {
        self.columns(self.heads + self.group(head))
    }

    fn v(&self, head: usize) -> ArrayView2<'_, f32> {
        self.columns(self.heads + self.kv_heads + self.group(head))
    }

    /// The key and value head that a query head reads.
    fn group(&self, head: usize) -> usize {
        head / (self.heads / self.kv_heads)
    }

    fn columns(&self, at: usize) -> ArrayView2<'_, f32> {
        self.qkv.slice(s![.., at * self.d_h..(at + 1) * self.d_h])
    }
}
