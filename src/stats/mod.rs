//! Means with intervals, paired differences with verdicts, and straight lines with intervals of their slopes.
//!
//! The choice of intervals was made by measurement (`experiments/calibration`): Student's for means and paired differences,
//! at every count; the bootstrap for statistics that are no means, from eight things on; Wilson's for shares; the sign
//! test's for medians; Bonett and Wright's for rank correlations.

mod bootstrap;
mod line;
mod median;
mod paired;
mod rank;
mod sample;
mod share;
mod student;

pub use bootstrap::{FEWEST, bootstrap, bootstrap_mean, bootstrap_of_medians};
pub use line::{Line, line};
pub use median::{median, median_interval, median_interval_missing};
pub use paired::{Differences, Verdict, from_baseline, from_best, paired};
pub use rank::spearman;
pub use sample::{Interval, mean, quantile, sd};
pub use share::wilson;
pub use student::{student_mean, student_mean_at, student_prediction, student_quantile, student_ratio};
