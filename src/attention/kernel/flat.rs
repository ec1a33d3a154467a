//! Many heads in standard layout, as the forward passes read them.

use crate::attention::Mask;
use crate::cost::{Shape, Tally};
use crate::linalg::lanes::Path;
use crate::linalg::random_mask::RandomMask;

pub(in crate::attention) const STANDARD: &str = "in standard layout";

/// The instructions of a pass, and where its multiply-adds are counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct By<'a> {
    /// The instructions.
    pub path: Path,
    /// Gets the multiply-adds of the result that each tile computed: as many as the closed form says, a head, unless a
    /// tile is left out or computed twice.
    pub tally: Option<&'a Tally>,
}

impl From<Path> for By<'_> {
    fn from(path: Path) -> Self {
        Self { path, tally: None }
    }
}

impl<'a> From<Option<&'a Tally>> for By<'a> {
    fn from(tally: Option<&'a Tally>) -> Self {
        Self { path: Path::Widest, tally }
    }
}

/// What the work space of a pass depends on.
#[derive(Clone, Copy, Debug)]
pub(in crate::attention) struct Size {
    pub(in crate::attention) shape: Shape,
    pub(in crate::attention) heads: usize,
    pub(in crate::attention) threads: usize,
}

/// Many heads in standard layout.
pub(in crate::attention) struct Flat<'a> {
    pub(in crate::attention) q: &'a [f32],
    pub(in crate::attention) k: &'a [f32],
    pub(in crate::attention) v: &'a [f32],
    pub(in crate::attention) h: usize,
    /// Queries and keys of a head with their padding.
    pub(in crate::attention) lengths: (usize, usize),
    /// Real queries and keys of a head.
    pub(in crate::attention) n: usize,
    pub(in crate::attention) m: usize,
    pub(in crate::attention) d_h: usize,
    pub(in crate::attention) d_v: usize,
    pub(in crate::attention) scale: f32,
    pub(in crate::attention) mask: Mask,
    pub(in crate::attention) dropout: RandomMask,
    pub(in crate::attention) path: Path,
    /// Where multiply-adds are counted, if they are.
    pub(in crate::attention) tally: Option<&'a Tally>,
}

impl<'a> Flat<'a> {
    /// What the work space of a pass over these heads depends on.
    pub(in crate::attention) fn size(&self) -> Size {
        let Self { n, m, d_h, d_v, .. } = *self;
        let shape = Shape { n, m, d_h, d_v, causal: self.mask == Mask::Causal, window: None };
        Size { shape, heads: self.h, threads: rayon::current_num_threads() }
    }

    /// The real queries of one head, rows of `d_h`.
    pub(in crate::attention) fn q(&self, head: usize) -> &'a [f32] {
        &self.q[head * self.lengths.0 * self.d_h..][..self.n * self.d_h]
    }

    /// The real keys of one head, rows of `d_h`.
    pub(in crate::attention) fn k(&self, head: usize) -> &'a [f32] {
        &self.k[head * self.lengths.1 * self.d_h..][..self.m * self.d_h]
    }

    /// The real values of one head, rows of `d_v`.
    pub(in crate::attention) fn v(&self, head: usize) -> &'a [f32] {
        &self.v[head * self.lengths.1 * self.d_v..][..self.m * self.d_v]
    }

    /// Counts a product of shapes (n, d) and (d, m).
    #[inline]
    pub(in crate::attention) fn count(&self, n: usize, d: usize, m: usize) {
        if let Some(tally) = self.tally {
            tally.product(n, d, m);
        }
    }

    /// Blocks of `rows` real queries: the head, the first query, and the output's rows.
    pub(in crate::attention) fn blocks<'o>(
        &self,
        out: &'o mut [f32],
        rows: usize,
    ) -> impl Iterator<Item = (usize, usize, &'o mut [f32])> + Send + use<'o> {
        let (n, d_v) = (self.n, self.d_v);
        out.chunks_exact_mut(self.lengths.0 * d_v).enumerate().flat_map(move |(head, out)| {
            let blocks = out[..n * d_v].chunks_mut(rows * d_v).enumerate();
            blocks.map(move |(block, out)| (head, block * rows, out))
        })
    }

    /// As [`blocks`](Self::blocks), each with its part of `saved`, a number of every query, (h, n): an empty part where
    /// `saved` is empty.
    pub(in crate::attention) fn blocks_saving<'o>(
        &self,
        out: &'o mut [f32],
        saved: &'o mut [f32],
        rows: usize,
    ) -> impl Iterator<Item = ((usize, usize, &'o mut [f32]), &'o mut [f32])> + Send + use<'o> {
        let saved = saved.chunks_mut(self.n).flat_map(move |saved| saved.chunks_mut(rows));
        self.blocks(out, rows).zip(saved.chain(std::iter::repeat_with(Default::default)))
    }
}
