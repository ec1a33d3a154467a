//! Many heads as rows of whole cache lines, in and out.

use std::borrow::Cow;

use ndarray::{ArrayView3, ArrayViewMut3, s};

use super::tiles::RowDots;
use super::{By, Size, Upstream};
use crate::attention::Mask;
use crate::attention::fused::share::lines;
use crate::attention::fused::{Given, Heads, Path, STANDARD, segments};
use crate::cost::{Shape, Tally};

/// Heads of rows that are whole cache lines: as they are, or copied with zeros behind each row.
pub(super) struct Stack<'a> {
    numbers: Cow<'a, [f32]>,
    length: usize,
    width: usize,
}

impl<'a> Stack<'a> {
    pub(super) fn of(x: ArrayView3<'a, f32>) -> Self {
        let (_, length, d) = x.dim();
        let width = lines(d);
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
    pub(super) fn all(&self) -> &[f32] {
        &self.numbers
    }

    /// The first rows of a head.
    pub(super) fn head(&self, head: usize, rows: usize) -> &[f32] {
        &self.numbers[head * self.length * self.width..][..rows * self.width]
    }
}

/// An array that is written as heads of rows of whole cache lines.
pub(super) struct Target<'a> {
    array: ArrayViewMut3<'a, f32>,
    wide: Option<Vec<f32>>,
}

impl<'a> Target<'a> {
    /// Rows that nobody writes stay what they are in an array that is written directly, and become zeros in another.
    pub(super) fn new(array: ArrayViewMut3<'a, f32>) -> Self {
        let (h, length, d) = array.dim();
        let direct = array.is_standard_layout() && lines(d) == d;
        Self { array, wide: (!direct).then(|| vec![0.0; h * length * lines(d)]) }
    }

    pub(super) fn numbers(&mut self) -> &mut [f32] {
        match &mut self.wide {
            Some(wide) => wide,
            None => self.array.as_slice_mut().expect(STANDARD),
        }
    }

    /// Brings what was written into the array.
    pub(super) fn finish(mut self) {
        let Some(wide) = self.wide else { return };
        let (h, length, d) = self.array.dim();
        let wide = ArrayView3::from_shape((h, length, lines(d)), &wide).expect("heads of wide rows");
        self.array.assign(&wide.slice(s![.., .., ..d]));
    }
}

/// Where gradients go: rows as the inputs have them, with their padding. What real rows of q, k and v held before is to be
/// replaced; everything else holds zeros.
pub(super) struct Raw<'a> {
    pub(super) q: &'a mut [f32],
    pub(super) k: &'a mut [f32],
    pub(super) v: &'a mut [f32],
    pub(super) p: &'a mut [f32],
    pub(super) e: &'a mut [f32],
    pub(super) f: &'a mut [f32],
}

/// What a pass is over.
pub(super) struct Pass<'a> {
    pub(super) q: Stack<'a>,
    pub(super) k: Stack<'a>,
    pub(super) v: Stack<'a>,
    /// Luna's p, where there is one.
    pub(super) p: Option<Stack<'a>>,
    pub(super) h: usize,
    /// Queries and keys of a head with their padding, and without.
    pub(super) lengths: (usize, usize),
    pub(super) n: usize,
    pub(super) m: usize,
    /// Widths of queries and keys and of values before zeros were put behind them.
    pub(super) narrow: [usize; 2],
    /// Widths in whole cache lines.
    pub(super) d_h: usize,
    pub(super) d_v: usize,
    pub(super) l: usize,
    pub(super) scale: f32,
    pub(super) mask: Mask,
    pub(super) path: Path,
    /// Where multiply-adds are counted, if they are.
    tally: Option<&'a Tally>,
}

impl<'a> Pass<'a> {
    /// Nothing where there is nothing to do.
    pub(super) fn new(by: By<'a>, heads: &'a Heads<'_>, given: &'a Given<'_>) -> Option<Self> {
        let ((h, n, d_h), (_, m, d_v)) = (heads.q.dim(), heads.v.dim());
        if h == 0 || heads.real.0 == 0 || heads.real.1 == 0 {
            return None;
        }
        let p = match given {
            Given::Luna { p } | Given::LunaCausal { p, .. } => Some(Stack::of(p.view())),
            _ => None,
        };
        Some(Self {
            q: Stack::of(heads.q.view()),
            k: Stack::of(heads.k.view()),
            v: Stack::of(heads.v.view()),
            p,
            h,
            lengths: (n, m),
            n: heads.real.0,
            m: heads.real.1,
            narrow: [d_h, d_v],
            d_h: lines(d_h),
            d_v: lines(d_v),
            l: given.l(),
            scale: heads.scale,
            mask: heads.mask,
            path: by.path,
            tally: by.tally,
        })
    }

    pub(super) fn size(&self) -> Size {
        let shape =
            Shape { n: self.n, m: self.m, d_h: self.d_h, d_v: self.d_v, causal: self.mask == Mask::Causal };
        Size { shape, heads: self.h, l: self.l, threads: rayon::current_num_threads() }
    }

    /// Counts a multiply-add for each number of `times` rows (or pairs of rows): `of_h` times as wide as queries, `of_v`
    /// times as values and `more`, without the zeros behind them.
    pub(super) fn count(&self, times: usize, [of_h, of_v, more]: [usize; 3]) {
        if let Some(tally) = self.tally {
            tally.add(times * (of_h * self.narrow[0] + of_v * self.narrow[1] + more));
        }
    }

    /// As [`count`](Self::count), of pairs that are only sought where they are counted.
    pub(super) fn count_pairs(&self, [of_h, of_v]: [usize; 2], pairs: impl FnOnce() -> usize) {
        if self.tally.is_some() {
            self.count(pairs(), [of_h, of_v, 0]);
        }
    }

    /// The tally, and what it counts for each pair that is as wide as [`count`](Self::count) says.
    pub(super) fn tally(&self, [of_h, of_v]: [usize; 2]) -> Option<(&'a Tally, usize)> {
        self.tally.map(|tally| (tally, of_h * self.narrow[0] + of_v * self.narrow[1]))
    }

    pub(super) fn q(&self, head: usize) -> &[f32] {
        self.q.head(head, self.n)
    }

    pub(super) fn k(&self, head: usize) -> &[f32] {
        self.k.head(head, self.m)
    }

    pub(super) fn v(&self, head: usize) -> &[f32] {
        self.v.head(head, self.m)
    }
}

/// The first `rows` rows of every head of `length` rows.
pub(super) fn heads(
    x: &mut [f32],
    length: usize,
    width: usize,
    rows: usize,
) -> impl Iterator<Item = &mut [f32]> + Send {
    x.chunks_exact_mut(length * width).map(move |head| &mut head[..rows * width])
}

/// Rows cut into segments, those of [`segments::keys`].
pub(super) fn cut_segments(
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
pub(super) fn means(pass: &Pass<'_>, upstream: &Upstream<'_>, means: &mut [f32]) {
    let Pass { n, d_v, path, .. } = *pass;
    for (head, means) in means.chunks_exact_mut(n).enumerate() {
        let (a, b) = (upstream.d_out.head(head, n), upstream.out.head(head, n));
        path.run(RowDots { a, b, width: d_v, out: means });
        pass.count(n, [0, 1, 0]);
    }
}

/// Adds the other pieces of a length to the first one.
pub(super) fn gather(pieces: &mut [f32], length: usize) {
    let (sum, others) = pieces.split_at_mut(length);
    for other in others.chunks_exact(length) {
        for (sum, x) in sum.iter_mut().zip(other) {
            *sum += x;
        }
    }
}
