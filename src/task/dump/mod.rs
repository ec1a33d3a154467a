//! Attention matrices dumped from any framework: `.npy`, `.npz` and `.safetensors` files.

mod axes;
mod images;
mod integers;
mod matrices;
mod npy;
mod npz;
mod precision;
mod read;
mod safetensors;
mod stored;
#[cfg(test)]
mod tests;

pub use axes::Axes;
pub use images::read_images;
pub use integers::read_integers;
pub use matrices::{Dump, Flexible, Matrix, Values};
pub use npy::parse_npy;
pub use npz::parse_npz;
pub use precision::Precision;
pub use safetensors::parse_safetensors;
pub use stored::Stored;
