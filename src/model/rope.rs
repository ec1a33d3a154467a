//! Rotary positions (Su 2021): queries and keys are rotated by angles proportional to their positions.

use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

use super::keys::{Keys, unused};
use super::scaling::Scaling;
use crate::Result;

/// How a model rotates its queries and keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// The leading elements of each head that are rotated, an even number of at most `d_h`.
    pub width: usize,
    /// The base of the frequencies: pair i of `width` / 2 is rotated by theta^(-2i / `width`) a position.
    pub theta: f64,
    /// How the frequencies are scaled for inputs longer than the original training length.
    pub scaling: Scaling,
    /// Whether element 2 i of a head is paired with element 2 i + 1 (GPT-J), and not element i with i + `width` / 2.
    pub interleaved: bool,
}

/// What a family adds to the rotary settings that all have.
#[derive(Clone, Copy, Debug)]
pub(super) struct RopeSettings {
    /// The width of a head.
    pub(super) d_h: usize,
    /// The longest input.
    pub(super) positions: usize,
    /// The key of the base, where the section of rotary settings does not hold one and the family has such a key.
    pub(super) theta: Option<&'static str>,
    /// The key of the share of a head that is rotated, and the share where the file does not say; `None` if the family
    /// rotates whole heads.
    pub(super) share: Option<(&'static str, f64)>,
    /// The base where the file does not say.
    pub(super) base: f64,
    /// The original training length that the family's class has where the file does not say, whatever its rotary settings
    /// do; `None` if they decide.
    pub(super) old_positions: Option<f64>,
}

impl RopeSettings {
    /// Of whole heads with the base 10,000, as most families have them.
    pub(super) fn new(d_h: usize, positions: usize) -> Self {
        Self { d_h, positions, theta: Some("rope_theta"), share: None, base: 10_000.0, old_positions: None }
    }
}

/// Keys of a section of rotary settings that are understood, whatever its type.
#[rustfmt::skip]
const KEYS: &[&str] = &[
    "rope_type", "type", "rope_theta", "partial_rotary_factor", "factor", "low_freq_factor", "high_freq_factor",
    "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "mscale", "mscale_all_dim",
    "truncate", "long_factor", "short_factor",
];

const PARAMETERS: &str = "rope_parameters";
const SCALING: &str = "rope_scaling";
/// The kinds of layers by which `rope_parameters` may be nested.
pub(super) const FULL: &str = "full_attention";
pub(super) const SLIDING: &str = "sliding_attention";

impl Rope {
    /// From `rope_scaling`, or from `rope_parameters` (transformers 5), or from `rope_theta` alone, with notes on what
    /// was not used.
    pub(super) fn read(keys: &Keys<'_>, settings: RopeSettings) -> Result<(Self, Vec<String>)> {
        let (section, mut notes) = section(keys)?;
        let (rope, unknown) = Self::of(keys, section, settings)?;
        notes.extend(unknown);
        Ok((rope, notes))
    }

    /// As [`read`](Self::read) for full and for sliding layers: from `rope_parameters` by kind of layer, or from the older
    /// keys, whose `rope_scaling` is that of full layers.
    pub(super) fn read_kinds(
        keys: &Keys<'_>,
        full: RopeSettings,
        sliding: RopeSettings,
    ) -> Result<([Self; 2], Vec<String>)> {
        let (given, mut notes) = section(keys)?;
        let (full_section, sliding_section) = match given {
            // What transformers makes of other forms, it makes by accident: it takes no notice of them.
            Some((PARAMETERS, all)) if all.has(FULL) || all.has(SLIDING) => {
                (all.section(FULL)?, all.section(SLIDING)?)
            }
            Some((PARAMETERS, all)) if all.given().next().is_some() => {
                return Err(keys.wrong(PARAMETERS, format!("settings for {FULL} and for {SLIDING}")));
            }
            Some((SCALING, _)) if keys.has(PARAMETERS) => {
                return Err(keys.wrong(SCALING, format!("null, or no {PARAMETERS} beside it")));
            }
            Some((SCALING, scaling)) if !scaling.has("rope_type") => {
                return Err(keys.wrong(SCALING, "settings with a rope_type"));
            }
            Some((SCALING, scaling)) => (Some(scaling), None),
            _ => (None, None),
        };
        let mut of = |section: Option<Keys<'_>>, settings| {
            let (rope, unknown) = Self::of(keys, section.map(|section| (PARAMETERS, section)), settings)?;
            notes.extend(unknown);
            Ok(rope)
        };
        let ropes = [of(full_section, full)?, of(sliding_section, sliding)?];
        Ok((ropes, notes))
    }

    /// From a section of rotary settings, with a note on keys that are not known.
    fn of(
        keys: &Keys<'_>,
        section: Option<(&str, Keys<'_>)>,
        settings: RopeSettings,
    ) -> Result<(Self, Option<String>)> {
        let theta = || settings.theta.map_or(Ok(settings.base), |key| keys.positive_or(key, settings.base));
        let Some((name, section)) = section else {
            let width = settings.width(keys, None)?;
            return Ok((Self { width, theta: theta()?, scaling: Scaling::None, interleaved: false }, None));
        };
        let width = settings.width(keys, Some(&section))?;
        let theta = if section.has("rope_theta") { section.positive("rope_theta")? } else { theta()? };
        let mut unknown = Vec::new();
        for key in section.given().filter(|key| !KEYS.contains(key)) {
            if section.section(key).is_ok() {
                return Err(section.wrong(key, "one set of rotary settings for all layers"));
            }
            unknown.push(format!("{name}.{key}"));
        }
        let scaling = Scaling::read(keys, &section, settings.positions, settings.old_positions, width)?;
        let unknown = unused(&unknown.iter().map(String::as_str).collect::<Vec<_>>());
        Ok((Self { width, theta, scaling, interleaved: false }, unknown))
    }

    /// Angle by which each of the `width` / 2 pairs is rotated a position, in radians, in an input of n positions.
    pub fn frequencies(&self, n: usize) -> Vec<f64> {
        let theta = self.scaling.base(self.theta, self.width, n);
        (0..self.width / 2).map(|i| self.scaling.frequency(i, theta, self.width, n)).collect()
    }

    /// Rotates each row (a position, from 0) of heads of width `d_h` side by side, shape (n, heads `d_h`).
    ///
    /// Elements from `width` on stay. `frequencies` are those of n positions, or what a file has in their place.
    pub(super) fn rotate(&self, mut x: ArrayViewMut2<'_, f32>, d_h: usize, frequencies: &[f64]) {
        let size = self.scaling.size();
        let pair = |i: usize| if self.interleaved { (2 * i, 2 * i + 1) } else { (i, i + self.width / 2) };
        let rows = x.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
        rows.for_each(|(position, mut row)| {
            let rotation = |frequency: &f64| {
                let (sin, cos) = (frequency * position as f64).sin_cos();
                ((size * sin) as f32, (size * cos) as f32)
            };
            let rotations: Vec<(f32, f32)> = frequencies.iter().map(rotation).collect();
            for mut head in row.exact_chunks_mut(d_h) {
                for (i, (sin, cos)) in rotations.iter().enumerate() {
                    let (first, second) = pair(i);
                    let (a, b) = (head[first], head[second]);
                    head[first] = a * cos - b * sin;
                    head[second] = b * cos + a * sin;
                }
            }
        });
    }
}

/// A section of a file with its name.
type Named<'a> = (&'static str, Keys<'a>);

/// The rotary settings of a file with their name, and notes.
fn section<'a>(keys: &Keys<'a>) -> Result<(Option<Named<'a>>, Vec<String>)> {
    let named = |key: &'static str| Ok(keys.section(key)?.map(|section| (key, section)));
    let filled = |found: &(&str, Keys<'_>)| found.1.given().next().is_some();
    let parameters = named(PARAMETERS)?;
    // As in transformers: a non-empty older key takes precedence as a whole, with its theta.
    let Some(scaling) = named(SCALING)?.filter(filled) else { return Ok((parameters, Vec::new())) };
    let both = parameters.filter(filled).map(|_| {
        "config.json has rope_scaling and rope_parameters: rope_scaling counts, as in transformers".into()
    });
    Ok((Some(scaling), both.into_iter().collect()))
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
        let rope = Rope { width: 6, theta: 100.0, scaling: Scaling::None, interleaved: false };
        let row = [0.3, -0.7, 1.1, 0.4, 0.2, 0.9];
        let mut x = Array2::from_shape_fn((12, 6), |(_, j)| row[j]);
        rope.rotate(x.view_mut(), 6, &rope.frequencies(5));
        let dot = |i: usize, j: usize| x.row(i).dot(&x.row(j));
        assert!((dot(0, 3) - dot(8, 11)).abs() < 1e-5);
        assert!((dot(0, 3) - dot(0, 4)).abs() > 1e-3);
    }

    #[test]
    fn elements_beyond_the_width_stay() {
        let rope = Rope { width: 4, theta: 100.0, scaling: Scaling::None, interleaved: false };
        let mut x = Array2::from_shape_fn((5, 12), |(i, j)| (i * 12 + j) as f32);
        let before = x.clone();
        rope.rotate(x.view_mut(), 6, &rope.frequencies(5));
        for (j, column) in x.columns().into_iter().enumerate() {
            assert_eq!(column == before.column(j), j % 6 >= 4, "element {j}");
        }
        // Element 0 is paired with element 2.
        let (sin, cos) = 1.0_f32.sin_cos();
        assert!((x[[1, 0]] - (before[[1, 0]] * cos - before[[1, 2]] * sin)).abs() < 1e-5);
    }
}
