//! Backends of the dense decompositions: faer (pure Rust, always built) or LAPACK (cargo feature `lapack`).
//!
//! Why two. faer needs no system library, so `cargo install` is enough, and it computes the products of the forward passes,
//! too. LAPACK is the implementation that the field trusts: the tests hold the two against each other on every kind of
//! matrix (`tests/it/spectra/engines.rs`). Neither decomposes where an f32 matrix only needs its spectra: the two-stage reduction
//! of [`super::spectra`] finds the plain and the centred spectrum of 512 x 512 in about a sixth of the time of two f64
//! decompositions by faer (`benches/spectra.rs` has the table).

use std::str::FromStr;

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, Par, Side, Spec};
use ndarray::{Array2, ArrayView2};

use super::convert::{by_faer, view};
use crate::error::{Error, Result};

/// A backend of the decompositions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// faer, in pure Rust, with this project's own reduction for spectra of f32 matrices.
    #[default]
    Faer,
    /// LAPACK's divide and conquer (`gesdd`) by ndarray-linalg.
    Lapack,
}

/// Every backend with its name and description.
pub const ALL: &[(Engine, &str, &str)] = &[
    // in order of preference
    (Engine::Faer, "faer", "pure Rust; spectra of f32 matrices from one reduction of their f64 Gram matrix"),
    (Engine::Lapack, "lapack", "LAPACK's gesdd in f64 (cargo feature `lapack`)"),
];

impl Engine {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(engine, ..)| *engine == self).map_or("faer", |(_, name, _)| name)
    }

    /// Whether it is part of this build.
    pub fn is_built(self) -> bool {
        self == Self::Faer || cfg!(feature = "lapack")
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let (engine, ..) = crate::name::find("engine", name, ALL, |(_, name, _)| name)?;
        if engine.is_built() {
            Ok(*engine)
        } else {
            Err(Error::value("engine", name, "faer (build with `--features lapack` for lapack)"))
        }
    }
}

/// All min(n, m) singular values of `a`, largest first, in f64 throughout.
pub fn singular_values(a: ArrayView2<'_, f64>, engine: Engine) -> Result<Vec<f64>> {
    match engine {
        Engine::Faer => by_faer(|| view(a).singular_values()).map_err(|_| convergence(a)),
        Engine::Lapack => lapack_values(a),
    }
}

/// The thin decomposition `U diag(s) V^T` of `a`: U (n, r), s (r), V^T (r, m), with r = min(n, m).
pub fn thin_svd(a: ArrayView2<'_, f64>) -> Result<(Array2<f64>, Vec<f64>, Array2<f64>)> {
    let svd = by_faer(|| view(a).thin_svd()).map_err(|_| convergence(a))?;
    let (u, v) = (svd.U(), svd.V());
    let u = Array2::from_shape_fn((u.nrows(), u.ncols()), |(i, j)| u[(i, j)]);
    let vt = Array2::from_shape_fn((v.ncols(), v.nrows()), |(i, j)| v[(j, i)]);
    Ok((u, svd.S().column_vector().iter().copied().collect(), vt))
}

/// Eigenvalues in ascending order, and an eigenvector in each row of (n, n), of a symmetric matrix of which the lower
/// triangle is read.
///
/// On the calling thread: faer's sums over several threads depend on their number.
pub(crate) fn symmetric_eigen(a: ArrayView2<'_, f64>) -> Result<(Vec<f64>, Array2<f64>)> {
    let n = a.nrows();
    let (mut values, mut vectors) = (Diag::<f64>::zeros(n), Mat::<f64>::zeros(n, n));
    let settings = (ComputeEigenvectors::Yes, Par::Seq);
    let scratch = self_adjoint_evd_scratch::<f64>(n, settings.0, settings.1, Spec::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    let out = Some(vectors.as_mut());
    by_faer(|| self_adjoint_evd(view(a), values.as_mut(), out, settings.1, stack, Spec::default()))
        .map_err(|_| no_eigenvalues(a))?;
    let vectors = Array2::from_shape_fn((n, n), |(i, j)| vectors[(j, i)]);
    Ok((values.column_vector().iter().copied().collect(), vectors))
}

/// The eigenvalues of a symmetric matrix of which the lower triangle is read, in ascending order.
pub(crate) fn symmetric_eigenvalues(a: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
    by_faer(|| view(a).self_adjoint_eigenvalues(Side::Lower)).map_err(|_| no_eigenvalues(a))
}

#[cfg(feature = "lapack")]
fn lapack_values(a: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
    use ndarray_linalg::{JobSvd, SVDDC};
    let (_, values, _) = a.svddc(JobSvd::None).map_err(|_| convergence(a))?;
    Ok(values.to_vec())
}

#[cfg(not(feature = "lapack"))]
fn lapack_values(_: ArrayView2<'_, f64>) -> Result<Vec<f64>> {
    Err(Error::value("engine", "lapack", "faer (build with `--features lapack` for lapack)"))
}

fn no_eigenvalues(a: ArrayView2<'_, f64>) -> Error {
    Error::Convergence {
        what: format!("the eigenvalues of a symmetric {} x {} matrix", a.nrows(), a.ncols()),
    }
}

fn convergence(a: ArrayView2<'_, f64>) -> Error {
    Error::Convergence { what: format!("the singular values of a {} x {} matrix", a.nrows(), a.ncols()) }
}
