//! Linformer: keys and values of each head are projected along the length, then every query meets the l rows.

use pulp::{Simd, WithSimd};

use super::flash::transpose;
use super::share::{Space, among, cut, lines, taken};
use super::{Flat, Fused, Given, Size, few, refuse, segments};
use crate::attention::Mask;
use crate::cost::Shape;
use crate::error::{Error, Result};

pub(super) const FUSED: Fused = Fused { name: "linformer", masks: &[Mask::Full], run, space };

/// Keys that are projected before their sums move on.
const TILE: usize = 128;

/// Numbers of what a segment found: projected keys and values, (l, width in whole lines) each.
fn part(l: usize, d_h: usize, d_v: usize) -> usize {
    l * (lines(d_h) + lines(d_v))
}

/// Numbers of a worker: rows in whole lines, where they are not.
fn padding(d_h: usize, d_v: usize) -> usize {
    TILE * lines(d_h).max(lines(d_v))
}

fn space(size: &Size) -> usize {
    let Size { shape: Shape { n, m, d_h, d_v, .. }, heads, l, threads } = *size;
    let parts = heads * segments::count(heads, m);
    let projecting = threads.min(parts) * padding(d_h, d_v);
    let attending = few::workers(threads, heads, n) * few::space(l);
    taken(
        lines(parts * part(l, d_h, d_v))
            + lines(heads * few::packed(l, d_h, d_v))
            + projecting.max(attending),
    )
}

fn run(heads: &Flat<'_>, given: &Given<'_>, out: &mut [f32]) -> Result<()> {
    let Given::Linformer { e, f } = given else { return refuse(FUSED.name, given) };
    let Flat { h, n, m, d_h, d_v, .. } = *heads;
    for x in [e, f] {
        if x.nrows() != e.nrows() || x.nrows() == 0 || x.ncols() < m {
            let expected = format!("(l, {m} or more), E and F alike");
            let what = "E or F of attention 'linformer'".into();
            return Err(Error::Shape { what, found: x.shape().to_vec(), expected });
        }
    }
    let l = e.nrows();
    let shape = Shape { n, m, d_h, d_v, causal: false };
    let size = Size { shape, heads: h, l, threads: rayon::current_num_threads() };
    let mut all = Space::new(space(&size) - taken(0));
    let mut rest = all.all();
    let segments = segments::count(h, m);
    let part = part(l, d_h, d_v);
    let parts = cut(&mut rest, h * segments * part);
    let packed = cut(&mut rest, h * few::packed(l, d_h, d_v));
    let [e, f] = [e, f].map(|x| x.as_standard_layout());
    let [e_rows, f_rows] = [&e, &f].map(|x| (x.as_slice().expect(super::STANDARD), x.ncols()));

    let each = padding(d_h, d_v);
    let workers = size.threads.min(h * segments);
    among(
        parts.chunks_exact_mut(part).enumerate(),
        &mut rest[..workers * each],
        each,
        |(task, part), padding| {
            let (head, segment) = (task / segments, task % segments);
            let keys = segments::keys(segment, segments, m);
            let (of_keys, of_values) = part.split_at_mut(l * lines(d_h));
            for (out, (e, lde), x, width) in
                [(of_keys, e_rows, heads.k(head), d_h), (of_values, f_rows, heads.v(head), d_v)]
            {
                let x = &x[keys.start * width..keys.end * width];
                heads.path.run(Project { heads, e: &e[keys.start..], lde, l, x, width, padding, out });
            }
        },
    );

    let factor = heads.scale * std::f32::consts::LOG2_E;
    let of_head =
        packed.chunks_exact_mut(few::packed(l, d_h, d_v)).zip(parts.chunks_exact_mut(part * segments));
    among(of_head, &mut [0.0; 1], 1, |(packed, parts), _| {
        let (sum, others) = parts.split_at_mut(part);
        for other in others.chunks_exact(part) {
            for (x, other) in sum.iter_mut().zip(other) {
                *x += other;
            }
        }
        let (of_keys, of_values) = sum.split_at_mut(l * lines(d_h));
        let (keys, values) = packed.split_at_mut(d_h * lines(l));
        transpose((of_keys, lines(d_h)), (keys, lines(l)), (l, d_h), |_| factor);
        values.copy_from_slice(of_values);
    });

    let workers = few::workers(size.threads, h, n);
    few::attend(heads, l, packed, &mut rest[..workers * few::space(l)], out);
    Ok(())
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
        let padded = lines(width);
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

/// Rows that each begin at a cache line, with zeros behind them.
pub(super) fn in_lines<'a>(x: &[f32], width: usize, padding: &'a mut [f32]) -> &'a [f32] {
    let rows = x.len() / width;
    for (row, padded) in x.chunks_exact(width).zip(padding.chunks_exact_mut(lines(width))) {
        padded[..width].copy_from_slice(row);
        padded[width..].fill(0.0);
    }
    &padding[..rows * lines(width)]
}
