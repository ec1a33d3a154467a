//! `ListOps`: nested lists of digits under MIN, MAX, MED and SM, whose value is one digit.
//!
//! The task of Nangia & Bowman 2018 in the long form of Long Range Arena (Tay et al. 2021): `[MAX 2 9 [MIN 4 7 ] 0 ]`
//! is read symbol by symbol and its value, 9, is one of ten classes. Files of both origins are read ([`read`]), and
//! [`generate`] draws new examples as Long Range Arena does.
//!
//! Tokens are numbers 1 to 15, in the order of [`VOCAB`]; 0 is the padding, so an embedding has [`TOKENS`] rows.

mod expression;
mod generate;
mod read;
mod symbol;

pub use expression::Expression;
pub use generate::{Settings, generate};
pub use read::{hold_out, parse, read};
pub use symbol::VOCAB;

/// How many token numbers there are: the padding and the 15 symbols.
pub const TOKENS: usize = VOCAB.len() + 1;

/// How many classes there are: the ten digits.
pub const CLASSES: usize = 10;

/// An expression with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// What is read.
    pub expression: Expression,
    /// Its value, 0 to 9: the class.
    pub label: u8,
}
