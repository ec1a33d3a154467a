//! Rotary positions (Su 2021): queries and keys are rotated by angles proportional to their positions.

use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::keys::{Keys, unused};
use super::scaling::Scaling;
use crate::Result;

/// How a model rotates its queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// The base of the frequencies: pair i of `d_h` / 2 is rotated by theta^(-2i / `d_h`) for each position.
    pub theta: f64,
    /// How the frequencies are scaled for inputs longer than the original training length.
    pub scaling: Scaling,
}

/// The base if a file has none.
const THETA: f64 = 10_000.0;

/// Keys of a section of rotary settings that are understood, whatever its type.
#[rustfmt::skip]
const KEYS: &[&str] = &[
    "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "low_freq_factor", "high_freq_factor",
    "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
    "truncate",
];

impl Rope {
    /// From `rope_scaling`, or from `rope_parameters` (transformers 5), or from `rope_theta` alone, with notes on what
    /// was not used. `positions` is the longest input.
    pub(super) fn read(keys: &Keys<'_>, positions: usize) -> Result<(Self, Vec<String>)> {
        let named = |key: &'static str| Ok(keys.section(key)?.map(|section| (key, section)));
        let filled = |found: &(&str, Keys<'_>)| found.1.given().next().is_some();
        let parameters = named("rope_parameters")?;
        let mut notes = Vec::new();
        // As in transformers: a non-empty older key takes precedence as a whole, with its theta.
        let section = match named("rope_scaling")?.filter(filled) {
            Some(scaling) => {
                notes.extend(parameters.filter(filled).map(|_| {
                    "config.json has rope_scaling and rope_parameters: rope_scaling counts, as in transformers".into()
                }));
                Some(scaling)
            }
            None => parameters,
        };
        let Some((name, section)) = section else {
            let theta = keys.positive_or("rope_theta", THETA)?;
            return Ok((Self { theta, scaling: Scaling::None }, notes));
        };
        section.only("partial_rotary_factor", &["1", "1.0"])?;
        let theta =
            if section.has("rope_theta") { &section } else { keys }.positive_or("rope_theta", THETA)?;
        let mut unknown = Vec::new();
        for key in section.given().filter(|key| !KEYS.contains(key)) {
            // Settings for each type of layer: no family here has them.
            if section.section(key).is_ok() {
                return Err(section.wrong(key, "one set of rotary settings for all layers"));
            }
            unknown.push(format!("{name}.{key}"));
        }
        notes.extend(unused(&unknown.iter().map(String::as_str).collect::<Vec<_>>()));
        Ok((Self { theta, scaling: Scaling::read(&section, positions)? }, notes))
    }

    /// The rotation of each of the `d_h` / 2 pairs for each position, in radians.
    pub fn frequencies(&self, d_h: usize) -> Vec<f64> {
        (0..d_h / 2).map(|i| self.scaling.frequency(i, self.theta, d_h)).collect()
    }

    /// Rotates each row (a position, from 0) of heads of width `d_h` side by side, shape (n, heads `d_h`).
    ///
    /// Element i of a head is paired with element i + `d_h` / 2, as in Hugging Face's files.
    pub(super) fn rotate(&self, mut x: ArrayViewMut2<'_, f32>, d_h: usize) {
        let (frequencies, size) = (self.frequencies(d_h), self.scaling.size());
        let rows = x.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
        rows.for_each(|(position, mut row)| {
            let rotation = |frequency: &f64| {
                let (sin, cos) = (frequency * position as f64).sin_cos();
                ((size * sin) as f32, (size * cos) as f32)
            };
            let rotations: Vec<(f32, f32)> = frequencies.iter().map(rotation).collect();
            for mut head in row.exact_chunks_mut(d_h) {
                for (i, (sin, cos)) in rotations.iter().enumerate() {
                    let (a, b) = (head[i], head[i + d_h / 2]);
                    head[i] = a * cos - b * sin;
                    head[i + d_h / 2] = b * cos + a * sin;
                }
            }
        });
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
        rope.rotate(x.view_mut(), 6);
        let dot = |i: usize, j: usize| x.row(i).dot(&x.row(j));
        assert!((dot(0, 3) - dot(8, 11)).abs() < 1e-5);
        assert!((dot(0, 3) - dot(0, 4)).abs() > 1e-3);
    }
}
