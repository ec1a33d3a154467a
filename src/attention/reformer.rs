//! Reformer (Kitaev et al. 2020): queries meet the keys that a locality-sensitive hash puts into their bucket.
//!
//! A round of hashing is `h(x) = argmax [x R; -x R]` with R drawn (`d_h`, buckets / 2). Positions are sorted by bucket,
//! then by place, and cut into chunks; a query sees the keys of its bucket in its own chunk and in the one before
//! (section 2, equations 3 to 5). With several rounds it sees the union of what it sees in each, every key once: the
//! paper's log-sum-exp over rounds with its counts `N_ij` comes to one softmax over that union, and so it is done here.
//!
//! With shared queries and keys (`shared=true`, the paper's form) the given keys are not used: key j is `q_j / |q_j|`,
//! and a query sees itself only if it sees nothing else. With `shared=false` queries and keys are hashed by the same
//! rotations and sorted apart, and a query always sees the key of its own position: buckets of queries and of keys
//! differ in size, and a query could otherwise see nothing.
//!
//! Chunks have a fixed size, so the cost is that of chunks with the other buckets masked inside them, as in the
//! published codes. No causal form: the paper hides later positions, but which keys share a chunk with a query depends
//! on tokens after it. The Long Range Arena's code multiplies logits by sqrt(`d_h`) and lets all buckets of a chunk
//! see each other; both are left to it.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};

use super::reference::work::Work;
use super::{Input, Kind, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::linalg::softmax::softmax_rows;
use crate::name::{Param, Params};
use crate::rng::{Rng, normal};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "reformer",
    about: "each query sees the keys that a random hash puts into its bucket, in sorted chunks",
    equation: "softmax over j with h(k_j) = h(q_i), \
               chunk of j = chunk of i or the one before; h(x) = argmax [x R; -x R]",
    paper: "Kitaev et al. 2020",
    takes: &[
        Param { name: "buckets", default: Some("8"), about: "buckets of a hash; even" },
        Param { name: "hashes", default: Some("1"), about: "rounds of hashing" },
        Param {
            name: "chunk",
            default: Some("0"),
            about: "positions a chunk; 0 is the paper's 2n / buckets",
        },
        Param {
            name: "shared",
            default: Some("true"),
            about: "true: keys are the queries, normalised; false: the given keys",
        },
    ],
    full: Under::Honoured,
    causal: Under::Refused("local"),
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

/// More buckets than any sequence needs; a typing error must not draw rotations until the memory is full.
const MAX_BUCKETS: usize = 65_536;

struct Reformer {
    buckets: usize,
    hashes: usize,
    chunk: usize,
    shared: bool,
    rng: Rng,
}

fn build(params: &Params<'_>, origin: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let buckets: usize = params.get("buckets")?;
    if buckets % 2 == 1 || !(2..=MAX_BUCKETS).contains(&buckets) {
        return Err(params.refuse("buckets", &buckets, &format!("an even number, 2 to {MAX_BUCKETS}")));
    }
    let hashes = params.within("hashes", 1, 1024)?;
    let (chunk, shared) = (params.get("chunk")?, params.get("shared")?);
    let rng = origin.stream(&format!("reformer rotations {buckets}"));
    Ok(Box::new(Reformer { buckets, hashes, chunk, shared, rng }))
}

/// One round of hashing.
struct Round {
    /// Buckets of queries and of keys.
    buckets: (Vec<usize>, Vec<usize>),
    /// Chunks of queries and of keys.
    chunks: (Vec<usize>, Vec<usize>),
    /// Keys by bucket, then by place.
    sorted: Vec<usize>,
}

impl Round {
    fn new(buckets: (Vec<usize>, Vec<usize>), chunk: usize) -> Self {
        let sorted = |buckets: &[usize]| {
            let mut order: Vec<usize> = (0..buckets.len()).collect();
            order.sort_by_key(|i| buckets[*i]);
            order
        };
        let chunks = |order: &[usize]| {
            let mut chunks = vec![0; order.len()];
            order.iter().enumerate().for_each(|(place, i)| chunks[*i] = place / chunk);
            chunks
        };
        let (queries, sorted) = (sorted(&buckets.0), sorted(&buckets.1));
        Self { chunks: (chunks(&queries), chunks(&sorted)), buckets, sorted }
    }

    /// The keys of the query's chunk and of the one before.
    fn near(&self, i: usize, chunk: usize) -> &[usize] {
        let c = self.chunks.0[i];
        &self.sorted[c.saturating_sub(1) * chunk..((c + 1) * chunk).min(self.sorted.len())]
    }

    /// Whether query i meets key j: the same bucket, in its chunk or the one before.
    fn meets(&self, i: usize, j: usize) -> bool {
        let (own, other) = (self.chunks.0[i], self.chunks.1[j]);
        self.buckets.0[i] == self.buckets.1[j] && (own == other || own == other + 1)
    }
}

impl Reformer {
    /// Positions a chunk at length n.
    fn chunk(&self, n: usize) -> usize {
        if self.chunk == 0 { (2 * n).div_ceil(self.buckets) } else { self.chunk.min(n) }
    }

    /// The keys: the given ones, or the queries at length 1.
    fn keys(&self, input: &Input<'_>, work: &mut Work) -> Result<Array2<f32>> {
        let (n, m) = (input.q.nrows(), input.k.nrows());
        if n != m {
            return Err(Error::Shape {
                what: "keys of attention 'reformer'".into(),
                found: input.k.shape().to_vec(),
                expected: format!("as many as queries, {n}: it is self-attention"),
            });
        }
        if !self.shared {
            return Ok(input.k.to_owned());
        }
        work.count(norms(n, input.q.ncols()));
        let mut keys = input.q.to_owned();
        for mut key in keys.rows_mut() {
            let norm = key.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            if norm > 0.0 {
                key /= norm as f32;
            }
        }
        Ok(keys)
    }

    /// All rounds of hashing.
    fn rounds(&self, q: ArrayView2<'_, f32>, keys: ArrayView2<'_, f32>, work: &mut Work) -> Vec<Round> {
        let chunk = self.chunk(q.nrows());
        let mut rng = self.rng.clone();
        let mut round = || {
            let rotation = normal(&mut rng, q.ncols(), self.buckets / 2);
            let queries = hash(q, rotation.view(), work);
            // The length of a row does not change its bucket: shared keys are where their queries are.
            let keys = if self.shared { queries.clone() } else { hash(keys, rotation.view(), work) };
            Round::new((queries, keys), chunk)
        };
        (0..self.hashes).map(|_| round()).collect()
    }

    /// The keys that are compared with query i, round after round, and whether it sees them: each at most once.
    fn candidates(&self, i: usize, rounds: &[Round]) -> Vec<(usize, bool)> {
        let chunk = self.chunk(rounds.first().map_or(1, |round| round.sorted.len()));
        let mut found = if self.shared { Vec::new() } else { vec![(i, true)] };
        for (number, round) in rounds.iter().enumerate() {
            let before = &rounds[..number];
            let seen =
                |j: usize| i != j && round.meets(i, j) && !before.iter().any(|round| round.meets(i, j));
            found.extend(round.near(i, chunk).iter().map(|&j| (j, seen(j))));
        }
        if found.iter().all(|(_, seen)| !seen)
            && let Some((_, seen)) = found.iter_mut().find(|(j, _)| *j == i)
        {
            *seen = true;
        }
        found
    }
}

/// The bucket of each row, `argmax [x R; -x R]`.
fn hash(x: ArrayView2<'_, f32>, rotation: ArrayView2<'_, f32>, work: &mut Work) -> Vec<usize> {
    let largest = |row: ArrayView1<'_, f32>| {
        let both = row.iter().copied().chain(row.iter().map(|x| -x)).enumerate();
        both.reduce(|a, b| if b.1 > a.1 { b } else { a }).map_or(0, |(bucket, _)| bucket)
    };
    work.product(x, rotation).rows().into_iter().map(largest).collect()
}

/// The norms of n rows, and the rows divided by them.
fn norms(n: usize, d_h: usize) -> Cost {
    Cost::product(n, d_h, 1) + Cost::divs(n)
}

impl Mechanism for Reformer {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let keys = self.keys(input, work)?;
        let mut out = Array2::zeros((input.q.nrows(), v.ncols()));
        let rounds = self.rounds(input.q, keys.view(), work);
        for (i, mut row) in out.rows_mut().into_iter().enumerate() {
            let candidates = self.candidates(i, &rounds);
            let at: Vec<usize> = candidates.iter().map(|(j, _)| *j).collect();
            let (k, v) = (keys.select(Axis(0), &at), v.select(Axis(0), &at));
            let mut logits = work.scaled(input.q.slice(s![i..=i, ..]), k.t(), input.scale);
            for (logit, (_, seen)) in logits.iter_mut().zip(&candidates) {
                if !seen {
                    *logit = f32::NEG_INFINITY;
                }
            }
            let weights = work.softmax(logits);
            row.assign(&work.product(weights.view(), v.view()).row(0));
        }
        Ok(out)
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let mut work = Work::default();
        let keys = self.keys(input, &mut work)?;
        let mut a = work.scaled(input.q, keys.t(), input.scale);
        let rounds = self.rounds(input.q, keys.view(), &mut work);
        for (i, mut row) in a.rows_mut().into_iter().enumerate() {
            let mut open = row.mapv(|_| f32::NEG_INFINITY);
            for (j, _) in self.candidates(i, &rounds).into_iter().filter(|(_, seen)| *seen) {
                open[j] = row[j];
            }
            row.assign(&open);
        }
        softmax_rows(a.view_mut());
        Ok(a)
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let Shape { n, d_h, d_v, .. } = *shape;
        let chunk = self.chunk(n);
        // Each chunk stands before itself and the one before it.
        let (whole, rest) = (n / chunk, n % chunk);
        let lookback = if whole == 0 { 0 } else { (whole - 1) * chunk * chunk + rest * chunk };
        let pairs = self.hashes * (whole * chunk * chunk + rest * rest + lookback);
        let hash = Cost::product(n, d_h, self.buckets / 2) * self.hashes;
        let (before, pairs) = if self.shared { (norms(n, d_h) + hash, pairs) } else { (hash * 2, pairs + n) };
        before + Cost::product(pairs, d_h, 1) + Cost::softmax(n, pairs) + Cost::product(pairs, 1, d_v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Mask;
    use crate::rng::stream;
    use ndarray::concatenate;

    fn reformer(buckets: usize, hashes: usize, chunk: usize, shared: bool) -> Reformer {
        Reformer { buckets, hashes, chunk, shared, rng: stream(4, "reformer") }
    }

    /// Which keys have any weight.
    fn seen(reformer: &Reformer, x: &Array2<f32>) -> Array2<bool> {
        let a = reformer.matrix(&Input::new(x.view(), x.view(), Mask::Full)).unwrap();
        a.mapv(|x| x > 0.0)
    }

    #[test]
    fn chunks_that_hold_everything_leave_the_paper_s_buckets() {
        let x = normal(&mut stream(5, "reformer"), 50, 6);
        let mut both = Array2::from_elem((50, 50), false);
        let mut rng = stream(4, "reformer");
        for _ in 0..2 {
            let transposed = x.dot(&normal(&mut rng, 6, 2));
            let transposed = concatenate(Axis(1), &[transposed.view(), (-&transposed).view()]).unwrap();
            let bucket = |i: usize| {
                let row = transposed.row(i);
                (0..4).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap()
            };
            both.indexed_iter_mut().for_each(|((i, j), seen)| *seen |= i != j && bucket(i) == bucket(j));
        }
        assert_eq!(seen(&reformer(4, 2, 50, true), &x), both);
    }

    #[test]
    fn one_token_to_a_chunk_sees_its_neighbour_or_itself() {
        let x = normal(&mut stream(6, "reformer"), 30, 4);
        let found = seen(&reformer(2, 1, 1, true), &x);
        for (i, row) in found.rows().into_iter().enumerate() {
            assert_eq!(row.iter().filter(|seen| **seen).count(), 1, "query {i}");
        }
        // The first of each of the two buckets has nobody before it.
        assert_eq!((0..30).filter(|i| found[[*i, *i]]).count(), 2);
    }

    #[test]
    fn keys_of_their_own_are_hashed_as_queries_are() {
        let x = normal(&mut stream(7, "reformer"), 40, 4);
        let mut shared = seen(&reformer(4, 1, 6, true), &x);
        shared.diag_mut().fill(true);
        assert_eq!(seen(&reformer(4, 1, 6, false), &x), shared);
    }
}
