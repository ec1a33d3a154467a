//! `ListOps`: nested lists of digits under MIN, MAX, MED and SM, whose value is one digit.
//!
//! The task of Nangia & Bowman 2018 in the long form of Long Range Arena (Tay et al. 2021): `[MAX 2 9 [MIN 4 7 ] 0 ]`
//! is read symbol by symbol and its value, 9, is one of ten classes. [`read()`] reads files of both, and
//! [`generate()`] draws new examples as Long Range Arena does.
//!
//! Tokens are numbers 1 to 15, in the order of [`VOCAB`]; 0 is the padding, so an embedding has [`TOKENS`] rows.

mod expression;
mod generate;
mod read;
mod symbol;
mod task;

pub use expression::{CLASSES, Expression, ListopsExample};
pub use generate::{ListopsSettings, generate};
pub use read::{parse, read};
pub use symbol::{TOKENS, VOCAB};
pub use task::KIND;
