//! What maps the last layer's rows to classes.

use crate::layer::{FeedForward, Linear};

/// The learned output head of a network.
#[derive(Clone, Debug)]
pub(crate) enum Classifier {
    /// None: the output is the rows themselves, or their products with the table of tokens.
    None,
    /// Classes of sequences.
    Classes(Linear),
    /// Classes of pairs of sequences.
    Pairs(FeedForward),
}
