//! Rotary positions (Su 2021): queries and keys are rotated by angles proportional to their positions.

use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::keys::{Keys, unused};
use super::scaling::Scaling;
use crate::Result;

/// How a model rotates its queries and keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rope {
    /// The leading elements of each head that are rotated, an even number of at most `d_h`.
    pub width: usize,
    /// The base of the frequencies: pair i of `width` / 2 is rotated by theta^(-2i / `width`) a position.
    pub theta: f64,
    /// How the frequencies are scaled for inputs longer than the original training length.
    pub scaling: Scaling,
}

/// What a family adds to the rotary settings that all have.
#[derive(Clone, Copy, Debug)]
pub(super) struct RopeSettings {
    /// The width of a head.
    pub(super) d_h: usize,
    /// The longest input.
    pub(super) positions: usize,
    /// The key of the base, where the section of rotary settings does not hold one.
    pub(super) theta: &'static str,
    /// The key of the share of a head that is rotated, and the share where the file does not say; `None` if the family
    /// rotates whole heads.
    pub(super) share: Option<(&'static str, f64)>,
}

/// The base where a file says nothing.
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
    /// was not used.
    pub(super) fn read(keys: &Keys<'_>, settings: RopeSettings) -> Result<(Self, Vec<String>)> {
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
            let theta = keys.positive_or(settings.theta, THETA)?;
            let width = settings.width(keys, None)?;
            return Ok((Self { width, theta, scaling: Scaling::None }, notes));
        };
        let width = settings.width(keys, Some(&section))?;
        let theta = if section.has("rope_theta") {
            section.positive("rope_theta")?
        } else {
            keys.positive_or(settings.theta, THETA)?
        };
        let mut unknown = Vec::new();
        for key in section.given().filter(|key| !KEYS.contains(key)) {
            // RopeSettings for each type of layer: no family here has them.
            if section.section(key).is_ok() {
                return Err(section.wrong(key, "one set of rotary settings for all layers"));
            }
            unknown.push(format!("{name}.{key}"));
        }
        notes.extend(unused(&unknown.iter().map(String::as_str).collect::<Vec<_>>()));
        Ok((Self { width, theta, scaling: Scaling::read(&section, settings.positions)? }, notes))
    }

    /// Angle by which each of the `width` / 2 pairs is rotated a position, in radians.
    pub fn frequencies(&self) -> Vec<f64> {
        (0..self.width / 2).map(|i| self.scaling.frequency(i, self.theta, self.width)).collect()
    }

    /// Rotates each row (a position, from 0) of heads of width `d_h` side by side, shape (n, heads `d_h`).
    ///
    /// Element i of a head is paired with element i + `width` / 2, as in Hugging Face's files; those from `width` on stay.
    pub(super) fn rotate(&self, mut x: ArrayViewMut2<'_, f32>, d_h: usize) {
        let (frequencies, size) = (self.frequencies(), self.scaling.size());
        let rows = x.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
        rows.for_each(|(position, mut row)| {
            let rotation = |frequency: &f64| {
                let (sin, cos) = (frequency * position as f64).sin_cos();
                ((size * sin) as f32, (size * cos) as f32)
            };
            let rotations: Vec<(f32, f32)> = frequencies.iter().map(rotation).collect();
            for mut head in row.exact_chunks_mut(d_h) {
                for (i, (sin, cos)) in rotations.iter().enumerate() {
                    let (a, b) = (head[i], head[i + self.width / 2]);
                    head[i] = a * cos - b * sin;
                    head[i + self.width / 2] = b * cos + a * sin;
                }
            }
        });
    }
}

impl RopeSettings {
    /// How many leading elements of a head are rotated.
    fn width(&self, keys: &Keys<'_>, section: Option<&Keys<'_>>) -> Result<usize> {
        let section = section.filter(|section| section.has("partial_rotary_factor"));
        let Some((key, usual)) = self.share else {
            return section
                .map_or(Ok(()), |section| section.only("partial_rotary_factor", &["1", "1.0"]))
                .map(|()| self.d_h);
        };
        let (holder, key) = section.map_or((keys, key), |section| (section, "partial_rotary_factor"));
        let width = (self.d_h as f64 * holder.positive_or(key, usual)?) as usize;
        if (2..=self.d_h).contains(&width) && width.is_multiple_of(2) {
            return Ok(width);
        }
        Err(holder.wrong(
            key,
            format!("a share that rotates an even number of the {} elements of a head", self.d_h),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn a_dot_product_depends_on_the_distance_only() {
        let rope = Rope { width: 6, theta: 100.0, scaling: Scaling::None };
        let row = [0.3, -0.7, 1.1, 0.4, 0.2, 0.9];
        let mut x = Array2::from_shape_fn((12, 6), |(_, j)| row[j]);
        rope.rotate(x.view_mut(), 6);
        let dot = |i: usize, j: usize| x.row(i).dot(&x.row(j));
        assert!((dot(0, 3) - dot(8, 11)).abs() < 1e-5);
        assert!((dot(0, 3) - dot(0, 4)).abs() > 1e-3);
    }

    #[test]
    fn elements_beyond_the_width_stay() {
        let rope = Rope { width: 4, theta: 100.0, scaling: Scaling::None };
        let mut x = Array2::from_shape_fn((5, 12), |(i, j)| (i * 12 + j) as f32);
        let before = x.clone();
        rope.rotate(x.view_mut(), 6);
        for (j, column) in x.columns().into_iter().enumerate() {
            assert_eq!(column == before.column(j), j % 6 >= 4, "element {j}");
        }
        // Element 0 is paired with element 2.
        let (sin, cos) = 1.0_f32.sin_cos();
        assert!((x[[1, 0]] - (before[[1, 0]] * cos - before[[1, 2]] * sin)).abs() < 1e-5);
    }
}
