//! Synthesizer (Tay et al. 2020): attention whose logits are parameters and do not depend on the tokens.
//!
//! The random Synthesizer is `softmax(R) v`; in the factorised one `R = R_1 R_2^T` with `l` columns each. Queries and
//! keys are ignored. In the paper R is trained; drawn, as here, it shows how far a matrix without content gets:
//! the baseline of every mechanism that depends on its input. (The dense Synthesizer makes its logits from the layer's input,
//! which a mechanism on given heads does not see; the Long Range Arena's code adds dot products to R.)

use ndarray::{Array2, ArrayView2, s};

use super::reference::work::Work;
use super::{Input, Kind, Mechanism, Origin, Under};
use crate::cost::{Cost, Shape};
use crate::error::{Error, Result};
use crate::linalg::softmax::softmax_rows;
use crate::name::{Param, Params};
use crate::rng::{Rng, normal};

/// Its entry in the list.
pub(super) const KIND: Kind = Kind {
    name: "synthesizer",
    about: "logits that are drawn once and ignore queries and keys: a matrix without content",
    equation: "softmax(R) v; factorised: R = R_1 R_2^T",
    paper: "Tay et al. 2020 (Synthesizer)",
    takes: &[
        Param { name: "kind", default: Some("random"), about: "random or factorised" },
        Param { name: "l", default: Some("32"), about: "columns of R_1 and R_2 in the factorised form" },
        Param {
            name: "max",
            default: Some("512"),
            about: "longest input: R is max x max, the corner is used",
        },
    ],
    full: Under::Honoured,
    causal: Under::Honoured,
    stochastic: true,
    terms: &[],
    by_default: false,
    fit: None,
    build,
};

struct Synthesizer {
    /// Columns of the factors; none if the logits themselves are drawn.
    l: Option<usize>,
    max: usize,
    rng: Rng,
}

fn build(params: &Params<'_>, origin: &Origin<'_>) -> Result<Box<dyn Mechanism>> {
    let kind: String = params.get("kind")?;
    let l = params.at_least("l", 1)?;
    let max = params.at_least("max", 1)?;
    let (l, piece) = match kind.as_str() {
        "random" => (None, "synthesizer R".to_string()),
        "factorised" if l > max => return Err(params.refuse("l", &l, &format!("1 to max, {max}"))),
        "factorised" => (Some(l), format!("synthesizer R_1 R_2, l={l}")),
        _ => return Err(params.refuse("kind", &kind, "random or factorised")),
    };
    Ok(Box::new(Synthesizer { l, max, rng: origin.stream(&piece) }))
}

impl Synthesizer {
    /// The logits (1, visible keys) of each query, of variance 1: the corner of R.
    ///
    /// Every row of R has a stream of its own (every row of a factor its place in one), so that a longer input has the
    /// same numbers at the same places, and nothing outside the corner is drawn.
    fn logits(&self, input: &Input<'_>, work: &mut Work) -> Result<Vec<Array2<f32>>> {
        let (n, m) = (input.q.nrows(), input.k.nrows());
        if n.max(m) > self.max {
            return Err(Error::Tokens {
                what: "attention 'synthesizer'".into(),
                found: n.max(m),
                accepted: format!("its R is for {} at most (parameter 'max')", self.max),
            });
        }
        let drawn = |stream: usize, rows, columns| {
            let mut rng = self.rng.clone();
            rng.set_stream(stream as u64);
            normal(&mut rng, rows, columns)
        };
        let visible = |i| input.mask.visible(i, m);
        let Some(l) = self.l else {
            return Ok((0..n).map(|i| drawn(i, 1, visible(i))).collect());
        };
        let (r_1, r_2) = (drawn(0, n, l), drawn(1, m, l));
        let scale = (1.0 / (l as f64).sqrt()) as f32;
        let row = |i| work.scaled(r_1.slice(s![i..=i, ..]), r_2.slice(s![..visible(i), ..]).t(), scale);
        Ok((0..n).map(row).collect())
    }
}

impl Mechanism for Synthesizer {
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>> {
        let mut out = Array2::zeros((input.q.nrows(), v.ncols()));
        for (i, logits) in self.logits(input, work)?.into_iter().enumerate() {
            let weights = work.softmax(logits);
            let row = work.product(weights.view(), v.slice(s![..weights.ncols(), ..]));
            out.slice_mut(s![i..=i, ..]).assign(&row);
        }
        Ok(out)
    }

    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>> {
        let mut a = Array2::from_elem((input.q.nrows(), input.k.nrows()), f32::NEG_INFINITY);
        for (i, logits) in self.logits(input, &mut Work::default())?.into_iter().enumerate() {
            a.slice_mut(s![i..=i, ..logits.ncols()]).assign(&logits);
        }
        softmax_rows(a.view_mut());
        Ok(a)
    }

    fn cost(&self, shape: &Shape) -> Cost {
        let pairs = shape.pairs();
        let logits = self.l.map_or(Cost::default(), |l| Cost::product(pairs, l, 1));
        logits + Cost::softmax(shape.n, pairs) + Cost::product(pairs, 1, shape.d_v)
    }

    fn l(&self) -> Option<usize> {
        self.l
    }

    fn longest(&self) -> Option<usize> {
        Some(self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Mask;
    use crate::rng::stream;

    fn logits(l: Option<usize>, n: usize) -> Result<Array2<f32>> {
        let x = Array2::zeros((n, 2));
        let synthesizer = Synthesizer { l, max: 96, rng: stream(1, "synthesizer") };
        let rows = synthesizer.logits(&Input::new(x.view(), x.view(), Mask::Full), &mut Work::default())?;
        let rows: Vec<_> = rows.iter().map(|row| row.view()).collect();
        Ok(ndarray::concatenate(ndarray::Axis(0), &rows).unwrap())
    }

    #[test]
    fn logits_have_variance_1_and_one_corner_at_every_length() {
        for l in [None, Some(16)] {
            let r = logits(l, 96).unwrap();
            let sd = r.mapv(f64::from).std(0.0);
            assert!((sd - 1.0).abs() < 0.1, "{l:?}: {sd}");
            let far =
                (&logits(l, 40).unwrap() - &r.slice(s![..40, ..40])).fold(0.0_f32, |far, x| far.max(x.abs()));
            assert!(far < 1e-6, "{l:?}: {far}");
        }
    }

    #[test]
    fn a_longer_input_is_refused() {
        let error = logits(None, 97).unwrap_err().to_string();
        assert_eq!(error, "attention 'synthesizer': 97 tokens; its R is for 96 at most (parameter 'max')");
    }
}
