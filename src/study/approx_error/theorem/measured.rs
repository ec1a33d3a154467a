//! What is recorded of a check.

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::stats::{self, Interval};
use crate::study::input::HeadWindow;
use crate::sweep::bits;

/// Values whose columns are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Values {
    /// Those of the head itself.
    Own,
    /// Standard normal numbers: columns average out.
    Centred,
    /// Normal numbers of mean 1 and standard deviation 1.
    Shifted,
    /// Normal numbers of mean 1 and standard deviation 0.1.
    Narrow,
}

impl Values {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Own => "of the head",
            Self::Centred => "N(0,1)",
            Self::Shifted => "N(1,1)",
            Self::Narrow => "1+0.1 N(0,1)",
        }
    }

    pub(super) fn of(self, v: &Array2<f32>) -> Array2<f32> {
        match self {
            // Values of synthetic heads are standard normal already.
            Self::Own | Self::Centred => v.clone(),
            Self::Shifted => v + 1.0,
            Self::Narrow => v * 0.1 + 1.0,
        }
    }
}

/// One head, window, kind of values and eps: the errors of every column, draw by draw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) at: HeadWindow,
    pub(super) values: Values,
    #[serde(with = "bits")]
    pub(super) eps: f64,
    /// Rows of R.
    pub(super) k: usize,
    /// `||P~ w - P w|| / ||P w||`: of each draw those of its columns.
    #[serde(with = "bits")]
    pub(super) relative: Vec<Vec<f64>>,
    /// `||P~ w - P w|| / (||P||_F ||w||)` of the same.
    #[serde(with = "bits")]
    pub(super) additive: Vec<Vec<f64>>,
}

/// The share of errors below eps, with its 95 % interval.
///
/// Columns share the projection of their draw and are not independent; draws are. The interval is Student's over the
/// shares of the draws. Where all draws have one share there is no spread to go by: then Wilson's, a draw as one trial.
pub(super) fn share_below<'a>(draws: impl IntoIterator<Item = &'a Vec<f64>>, eps: f64) -> Interval {
    let share =
        |errors: &Vec<f64>| errors.iter().filter(|error| **error < eps).count() as f64 / errors.len() as f64;
    let shares: Vec<f64> = draws.into_iter().map(share).collect();
    match stats::student_mean(&shares).filter(|interval| interval.high - interval.low > 1e-9) {
        Some(Interval { mid, low, high }) => Interval { mid, low: low.max(0.0), high: high.min(1.0) },
        None => stats::wilson(stats::mean(&shares), shares.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_one_draw_are_one_unit() {
        let draw = |below: usize| (0..100).map(|column| if column < below { 0.1 } else { 0.9 }).collect();
        // Half of 400 columns by themselves would have the interval 0.45 to 0.55.
        let apart: Vec<Vec<f64>> = [0, 100, 0, 100].map(draw).into();
        let found = share_below(&apart, 0.5);
        assert_eq!((found.mid, found.low, found.high), (0.5, 0.0, 1.0));
        let near: Vec<Vec<f64>> = [48, 52, 49, 51].map(draw).into();
        let found = share_below(&near, 0.5);
        assert!(found.low > 0.46 && found.high < 0.54, "{found:?}");
        // Four draws without an error are no more than four trials.
        let none: Vec<Vec<f64>> = [0, 0, 0, 0].map(draw).into();
        assert_eq!(share_below(&none, 0.5), stats::wilson(0.0, 4));
        assert!((share_below(&none, 0.5).high - 0.49).abs() < 0.005);
        assert_eq!(share_below(&none[..1], 0.5), stats::wilson(0.0, 1));
    }
}
