//! Linformer: keys and values of each head are projected along the length, then every query meets the l rows.

use ndarray::{Array2, s};
use pulp::{Simd, WithSimd};

use crate::attention::Mask;
use crate::attention::kernel::arrays::{Arrays, Draw, Part};
use crate::attention::kernel::exact::{ExactArrays, ExactHead, Maxima, dot, softmax};
use crate::attention::kernel::few::{self, in_lines};
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::flat::{Flat, STANDARD, Size};
use crate::attention::kernel::form::{Backward, Form};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{Space, aligned, carve, chunks_or_empty, in_parallel, whole_lines};
use crate::cost::Shape;

#[derive(Debug)]
pub(super) struct Linformer {
    pub(super) l: usize,
    /// Whether F is E.
    pub(super) shared: bool,
}

impl Linformer {
    /// E, and F, which is E where it is shared.
    pub(super) fn projections<'a>(&self, arrays: &Arrays<'a>) -> [ndarray::ArrayView2<'a, f32>; 2] {
        ["e", if self.shared { "e" } else { "f" }].map(|name| arrays.matrix(name))
    }
}

impl Form for Linformer {
    fn masks(&self) -> &'static [Mask] {
        &[Mask::Full]
    }

    fn parts(&self, m: usize, _: usize) -> Vec<Part> {
        let (shape, draw) = ((self.l, m), Draw::Projection);
        let part = |name| Part { name, shape, per_head: false, longer: true, trained: true, draw };
        if self.shared { vec![part("e")] } else { vec![part("e"), part("f")] }
    }

    fn forward(&self, heads: &Flat<'_>, arrays: &Arrays<'_>, saved: Option<&mut Saved>, out: &mut [f32]) {
        forward(heads, self.projections(arrays), saved, out);
    }

    fn space(&self, size: &Size) -> usize {
        space(size, self.l)
    }

    fn exact(&self, head: &ExactHead, arrays: &ExactArrays<'_>, _: &mut Maxima) -> Array2<f64> {
        let ExactHead { q, k, v, scale, .. } = head;
        let m = k.nrows();
        let [e, f] = ["e", if self.shared { "e" } else { "f" }].map(|name| arrays.get(name));
        let (keys, values) = (dot(e.slice(s![.., ..m]), k.view()), dot(f.slice(s![.., ..m]), v.view()));
        softmax(q.view(), keys.view(), values.view(), *scale, |_, _| true)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

/// Keys that are projected before their sums move on.
const TILE: usize = 128;

/// Elements of what a segment found: projected keys and values, (l, width in whole lines) each.
fn part(l: usize, d_h: usize, d_v: usize) -> usize {
    l * (whole_lines(d_h) + whole_lines(d_v))
}

/// Elements of a worker: rows in whole lines, where they are not.
fn padding(d_h: usize, d_v: usize) -> usize {
    TILE * whole_lines(d_h).max(whole_lines(d_v))
}

fn space(size: &Size, l: usize) -> usize {
    let Size { shape: Shape { n, m, d_h, d_v, .. }, heads, threads } = *size;
    let parts = heads * segments::count(heads, m);
    let projecting = threads.min(parts) * padding(d_h, d_v);
    let attending = few::workers(threads, heads, n) * few::space(l);
    aligned(
        whole_lines(parts * part(l, d_h, d_v))
            + whole_lines(heads * few::packed(l, d_h, d_v))
            + projecting.max(attending),
    )
}

fn forward(
    heads: &Flat<'_>,
    [e, f]: [ndarray::ArrayView2<'_, f32>; 2],
    mut saved: Option<&mut Saved>,
    out: &mut [f32],
) {
    let Flat { h, n, m, d_h, d_v, .. } = *heads;
    let l = e.nrows();
    let size = heads.size();
    let mut all = Space::new(space(&size, l) - aligned(0));
    let mut rest = all.all();
    let segments = segments::count(h, m);
    let part = part(l, d_h, d_v);
    let parts = carve(&mut rest, h * segments * part);
    let packed = carve(&mut rest, h * few::packed(l, d_h, d_v));
    let [e, f] = [&e, &f].map(|x| x.as_standard_layout());
    let [e_rows, f_rows] = [&e, &f].map(|x| (x.as_slice().expect(STANDARD), x.ncols()));

    let each = padding(d_h, d_v);
    let workers = size.threads.min(h * segments);
    in_parallel(
        parts.chunks_exact_mut(part).enumerate(),
        &mut rest[..workers * each],
        each,
        |(task, part), padding| {
            let (head, segment) = (task / segments, task % segments);
            let keys = segments::keys(segment, segments, m);
            let (of_keys, of_values) = part.split_at_mut(l * whole_lines(d_h));
            for (out, (e, lde), x, width) in
                [(of_keys, e_rows, heads.k(head), d_h), (of_values, f_rows, heads.v(head), d_v)]
            {
                let x = &x[keys.start * width..keys.end * width];
                heads.path.run(Project { heads, e: &e[keys.start..], lde, l, x, width, padding, out });
            }
        },
    );

    // Saved: rows of projected keys and then of projected values, a head after the other.
    let mut none = Vec::new();
    let packs = saved.as_mut().map_or(&mut none, |saved| {
        saved.packs = vec![0.0; h * part];
        &mut saved.packs
    });
    let factor = heads.scale * std::f32::consts::LOG2_E;
    let of_head = packed.chunks_exact_mut(few::packed(l, d_h, d_v));
    let of_head = of_head.zip(parts.chunks_exact_mut(part * segments)).zip(chunks_or_empty(packs, part));
    in_parallel(of_head, &mut [0.0; 1], 1, |((packed, parts), packs), _| {
        let (sum, others) = parts.split_at_mut(part);
        for other in others.chunks_exact(part) {
            for (x, other) in sum.iter_mut().zip(other) {
                *x += other;
            }
        }
        if !packs.is_empty() {
            packs.copy_from_slice(sum);
        }
        let (of_keys, of_values) = sum.split_at_mut(l * whole_lines(d_h));
        let (keys, values) = packed.split_at_mut(d_h * whole_lines(l));
        transpose((of_keys, whole_lines(d_h)), (keys, whole_lines(l)), (l, d_h), |_| factor);
        values.copy_from_slice(of_values);
    });

    let workers = few::workers(size.threads, h, n);
    few::attend(heads, l, packed, &mut rest[..workers * few::space(l)], saved, out);
}

/// `out = e x`: rows of `e` from their first number on, rows of `x` of a width.
struct Project<'a> {
    heads: &'a Flat<'a>,
    e: &'a [f32],
    lde: usize,
    l: usize,
    x: &'a [f32],
    width: usize,
    padding: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Project<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::inline_always)] // that is the point of dispatching
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { heads, e, lde, l, x, width, padding, out } = self;
        let padded = whole_lines(width);
        out.fill(0.0);
        let mut first = 0;
        // On 8 lanes the tile is read again for every few rows of `e`: half of it stays in a first cache of 32 KiB.
        let rows = if S::F32_LANES == 8 { TILE / 2 } else { TILE };
        for tile in x.chunks(rows * width) {
            let depth = tile.len() / width;
            let rows = if padded == width { tile } else { in_lines(tile, width, padding) };
            heads.count(l, depth, width);
            few::product_add(simd, (&e[first..], lde, depth, l), (rows, padded), (&mut *out, padded));
            first += depth;
        }
    }
}
