//! Many heads as rows of whole cache lines, in and out.

use std::borrow::Cow;

use ndarray::{ArrayView3, ArrayViewMut3, s};

use super::flat::{By, STANDARD, Size};
use super::heads::Heads;
use super::segments;
use super::share::whole_lines;
use super::tiles::RowDots;
use crate::attention::Mask;
use crate::cost::{Shape, Tally};
use crate::linalg::lanes::Path;
use crate::linalg::random_mask::RandomMask;

/// Heads of rows that are whole cache lines: as they are, or copied with zeros after each row.
pub(in crate::attention) struct Stack<'a> {
    numbers: Cow<'a, [f32]>,
    length: usize,
    width: usize,
}

impl<'a> Stack<'a> {
    pub(in crate::attention) fn of(x: ArrayView3<'a, f32>) -> Self {
        let (_, length, d) = x.dim();
        let width = whole_lines(d);
        if let Some(numbers) = x.to_slice().filter(|_| width == d) {
            return Self { numbers: Cow::Borrowed(numbers), length, width };
        }
        let mut wide = vec![0.0; x.dim().0 * length * width];
        let mut rows = wide.chunks_exact_mut(width);
        for head in x.outer_iter() {
            for (row, wide) in head.rows().into_iter().zip(&mut rows) {
                for (x, wide) in row.iter().zip(wide) {
                    *wide = *x;
                }
            }
        }
        Self { numbers: Cow::Owned(wide), length, width }
    }

    /// Every head.
    pub(in crate::attention) fn all(&self) -> &[f32] {
        &self.numbers
    }

    /// The first rows of a head.
    pub(in crate::attention) fn head(&self, head: usize, rows: usize) -> &[f32] {
        &self.numbers[head * self.length * self.width..][..rows * self.width]
    }
}

/// An array that is written as heads of rows of whole cache lines.
pub(in crate::attention) struct Target<'a> {
    array: ArrayViewMut3<'a, f32>,
    wide: Option<Vec<f32>>,
}

impl<'a> Target<'a> {
    /// Rows that nobody writes stay what they are in an array that is written directly, and become zeros in another.
    pub(in crate::attention) fn new(array: ArrayViewMut3<'a, f32>) -> Self {
        let (h, length, d) = array.dim();
        let direct = array.is_standard_layout() && whole_lines(d) == d;
        Self { array, wide: (!direct).then(|| vec![0.0; h * length * whole_lines(d)]) }
    }

    /// An array in standard layout that is written as it is, whatever its rows.
    pub(in crate::attention) fn direct(array: ArrayViewMut3<'a, f32>) -> Self {
        Self { array, wide: None }
    }

    pub(in crate::attention) fn numbers(&mut self) -> &mut [f32] {
        match &mut self.wide {
            Some(wide) => wide,
            None => self.array.as_slice_mut().expect(STANDARD),
        }
    }

    /// Brings what was written into the array.
    pub(in crate::attention) fn finish(mut self) {
        let Some(wide) = self.wide else { return };
        let (h, length, d) = self.array.dim();
        let wide = ArrayView3::from_shape((h, length, whole_lines(d)), &wide).expect("heads of wide rows");
        self.array.assign(&wide.slice(s![.., .., ..d]));
    }
}

/// Where gradients go: rows as the inputs have them, with their padding. What real rows of q, k and v held before is to be
/// replaced; everything else holds zeros.
pub(in crate::attention) struct Raw<'a> {
    pub(in crate::attention) q: &'a mut [f32],
    pub(in crate::attention) k: &'a mut [f32],
    pub(in crate::attention) v: &'a mut [f32],
    /// Learned arrays by name: of every head as rows of whole cache lines, those that heads share as they are.
    pub(in crate::attention) learned: Vec<(&'static str, &'a mut [f32])>,
}

impl<'a> Raw<'a> {
    /// Takes the gradient of a learned array; empty where there is none of that name.
    pub(in crate::attention) fn take(&mut self, name: &str) -> &'a mut [f32] {
        let at = self.learned.iter().position(|(own, _)| *own == name);
        at.map_or(&mut [], |at| self.learned.swap_remove(at).1)
    }
}

/// What comes from above, in rows of whole cache lines.
pub(in crate::attention) struct Upstream<'a> {
    pub(in crate::attention) out: Stack<'a>,
    pub(in crate::attention) d_out: Stack<'a>,
}

/// What a pass is over.
pub(in crate::attention) struct Pass<'a> {
    pub(in crate::attention) q: Stack<'a>,
    pub(in crate::attention) k: Stack<'a>,
    pub(in crate::attention) v: Stack<'a>,
    pub(in crate::attention) h: usize,
    /// Queries and keys of a head with their padding, and without.
    pub(in crate::attention) lengths: (usize, usize),
    pub(in crate::attention) n: usize,
    pub(in crate::attention) m: usize,
    /// Widths of queries and keys and of values before zeros were put after them.
    pub(in crate::attention) narrow: [usize; 2],
    /// Widths in whole cache lines.
    pub(in crate::attention) d_h: usize,
    pub(in crate::attention) d_v: usize,
    pub(in crate::attention) scale: f32,
    pub(in crate::attention) mask: Mask,
    pub(in crate::attention) dropout: RandomMask,
    pub(in crate::attention) path: Path,
    /// Where multiply-adds are counted, if they are.
    tally: Option<&'a Tally>,
}

impl<'a> Pass<'a> {
    /// Nothing where there is nothing to do.
    pub(in crate::attention) fn new(by: By<'a>, heads: &'a Heads<'_>) -> Option<Self> {
        let ((h, n, d_h), (_, m, d_v)) = (heads.q.dim(), heads.v.dim());
        if h == 0 || heads.real.0 == 0 || heads.real.1 == 0 {
            return None;
        }
        Some(Self {
            q: Stack::of(heads.q.view()),
            k: Stack::of(heads.k.view()),
            v: Stack::of(heads.v.view()),
            h,
            lengths: (n, m),
            n: heads.real.0,
            m: heads.real.1,
            narrow: [d_h, d_v],
            d_h: whole_lines(d_h),
            d_v: whole_lines(d_v),
            scale: heads.scale,
            mask: heads.mask,
            dropout: heads.dropout,
            path: by.path,
            tally: by.tally,
        })
    }

    pub(in crate::attention) fn size(&self) -> Size {
        let shape = Shape {
            n: self.n,
            m: self.m,
            d_h: self.d_h,
            d_v: self.d_v,
            causal: self.mask == Mask::Causal,
            window: None,
        };
        Size { shape, heads: self.h, threads: rayon::current_num_threads() }
    }

    /// Counts a multiply-add for each number of `times` rows (or pairs of rows): `of_h` times as wide as queries, `of_v`
    /// times as values and `more`, without the zeros after them.
    pub(in crate::attention) fn count(&self, times: usize, [of_h, of_v, more]: [usize; 3]) {
        if let Some(tally) = self.tally {
            tally.add(times * (of_h * self.narrow[0] + of_v * self.narrow[1] + more));
        }
    }

    /// As [`count`](Self::count), of pairs that are only sought where they are counted.
    pub(in crate::attention) fn count_pairs(&self, [of_h, of_v]: [usize; 2], pairs: impl FnOnce() -> usize) {
        if self.tally.is_some() {
            self.count(pairs(), [of_h, of_v, 0]);
        }
    }

    pub(in crate::attention) fn q(&self, head: usize) -> &[f32] {
        self.q.head(head, self.n)
    }

    pub(in crate::attention) fn k(&self, head: usize) -> &[f32] {
        self.k.head(head, self.m)
    }

    pub(in crate::attention) fn v(&self, head: usize) -> &[f32] {
        self.v.head(head, self.m)
    }
}

/// The first `rows` rows of every head of `length` rows.
pub(in crate::attention) fn heads(
    x: &mut [f32],
    length: usize,
    width: usize,
    rows: usize,
) -> impl Iterator<Item = &mut [f32]> + Send {
    x.chunks_exact_mut(length * width).map(move |head| &mut head[..rows * width])
}

/// Rows cut into segments, those of [`segments::keys`].
pub(in crate::attention) fn split_segments(
    mut rows: &mut [f32],
    count: usize,
    width: usize,
) -> impl Iterator<Item = &mut [f32]> + Send {
    let len = rows.len() / width;
    (0..count).map(move |i| {
        let here = segments::keys(i, count, len).len() * width;
        let (here, rest) = std::mem::take(&mut rows).split_at_mut(here);
        rows = rest;
        here
    })
}

/// `d_out . out` of every query, (h, n).
pub(in crate::attention) fn means(pass: &Pass<'_>, upstream: &Upstream<'_>, means: &mut [f32]) {
    let Pass { n, d_v, path, .. } = *pass;
    for (head, means) in means.chunks_exact_mut(n).enumerate() {
        let (a, b) = (upstream.d_out.head(head, n), upstream.out.head(head, n));
        path.run(RowDots { a, b, width: d_v, out: means });
        pass.count(n, [0, 1, 0]);
    }
}

/// Adds the other pieces of a length to the first one.
pub(in crate::attention) fn gather(pieces: &mut [f32], length: usize) {
    let (sum, others) = pieces.split_at_mut(length);
    for other in others.chunks_exact(length) {
        for (sum, x) in sum.iter_mut().zip(other) {
            *sum += x;
        }
    }
}
