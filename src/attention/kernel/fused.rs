//! Many heads through a fused implementation: shapes and masks are checked here, once for every mechanism.

use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView3, ArrayViewMut3, Axis, s};

use super::arrays::{Arrays, Part};
use super::exact::{ExactArrays, ExactHead, Maxima};
use super::flat::{By, Flat, STANDARD, Size};
use super::form::{Backward, Form};
use super::gradients::Gradients;
use super::heads::Heads;
use super::pass::{Pass, Raw, Stack, Target, Upstream};
use super::past::Past;
use super::saved::Saved;
use super::share::{Space, aligned, whole_lines};
use crate::attention::Mask;
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};

/// A mechanism with its parameters set, over many heads without an n x m array: forward, forward with saved activations,
/// backward, costs and work space.
#[derive(Clone, Debug)]
pub struct Fused {
    name: &'static str,
    form: Arc<dyn Form>,
}

impl Fused {
    /// The implementation of the mechanism of that name.
    pub(in crate::attention) fn new(name: &'static str, form: impl Form + 'static) -> Self {
        Self { name, form: Arc::new(form) }
    }

    /// The mechanism's name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether the forward pass honours this mask.
    pub fn honours(&self, mask: Mask) -> bool {
        self.form.masks().contains(&mask)
    }

    /// Whether there is a backward pass that honours this mask.
    pub fn has_backward(&self, mask: Mask) -> bool {
        self.form.backward().is_some_and(|backward| backward.masks().contains(&mask))
    }

    /// Whether its weights may be dropped in training.
    pub fn drops(&self) -> bool {
        self.form.drops()
    }

    /// The learned arrays that it needs for contexts of m keys of width `d_h`.
    pub fn parts(&self, m: usize, d_h: usize) -> Vec<Part> {
        self.form.parts(m, d_h)
    }

    /// Gradients of zeros: of the heads, and of the arrays whose gradients the backward pass gives.
    pub fn gradients(&self, heads: &Heads<'_>, arrays: &Arrays<'_>) -> Gradients {
        Gradients::zeros(heads, &self.trained(arrays))
    }

    fn trained<'a>(&self, arrays: &Arrays<'a>) -> Arrays<'a> {
        let parts = self.form.parts(0, 0);
        let is_trained = |name: &str| parts.iter().any(|part| part.name == name && part.trained);
        let arrays = arrays.iter().filter(|(name, _)| is_trained(name));
        arrays.fold(Arrays::none(), |all, (name, array)| all.with(name, array))
    }

    /// The output (h, n, `d_v`) on the threads of the current pool.
    ///
    /// Arrays that are not in standard layout are copied into it first. Keys that are Luna's values as well (the same
    /// view) are packed once, and counted once.
    pub fn forward_into<'b>(
        &self,
        by: impl Into<By<'b>>,
        heads: &Heads<'_>,
        arrays: &Arrays<'_>,
        out: ArrayViewMut3<'_, f32>,
    ) -> Result<()> {
        self.check(heads, arrays, out.shape())?;
        if !self.honours(heads.mask) {
            return Err(heads.mask.unsupported(&format!("the fused pass of {}", self.name), ""));
        }
        self.flat(by.into(), heads, arrays, None, out);
        Ok(())
    }

    fn flat(
        &self,
        by: By<'_>,
        heads: &Heads<'_>,
        arrays: &Arrays<'_>,
        saved: Option<&mut Saved>,
        mut out: ArrayViewMut3<'_, f32>,
    ) {
        let [q, k, v] = [heads.q, heads.k, heads.v];
        let [q, k, v] = [q.as_standard_layout(), k.as_standard_layout(), v.as_standard_layout()];
        let (h, (n, m)) = (heads.q.dim().0, heads.real);
        if n == 0 || m == 0 || h == 0 {
            out.fill(0.0);
            return;
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
            dropout: heads.dropout,
            path: by.path,
            tally: by.tally,
        };
        if let Some(out) = out.as_slice_mut() {
            return self.form.forward(&flat, arrays, saved, out);
        }
        let mut standard = Array3::zeros(out.dim());
        self.form.forward(&flat, arrays, saved, standard.as_slice_mut().expect(STANDARD));
        out.assign(&standard);
    }

    /// The output (h, n, `d_v`), and the activations that the backward pass needs; on the threads of the current pool.
    ///
    /// Arrays that are not in standard layout are copied into it first.
    pub fn forward_saving<'b>(
        &self,
        by: impl Into<By<'b>>,
        heads: &Heads<'_>,
        arrays: &Arrays<'_>,
        out: ArrayViewMut3<'_, f32>,
    ) -> Result<Saved> {
        self.check(heads, arrays, out.shape())?;
        self.differentiable(heads.mask)?;
        let mut saved = Saved { of: Some((self.name, signature(heads, arrays))), ..Saved::default() };
        self.flat(by.into(), heads, arrays, Some(&mut saved), out);
        Ok(saved)
    }

    /// Gradients of everything under the upstream gradient `d_out` (h, n, `d_v`), of what `forward_saving` read and
    /// made: `out`, and the saved activations. They replace what `gradients` held.
    #[allow(clippy::too_many_arguments)] // inputs, outputs, upstream gradient and gradients
    pub fn backward_into<'b>(
        &self,
        by: impl Into<By<'b>>,
        heads: &Heads<'_>,
        arrays: &Arrays<'_>,
        saved: &Saved,
        out: ArrayView3<'_, f32>,
        d_out: ArrayView3<'_, f32>,
        gradients: &mut Gradients,
    ) -> Result<()> {
        self.check(heads, arrays, out.shape())?;
        heads.check(d_out.shape())?;
        let backward = self.differentiable(heads.mask)?;
        if saved.of != Some((self.name, signature(heads, arrays))) {
            return Err(Error::value(
                format!("saved activations for the backward pass of '{}'", self.name),
                format!("{:?}", saved.of),
                "those of its forward pass over the same shapes",
            ));
        }
        if !gradients.fit(heads, &self.trained(arrays)) {
            let found = [gradients.q.shape(), gradients.k.shape(), gradients.v.shape()].concat();
            return Err(Error::Shape {
                what: format!("gradients of attention '{}'", self.name),
                found: gradients.learned.values().fold(found, |found, x| [&found, x.shape()].concat()),
                expected: "the shapes of its inputs and learned arrays, and no others".into(),
            });
        }
        gradients.begin(heads.real);
        let Some(pass) = Pass::new(by.into(), heads) else {
            gradients.begin((0, 0));
            return Ok(());
        };
        let mut space = Space::new(backward.space(&pass.size()));
        let upstream = Upstream { out: Stack::of(out), d_out: Stack::of(d_out) };
        let Gradients { q, k, v, learned } = gradients;
        let [mut q, mut k, mut v] = [q, k, v].map(|x| Target::new(x.view_mut()));
        let parts = self.form.parts(0, 0);
        let mut learned: Vec<_> = learned
            .iter_mut()
            .map(|(name, x)| {
                let per_head = parts.iter().any(|part| part.name == *name && part.per_head);
                let x = x.view_mut();
                (*name, if per_head { Target::new(x) } else { Target::direct(x) })
            })
            .collect();
        let raw = Raw {
            q: q.numbers(),
            k: k.numbers(),
            v: v.numbers(),
            learned: learned.iter_mut().map(|(name, x)| (*name, x.numbers())).collect(),
        };
        backward.backward(&pass, arrays, saved, &upstream, raw, space.all());
        [q, k, v].into_iter().chain(learned.into_iter().map(|(_, x)| x)).for_each(Target::finish);
        Ok(())
    }

    /// One head in f64, with its matrices written out.
    ///
    /// `arrays` are those of this head by name. Of padding there must be none.
    pub fn exact(
        &self,
        head: &ExactHead,
        arrays: &[(&'static str, Array2<f64>)],
        maxima: &mut Maxima,
    ) -> Array2<f64> {
        self.form.exact(head, &ExactArrays(arrays), maxima)
    }

    /// What a causal head remembers before the first row, with keys of width `d_h` and values of width `d_v`.
    ///
    /// Refuses mechanisms that cannot take a row at a time.
    pub fn past(&self, d_h: usize, d_v: usize) -> Result<Box<dyn Past>> {
        self.form.past(d_h, d_v).ok_or_else(|| {
            let accepted = "a mechanism that attends row by row under a causal mask";
            Error::value("attention of one row at a time", self.name, accepted)
        })
    }

    /// What one head costs where keys and values are one array and that saves work; `untied` is the usual cost.
    pub fn tied_cost(&self, shape: &Shape, untied: Cost) -> Option<Cost> {
        self.form.tied_cost(shape, untied)
    }

    /// Operations of one head of the forward pass with saved activations and of the backward pass, every product over
    /// the pairs that the mask leaves open. Zeros without a backward pass.
    pub fn train_cost(&self, shape: &Shape) -> [Cost; 2] {
        self.form.backward().map_or([Cost::default(); 2], |backward| backward.cost(shape))
    }

    /// Bytes that a forward pass over heads in standard layout allocates beyond its inputs and output, on so many
    /// threads.
    pub fn extra_bytes(&self, shape: &Shape, heads: usize, threads: usize) -> usize {
        size_of::<f32>() * self.form.space(&Size { shape: *shape, heads, threads })
    }

    /// Bytes of work space that the forward pass with saved activations and the backward pass allocate on so many
    /// threads, beyond inputs and outputs in standard layout and saved activations. Copies of arrays whose rows are not
    /// whole cache lines are counted.
    pub fn train_extra_bytes(&self, shape: &Shape, heads: usize, threads: usize) -> [usize; 2] {
        let Some(backward) = self.form.backward() else { return [0; 2] };
        let wide = wide(shape);
        let size = Size { shape: wide, heads, threads };
        let Shape { n, m, d_h, d_v, .. } = wide;
        let of_parts: usize =
            self.form.parts(m, shape.d_h).iter().filter(|part| part.per_head).map(|part| part.shape.0).sum();
        // Rows of width d_h and d_v that are copied: inputs and output, with their gradients.
        let of_h = if shape.d_h == d_h { 0 } else { 2 * (n + m + of_parts) * d_h };
        let of_v = if shape.d_v == d_v { 0 } else { 2 * (n + m) * d_v };
        let backward = aligned(backward.space(&size)) + heads * (of_h + of_v);
        [self.form.space(&Size { shape: *shape, ..size }), backward].map(|numbers| size_of::<f32>() * numbers)
    }

    /// Bytes that the forward pass saves for the backward pass: [`Saved::bytes`] before it is made.
    pub fn saved_bytes(&self, shape: &Shape, heads: usize) -> usize {
        let size = Size { shape: wide(shape), heads, threads: 1 };
        size_of::<f32>() * self.form.backward().map_or(0, |backward| backward.saved(&size))
    }

    fn differentiable(&self, mask: Mask) -> Result<&dyn Backward> {
        let backward = self.form.backward().filter(|backward| backward.masks().contains(&mask));
        backward.ok_or_else(|| mask.unsupported(&format!("the backward pass of {}", self.name), ""))
    }

    /// Refuses heads that do not fit each other, and arrays that are not those that the mechanism declares.
    fn check(&self, heads: &Heads<'_>, arrays: &Arrays<'_>, out: &[usize]) -> Result<()> {
        heads.check(out)?;
        heads.terms.honoured(&format!("the fused pass of {}", self.name), &[])?;
        if !heads.dropout.is_off() && !self.form.drops() {
            let what = format!("dropout of the weights of attention '{}'", self.name);
            return Err(Error::value(what, "a share above 0", "0"));
        }
        let longest = heads.real.0.max(heads.real.1);
        if let Some(max) = self.form.longest(heads.mask).filter(|max| longest > *max) {
            let accepted = format!("its causal form is for {max} at most (parameter 'max')");
            return Err(Error::Tokens {
                what: format!("attention '{}'", self.name),
                found: longest,
                accepted,
            });
        }
        let (h, m, d_h) = (heads.q.dim().0, heads.real.1, heads.q.dim().2);
        let parts = self.form.parts(m, d_h);
        if let Some((name, _)) = arrays.iter().find(|(name, _)| parts.iter().all(|part| part.name != *name)) {
            let known: Vec<&str> = parts.iter().map(|part| part.name).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(Error::value(format!("arrays of attention '{}'", self.name), name, known));
        }
        for part in parts {
            let h = if part.per_head { h } else { 1 };
            let found = arrays.get(part.name).map_or((0, 0, 0), |x| x.dim());
            let (rows, columns) = part.shape;
            let fits = found.2 == columns || part.longer && found.2 > columns;
            if (found.0, found.1) != (h, rows) || !fits {
                let more = if part.longer { " or more" } else { "" };
                return Err(Error::Shape {
                    what: format!("array '{}' of attention '{}'", part.name, self.name),
                    found: vec![found.0, found.1, found.2],
                    expected: format!("({h}, {rows}, {columns}{more})"),
                });
            }
        }
        Ok(())
    }
}

/// The shape with widths in whole cache lines.
fn wide(shape: &Shape) -> Shape {
    Shape { d_h: whole_lines(shape.d_h), d_v: whole_lines(shape.d_v), ..*shape }
}

/// What must be alike in the two passes.
fn signature(heads: &Heads<'_>, arrays: &Arrays<'_>) -> [usize; 8] {
    let ((h, n, d_h), (_, m, d_v)) = (heads.q.dim(), heads.v.dim());
    let rows = arrays.iter().map(|(_, x)| x.len_of(Axis(1))).sum();
    [h, n, m, d_h, d_v, rows, heads.real.0, heads.real.1]
}
