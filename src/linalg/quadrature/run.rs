//! Rounds over the matrix until the estimates suffice.

use ndarray::{Array1, Array2, ArrayView2, Axis, ShapeBuilder};
use rand_distr::{Distribution, StandardNormal};

use super::density::Density;
use super::lanczos::Lanczos;
use super::round::{self, round};
use super::rule::rules;
use crate::error::Result;
use crate::linalg::operator::Operator;
use crate::linalg::rounding::{EntryRounding, Rounding};
use crate::rng::Rng;

/// Rounds after which estimates are made for the first time.
const FIRST: usize = 8;

/// The effort.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Random vectors.
    pub probes: usize,
    /// Maximum rounds over the matrix.
    pub rounds: usize,
}

impl Options {
    /// Vectors in the basis after all rounds: the probes of each, and from the second on one for the centred matrix.
    fn basis(&self, m: usize) -> usize {
        self.probes.saturating_add(1).saturating_mul(self.rounds).min(m)
    }

    /// Bytes that are needed for a matrix of this shape, not counting the operator.
    pub fn bytes(&self, shape: (usize, usize), threads: usize) -> usize {
        let (basis, block) = (self.basis(shape.1), self.probes.saturating_add(1));
        // The basis, some blocks, and the projection with its eigenvectors, twice for two operators.
        let vectors =
            8_usize.saturating_mul(shape.1).saturating_mul(basis.saturating_add(block.saturating_mul(6)));
        let projections = basis.saturating_mul(basis).saturating_mul(96);
        vectors.saturating_add(projections).saturating_add(round::bytes(shape, block, threads))
    }
}

/// What is known of a matrix after some rounds.
pub struct Estimate {
    /// Its singular values.
    pub plain: Density,
    /// Those of the matrix less the mean of its rows.
    pub centred: Density,
    /// `||A||_F^2`, from every entry.
    pub energy: f64,
    /// The same of the centred matrix.
    pub centred_energy: f64,
    /// Rows and columns of the matrix.
    pub shape: (usize, usize),
    /// How much the rounding of the entries can change both spectra.
    pub rounding: Rounding,
    /// Rounds over the matrix so far.
    pub rounds: usize,
}

/// Estimates the spectrum of `a`, whose entries are rounded as `unit` says.
///
/// `check` is called many times a round; `on_round` after every round with the rounds so far, and where estimates have been made
/// with them: it says whether they suffice. Both may end it by an error.
pub fn estimate(
    a: &dyn Operator,
    options: Options,
    unit: EntryRounding,
    rng: &mut Rng,
    check: &(dyn Fn() -> Result<()> + Sync),
    on_round: &mut dyn FnMut(usize, Option<&Estimate>) -> Result<bool>,
) -> Result<Estimate> {
    let (n, m) = a.shape();
    let (mut lanczos, probes) = Lanczos::new(probes(m, options.probes, rng), options.basis(m));
    let first = round(a, lanczos.next.view(), true, check)?;
    let mean = Array1::from_iter(first.moments.columns.iter().map(|sum| sum / (n as f64).sqrt()));
    lanczos.extend(first.product, &mean.clone().insert_axis(Axis(1)));
    let matrix = Matrix {
        shape: (n, m),
        energy: first.moments.energy(),
        rounding: first.moments.rounding(unit),
        mean,
        probes,
    };
    let none = Array2::zeros((m, 0));
    let (mut rounds, mut next) = (1, FIRST);
    loop {
        let is_last = lanczos.is_done() || rounds >= options.rounds;
        if rounds >= next || is_last {
            let found = matrix.estimate(&lanczos, rounds, check)?;
            if on_round(rounds, Some(&found))? || is_last {
                return Ok(found);
            }
            next = rounds + (rounds / 3).max(1);
        } else {
            on_round(rounds, None)?;
        }
        let product = round(a, lanczos.next.view(), false, check)?.product;
        lanczos.extend(product, &none);
        rounds += 1;
    }
}

/// Random vectors of norm `sqrt(m)`, in uniformly random directions, shape (m, probes).
fn probes(m: usize, probes: usize, rng: &mut Rng) -> Array2<f64> {
    let mut z = Array2::zeros((m, probes).f());
    for mut z in z.columns_mut() {
        z.mapv_inplace(|_: f64| StandardNormal.sample(rng));
        let norm = z.dot(&z).sqrt();
        z *= (m as f64).sqrt() / norm;
    }
    z
}

/// What the first round says of a matrix, and the probes in the first coordinates of the basis.
struct Matrix {
    shape: (usize, usize),
    energy: f64,
    rounding: Rounding,
    /// `A^T u`.
    mean: Array1<f64>,
    probes: Array2<f64>,
}

impl Matrix {
    fn estimate(
        &self,
        lanczos: &Lanczos,
        rounds: usize,
        check: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<Estimate> {
        let m = self.mean.len();
        let mean = lanczos.coordinates(&self.mean);
        let centred_energy = (self.energy - self.mean.dot(&self.mean)).max(0.0);
        let density = |t: ArrayView2<'_, f64>, energy: f64| -> Result<Density> {
            let found = rules(t, lanczos.residual.view(), self.probes.view(), lanczos.size() == m, check)?;
            Ok(Density::new(&found, m, energy))
        };
        let centred = || {
            let mut t = lanczos.t.clone();
            for (mut row, x) in t.rows_mut().into_iter().zip(&mean) {
                row.scaled_add(-x, &mean);
            }
            density(t.view(), centred_energy)
        };
        let (plain, centred) = rayon::join(|| density(lanczos.t.view(), self.energy), centred);
        let (plain, centred) = (plain?, centred?);
        let Self { shape, energy, rounding, .. } = *self;
        Ok(Estimate { plain, centred, energy, centred_energy, shape, rounding, rounds })
    }
}
