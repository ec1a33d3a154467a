//! Synthetic heads: attention patterns with known spectra; [`ALL`] lists them.
//!
//! # How to add a synthetic head
//! A function that draws it and an entry of [`ALL`]. It is then an input of every study, a line of `luna list` and a case of
//! the tests over the list.

use ndarray::Array2;

use crate::error::Result;
use crate::name::{Param, Params, Spec};
use crate::rng::{Rng, normal, stream};

/// A drawn head; the caller applies the mask and the softmax.
#[derive(Clone, Debug)]
pub enum Draw {
    /// Queries, keys and values (n, `d_h`) and the factor on the products of queries and keys.
    Heads {
        /// Queries, shape (n, `d_h`).
        q: Array2<f32>,
        /// Keys, shape (n, `d_h`).
        k: Array2<f32>,
        /// Values, shape (n, `d_h`): independent standard normal values.
        v: Array2<f32>,
        /// The factor on `q k^T`.
        scale: f64,
    },
    /// Logits (n, n).
    Logits(Array2<f64>),
    /// Non-negative weights (n, n); the rows are normalised to sum 1.
    Weights(Array2<f64>),
}

/// An entry of the list.
pub struct Synthetic {
    /// The name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its parameters with defaults.
    pub takes: &'static [Param],
    /// Whether two draws differ.
    pub random: bool,
    draw: fn(&Params<'_>, usize, &mut Rng) -> Result<Draw>,
}

const fn param(name: &'static str, default: &'static str, about: &'static str) -> Param {
    Param { name, default: Some(default), about }
}

const LOGIT_SD: Param = param("logit_sd", "1", "standard deviation of the logits, above 0");

/// Every synthetic head.
pub const ALL: &[Synthetic] = &[
    // random, then fixed
    Synthetic {
        name: "gaussian",
        about: "softmax of Gaussian queries and keys: an untrained head of this width and temperature",
        takes: &[LOGIT_SD, param("d_h", "64", "head width")],
        random: true,
        draw: gaussian,
    },
    Synthetic {
        name: "iid",
        about: "softmax of independent Gaussian logits: no head bottleneck",
        takes: &[LOGIT_SD],
        random: true,
        draw: |params, n, rng| {
            let sd = positive(params, "logit_sd")?;
            Ok(Draw::Logits(normal(rng, n, n).mapv(|x| f64::from(x) * sd)))
        },
    },
    Synthetic {
        name: "rank",
        about: "product of two random row-stochastic factors (n, r) and (r, n): rank r exactly",
        takes: &[param("r", "8", "rank, at most n")],
        random: true,
        draw: low_rank,
    },
    Synthetic {
        name: "local",
        about: "uniform over a window of w tokens around each token",
        takes: &[param("w", "17", "window width in tokens, odd")],
        random: false,
        draw: |params, n, _| {
            let w = params.at_least("w", 1_usize)?;
            if w % 2 == 0 {
                return Err(params.refuse("w", &w, "an odd number: the token and as many on either side"));
            }
            Ok(Draw::Weights(Array2::from_shape_fn((n, n), |(i, j)| {
                f64::from(u8::from(i.abs_diff(j) <= w / 2))
            })))
        },
    },
    Synthetic {
        name: "locality",
        about: "weights exp(-distance^2 / (2 sd^2)) of the distance between tokens",
        takes: &[param("sd", "8", "standard deviation in tokens, above 0")],
        random: false,
        draw: |params, n, _| {
            let sd = positive(params, "sd")?;
            let log_weight = |(i, j): (usize, usize)| -0.5 * (i.abs_diff(j) as f64 / sd).powi(2);
            Ok(Draw::Logits(Array2::from_shape_fn((n, n), log_weight)))
        },
    },
    Synthetic {
        name: "causal-mean",
        about: "every token averages all tokens up to itself",
        takes: &[],
        random: false,
        draw: |_, n, _| {
            Ok(Draw::Weights(Array2::from_shape_fn((n, n), |(i, j)| f64::from(u8::from(j <= i)))))
        },
    },
    Synthetic {
        name: "uniform",
        about: "every token averages all tokens: rank 1",
        takes: &[],
        random: false,
        draw: |_, n, _| Ok(Draw::Weights(Array2::ones((n, n)))),
    },
    Synthetic {
        name: "identity",
        about: "every token attends to itself: full rank, all singular values 1",
        takes: &[],
        random: false,
        draw: |_, n, _| Ok(Draw::Weights(Array2::eye(n))),
    },
];

impl Synthetic {
    /// The entry that a spec names, with its parameters checked.
    pub fn find(spec: &Spec) -> Result<&'static Self> {
        let synthetic = crate::name::find("synthetic input", &spec.name, ALL, |synthetic| synthetic.name)?;
        // Values are checked by drawing a small head.
        synthetic.draw(spec, 16, 0, 0).map(|_| synthetic)
    }

    /// Draw number `index` of length n; the random stream depends on the spec, the length, the index and the seed only.
    pub fn draw(&self, spec: &Spec, n: usize, index: usize, seed: u64) -> Result<Draw> {
        let params = spec.params("synthetic input", self.takes)?;
        (self.draw)(&params, n, &mut stream(seed, &format!("synthetic {spec} n {n} draw {index}")))
    }
}

fn gaussian(params: &Params<'_>, n: usize, rng: &mut Rng) -> Result<Draw> {
    let sd = positive(params, "logit_sd")?;
    let width = params.at_least("d_h", 1_usize)?;
    let (q, k) = (normal(rng, n, width), normal(rng, n, width));
    let v = normal(rng, n, width);
    Ok(Draw::Heads { q, k, v, scale: sd / (width as f64).sqrt() })
}

fn low_rank(params: &Params<'_>, n: usize, rng: &mut Rng) -> Result<Draw> {
    let r = params.at_least("r", 1_usize)?;
    let mut factor = |rows, cols| {
        let mut weights = normal(rng, rows, cols).mapv(|x| (2.0 * f64::from(x)).exp());
        for mut row in weights.rows_mut() {
            let sum = row.sum();
            row.mapv_inplace(|x| x / sum);
        }
        weights
    };
    Ok(Draw::Weights(factor(n, r.min(n)).dot(&factor(r.min(n), n))))
}

fn positive(params: &Params<'_>, name: &str) -> Result<f64> {
    let value: f64 = params.get(name)?;
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(params.refuse(name, &value, "a finite number above 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        text.parse().unwrap()
    }

    #[test]
    fn every_entry_draws_its_shape_the_same_twice() {
        for synthetic in ALL {
            let spec = spec(synthetic.name);
            for n in [1, 7, 33] {
                let show = |index| format!("{:?}", synthetic.draw(&spec, n, index, 5).unwrap());
                assert_eq!(show(0), show(0), "{}", synthetic.name);
                assert_eq!(synthetic.random && n > 1, show(0) != show(1) && n > 1, "{}", synthetic.name);
            }
        }
    }

    #[test]
    fn values_out_of_range_name_what_is_accepted() {
        for (text, part) in [
            ("local:w=4", "an odd number"),
            ("gaussian:logit_sd=-1", "above 0"),
            ("gaussian:logit_sd=nan", "a finite number"),
            ("rank:r=0", "1 or more"),
            ("local:width=3", "takes no parameter 'width'"),
            ("locl", "did you mean 'local'?"),
        ] {
            let message = Synthetic::find(&spec(text)).err().unwrap().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
