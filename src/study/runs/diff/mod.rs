//! The difference of runs: rows matched by their keys, and by how much each column differs from the first run.

mod compare;
mod difference;
mod judged;
mod notes;
mod pairing;
mod tables;

pub use compare::{Diff, DiffConfig};
