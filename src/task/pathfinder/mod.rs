//! Pathfinder: whether a dashed curve connects two dots (Linsley et al. 2018), one of Long Range Arena's tasks (Tay et al.
//! 2021), written from the papers' descriptions.
//!
//! An image has two long curves of dashes, shorter ones that distract, and two dots: at both ends of one long curve
//! (`connected`), or at one end of each (`apart`). [`generate()`] draws images from a seed.

mod generate;
mod scene;
mod settings;
mod task;
#[cfg(test)]
mod tests;

pub use generate::{CLASSES, generate};
pub use settings::PathfinderSettings;
pub use task::KIND;
