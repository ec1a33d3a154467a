//! Leading singular values of a matrix that is never stored: a thick-restarted block Krylov method.
//!
//! The matrix is read through its rows, which the [`Operator`] computes on request; one round computes every row once and
//! uses it twice, for `A X` and for `A^T (A X)`, on a whole block of vectors. Memory is
//! O(m (basis + block)), whatever the number of rows.
//!
//! The method is block Lanczos on `A^T A` with full orthogonalisation and thick restarts (Wu and Simon 2000; Golub,
//! Luk and Overton 1981 for blocks). The bounds are computed at the end: one more round gives for every vector `x`
//! of the result its residual `r = ||A^T A x - s^2 x||` with `s = ||A x||`, and then some singular value of the matrix
//! lies within `r / s` of `s`.
//!
//! The order of sums depends on the sizes only, so results do not depend on the number of threads.

use ndarray::{Array2, ArrayView2, ShapeBuilder, s};
use rayon::prelude::*;

use super::convert::{by_faer, view};
use super::engine::symmetric_eigen;
use super::gemm::{Threads, product, product_into};
use super::operator::Operator;
use crate::error::Result;
use crate::rng::{Rng, normal};

/// Rows of the matrix that a thread holds at a time.
const TILE: usize = 64;
/// Bytes that partial sums of `A^T A X` may occupy; with the sizes it determines how rows are grouped.
const PARTIAL_BYTES: usize = 1 << 27;
/// The contribution of f32 arithmetic to a bound, relative to `||A||_F`: entries are accurate to a few units of 2^-23.
const ROUNDING: f64 = 1.0 / (1 << 20) as f64;
/// The fraction of the tolerance that the iteration aims at: its own residuals are estimates, the reported ones are
/// computed at the end.
const AIM: f64 = 0.9;

/// How many values are computed, to which tolerance, within how many rounds.
#[derive(Clone, Copy, Debug)]
pub struct KrylovOptions {
    /// How many leading values.
    pub top: usize,
    /// Vectors in a block.
    pub block: usize,
    /// A value has converged when its bound is below this fraction of it.
    pub tolerance: f64,
    /// Maximum rounds over the matrix.
    pub rounds: usize,
}

impl KrylovOptions {
    /// Sensible settings for `top` values.
    pub fn for_top(top: usize) -> Self {
        Self { top, block: 64, tolerance: 1e-3, rounds: 80 }
    }

    /// Maximum vectors in the basis.
    fn basis(&self) -> usize {
        self.top.saturating_mul(2).saturating_add(4 * self.block)
    }

    /// Bytes that the iteration needs for a matrix of this shape, not counting the operator.
    pub fn bytes(&self, (n, m): (usize, usize), threads: usize) -> usize {
        // Saturating: a size that overflows must be refused as too large, not wrap to a small one.
        let product = |factors: &[usize]| factors.iter().fold(1, |all: usize, one| all.saturating_mul(*one));
        let vectors = self.basis().saturating_add(self.top).saturating_add(4 * self.block);
        let tiles = product(&[4, threads, TILE.min(n), m]);
        let partial = product(&[4, m, self.top.max(self.block), n.div_ceil(TILE)]);
        product(&[4, m, vectors]).saturating_add(tiles).saturating_add(PARTIAL_BYTES.min(partial))
    }
}

/// One singular value with its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SingularValue {
    /// The value, `||A x||` of a unit vector x.
    pub sigma: f64,
    /// Some singular value of the matrix lies no further away than this.
    pub bound: f64,
    /// Whether the bound is below the tolerance.
    pub converged: bool,
}

/// The leading singular values, and the exact sum of all squares.
#[derive(Clone, Debug)]
pub struct Leading {
    /// Values, largest first; fewer than requested if too few rounds were allowed.
    pub values: Vec<SingularValue>,
    /// `||A||_F^2`, from every entry.
    pub energy: f64,
    /// Rounds over the matrix.
    pub rounds: usize,
}

impl Leading {
    /// The values before the first that has not converged.
    pub fn converged(&self) -> Vec<f64> {
        self.values.iter().take_while(|value| value.converged).map(|value| value.sigma).collect()
    }
}

/// Progress of the iteration.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Rounds over the matrix so far.
    pub rounds: usize,
    /// Leading values whose estimated bounds are within the tolerance.
    pub converged: usize,
}

/// Finds the leading singular values of `a`; `check` is called many times a round and `on_round` after every round, and both
/// may stop the iteration.
pub fn leading(
    a: &dyn Operator,
    options: KrylovOptions,
    rng: &mut Rng,
    check: &(dyn Fn() -> Result<()> + Sync),
    on_round: &mut dyn FnMut(Progress) -> Result<()>,
) -> Result<Leading> {
    let (n, m) = a.shape();
    let top = options.top.min(n).min(m);
    let block = options.block.clamp(1, m);
    let capacity = (options.basis() + block).min(m);
    let mut iteration = BlockLanczos::new(m, capacity);
    let (mut next, _) = orthonormal(normal(rng, m, block).view(), None);
    let mut rounds = 0;
    let (vectors, energy) = loop {
        let image = gram_product(a, next.view(), check)?;
        rounds += 1;
        let coupling = iteration.extend(&next, image.product.view());
        let ritz = iteration.ritz(top, coupling.residual.view())?;
        let rounding = ROUNDING * image.energy.sqrt();
        let settled = ritz.residuals.iter().zip(&ritz.theta).take_while(|(residual, theta)| {
            let sigma = theta.sqrt();
            let bound = if sigma > 0.0 { *residual / sigma } else { residual.sqrt() };
            // A bound below the rounding error cannot improve.
            bound + rounding <= AIM * options.tolerance * sigma || bound <= rounding
        });
        let converged = settled.count();
        on_round(Progress { rounds, converged })?;
        let whole = iteration.size() == m;
        if converged >= top || rounds >= options.rounds || whole {
            // After few rounds there may be fewer vectors than requested values.
            let found = top.min(iteration.size());
            break (iteration.vectors(ritz.coordinates.slice(s![.., ..found])), image.energy);
        }
        if iteration.size() + block <= capacity {
            next = coupling.next;
        } else if capacity == m {
            // The basis may grow to the whole space: less than a block is missing.
            next = coupling.next.slice(s![.., ..m - iteration.size()]).to_owned();
        } else {
            iteration.restart(&ritz, top + block / 2);
            next = coupling.next;
        }
    };
    let values = verify(&gram_product(a, vectors.view(), check)?, vectors.view(), options.tolerance);
    Ok(Leading { values, energy, rounds: rounds + 1 })
}

/// The basis `V` and the projection `T = V^T A^T A V`.
struct BlockLanczos {
    basis: Array2<f32>,
    size: usize,
    t: Array2<f64>,
}

/// The result of appending a block: the next block, and the coordinates in it of the new columns of `A^T A V`.
struct Coupling {
    next: Array2<f32>,
    residual: Array2<f64>,
}

/// Eigenpairs of the projection, largest first.
struct Ritz {
    theta: Vec<f64>,
    coordinates: Array2<f64>,
    residuals: Vec<f64>,
}

impl BlockLanczos {
    fn new(m: usize, capacity: usize) -> Self {
        Self { basis: Array2::zeros((m, capacity).f()), size: 0, t: Array2::zeros((0, 0)) }
    }

    fn size(&self) -> usize {
        self.size
    }

    /// Appends a block whose product with `A^T A` is `image`.
    fn extend(&mut self, block: &Array2<f32>, image: ArrayView2<'_, f32>) -> Coupling {
        let (old, new) = (self.size, self.size + block.ncols());
        self.basis.slice_mut(s![.., old..new]).assign(block);
        self.size = new;
        let basis = self.basis.slice(s![.., ..new]);
        let h = product(basis.t(), image, Threads::One).mapv(f64::from);
        let mut t = Array2::zeros((new, new));
        t.slice_mut(s![..old, ..old]).assign(&self.t);
        t.slice_mut(s![.., old..]).assign(&h);
        t.slice_mut(s![old.., ..]).assign(&h.t());
        let corner = t.slice(s![old.., old..]).to_owned();
        t.slice_mut(s![old.., old..]).assign(&((&corner + &corner.t()) * 0.5));
        self.t = t;
        let (next, residual) = orthonormal(image, Some(basis));
        Coupling { next, residual }
    }

    fn ritz(&self, top: usize, residual: ArrayView2<'_, f64>) -> Result<Ritz> {
        let (w, u) = symmetric_eigen(self.t.view())?;
        let size = self.size;
        let coordinates = Array2::from_shape_fn((size, size), |(i, j)| u[[size - 1 - j, i]]);
        let theta: Vec<f64> = (0..size).map(|j| w[size - 1 - j].max(0.0)).collect();
        let last = coordinates.slice(s![size - residual.ncols().., ..top.min(size)]);
        let tails = residual.dot(&last);
        let residuals = tails.columns().into_iter().map(|column| column.dot(&column).sqrt()).collect();
        Ok(Ritz { theta, coordinates, residuals })
    }

    /// The vectors with these coordinates (size, k) in the basis.
    fn vectors(&self, coordinates: ArrayView2<'_, f64>) -> Array2<f32> {
        let mut vectors = Array2::zeros((self.basis.nrows(), coordinates.ncols()).f());
        let coordinates = coordinates.mapv(|x| x as f32);
        let basis = self.basis.slice(s![.., ..self.size]);
        product_into(vectors.view_mut(), 0.0, basis, coordinates.view(), 1.0, Threads::One);
        vectors
    }

    /// Reduces the basis to the leading `keep` Ritz vectors.
    fn restart(&mut self, ritz: &Ritz, keep: usize) {
        let keep = keep.min(self.size);
        let leading = self.vectors(ritz.coordinates.slice(s![.., ..keep]));
        self.basis.slice_mut(s![.., ..keep]).assign(&leading);
        self.size = keep;
        self.t = Array2::from_diag(&ndarray::Array1::from_iter(ritz.theta[..keep].iter().copied()));
    }
}

/// `A^T (A X)`, and sums over the rows computed in the same round.
struct Image {
    product: Array2<f32>,
    /// `||A||_F^2`.
    energy: f64,
    /// `||A x||^2` of every column x.
    squares: Vec<f64>,
}

/// One round over the matrix; `check` is called for every tile.
fn gram_product(
    a: &dyn Operator,
    x: ArrayView2<'_, f32>,
    check: &(dyn Fn() -> Result<()> + Sync),
) -> Result<Image> {
    let (n, m) = a.shape();
    let b = x.ncols();
    // Groups of rows with a partial sum each: their number, and so the order of the sums, depends on the sizes only.
    let groups = (PARTIAL_BYTES / (4 * m * b).max(1)).clamp(8, 64).min(n.div_ceil(TILE));
    let each = n.div_ceil(groups).next_multiple_of(TILE);
    let partial: Vec<Image> = (0..n.div_ceil(each))
        .into_par_iter()
        .map(|group| {
            let mut sum = Image { product: Array2::zeros((m, b).f()), energy: 0.0, squares: vec![0.0; b] };
            let mut tile = Array2::zeros((TILE, m));
            for start in (group * each..((group + 1) * each).min(n)).step_by(TILE) {
                check()?;
                let rows = start..(start + TILE).min(n);
                let columns = a.support(rows.clone());
                let mut tile = tile.slice_mut(s![..rows.len(), ..columns.len()]);
                a.rows(rows, tile.view_mut());
                let y = product(tile.view(), x.slice(s![columns.clone(), ..]), Threads::One);
                let product = sum.product.slice_mut(s![columns, ..]);
                product_into(product, 1.0, tile.t(), y.view(), 1.0, Threads::One);
                sum.energy += tile.rows().into_iter().map(|row| f64::from(row.dot(&row))).sum::<f64>();
                for (square, column) in sum.squares.iter_mut().zip(y.columns()) {
                    *square += column.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
                }
            }
            Ok(sum)
        })
        .collect::<Result<_>>()?;
    let none = Image { product: Array2::zeros((m, b).f()), energy: 0.0, squares: vec![0.0; b] };
    Ok(partial.into_iter().fold(none, |mut all, part| {
        all.product += &part.product;
        all.energy += part.energy;
        all.squares.iter_mut().zip(&part.squares).for_each(|(all, part)| *all += part);
        all
    }))
}

/// An orthonormal basis of the columns of `x` without their projections onto `basis`, and the coordinates R with
/// `x = ... + Q R`.
///
/// Done twice: the first pass may leave a rounding error as large as what it removed, above all where `x` already lies in
/// the basis; the second pass makes such columns orthogonal, too.
fn orthonormal(x: ArrayView2<'_, f32>, basis: Option<ArrayView2<'_, f32>>) -> (Array2<f32>, Array2<f64>) {
    let mut q = Array2::zeros(x.dim().f());
    q.assign(&x);
    let mut r = Array2::eye(x.ncols());
    for _ in 0..2 {
        if let Some(basis) = basis {
            let inside = product(basis.t(), q.view(), Threads::One);
            product_into(q.view_mut(), 1.0, basis, inside.view(), -1.0, Threads::One);
        }
        let qr = by_faer(|| view(q.mapv(f64::from).view()).qr());
        let (thin, upper) = (by_faer(|| qr.compute_thin_Q()), qr.thin_R());
        q.indexed_iter_mut().for_each(|((i, j), x)| *x = thin[(i, j)] as f32);
        r = Array2::from_shape_fn(r.dim(), |(i, j)| if i <= j { upper[(i, j)] } else { 0.0 }).dot(&r);
    }
    (q, r)
}

/// The bounds of one more round, computed from it alone.
fn verify(image: &Image, vectors: ArrayView2<'_, f32>, tolerance: f64) -> Vec<SingularValue> {
    let rounding = ROUNDING * image.energy.sqrt();
    let columns = vectors.columns().into_iter().zip(image.product.columns());
    let mut values: Vec<SingularValue> = columns
        .zip(&image.squares)
        .map(|((x, z), square)| {
            let norm: f64 = x.iter().map(|x| f64::from(*x).powi(2)).sum();
            let theta = square / norm;
            let distance = |(x, z): (&f32, &f32)| (f64::from(*z) - theta * f64::from(*x)).powi(2);
            let residual = (x.iter().zip(z).map(distance).sum::<f64>() / norm).sqrt();
            let sigma = theta.sqrt();
            let bound = (if sigma > 0.0 { residual / sigma } else { residual.sqrt() }) + rounding;
            SingularValue { sigma, bound, converged: bound <= tolerance * sigma }
        })
        .collect();
    values.sort_by(|a, b| b.sigma.total_cmp(&a.sigma));
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::engine::{Engine, singular_values};
    use crate::rng::stream;

    fn find(a: &Array2<f32>, top: usize, block: usize) -> Leading {
        let options = KrylovOptions { block, ..KrylovOptions::for_top(top) };
        leading(a, options, &mut stream(5, "krylov"), &|| Ok(()), &mut |_| Ok(())).unwrap()
    }

    fn check(a: &Array2<f32>, top: usize, block: usize) {
        let exact = singular_values(a.mapv(f64::from).view(), Engine::Faer).unwrap();
        let found = find(a, top, block);
        let energy: f64 = exact.iter().map(|s| s * s).sum();
        assert!((found.energy / energy.max(1e-30) - 1.0).abs() < 1e-5 || energy == 0.0);
        assert_eq!(found.values.len(), top.min(exact.len()));
        for (found, exact) in found.values.iter().zip(&exact) {
            assert!((found.sigma - exact).abs() <= found.bound, "{found:?} {exact}");
        }
        let large = exact.iter().take(top).filter(|s| **s > 1e-3 * exact[0]).count();
        assert!(found.converged().len() >= large, "{} of {large} converged", found.converged().len());
    }

    #[test]
    fn leading_values_lie_within_their_bounds() {
        let mut rng = stream(9, "matrices");
        check(&normal(&mut rng, 300, 200), 10, 8);
        check(&normal(&mut rng, 150, 400), 20, 16);
        let decaying =
            normal(&mut rng, 500, 500) * Array2::from_shape_fn((1, 500), |(_, j)| 0.97_f32.powi(j as i32));
        check(&decaying, 40, 16);
    }

    #[test]
    fn few_columns_low_rank_and_zero() {
        let mut rng = stream(10, "matrices");
        check(&normal(&mut rng, 50, 12), 20, 16);
        let low = product(normal(&mut rng, 400, 5).view(), normal(&mut rng, 5, 300).view(), Threads::One);
        check(&low, 5, 8);
        assert_eq!(find(&Array2::zeros((200, 200)), 3, 8).values[0].sigma, 0.0);
    }

    #[test]
    fn threads_do_not_change_a_bit() {
        let a = normal(&mut stream(11, "matrix"), 700, 300);
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| find(&a, 12, 8).values)
        };
        assert_eq!(with(1), with(3));
    }
}
