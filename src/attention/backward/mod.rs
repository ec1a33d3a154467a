//! Fused backward passes: gradients of what [`fused`] computes, over many heads at once, without an
//! n x m array.
//!
//! A forward pass leaves O(h n) + O(h l `d_h`) numbers ([`Kept`]): the logarithm of each row's sum of exponentials, and
//! the packed rows of mechanisms that have some. The backward pass computes the weights again from them, a block at a
//! time (Dao et al. 2022, algorithm 4). With the upstream gradient `G` (h, n, `d_v`), for every softmax
//! `out = softmax(s q k^T) v` of logarithms `L` and `A = exp(s q k^T - L)`:
//! ```text
//! D  = rowsum(G * out)                  (n)
//! dv = A^T G                            (m, d_v)
//! dS = A * (G v^T - D)                  (n, m), a block at a time
//! dq = s dS k      dk = s dS^T q        (n, d_h), (m, d_h)
//! ```
//! Five products where the forward pass has two. Heads and segments of rows are shared among the threads of the current
//! rayon pool; the order of additions depends on the shape alone: the same bits on any number of threads.
//!
//! Where keys and values are one array (tied), its gradient is the sum of those of keys and of values: the caller adds
//! them.
//!
//! Work space is taken once a call, a known number of bytes: [`Backward::extra_bytes`].

mod by_features;
mod chunk;
mod linear;
mod linformer;
mod luna;
mod luna_causal;
mod meet;
mod pass;
mod performer;
mod softmax;
mod tiles;
mod weighted;

use ndarray::{Array2, Array3, ArrayView3, ArrayViewMut3, s};

pub use self::luna_causal::{WeightedGradients, WeightedHeads};
use self::pass::{Pass, Raw, Stack, Target};
use super::Mask;
use super::fused::share::{Space, lines, taken};
use super::fused::{self, Given, Heads, Path};
use crate::cost::{Cost, Shape, Tally};
use crate::error::{Error, Result};
use crate::linalg::arrays::zeros;

/// Every mechanism that has a fused backward pass.
pub const ALL: &[Backward] = &[
    softmax::BACKWARD,
    softmax::LOCAL,
    self::luna::BACKWARD,
    linear::BACKWARD,
    linformer::BACKWARD,
    luna_causal::BACKWARD,
    performer::BACKWARD,
];

/// The backward pass of the mechanism of that name, where there is one.
pub fn find(name: &str) -> Option<&'static Backward> {
    ALL.iter().find(|backward| backward.name == name)
}

/// Forward and backward of one mechanism.
#[allow(clippy::struct_field_names)] // it has two passes, and one of them is the backward pass
#[derive(Debug)]
pub struct Backward {
    /// The name of the mechanism in [`super::ALL`].
    pub name: &'static str,
    /// The masks that it has a form for.
    masks: &'static [Mask],
    /// Whether it is given a P, heads of l rows.
    of_p: bool,
    /// Whether the parameters are its own, and of shapes that fit.
    fits: fn(&Heads<'_>, &Given<'_>) -> Result<()>,
    forward: fn(&Pass<'_>, &Given<'_>, &mut Kept, &mut [f32], &mut [f32]),
    backward: fn(&Pass<'_>, &Given<'_>, &Kept, &Upstream<'_>, Raw<'_>, &mut [f32]),
    /// Numbers of work space, forward and backward.
    space: fn(&Size) -> [usize; 2],
    /// Numbers that the forward pass leaves.
    kept: fn(&Size) -> usize,
    /// Operations of one head, forward and backward.
    cost: fn(&Shape, usize) -> [Cost; 2],
}

/// By which instructions a pass goes, and where its multiply-adds are counted.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// The instructions.
    pub path: Path,
    /// Gets the multiply-adds of the result that each tile computed: as many as [`Backward::cost`] says, a head, unless a
    /// tile is left out or done twice.
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

/// What a forward pass leaves for the backward pass of the same inputs.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Who made it, and of which shape.
    of: Option<(&'static str, [usize; 8])>,
    /// One number of each query, (h, n): the logarithm (to base 2) of its sum of weights, or what divides it.
    logs: Vec<f32>,
    /// One number of each packed row, (h, l); of each head where features are exponentials.
    pack_logs: Vec<f32>,
    /// What was packed, a piece a head.
    packs: Vec<f32>,
}

impl Kept {
    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        size_of::<f32>() * (self.logs.len() + self.pack_logs.len() + self.packs.len())
    }
}

/// Gradients of everything that attention is given.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradients {
    /// Of the queries, (h, n, `d_h`); rows of padding are zeros.
    pub q: Array3<f32>,
    /// Of the keys, (h, m, `d_h`); rows of padding are zeros.
    pub k: Array3<f32>,
    /// Of the values, (h, m, `d_v`); rows of padding are zeros.
    pub v: Array3<f32>,
    /// Of Luna's p, (h, l, `d_h`); rows that were not used are zeros.
    pub p: Option<Array3<f32>>,
    /// Of Linformer's E, summed over the heads, of its shape.
    pub e: Option<Array2<f32>>,
    /// Of Linformer's F.
    pub f: Option<Array2<f32>>,
}

impl Gradients {
    /// Zeros of the shapes of what attention is given.
    pub fn zeros(heads: &Heads<'_>, given: &Given<'_>) -> Self {
        let cube = |x: ArrayView3<'_, f32>| zeros(x.dim());
        let p = match given {
            Given::Luna { p } | Given::LunaCausal { p, .. } => Some(cube(*p)),
            _ => None,
        };
        let (e, f) = match given {
            Given::Linformer { e, f } => (Some(Array2::zeros(e.dim())), Some(Array2::zeros(f.dim()))),
            _ => (None, None),
        };
        Self { q: cube(heads.q), k: cube(heads.k), v: cube(heads.v), p, e, f }
    }

    fn shapes(&self) -> [Option<Vec<usize>>; 6] {
        let Self { q, k, v, p, e, f } = self;
        let square = |x: &Option<Array2<f32>>| x.as_ref().map(|x| x.shape().to_vec());
        let p = p.as_ref().map(|p| p.shape().to_vec());
        let [q, k, v] = [q, k, v].map(|x| Some(x.shape().to_vec()));
        [q, k, v, p, square(e), square(f)]
    }

    /// Zeros in the rows of padding and in everything that is learned.
    fn begin(&mut self, (n, m): (usize, usize)) {
        let Self { q, k, v, p, e, f } = self;
        for (x, real) in [(q, n), (k, m), (v, m)] {
            x.slice_mut(s![.., real.., ..]).fill(0.0);
        }
        if let Some(p) = p {
            p.fill(0.0);
        }
        for x in [e, f].into_iter().flatten() {
            // Linformer's are written as rows of numbers that lie together.
            if !x.is_standard_layout() {
                *x = Array2::zeros(x.dim());
            }
            x.fill(0.0);
        }
    }
}

/// The shapes of the gradients of what attention is given.
fn shapes(heads: &Heads<'_>, given: &Given<'_>) -> [Option<Vec<usize>>; 6] {
    let shape = |x: &[usize]| Some(x.to_vec());
    let (p, e, f) = match given {
        Given::Luna { p } | Given::LunaCausal { p, .. } => (shape(p.shape()), None, None),
        Given::Linformer { e, f } => (None, shape(e.shape()), shape(f.shape())),
        _ => (None, None, None),
    };
    [shape(heads.q.shape()), shape(heads.k.shape()), shape(heads.v.shape()), p, e, f]
}

/// What comes from above, in rows of whole cache lines.
struct Upstream<'a> {
    out: Stack<'a>,
    d_out: Stack<'a>,
}

/// What the work space depends on; widths are in whole cache lines.
#[derive(Clone, Copy, Debug)]
struct Size {
    shape: Shape,
    heads: usize,
    l: usize,
    threads: usize,
}

impl Backward {
    /// Whether it has a form for this mask.
    pub fn honours(&self, mask: Mask) -> bool {
        self.masks.contains(&mask)
    }

    /// The output (h, n, `d_v`), and what the backward pass needs of it; on the threads of the current pool.
    ///
    /// Arrays that are not in standard layout, or whose rows are not whole cache lines, are copied into it first.
    pub fn forward_keeping<'b>(
        &self,
        by: impl Into<By<'b>>,
        heads: &Heads<'_>,
        given: &Given<'_>,
        mut out: ArrayViewMut3<'_, f32>,
    ) -> Result<Kept> {
        fused::check(heads, out.shape())?;
        self.check(heads, given)?;
        let mut kept = Kept { of: Some((self.name, signature(heads, given))), ..Kept::default() };
        out.fill(0.0);
        let Some(pass) = Pass::new(by.into(), heads, given) else { return Ok(kept) };
        let mut space = Space::new((self.space)(&pass.size())[0]);
        let mut target = Target::new(out);
        (self.forward)(&pass, given, &mut kept, target.numbers(), space.all());
        target.finish();
        Ok(kept)
    }

    /// Gradients of everything under the upstream gradient `d_out` (h, n, `d_v`), of what `forward_keeping` was given
    /// and made: `out`, and what it kept. They replace what `gradients` held.
    #[allow(clippy::too_many_arguments)] // what went in, what came out, what comes back, and where it goes
    #[allow(clippy::missing_panics_doc)] // an array in standard layout has a slice
    pub fn backward_into<'b>(
        &self,
        by: impl Into<By<'b>>,
        heads: &Heads<'_>,
        given: &Given<'_>,
        kept: &Kept,
        out: ArrayView3<'_, f32>,
        d_out: ArrayView3<'_, f32>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        fused::check(heads, out.shape())?;
        fused::check(heads, d_out.shape())?;
        self.check(heads, given)?;
        if kept.of != Some((self.name, signature(heads, given))) {
            let found = format!("{:?}", kept.of);
            return Err(Error::value(
                format!("what the backward pass of '{}' was left", self.name),
                found,
                "what its forward pass of the same shapes kept",
            ));
        }
        if gradients.shapes() != shapes(heads, given) {
            return Err(Error::Shape {
                what: format!("gradients of attention '{}'", self.name),
                found: gradients.shapes().into_iter().flatten().flatten().collect(),
                expected: "the shapes of what it was given, and no others".into(),
            });
        }
        gradients.begin(heads.real);
        let Some(pass) = Pass::new(by.into(), heads, given) else {
            gradients.begin((0, 0));
            return Ok(());
        };
        let mut space = Space::new((self.space)(&pass.size())[1]);
        let upstream = Upstream { out: Stack::of(out), d_out: Stack::of(d_out) };
        let Gradients { q, k, v, p, e, f } = gradients;
        let [mut q, mut k, mut v] = [q, k, v].map(|x| Target::new(x.view_mut()));
        let mut p = p.as_mut().map(|p| Target::new(p.view_mut()));
        let raw = Raw {
            q: q.numbers(),
            k: k.numbers(),
            v: v.numbers(),
            p: p.as_mut().map_or(&mut [], Target::numbers),
            e: e.as_mut().map_or(&mut [], |e| e.as_slice_mut().expect(fused::STANDARD)),
            f: f.as_mut().map_or(&mut [], |f| f.as_slice_mut().expect(fused::STANDARD)),
        };
        (self.backward)(&pass, given, kept, &upstream, raw, space.all());
        [q, k, v].into_iter().chain(p).for_each(Target::finish);
        Ok(())
    }

    /// Bytes of work space that the forward and the backward pass take on so many threads, beyond inputs and outputs in
    /// standard layout and what is kept. Copies of arrays whose rows are not whole cache lines are counted.
    pub fn extra_bytes(&self, shape: &Shape, heads: usize, l: usize, threads: usize) -> [usize; 2] {
        let wide = Shape { d_h: lines(shape.d_h), d_v: lines(shape.d_v), ..*shape };
        let space = (self.space)(&Size { shape: wide, heads, l, threads }).map(taken);
        let Shape { n, m, d_h, d_v, .. } = wide;
        // Rows of width d_h and d_v that are copied: inputs and output, and with their gradients.
        let (of_h, of_v) = (n + m + if self.of_p { l } else { 0 }, n + m);
        let copies = [1, 2].map(|times| (times * of_h, times * of_v)).map(|(of_h, of_v)| {
            let of_h = if shape.d_h == d_h { 0 } else { of_h * d_h };
            let of_v = if shape.d_v == d_v { 0 } else { of_v * d_v };
            heads * (of_h + of_v)
        });
        [0, 1].map(|i| size_of::<f32>() * (space[i] + copies[i]))
    }

    /// Bytes that the forward pass leaves for the backward pass: [`Kept::bytes`] before it is made.
    pub fn kept_bytes(&self, shape: &Shape, heads: usize, l: usize) -> usize {
        let wide = Shape { d_h: lines(shape.d_h), d_v: lines(shape.d_v), ..*shape };
        size_of::<f32>() * (self.kept)(&Size { shape: wide, heads, l, threads: 1 })
    }

    fn check(&self, heads: &Heads<'_>, given: &Given<'_>) -> Result<()> {
        if !self.honours(heads.mask) {
            return Err(heads.mask.refused(&format!("fused attention '{}'", self.name)));
        }
        (self.fits)(heads, given)
    }

    /// Operations of one head of the forward and of the backward pass, every product over the pairs that the mask leaves
    /// open. `l` is the mechanism's parameter of that name; softmax and linear have none.
    pub fn cost(&self, shape: &Shape, l: usize) -> [Cost; 2] {
        (self.cost)(shape, l)
    }
}

/// What must be alike in the two passes.
fn signature(heads: &Heads<'_>, given: &Given<'_>) -> [usize; 8] {
    let ((h, n, d_h), (_, m, d_v)) = (heads.q.dim(), heads.v.dim());
    [h, n, m, d_h, d_v, given.l(), heads.real.0, heads.real.1]
}
