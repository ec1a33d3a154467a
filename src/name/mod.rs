//! Names on the command line: found with a "did you mean", in comma lists, with parameters.
//!
//! All names go through this module, so that every mistake gets the same kind of answer: what was typed, the nearest known
//! name, and all known names.

mod find;
mod list;
mod spec;

pub use find::{find, suggest};
pub use list::{Indices, Item, List};
pub use spec::{Param, Params, Spec, specs, takes};
