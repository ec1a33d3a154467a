//! One head over one window row by row, without an n x n array: mechanisms that read some of the keys, at lengths where the
//! matrices of the others would not fit.
//!
//! A tile of rows of the exact matrix is made once, every mechanism makes the same rows of its own from it, and the sums of
//! both go on to the next tile. The figures are those of the whole matrices to rounding; what needs a whole matrix (the best
//! one of a rank, spectral norms) is left out.

use ndarray::{Array2, s};

use super::candidate::Candidate;
use super::config::{Config, Stream};
use super::measure::{Comparison, Job, Measured, Price, Top, finite, top_k, values};
use crate::attention::{ALL, Attention, Chosen, Kind, Origin, Under, softmax};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product, product_into};
use crate::metric::{Output, PairSums, Reference};
use crate::study::input::{Head, HeadWindow, Source};

/// The longest length at which n x n arrays are made where nobody says otherwise and no mechanism needs them. Decomposing
/// one of 2048 takes some seconds, which grow by n^3.
const DENSE: usize = 2048;
/// Elements of a tile: what stays in a cache beside its copies.
const TILE: usize = 1 << 17;

/// The lengths of an input that are compared row by row; an error where that is asked of mechanisms that cannot.
pub(super) fn lengths(config: &Config, source: &dyn Source, all: &[Candidate]) -> Result<Vec<usize>> {
    let mut unable: Vec<&str> = all.iter().filter(|one| !one.streams()).map(|one| one.kind.name).collect();
    unable.dedup();
    let lengths = source.lengths().iter().copied();
    Ok(match config.stream {
        Stream::No => Vec::new(),
        Stream::Auto if !unable.is_empty() => Vec::new(),
        Stream::Auto => lengths.filter(|n| *n > DENSE).collect(),
        Stream::Yes if unable.is_empty() => lengths.collect(),
        Stream::Yes => {
            let able = ALL.iter().filter(|kind| !matches!(kind.under(source.mask()), Under::Refused(_)));
            let able: Vec<&str> = able.filter(|kind| streams(kind)).map(|kind| kind.name).collect();
            let accepted = format!("with --stream, which has no n x n arrays, {}", able.join(", "));
            return Err(Error::value("--mechanism", unable.join(", "), accepted));
        }
    })
}

fn streams(kind: &Kind) -> bool {
    Attention::plain(kind.name, None).is_ok_and(|attention| attention.choice().is_some())
}

/// A mechanism on the rows so far.
struct Running<'a> {
    chosen: Chosen<'a>,
    sums: PairSums,
    output: Array2<f32>,
}

impl Job<'_> {
    /// Every mechanism on a head, row by row.
    pub(super) fn streamed(&self, of: HeadWindow, head: &Head) -> Result<Measured> {
        let watch = self.context.watch;
        let (input, v) = head.projected()?;
        let ((n, m), shape) = (head.shape, input.shape(v.ncols()));
        let candidates: Vec<(usize, &Candidate)> =
            self.candidates.iter().enumerate().filter(|(_, one)| one.is_at(n)).collect();
        let origin = Origin { seed: self.context.seed, label: &head.label, learned: None };
        let tops = self.lengths.iter().copied().filter(|l| *l <= m);
        let tops: Vec<(usize, Attention)> = tops.map(|l| Ok((l, top_k(l)?))).collect::<Result<_>>()?;
        let built = candidates.iter().map(|(_, one)| Attention::build(&one.spec, &origin));
        let built: Vec<Attention> = built.collect::<Result<_>>()?;
        // What is named may be the best choice of keys itself.
        let mut all: Vec<&Attention> = tops.iter().map(|(_, top)| top).collect();
        let mut places = Vec::with_capacity(built.len());
        for attention in &built {
            let known = all.iter().position(|other| other.spec() == attention.spec());
            places.push(known.unwrap_or(all.len()));
            if known.is_none() {
                all.push(attention);
            }
        }
        let mut running = Vec::with_capacity(all.len());
        for attention in &all {
            attention.accepts(&input)?;
            let Some(choice) = attention.choice() else {
                return Err(Error::value(
                    "--stream",
                    attention.spec(),
                    "mechanisms that read some of the keys",
                ));
            };
            let output = Array2::zeros((n, v.ncols()));
            running.push(Running { chosen: choice.of(&input), sums: PairSums::default(), output });
        }
        let mut exact = Array2::zeros((n, v.ncols()));
        let rows = (TILE / m.max(1)).clamp(8, 64);
        for first in (0..n).step_by(rows) {
            watch.check()?;
            let queries = first..(first + rows).min(n);
            let tile = softmax::Tile::of(&input, queries.clone());
            let of_tile = s![queries, ..];
            let v = v.slice(s![tile.keys(), ..]);
            let o = product(tile.weights(), v, Threads::One);
            finite(head, o.iter().chain(tile.weights()))?;
            exact.slice_mut(of_tile).assign(&o);
            let mut reference = Reference::new(tile.weights().to_owned(), |row| tile.sees(row));
            for one in &mut running {
                let b = one.chosen.rows(&tile);
                product_into(one.output.slice_mut(of_tile), 0.0, b.view(), v, 1.0, Threads::One);
                one.sums += reference.sums(b).0;
            }
        }
        let exact = Output::new(exact);
        let found: Vec<Vec<Option<f64>>> = running
            .iter()
            .map(|one| values(&one.sums.profile(), &exact.compare(one.output.view())))
            .collect();
        let mut mechanisms = Vec::with_capacity(built.len());
        for (((at, candidate), attention), place) in candidates.into_iter().zip(&built).zip(places) {
            mechanisms.push(Comparison {
                candidate: at,
                role: self.fits.role(candidate, head.window),
                rank_bound: attention.rank(&shape),
                bounded: attention.bounds_rank(&shape),
                price: Some(Price::of(attention, &shape)),
                values: found[place].clone(),
                optimum: None,
            });
            watch.step(1, &head.label);
        }
        let top = tops.iter().zip(&found).map(|((l, _), values)| Top { l: *l, values: values.clone() });
        Ok(Measured { at: of, mechanisms, floor: Vec::new(), top: top.collect(), slots: None })
    }
}
