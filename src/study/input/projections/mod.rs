//! Queries, keys and values from elsewhere as an input: a file, arrays in memory, or a folder with a file for each layer.
//!
//! A `.safetensors` file may say in its metadata what softmax attention does with them: `mask` (as `--qkv-mask`), `scale` and
//! `softcap`. Sinks and biases are the arrays `sink` (..., h, 1, 1) and `bias` (..., h, 1, n + m - 1), the latter a number for
//! each distance j - i from -(n - 1) to m - 1.

mod folder;
mod part;
mod source;

pub(super) use source::Projections;
