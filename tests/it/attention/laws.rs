//! What holds for every mechanism of the list, at odd shapes.

mod causal;
mod cost;
mod matrix;
mod origin;
mod padding;
mod refusals;
mod sparse;

use luna::attention::{ALL, Attention, Input, Mask, Origin, Under};
use luna::cost::Shape;
use luna::error::Error;
use luna::rng::{normal, stream};
use ndarray::Array2;

/// A mechanism to put under the laws, and whether another label of its origin gives other numbers.
struct Case {
    spec: &'static str,
    draws: bool,
}

const fn drawn(spec: &'static str) -> Case {
    Case { spec, draws: true }
}

const fn fixed(spec: &'static str) -> Case {
    Case { spec, draws: false }
}

/// Every mechanism with its defaults, and with what changes its form.
const CASES: &[Case] = &[
    fixed("softmax"),
    drawn("luna"),
    drawn("luna:l=3"),
    fixed("luna:p=segment"),
    drawn("luna:p=kmeans"),
    drawn("luna-causal"),
    drawn("luna-causal:l=3"),
    drawn("luna-causal:weight=elu"),
    drawn("luna-causal:decay=0.9"),
    drawn("linformer"),
    drawn("linformer:l=3"),
    fixed("linformer:e=segment"),
    fixed("linformer:e=svd"),
    fixed("linear"),
    drawn("performer"),
    drawn("performer:l=8"),
    fixed("nystrom"),
    fixed("nystrom:l=3"),
    fixed("local"),
    fixed("local:l=1"),
    fixed("local:l=7"),
    fixed("longformer"),
    fixed("longformer:l=4,global=3"),
    fixed("longformer:l=4,global=0"),
    fixed("sink-window:l=7"),
    fixed("sink-window:l=6,sink=1"),
    fixed("sink-window:l=3,sink=3"),
    fixed("sink-window:l=3"),
    fixed("sparse"),
    fixed("sparse:stride=4"),
    fixed("sparse:kind=fixed"),
    fixed("sparse:kind=fixed,stride=6,c=2"),
    drawn("bigbird:block=4,global=0,random=1"),
    drawn("bigbird:block=3,window=1,global=1,random=2"),
    fixed("bigbird:block=4,random=0"),
    fixed("bigbird"), // at these shapes window and global blocks leave nothing to draw
    fixed("block-top-k:l=8,block=3"),
    fixed("block-top-k:l=2,block=4"),
    fixed("vertical-slash:l=7,probe=5"),
    fixed("vertical-slash:l=1"),
    drawn("reformer"),
    drawn("reformer:hashes=3,buckets=4"),
    drawn("reformer:chunk=3,buckets=2,hashes=2"),
    drawn("reformer:shared=false,hashes=2"),
    fixed("sinkhorn"),
    fixed("sinkhorn:block=7,iterations=0"),
    fixed("sinkhorn:block=4"),
    drawn("synthesizer"),
    drawn("synthesizer:kind=factorised"),
    drawn("synthesizer:kind=factorised,l=2,max=64"),
    fixed("svd"),
    fixed("svd:l=3"),
    fixed("top-k:l=1"),
    fixed("top-k:l=7"),
    fixed("top-k:l=7,renormalise=false"),
    fixed("top-p"),
    fixed("top-p:mass=0.4"),
    fixed("sparse-low-rank:l=6,rank=3"),
    fixed("sparse-low-rank:l=6,sink=0,rank=0"),
];

/// Mechanisms of self-attention: they have no form for n != m, and say so.
const SQUARE_ONLY: &[&str] = &["reformer", "sinkhorn"];

/// (n, m).
const LENGTHS: &[(usize, usize)] = &[(1, 1), (7, 5), (5, 7), (33, 64), (64, 33), (40, 40)];

/// (`d_h`, `d_v`).
const WIDTHS: &[(usize, usize)] = &[(4, 3), (8, 5)];

const MASKS: [Mask; 2] = [Mask::Full, Mask::Causal];

/// Queries, keys and values of one head.
#[derive(Clone)]
struct Given {
    q: Array2<f32>,
    k: Array2<f32>,
    v: Array2<f32>,
    mask: Mask,
}

impl Given {
    /// Standard normal ones.
    fn normal((n, m): (usize, usize), (d_h, d_v): (usize, usize), mask: Mask) -> Self {
        let mut rng = stream(11, &format!("laws {n} {m} {d_h} {d_v}"));
        let (q, k, v) = (normal(&mut rng, n, d_h), normal(&mut rng, m, d_h), normal(&mut rng, m, d_v));
        Self { q, k, v, mask }
    }

    fn input(&self) -> Input<'_> {
        Input::new(self.q.view(), self.k.view(), self.mask)
    }

    fn shape(&self) -> Shape {
        self.input().shape(self.v.ncols())
    }

    fn forward(&self, attention: &Attention) -> Array2<f32> {
        let out = attention.forward(&self.input(), self.v.view());
        out.unwrap_or_else(|error| panic!("{attention:?}, {:?}: {error}", self.shape()))
    }

    fn matrix(&self, attention: &Attention) -> Array2<f32> {
        let matrix = attention.matrix(&self.input());
        matrix.unwrap_or_else(|error| panic!("{attention:?}, {:?}: {error}", self.shape()))
    }
}

fn name_of(spec: &str) -> &str {
    spec.split(':').next().unwrap_or(spec)
}

fn is_known(case: &Case) -> bool {
    ALL.iter().any(|kind| kind.name == name_of(case.spec))
}

/// The cases above, and every mechanism of the registry that is not among them with its defaults.
fn cases() -> impl Iterator<Item = Case> {
    let listed = CASES.iter().map(|case| Case { spec: case.spec, draws: case.draws });
    let others = ALL.iter().filter(|kind| CASES.iter().all(|case| name_of(case.spec) != kind.name));
    listed.chain(others.map(|kind| fixed(kind.name)))
}

/// The mechanism of a spec whose pieces belong to `label`.
fn built(spec: &str, label: &str) -> Attention {
    let origin = Origin { seed: 5, label, learned: None };
    let spec = spec.parse().unwrap_or_else(|error| panic!("{spec}: {error}"));
    Attention::build(&spec, &origin).unwrap_or_else(|error| panic!("{spec}: {error}"))
}

/// Puts every case under `law`, at every shape and under every mask that it does not refuse.
fn walk(mut law: impl FnMut(&Attention, Given)) {
    for case in cases() {
        let attention = built(case.spec, "laws");
        for &lengths in LENGTHS {
            for (&widths, mask) in WIDTHS.iter().flat_map(|widths| MASKS.map(|mask| (widths, mask))) {
                if matches!(attention.kind().under(mask), Under::Refused(_)) {
                    continue;
                }
                let given = Given::normal(lengths, widths, mask);
                if has_form(&attention, &given) {
                    law(&attention, given);
                }
            }
        }
    }
}

/// Whether it takes these lengths; only mechanisms of self-attention may refuse any, and only n != m.
fn has_form(attention: &Attention, given: &Given) -> bool {
    let square_only = SQUARE_ONLY.contains(&attention.kind().name);
    if !square_only || given.q.nrows() == given.k.nrows() {
        return true;
    }
    for refused in [
        attention.forward(&given.input(), given.v.view()).map(|_| ()),
        attention.matrix(&given.input()).map(|_| ()),
    ] {
        assert!(matches!(refused, Err(Error::Shape { .. })), "{attention:?}: {refused:?}");
    }
    false
}

#[test]
fn every_case_is_a_mechanism() {
    for case in CASES {
        assert!(is_known(case), "{} is in no list", case.spec);
    }
}
