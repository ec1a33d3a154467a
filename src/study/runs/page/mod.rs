//! Runs on one page: what came out, on what, how sure it is, and the data themselves.

mod compose;
mod extremes;
mod facts;
mod heads;

pub use compose::compose;
