//! Measures one head over one window: its spectra, its figures, and its null models.

use std::borrow::Cow;

use ndarray::Array2;

use super::columns::{Figure, Values};
use super::measured::{Measured, NullMeasured};
use super::null::NullSpec;
use crate::error::Result;
use crate::linalg::spectra::{self, Spectra};
use crate::metric::{RowProfile, Spectrum};
use crate::rng::{Rng, stream};
use crate::study::Context;
use crate::study::input::{Head, HeadWindow};
use crate::task::dump::Matrix;

/// What measuring needs beside the head.
#[derive(Clone, Copy)]
pub(super) struct Measurement<'a> {
    pub(super) figures: &'a [Figure],
    pub(super) nulls: &'a [NullSpec],
    pub(super) draws: usize,
    pub(super) context: Context<'a>,
}

/// One draw of a null model.
pub(super) struct Draw {
    /// Counted from 0.
    pub(super) number: usize,
    /// The label of its random stream.
    pub(super) label: String,
    pub(super) rng: Rng,
}

/// A head over a window, as the labels of random streams name it.
pub(super) fn place(head: &Head) -> String {
    format!("{} n {} window {}", head.label, head.shape.0, head.window)
}

impl Measurement<'_> {
    /// What stands beside the matrix that `place` names: `measure` gives the singular values and the figures of each draw.
    pub(super) fn nulls(
        &self,
        place: &str,
        measure: impl Fn(&NullSpec, Draw) -> Result<(Vec<f64>, Values)>,
    ) -> Result<Vec<NullMeasured>> {
        let draw = |null: &NullSpec, number: usize| {
            self.context.watch.check()?;
            let label = format!("null {} {place} draw {number}", null.spec);
            let rng = stream(self.context.seed, &label);
            measure(null, Draw { number, label, rng })
        };
        let of = |null| -> Result<NullMeasured> {
            let drawn = (0..self.draws).map(|number| draw(null, number)).collect::<Result<Vec<_>>>()?;
            Ok(NullMeasured::mean(self.figures, &drawn))
        };
        self.nulls.iter().map(of).collect()
    }

    /// All figures of a head.
    pub(super) fn head(&self, at: HeadWindow, head: &Head) -> Result<Measured> {
        let watch = self.context.watch;
        watch.check()?;
        let matrix = head.matrix();
        let (spectra, rows, values) = self.matrix(&matrix, &|| head.precise())?;
        watch.step(1, &head.label);
        let nulls = self.nulls(&place(head), |null, Draw { mut rng, .. }| {
            let (spectra, _, values) = self.matrix(&null.draw(head, &matrix, &rows, &mut rng)?, &|| None)?;
            watch.step(1, &head.label);
            Ok((spectra.plain, values))
        })?;
        let zeros = head.zeros(&rows);
        Ok(Measured { at, spectra, values, ends: None, zeros, nulls })
    }

    /// The figures of a matrix; `precise` makes it once more in f64, if it can, where little is left of it without its
    /// mean row.
    fn matrix(
        &self,
        matrix: &Matrix,
        precise: &dyn Fn() -> Option<Array2<f64>>,
    ) -> Result<(Spectra, RowProfile, Values)> {
        let engine = self.context.engine;
        let alive = || self.context.watch.check();
        let (spectra, shape, rows) = match matrix {
            Matrix::F32(a) => {
                (spectra::of_f32_or(a.view(), engine, precise, &alive)?, a.dim(), Cow::Borrowed(a))
            }
            Matrix::F64(a) => {
                (spectra::of_f64(a.view(), engine, &alive)?, a.dim(), Cow::Owned(a.mapv(|x| x as f32)))
            }
        };
        let profile = RowProfile::of(rows.view(), &Figure::indices(self.figures));
        let plain = Spectrum::rounded(&spectra.plain, shape, spectra.rounding);
        let centred = Spectrum::rounded(&spectra.centred, shape, spectra.rounding);
        let values = Values {
            plain: self.figures.iter().map(|figure| figure.of(&plain, Some(&profile))).collect(),
            centred: self.figures.iter().map(|figure| figure.of(&centred, None)).collect(),
        };
        Ok((spectra, profile, values))
    }
}

#[cfg(test)]
mod tests {
    use super::super::null;
    use super::super::verdict::{LEVEL, Verdict, decide, difference};
    use super::*;
    use crate::attention::luna_causal::Decay;
    use crate::attention::{HeadTerms, Mask, softmax};
    use crate::layer::Factors;
    use crate::linalg::engine::Engine;
    use crate::rng::normal;
    use crate::study::Unwatched;
    use crate::study::input::{Body, HeadPlace};

    const N: usize = 40;

    /// A head of Luna whose two steps nobody trained.
    fn untrained(place: usize, causal: bool) -> Head {
        let mut rng = stream(31, &format!("luna {place} {causal}"));
        let mut step = |n: usize, m: usize| {
            let (q, k) = (normal(&mut rng, n, 16), normal(&mut rng, m, 16));
            softmax::matrix(q.view(), k.view(), 0.25, Mask::Full)
        };
        let (unpack, pack) = (step(N, 8), step(8, N));
        let none = || Array2::zeros((N, 16));
        Head {
            label: format!("head {place}"),
            layer: 0,
            head: place,
            window: 0,
            shape: (N, N),
            mask: if causal { Mask::Causal } else { Mask::Full },
            terms: HeadTerms::default(),
            width: Some(16),
            body: Body::Projected {
                q: none(),
                k: none(),
                v: none(),
                scale: 1.0,
                precise: false,
                matrix: None,
            },
            own: Some(Factors { unpack, pack, causal, decay: Decay::NONE }),
        }
    }

    #[test]
    fn untrained_heads_of_luna_are_decided_in_one_of_twenty() {
        let figures = Figure::all(&[8]);
        let nulls = null::find("gaussian").unwrap();
        let context = Context { seed: 32, engine: Engine::Faer, watch: &Unwatched };
        let job = Measurement { figures: &figures, nulls: &nulls, draws: 3, context };
        let heads = 240;
        for causal in [false, true] {
            let decided = (0..heads).filter(|place| {
                let head = untrained(*place, causal);
                let (label, mask) = (head.label.clone(), String::new());
                let of = HeadPlace { layer: 0, head: *place, label, mask };
                let one = job.head(HeadWindow { n: N, place: of, window: 0 }, &head).unwrap();
                let own = one.values.plain[Figure::effective_rank(&figures)];
                let found = decide(&[difference(&[(own, &one.nulls[0].effective_ranks)])]);
                found.unwrap().verdict != Verdict::Undecided
            });
            let (decided, expected) = (decided.count() as f64, LEVEL * heads as f64);
            let most = expected + 3.0 * (expected * (1.0 - LEVEL)).sqrt();
            assert!(decided <= most, "{decided} of {heads}, causal: {causal}");
        }
    }
}
