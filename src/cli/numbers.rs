//! What is accepted where a number was expected, in place of the standard library's words for what it could not parse.

use std::error::Error as _;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

/// The error of a flag's value that is no number, with what is accepted; any other error as it is.
pub(super) fn in_words(error: clap::Error) -> clap::Error {
    let Some(source) = error.source() else { return error };
    let accepted = if source.is::<ParseFloatError>() {
        "accepted: a number"
    } else if let Some(source) = source.downcast_ref::<ParseIntError>() {
        match source.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "accepted: a whole number of 64 bits",
            _ => "accepted: a whole number",
        }
    } else {
        return error;
    };
    let text = error.to_string().replacen(&source.to_string(), accepted, 1);
    clap::Error::raw(error.kind(), text.strip_prefix("error: ").unwrap_or(&text))
}
