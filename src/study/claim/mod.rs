//! `luna check`: published claims as tests with verdicts.
//!
//! A [`Claim`] says what is measured (mostly by another study, with a command that can be repeated), which figure decides, and
//! where its 95 % interval must lie. A verdict is PASS where the whole interval lies there, FAIL where none of it does, and
//! INCONCLUSIVE otherwise, with the reason.
//!
//! # One more claim
//! A `const` [`Claim`] in the file of its paper, and its line in [`ALL`]: help, `luna list claim` and the tests over all claims
//! follow.

mod checked;
mod config;
mod costs;
mod drawn;
mod evidence;
mod judge;
mod kernels;
mod linformer;
mod nested;
mod run;
mod setting;
mod softmax;
mod statement;
#[cfg(test)]
mod tests;
mod trained;
mod view;

pub use config::Config;
pub use run::{reads_built_in, run};
pub use statement::Claim;
pub use view::{columns, failed};

/// Every claim, in the order in which they are checked and shown.
pub const ALL: &[&Claim] = &[
    &linformer::SPECTRUM,
    &linformer::LOG_RANK,
    &linformer::THEOREM_1,
    &linformer::LEMMA_1,
    &linformer::CONSTANT_L,
    &linformer::TIME,
    &linformer::MEMORY,
    &nested::FLOPS,
    &nested::TIME,
    &nested::MEMORY,
    &nested::SPEED_4K,
    &nested::MEMORY_4K,
    &nested::RANK,
    &nested::CAUSAL,
    &trained::CARRIED,
    &trained::TEXT,
    &trained::TRANSLATION,
    &kernels::UNBIASED,
    &kernels::VARIANCE,
    &kernels::NORM,
    &kernels::LINEAR,
    &kernels::LANDMARKS,
    &kernels::EXACT,
    &softmax::SINK,
    &softmax::FLASH,
    &softmax::TOP_K,
];
