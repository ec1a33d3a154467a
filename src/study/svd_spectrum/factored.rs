//! Measures what the attention matrix is made from, over one window: spectra of small matrices and of their products.

use super::columns::{Figure, Values};
use super::measure::{Draw, Measurement, place};
use super::measured::Measured;
use super::subject::{Factors, Subject};
use crate::error::Result;
use crate::linalg::spectra::Spectra;
use crate::metric::Spectrum;
use crate::study::input::{Head, HeadWindow};

impl Measurement<'_> {
    /// All figures of `subject`, which is not the attention matrix itself.
    pub(super) fn factored(&self, subject: Subject, at: HeadWindow, head: &Head) -> Result<Measured> {
        let watch = self.context.watch;
        watch.check()?;
        let factors = subject.factors(head)?;
        let (spectra, values) = self.factors(&factors)?;
        watch.step(1, &head.label);
        let place = format!("of {} {}", subject.name(), place(head));
        let nulls = self.nulls(&place, |null, Draw { mut rng, .. }| {
            let (spectra, values) = self.factors(&factors.map(|x| (null.model.columns)(x, &mut rng)))?;
            watch.step(1, &head.label);
            Ok((spectra.plain, values))
        })?;
        Ok(Measured { at, spectra, values, ends: None, zeros: 0.0, nulls })
    }

    fn factors(&self, factors: &Factors) -> Result<(Spectra, Values)> {
        let spectra = factors.spectra(self.context.engine)?;
        let of = |sigma: &[f64]| -> Vec<Option<f64>> {
            let spectrum = Spectrum::rounded(sigma, factors.shape(), spectra.rounding);
            self.figures.iter().map(|figure: &Figure| figure.of(&spectrum, None)).collect()
        };
        let values = Values { plain: of(&spectra.plain), centred: of(&spectra.centred) };
        Ok((spectra, values))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::super::null;
    use super::super::verdict::{LEVEL, Verdict, decide, difference};
    use super::*;
    use crate::attention::{HeadTerms, Mask};
    use crate::linalg::engine::Engine;
    use crate::rng::{normal, stream};
    use crate::study::input::{Body, HeadPlace};
    use crate::study::{Context, Unwatched};

    /// Keys whose columns are independent, of several means and scales; with `mixed` they are not.
    fn head(place: usize, mixed: bool) -> Head {
        let (n, width) = (40, 6);
        let mut rng = stream(3, &format!("keys {place}"));
        let mut k = normal(&mut rng, n, width);
        if mixed {
            k = k.dot(&normal(&mut rng, width, width));
        }
        let k = k * Array2::from_shape_fn((1, width), |(_, j)| 0.3 + j as f32) + 0.5;
        let q = Array2::zeros((n, width));
        Head {
            label: format!("keys {place}"),
            layer: 0,
            head: place,
            window: 0,
            shape: (n, n),
            mask: Mask::Causal,
            terms: HeadTerms::default(),
            width: Some(width),
            body: Body::Projected { q: q.clone(), k, v: q, scale: 1.0, precise: false, matrix: None },
            own: None,
        }
    }

    /// How many of these heads each null model alone decides, and how many are called lower than both.
    fn decided(heads: usize, mixed: bool) -> ([usize; 2], usize) {
        let nulls = null::find("gaussian,shuffled").unwrap();
        let mut figures = Figure::all(&[2]);
        figures.retain(|figure| !figure.is_of_rows());
        let context = Context { seed: 6, engine: Engine::Faer, watch: &Unwatched };
        let job = Measurement { figures: &figures, nulls: &nulls, draws: 4, context };
        let (mut each, mut lower) = ([0; 2], 0);
        for place in 0..heads {
            let head = head(place, mixed);
            let of = HeadPlace { layer: 0, head: place, label: head.label.clone(), mask: String::new() };
            let at = HeadWindow { n: 40, place: of, window: 0 };
            let one = job.factored(Subject::Keys, at, &head).unwrap();
            let own = one.values.plain[Figure::effective_rank(&figures)];
            let all: Vec<_> =
                one.nulls.iter().map(|null| difference(&[(own, &null.effective_ranks)])).collect();
            for (each, one) in each.iter_mut().zip(&all) {
                *each += usize::from(decide(&[*one]).unwrap().verdict != Verdict::Undecided);
            }
            lower += usize::from(decide(&all).unwrap().verdict == Verdict::Lower);
        }
        (each, lower)
    }

    #[test]
    fn independent_columns_are_decided_in_one_of_twenty_and_mixed_ones_are_lower() {
        let heads = 200;
        let (each, _) = decided(heads, false);
        let expected = LEVEL * heads as f64;
        let most = expected + 3.0 * (expected * (1.0 - LEVEL)).sqrt();
        assert!(each.iter().all(|decided| *decided as f64 <= most), "{each:?} of {heads}");
        // Four draws and one window decide few heads; of independent columns hardly any are lower than both.
        let (_, lower) = decided(20, true);
        assert!(lower >= 10, "{lower} of 20");
    }
}
