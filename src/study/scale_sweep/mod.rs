//! `luna scale-sweep`: FLOPs, time and memory over the sequence length n and the projected length l.
//!
//! - plan: the flags become checked settings and a list of cells with their closed forms ([`config`], `settings`,
//!   [`preset`], `plan`);
//! - run: all mechanisms of one length become a record (`run`, `record`). Each runs once alone, which counts its operations
//!   and allocations; then all run in rounds whose order is drawn anew, so that ratios are taken within a round. Exact
//!   attention runs twice, fused and with its n x n matrices. No time is printed for code that has not just agreed with its
//!   reference implementation (`gate`);
//! - view: tables, figures and notes are computed from plan and records alone (`view`).

mod agree;
mod allocation;
mod build;
mod cell;
pub mod config;
mod core;
mod gate;
mod options;
mod plan;
pub mod preset;
mod record;
mod run;
mod settings;
mod study;
mod subject;
mod train;
mod view;
mod whole;

pub use config::{ErrorInput, ScaleSweepConfig, Spawn};
pub use options::{Measure, Pass, Unit};
pub use run::resident_growth;
pub use study::run;
pub use view::columns;
