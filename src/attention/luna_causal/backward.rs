//! The backward pass of causal Luna (Ma et al. 2021, section 3.3 and the authors' `LunarCausalAttention`): weights
//! `w = f(s k p^T)`, f = softplus or elu + 1, then [`weighted`](super::weighted).
//!
//! ```text
//! dz = dw * f'(z), z = s k p^T      dp = s dz^T k      dk += s dz p
//! ```
//! f' is known from f alone: `1 - 2^-f` of softplus, `min(f, 1)` of elu + 1. In the authors' layer the keys of the weights
//! have a projection of their own: [`WeightedHeads`] is the same from given weights on.

use super::fused::LunaCausal;
use super::weighted::{self, Weighted};
use crate::attention::Mask;
use crate::attention::kernel::arrays::Arrays;
use crate::attention::kernel::flash::transpose;
use crate::attention::kernel::flat::Size;
use crate::attention::kernel::form::Backward;
use crate::attention::kernel::pass::{Pass, Raw, Stack, Upstream, gather, heads, split_segments};
use crate::attention::kernel::saved::Saved;
use crate::attention::kernel::segments;
use crate::attention::kernel::share::{carve, in_parallel, whole_lines};
use crate::attention::kernel::tiles::{Add, Set, outer, product};
use crate::cost::{Cost, Shape};

impl Backward for LunaCausal {
    fn masks(&self) -> &'static [Mask] {
        &[Mask::Causal]
    }

    fn backward(
        &self,
        pass: &Pass<'_>,
        arrays: &Arrays<'_>,
        saved: &Saved,
        upstream: &Upstream<'_>,
        raw: Raw<'_>,
        space: &mut [f32],
    ) {
        backward(*self, pass, &Stack::of(arrays.cube("p")), (saved, upstream), raw, space);
    }

    fn space(&self, size: &Size) -> usize {
        let Size { shape: Shape { m, d_h, .. }, heads, .. } = *size;
        let l = self.l;
        let (weights, transposed) = (heads * m * whole_lines(l), heads * d_h * whole_lines(l));
        let of_p = whole_lines(heads * segments::count(heads, m) * l * d_h);
        weighted::space(size, l)[1] + weighted::sums(size, l) + 2 * weights + transposed + of_p
    }

    fn saved(&self, size: &Size) -> usize {
        size.heads * size.shape.n
    }

    fn cost(&self, shape: &Shape) -> [Cost; 2] {
        cost(shape, self.l)
    }
}

fn cost(shape: &Shape, l: usize) -> [Cost; 2] {
    let Shape { n, m, d_h, d_v, .. } = *shape;
    let seen = n.min(m);
    let weights = |keys: usize| Cost::product(keys, d_h, l) + Cost::exps(keys * l);
    let sums = Cost::product(seen, l, d_h + d_v);
    let forward = weights(seen) + sums + Cost::product(n, l, d_h + d_v) + Cost::softmax(n, n * l);
    // On the way back every key gets its weights, those after the last query too.
    let [_, backward] = weighted::cost(shape, l);
    [forward, backward + weights(m) + sums + Cost::exps(m * l) + Cost::product(m, 2 * d_h, l)]
}

/// Tokens at a time.
const TILE: usize = 64;

/// The weights of every key, heads of m rows of l numbers in whole cache lines with zeros after them.
fn weights(pass: &Pass<'_>, p: &Stack<'_>, of: LunaCausal, transposed: &mut [f32], w: &mut [f32]) {
    let Pass { h, m, d_h, path, scale, .. } = *pass;
    let LunaCausal { l, weight, .. } = of;
    let wide = whole_lines(l);
    for (head, transposed) in transposed.chunks_exact_mut(d_h * wide).enumerate() {
        transpose((p.head(head, l), d_h), (transposed, wide), (l, d_h), |_| scale);
    }
    let transposed = &*transposed;
    let tasks = w.chunks_exact_mut(m * wide).enumerate();
    let tasks =
        tasks.flat_map(|(head, w)| w.chunks_mut(TILE * wide).enumerate().map(move |(i, w)| (head, i, w)));
    let mut no_space = vec![0.0; rayon::current_num_threads().min(h * m.div_ceil(TILE))];
    in_parallel(tasks, &mut no_space, 1, |(head, i, w), _| {
        let rows = w.len() / wide;
        let k = &pass.k(head)[i * TILE * d_h..][..rows * d_h];
        let transposed = &transposed[head * d_h * wide..][..d_h * wide];
        product(path, (rows, d_h, wide), (k, d_h), (transposed, wide), (&mut *w, wide), Set);
        pass.count(rows * l, [1, 0, 0]);
        for row in w.chunks_exact_mut(wide) {
            weight.apply_all(path, row);
            row[l..].fill(0.0);
        }
    });
}

fn backward(
    of: LunaCausal,
    pass: &Pass<'_>,
    p: &Stack<'_>,
    (saved, upstream): (&Saved, &Upstream<'_>),
    mut raw: Raw<'_>,
    mut space: &mut [f32],
) {
    let Pass { h, m, d_h, path, scale, lengths, .. } = *pass;
    let LunaCausal { l, weight, .. } = of;
    let d_p = raw.take("p");
    let (wide, segments) = (whole_lines(l), segments::count(h, m));
    let w = carve(&mut space, h * m * wide);
    let dw = carve(&mut space, h * m * wide);
    let transposed = carve(&mut space, h * d_h * wide);
    let of_p = carve(&mut space, h * segments * l * d_h);
    weights(pass, p, of, transposed, w);
    let into = weighted::Into { q: raw.q, k: &mut *raw.k, w: &mut *dw, v: raw.v };
    let by_weights = Weighted::new(pass, w, m, l, std::slice::from_ref(&of.decay));
    let sums = carve(&mut space, weighted::sums(&pass.size(), l));
    by_weights.sums(sums);
    by_weights.backward((&saved.rows, sums), upstream, into, space);

    let cut_up = |x, d| heads(x, m, d, m).flat_map(move |x| split_segments(x, segments, d));
    let of_keys = heads(raw.k, lengths.1, d_h, m).flat_map(|dk| split_segments(dk, segments, d_h));
    let tasks = of_keys.zip(cut_up(dw, wide)).zip(of_p.chunks_exact_mut(l * d_h)).enumerate();
    let w = &*w;
    let mut no_space = vec![0.0; rayon::current_num_threads().min(h * segments)];
    in_parallel(tasks, &mut no_space, 1, |(task, ((dk, dw), dp)), _| {
        let (head, keys) = (task / segments, segments::keys(task % segments, segments, m));
        let w = &w[(head * m + keys.start) * wide..][..keys.len() * wide];
        weight.multiply_by_derivative(path, dw, w, scale);
        let p = p.head(head, l);
        dp.fill(0.0);
        for first in (0..keys.len()).step_by(TILE) {
            let rows = TILE.min(keys.len() - first);
            let (dz, dk) = (&dw[first * wide..][..rows * wide], &mut dk[first * d_h..][..rows * d_h]);
            let k = &pass.k(head)[(keys.start + first) * d_h..][..rows * d_h];
            product(path, (rows, l, d_h), (dz, wide), (p, d_h), (dk, d_h), Add);
            outer(path, (rows, l, d_h), (dz, wide), (k, d_h), (&mut *dp, d_h));
            pass.count(rows * l, [2, 0, 0]);
        }
    });
    let length = d_p.len() / h;
    for (pieces, dp) in of_p.chunks_exact_mut(segments * l * d_h).zip(d_p.chunks_exact_mut(length)) {
        gather(pieces, l * d_h);
        dp[..l * d_h].copy_from_slice(&pieces[..l * d_h]);
    }
}
