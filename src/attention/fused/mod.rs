//! Fused forward passes: what the mechanisms compute, over many heads at once, without an n x m array.
//!
//! Blocks stay in cache, softmax is taken online (Milakov and Gimelshein 2018; Dao et al. 2022), heads and blocks of
//! rows are shared among the threads of the current rayon pool. The order of additions depends on the shape alone: the
//! same bits on any number of threads. The obvious forms in the files above stay the truth; these agree with them to
//! rounding.
//!
//! Work space is taken once a call, a known number of bytes: [`Fused::extra_bytes`].

mod features;
mod features_causal;
mod few;
pub(super) mod flash;
mod linear;
mod linformer;
mod local;
mod luna;
mod luna_causal;
mod performer;
mod scan;
pub(super) mod segments;
pub(super) mod share;
mod softmax;

use ndarray::{Array3, ArrayView2, ArrayView3, ArrayViewMut3, s};

use super::Mask;
use super::luna_causal::Weight;
use crate::cost::{Shape, Tally};
use crate::error::{Error, Result};
pub use crate::linalg::lanes::Path;

/// Every mechanism that has a fused form.
pub const ALL: &[Fused] = &[
    softmax::FUSED,
    self::luna::FUSED,
    self::luna_causal::FUSED,
    linformer::FUSED,
    linear::FUSED,
    performer::FUSED,
    local::FUSED,
];

/// The fused form of the mechanism of that name, where there is one.
pub fn find(name: &str) -> Option<&'static Fused> {
    ALL.iter().find(|fused| fused.name == name)
}

/// A fused form of one mechanism.
#[derive(Debug)]
pub struct Fused {
    /// The name of the mechanism in [`super::ALL`].
    pub name: &'static str,
    /// Which masks it has.
    masks: &'static [Mask],
    /// The output into (h, n, `d_v`), of which the rows of real queries are written.
    run: fn(&Flat<'_>, &Given<'_>, &mut [f32]) -> Result<()>,
    /// Numbers of work space.
    space: fn(&Size) -> usize,
}

/// Many heads of one shape.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// Queries, shape (h, n, `d_h`).
    pub q: ArrayView3<'a, f32>,
    /// Keys, shape (h, m, `d_h`).
    pub k: ArrayView3<'a, f32>,
    /// Values, shape (h, m, `d_v`).
    pub v: ArrayView3<'a, f32>,
    /// The factor on `q k^T`, usually `1 / sqrt(d_h)`.
    pub scale: f32,
    /// Which keys a query sees.
    pub mask: Mask,
    /// How many queries and keys are real: the others are padding and count for nothing. Rows of padded queries, and
    /// of queries that see no key at all, are zeros.
    pub real: (usize, usize),
}

impl<'a> Heads<'a> {
    /// Heads without padding under the usual scale, `1 / sqrt(d_h)`.
    pub fn new(q: ArrayView3<'a, f32>, k: ArrayView3<'a, f32>, v: ArrayView3<'a, f32>, mask: Mask) -> Self {
        let scale = (1.0 / (q.dim().2.max(1) as f64).sqrt()) as f32;
        Self { q, k, v, scale, mask, real: (q.dim().1, k.dim().1) }
    }
}

/// The parameters of a mechanism, as its reference form has them.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// Softmax, linear.
    Nothing,
    /// Luna.
    Luna {
        /// p, shape (h, l, `d_h`); at most n rows are used.
        p: ArrayView3<'a, f32>,
    },
    /// Causal Luna.
    LunaCausal {
        /// p, shape (h, l, `d_h`).
        p: ArrayView3<'a, f32>,
        /// How logits become weights.
        weight: Weight,
    },
    /// Linformer.
    Linformer {
        /// E for the keys, shape (l, m or more), for every head.
        e: ArrayView2<'a, f32>,
        /// F for the values, of the same shape.
        f: ArrayView2<'a, f32>,
    },
    /// Performer.
    Performer {
        /// The features' directions and lengths, shape (l, `d_h`), for every head.
        w: ArrayView2<'a, f32>,
        /// Added to each feature.
        eps: f32,
    },
    /// Local.
    Local {
        /// Width of the window: l/2 keys on each side.
        l: usize,
    },
}

impl Given<'_> {
    pub(super) fn l(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Luna { p } | Self::LunaCausal { p, .. } => p.dim().1,
            Self::Linformer { e, .. } => e.nrows(),
            Self::Performer { w, .. } => w.nrows(),
            Self::Local { l } => *l,
        }
    }
}

/// What the work space depends on.
#[derive(Clone, Copy, Debug)]
struct Size {
    shape: Shape,
    heads: usize,
    l: usize,
    threads: usize,
}

impl Fused {
    /// Whether it has a form under this mask.
    pub fn honours(&self, mask: Mask) -> bool {
        self.masks.contains(&mask)
    }

    /// The output (h, n, `d_v`) on the threads of the current pool, by the widest instructions.
    ///
    /// Arrays that are not in standard layout are copied into it first.
    pub fn forward_into(
        &self,
        heads: &Heads<'_>,
        given: &Given<'_>,
        out: ArrayViewMut3<'_, f32>,
    ) -> Result<()> {
        self.forward_by(Path::Widest, heads, given, out)
    }

    /// As [`forward_into`](Self::forward_into), by the instructions of a given path.
    pub fn forward_by(
        &self,
        path: Path,
        heads: &Heads<'_>,
        given: &Given<'_>,
        out: ArrayViewMut3<'_, f32>,
    ) -> Result<()> {
        self.pass(path, heads, given, out, None)
    }

    /// As [`forward_into`](Self::forward_into), adding to `tally` the multiply-adds of the result that each tile
    /// computed: as many as the mechanism's own [`cost`](super::Attention::cost) says, a head, unless a tile is left
    /// out or done twice. Keys that are Luna's values as well (the same view) are packed once, and counted once.
    pub fn counted(
        &self,
        heads: &Heads<'_>,
        given: &Given<'_>,
        out: ArrayViewMut3<'_, f32>,
        tally: &Tally,
    ) -> Result<()> {
        self.pass(Path::Widest, heads, given, out, Some(tally))
    }

    fn pass(
        &self,
        path: Path,
        heads: &Heads<'_>,
        given: &Given<'_>,
        mut out: ArrayViewMut3<'_, f32>,
        tally: Option<&Tally>,
    ) -> Result<()> {
        check(heads, out.shape())?;
        if !self.honours(heads.mask) {
            return Err(heads.mask.refused(&format!("fused attention '{}'", self.name)));
        }
        let [q, k, v] = [heads.q, heads.k, heads.v];
        let [q, k, v] = [q.as_standard_layout(), k.as_standard_layout(), v.as_standard_layout()];
        let (h, (n, m)) = (heads.q.dim().0, heads.real);
        if n == 0 || m == 0 || h == 0 {
            out.fill(0.0);
            return Ok(());
        }
        out.slice_mut(s![.., n.., ..]).fill(0.0);
        let flat = Flat {
            q: q.as_slice().expect(STANDARD),
            k: k.as_slice().expect(STANDARD),
            v: v.as_slice().expect(STANDARD),
            h,
            lengths: (heads.q.dim().1, heads.k.dim().1),
            n,
            m,
            d_h: heads.q.dim().2,
            d_v: heads.v.dim().2,
            scale: heads.scale,
            mask: heads.mask,
            path,
            tally,
        };
        if let Some(out) = out.as_slice_mut() {
            return (self.run)(&flat, given, out);
        }
        let mut standard = Array3::zeros(out.dim());
        (self.run)(&flat, given, standard.as_slice_mut().expect(STANDARD))?;
        out.assign(&standard);
        Ok(())
    }

    /// Bytes that a pass over heads in standard layout takes beyond its inputs and output, on so many threads. `l` is
    /// the mechanism's parameter of that name; softmax and linear have none.
    pub fn extra_bytes(&self, shape: &Shape, heads: usize, l: usize, threads: usize) -> usize {
        size_of::<f32>() * (self.space)(&Size { shape: *shape, heads, l, threads })
    }
}

pub(super) const STANDARD: &str = "in standard layout";

/// Many heads as numbers that lie together.
struct Flat<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    h: usize,
    /// Queries and keys of a head with their padding.
    lengths: (usize, usize),
    /// Real queries and keys of a head.
    n: usize,
    m: usize,
    d_h: usize,
    d_v: usize,
    scale: f32,
    mask: Mask,
    path: Path,
    /// Where multiply-adds are counted, if they are.
    tally: Option<&'a Tally>,
}

impl<'a> Flat<'a> {
    /// The real queries of one head, rows of `d_h`.
    fn q(&self, head: usize) -> &'a [f32] {
        &self.q[head * self.lengths.0 * self.d_h..][..self.n * self.d_h]
    }

    /// The real keys of one head, rows of `d_h`.
    fn k(&self, head: usize) -> &'a [f32] {
        &self.k[head * self.lengths.1 * self.d_h..][..self.m * self.d_h]
    }

    /// The real values of one head, rows of `d_v`.
    fn v(&self, head: usize) -> &'a [f32] {
        &self.v[head * self.lengths.1 * self.d_v..][..self.m * self.d_v]
    }

    /// Counts a product of shapes (n, d) and (d, m).
    #[inline]
    fn count(&self, n: usize, d: usize, m: usize) {
        if let Some(tally) = self.tally {
            tally.product(n, d, m);
        }
    }

    /// Blocks of `rows` real queries: the head, the first query, and the output's rows.
    fn blocks<'o>(
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
}

/// Refuses shapes that do not fit each other.
pub(super) fn check(heads: &Heads<'_>, out: &[usize]) -> Result<()> {
    let ((h, n, d_h), (_, m, _), (_, _, d_v)) = (heads.q.dim(), heads.k.dim(), heads.v.dim());
    for (what, found, expected) in [
        ("keys", heads.k.shape(), [h, m, d_h]),
        ("values", heads.v.shape(), [h, m, d_v]),
        ("output", out, [h, n, d_v]),
    ] {
        if found != expected {
            return Err(Error::Shape {
                what: what.into(),
                found: found.to_vec(),
                expected: format!("{expected:?}, which the others have"),
            });
        }
    }
    if heads.real.0 > n || heads.real.1 > m || d_h == 0 || d_v == 0 {
        return Err(Error::Shape {
            what: "real queries and keys".into(),
            found: vec![heads.real.0, heads.real.1],
            expected: format!("at most {n} and {m}, of width 1 or more"),
        });
    }
    Ok(())
}

/// The error for parameters of another mechanism.
pub(super) fn refuse<T>(name: &str, given: &Given<'_>) -> Result<T> {
    Err(Error::value(format!("parameters of fused attention '{name}'"), format!("{given:?}"), "its own"))
}
