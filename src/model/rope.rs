//! Rotary positions (Su 2021): queries and keys are turned by angles that grow with their positions.

use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::config::Keys;
use crate::{Error, Result, name};

/// How a model turns its queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies: pair i of `d_h` / 2 turns by theta^(-2i / `d_h`) a position.
    pub theta: f64,
    /// How the frequencies are stretched for inputs longer than those first trained on.
    pub scaling: Scaling,
}

/// How rotary frequencies are stretched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scaling {
    /// Not at all (`default`).
    None,
    /// All divided by a factor (`linear`).
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Slow ones divided by a factor, fast ones kept, a ramp in between (`llama3`).
    Llama3 {
        /// The factor.
        factor: f64,
        /// Turns over the old length below which a frequency is slow.
        low: f64,
        /// Turns over the old length above which a frequency is fast.
        high: f64,
        /// The length first trained on, in tokens.
        old_positions: f64,
    },
}

const TYPES: [&str; 3] = ["default", "linear", "llama3"];

impl Rope {
    /// From `rope_parameters` (transformers 5), or from `rope_theta` and `rope_scaling` at the top.
    pub(super) fn read(keys: &Keys<'_>) -> Result<Self> {
        keys.only("partial_rotary_factor", &["1", "1.0"])?;
        let parameters = keys.section("rope_parameters")?;
        let section = match parameters {
            Some(section) => Some(section),
            None => keys.section("rope_scaling")?,
        };
        let theta = match &section {
            Some(section) if section.has("rope_theta") => section.positive("rope_theta")?,
            _ if keys.has("rope_theta") => keys.positive("rope_theta")?,
            _ => 10_000.0,
        };
        let scaling = section.map_or(Ok(Scaling::None), |section| Scaling::read(&section))?;
        Ok(Self { theta, scaling })
    }

    /// Angle by which each of the `d_h` / 2 pairs turns a position, in radians.
    pub fn frequencies(&self, d_h: usize) -> Vec<f64> {
        let plain = |i: usize| self.theta.powf(-((2 * i) as f64) / d_h as f64);
        (0..d_h / 2).map(|i| self.scaling.stretch(plain(i))).collect()
    }

    /// Turns each row (a position, from 0) of heads of width `d_h` that stand side by side, shape (n, heads `d_h`).
    ///
    /// Number i of a head is paired with number i + `d_h` / 2, as in Hugging Face's files.
    pub(super) fn turn(&self, mut x: ArrayViewMut2<'_, f32>, d_h: usize) {
        let frequencies = self.frequencies(d_h);
        let rows = x.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
        rows.for_each(|(position, mut row)| {
            let turn = |frequency: &f64| {
                let (sin, cos) = (frequency * position as f64).sin_cos();
                (sin as f32, cos as f32)
            };
            let turns: Vec<(f32, f32)> = frequencies.iter().map(turn).collect();
            for mut head in row.exact_chunks_mut(d_h) {
                for (i, (sin, cos)) in turns.iter().enumerate() {
                    let (a, b) = (head[i], head[i + d_h / 2]);
                    head[i] = a * cos - b * sin;
                    head[i + d_h / 2] = b * cos + a * sin;
                }
            }
        });
    }
}

impl Scaling {
    fn read(section: &Keys<'_>) -> Result<Self> {
        // Files before transformers 4.43 say `type`.
        let kind = section.name("rope_type", section.name("type", "default")?)?;
        match kind {
            "default" => Ok(Self::None),
            "linear" => Ok(Self::Linear { factor: section.positive("factor")? }),
            "llama3" => {
                let (low, high) =
                    (section.positive("low_freq_factor")?, section.positive("high_freq_factor")?);
                if low >= high {
                    return Err(
                        section.wrong("low_freq_factor", format!("less than high_freq_factor = {high}"))
                    );
                }
                let old_positions = section.positive("original_max_position_embeddings")?;
                Ok(Self::Llama3 { factor: section.positive("factor")?, low, high, old_positions })
            }
            other => Err(Error::UnknownName {
                kind: "rope type",
                name: other.to_string(),
                suggestion: name::suggest(other, TYPES),
                known: TYPES.map(String::from).to_vec(),
            }),
        }
    }

    fn stretch(self, frequency: f64) -> f64 {
        match self {
            Self::None => frequency,
            Self::Linear { factor } => frequency / factor,
            Self::Llama3 { factor, low, high, old_positions } => {
                let turns = old_positions * frequency / std::f64::consts::TAU;
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0);
                frequency * (kept + (1.0 - kept) / factor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn a_dot_product_depends_on_the_distance_only() {
        let rope = Rope { theta: 100.0, scaling: Scaling::None };
        let row = [0.3, -0.7, 1.1, 0.4, 0.2, 0.9];
        let mut x = Array2::from_shape_fn((12, 6), |(_, j)| row[j]);
        rope.turn(x.view_mut(), 6);
        let dot = |i: usize, j: usize| x.row(i).dot(&x.row(j));
        assert!((dot(0, 3) - dot(8, 11)).abs() < 1e-5);
        assert!((dot(0, 3) - dot(0, 4)).abs() > 1e-3);
    }

    /// Values from the published definition, worked by hand: old length 8192, factor 8, low 1, high 4.
    #[test]
    fn llama3_keeps_fast_pairs_and_slows_slow_ones() {
        let scaling = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, old_positions: 8192.0 };
        assert_eq!(scaling.stretch(1.0), 1.0);
        assert_eq!(scaling.stretch(1e-4), 1e-4 / 8.0);
        let middle = std::f64::consts::TAU * 2.5 / 8192.0; // 2.5 turns: half way up the ramp
        assert!((scaling.stretch(middle) / middle - (0.5 + 0.5 / 8.0)).abs() < 1e-12);
    }
}
