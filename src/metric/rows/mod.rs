//! One pass over the rows of an attention matrix, for every metric that reads rows; of a matrix that is never kept, two
//! passes over tiles of its rows.

mod concentration;
mod histogram;
mod part;
mod profile;
mod ranked;
mod row;

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use self::part::{Part, Residual};
use crate::error::Result;
use crate::linalg::operator::Operator;

pub use concentration::SHARES;
pub use profile::{NEAR, Positions, RowProfile};

pub(super) use row::{LANES, ln, total};

/// Rows of the matrix that a thread holds at a time.
const TILE: usize = 64;
/// Groups of tiles, each with sums of its own: their number, and so the order of the sums, depends on the sizes only.
const GROUPS: usize = 32;

/// What is called with a number of rows that are done.
type OnRows<'a> = &'a (dyn Fn(usize) -> Result<()> + Sync);

impl RowProfile {
    /// The profile of `a`, and the mass of its l largest entries for each l of `at`; all zeros for an empty matrix.
    pub fn of(a: ArrayView2<'_, f32>, at: &[usize]) -> Self {
        if a.is_empty() {
            return Self::default();
        }
        let (a, shape) = (a.as_standard_layout(), a.dim());
        let mut part = Part::new(shape, at);
        part.add(a.view(), 0);
        let mut residual = Residual::new(&part.mean());
        residual.add(a.view());
        part.profile(&residual)
    }

    /// The profile of a matrix that is never kept; `on_rows` is called with the rows of every tile that is done, and may end the
    /// pass.
    ///
    /// Each row is computed twice, and so is counted twice, since the mean row must be known before distances from it. Memory is O(m) a group of
    /// rows; the figures do not depend on the number of threads.
    pub fn of_operator(a: &dyn Operator, at: &[usize], on_rows: OnRows<'_>) -> Result<Self> {
        let shape = a.shape();
        if shape.0 == 0 || shape.1 == 0 {
            return Ok(Self::default());
        }
        let part = by_tiles(a, on_rows, &Part::new(shape, at), Part::add, Part::merge)?;
        let residual = Residual::new(&part.mean());
        let residual = by_tiles(a, on_rows, &residual, |sums, tile, _| sums.add(tile), Residual::merge)?;
        Ok(part.profile(&residual))
    }
}

/// Sums over all rows, tile by tile: each group of tiles begins with `zero`, and the groups are merged in their order.
fn by_tiles<T: Clone + Send + Sync>(
    a: &dyn Operator,
    on_rows: OnRows<'_>,
    zero: &T,
    add: impl Fn(&mut T, ArrayView2<'_, f32>, usize) + Sync,
    merge: impl Fn(&mut T, &T),
) -> Result<T> {
    let (n, m) = a.shape();
    let each = n.div_ceil(GROUPS).next_multiple_of(TILE);
    let groups: Vec<T> = (0..n.div_ceil(each))
        .into_par_iter()
        .map(|group| {
            let mut sums = zero.clone();
            let mut tile = Array2::zeros((TILE, m));
            for start in (group * each..((group + 1) * each).min(n)).step_by(TILE) {
                let rows = start..(start + TILE).min(n);
                let mut tile = tile.slice_mut(s![..rows.len(), ..]);
                let columns = a.support(rows.clone());
                tile.slice_mut(s![.., ..columns.start]).fill(0.0);
                tile.slice_mut(s![.., columns.end..]).fill(0.0);
                a.rows(rows, tile.slice_mut(s![.., columns]));
                add(&mut sums, tile.view(), start);
                on_rows(tile.nrows())?;
            }
            Ok(sums)
        })
        .collect::<Result<_>>()?;
    let mut all = zero.clone();
    for group in &groups {
        merge(&mut all, group);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array, s};

    use super::{Positions, RowProfile};
    use crate::rng::{normal, stream};

    #[test]
    fn uniform_rows_have_known_figures() {
        for (n, m) in [(1, 1), (3, 7), (40, 33), (64, 64)] {
            let profile = RowProfile::of(Array2::from_elem((n, m), 1.0 / m as f32).view(), &[]);
            assert!((profile.entropy - (m as f64).ln()).abs() < 1e-5, "{n} x {m}: {profile:?}");
            assert!((profile.max_prob - 1.0 / m as f64).abs() < 1e-7);
            assert!(profile.logit_sd < 1e-3 && profile.rank1_residual < 1e-5 && profile.row_sum_drift < 1e-5);
        }
    }

    /// Against sums written out in f64.
    #[test]
    fn figures_equal_their_definitions() {
        let a =
            Array2::from_shape_fn(
                (19, 37),
                |(i, j)| if (i + j) % 5 == 0 { 0.0 } else { 1.0 / (1 + i * j) as f32 },
            );
        let profile = RowProfile::of(a.view(), &[]);
        let (mut entropy, mut squares, mut freedom) = (0.0, 0.0, 0.0);
        for row in a.rows() {
            let logs: Vec<f64> = row.iter().filter(|p| **p > 0.0).map(|p| f64::from(*p).ln()).collect();
            entropy -=
                row.iter().filter(|p| **p > 0.0).map(|p| f64::from(*p) * f64::from(*p).ln()).sum::<f64>();
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            squares += logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>();
            freedom += logs.len() as f64 - 1.0;
        }
        assert!((profile.entropy - entropy / 19.0).abs() < 1e-5);
        assert!((profile.logit_sd - (squares / freedom).sqrt()).abs() < 1e-5);
    }

    /// A sink of many rows: the residual without the mean row is far below the rounding error of an f32 sum.
    #[test]
    fn the_residual_of_a_sink_is_that_of_f64() {
        let (n, m) = (3000, 5);
        let a = Array2::from_shape_fn((n, m), |(i, j)| {
            let rest = 1e-5 * (1.0 + 0.5 * ((i * 7 + j) as f32).sin());
            if j == 0 { 1.0 - 4.0 * rest } else { rest }
        });
        let mean: Vec<f64> =
            (0..m).map(|j| a.column(j).iter().map(|x| f64::from(*x)).sum::<f64>() / n as f64).collect();
        let norm = |entry: &dyn Fn(usize, usize) -> f64| {
            let row = (0..n).map(|i| (0..m).map(|j| entry(i, j).abs()).sum::<f64>()).fold(0.0, f64::max);
            let column = (0..m).map(|j| (0..n).map(|i| entry(i, j).abs()).sum::<f64>()).fold(0.0, f64::max);
            (row * column).sqrt()
        };
        let exact = norm(&|i, j| f64::from(a[[i, j]]) - mean[j]) / norm(&|i, j| f64::from(a[[i, j]]));
        let found = RowProfile::of(a.view(), &[]).rank1_residual;
        assert!((found / exact - 1.0).abs() < 1e-3, "{found:e} for {exact:e}");
    }

    #[test]
    fn the_residual_of_a_small_matrix_by_hand() {
        // Mean row (0.5, 0.5); distances are 0.5 everywhere: column and row sums 1 and 1, of 1 and 1.
        let profile = RowProfile::of(array![[1.0, 0.0], [0.0, 1.0]].view(), &[]);
        assert_eq!((profile.rank1_residual, profile.max_prob, profile.entropy), (1.0, 1.0, 0.0));
    }

    /// Known rows: all weight on the first key, on the own key, on the key before, on the last.
    #[test]
    fn places_of_weights_by_hand() {
        let n = 200;
        let of = |key: &dyn Fn(usize) -> usize| {
            let a = Array2::from_shape_fn((n, n), |(i, j)| if j == key(i) { 1.0 } else { 0.0 });
            RowProfile::of(a.view(), &[1])
        };
        let sink = of(&|_| 0);
        assert_eq!((sink.first, sink.first_four, sink.keys, sink.top[0]), (1.0, 1.0, [1.0; 4], (1, 1.0)));
        let positions = |own, near, distance| Some(Positions { own, near, distance });
        assert_eq!(sink.positions, positions(1.0 / 200.0, 64.0 / 200.0, 99.5));
        assert_eq!(of(&|i| i).positions, positions(1.0, 1.0, 0.0));
        assert_eq!(of(&|i| (i + 63).min(n - 1)).positions.unwrap().near, 1.0);
        let outside = of(&|i| if i < 100 { i + 64 } else { i - 64 });
        assert_eq!(outside.positions, positions(0.0, 0.0, 64.0));
        assert_eq!((outside.first, of(&|_| 3).first_four, of(&|_| 4).first_four), (0.0, 1.0, 0.0));
    }

    #[test]
    fn rows_of_zeros_are_padding_and_rows_below_1_have_shares_of_their_own_mass() {
        let a = array![[0.25, 0.0, 0.25], [0.0, 0.0, 0.0], [0.0, 0.5, 0.0]];
        let found = RowProfile::of(a.view(), &[1, 2]);
        assert_eq!((found.first, found.max_prob), (0.125, 0.375));
        assert_eq!(found.positions, Some(Positions { own: 0.125, near: 0.5, distance: 1.0 }));
        assert_eq!((found.keys, found.top), ([1.0, 1.5, 1.5, 1.5], vec![(1, 0.75), (2, 1.0)]));
        assert_eq!(RowProfile::of(a.slice(s![..2, ..]), &[]).positions, None, "more keys than queries");
    }

    /// Every figure of every mask and shape, to 1e-6; to the bit for any number of threads.
    #[test]
    fn tiles_have_the_figures_of_the_matrix() {
        for (n, m) in [(1, 1), (64, 64), (700, 700), (2100, 130), (130, 2100)] {
            for window in [usize::MAX, 90] {
                let mut a = normal(&mut stream(7, "tiles"), n, m).mapv(|x| (1.5 * x).exp());
                a.indexed_iter_mut()
                    .filter(|((i, j), _)| window < m && (j > i || i - j > window))
                    .for_each(|(_, x)| *x = 0.0);
                a.rows_mut().into_iter().for_each(|mut row| {
                    let sum = row.sum();
                    row.mapv_inplace(|x| if sum > 0.0 { x / sum } else { 0.0 });
                });
                let of = |threads: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    pool.install(|| RowProfile::of_operator(&a, &[3, 40], &|_| Ok(())).unwrap())
                };
                let (whole, tiles) = (RowProfile::of(a.view(), &[3, 40]), of(1));
                assert_eq!(tiles, of(3), "{n} x {m}");
                assert_eq!((whole.positive, whole.positions.is_some()), (tiles.positive, n == m));
                for (whole, tiles) in figures(&whole).zip(figures(&tiles)) {
                    assert!(
                        (whole - tiles).abs() <= 1e-6 * whole.abs().max(1.0),
                        "{n} x {m}: {whole} {tiles}"
                    );
                }
            }
        }
    }

    fn figures(rows: &RowProfile) -> impl Iterator<Item = f64> {
        let Positions { own, near, distance } = rows.positions.unwrap_or_default();
        let one =
            [rows.entropy, rows.max_prob, rows.logit_sd, rows.rank1_residual, rows.row_sum_drift, rows.first];
        let places = [rows.first_four, own, near, distance];
        let top: Vec<f64> = rows.top.iter().map(|(_, top)| *top).collect();
        one.into_iter().chain(places).chain(rows.keys).chain(top)
    }

    #[test]
    fn a_pass_over_tiles_ends_where_it_is_asked_to() {
        let tiles = std::sync::atomic::AtomicUsize::new(0);
        let ended = |after: usize| {
            tiles.store(0, std::sync::atomic::Ordering::Relaxed);
            let on_rows = |_| match tiles.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                before if before < after => Ok(()),
                _ => Err(crate::error::Error::Interrupted),
            };
            RowProfile::of_operator(&Array2::zeros((5000, 3)), &[], &on_rows)
        };
        // Both passes have 79 tiles.
        for after in [0, 1, 78, 79, 157] {
            assert!(matches!(ended(after), Err(crate::error::Error::Interrupted)), "{after}");
        }
        assert!(ended(158).is_ok());
    }
}
