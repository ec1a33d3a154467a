//! Null models: what a head's spectrum would be if only its temperature, its mask or its probabilities counted.

mod draw;
mod model;
mod operator;
mod spec;
#[cfg(test)]
mod terms_tests;
#[cfg(test)]
mod tests;

pub use model::NullModel;
pub(super) use operator::Beside;
pub(super) use spec::{NullSpec, find, names};

use crate::name::Param;

/// Every null model.
pub const ALL: &[NullModel] = &[
    // in the order of the columns
    NullModel {
        name: "gaussian",
        about: "softmax of Gaussian queries and keys of the head's width, with its logit_sd, mask, window, softcap and bias: \
                an untrained head of the same temperature (of a Luna head both steps so, with the same l); of queries, keys and \
                values, and of both factors of logits: independent Gaussian columns of the same means and standard \
                deviations",
        takes: &[Param { name: "d_h", default: None, about: "head width [default: the head's own, or 64]" }],
        draw: draw::gaussian,
        operator: operator::gaussian,
        columns: draw::gaussian_columns,
    },
    NullModel {
        name: "shuffled",
        about: "each row's probabilities in random order among the positions that its mask leaves open (of a Luna head \
                the weights of both steps so); of queries, keys and values, and of both factors of logits: each column in \
                random order",
        takes: &[],
        draw: draw::shuffled,
        operator: operator::shuffled,
        columns: draw::shuffled_columns,
    },
];
