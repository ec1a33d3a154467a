//! Trained models: `config.json` and safetensors weights in, attention heads out.
//!
//! [`Model::open`] maps a folder in the layout of the Hugging Face hub; [`Model::forward`] runs token ids through it and
//! passes every head's queries, keys, values and (if requested) attention matrix to an [`Observer`]. A [`Family`] is a table
//! of tensor names and a reader of configuration keys.
//!
//! [`Model::forward_with`] replaces softmax attention by a [`Substitute`] in selected layers.
//! [`Named`] reads the tensors of a file by name; [`save`] writes files of weights.

mod bias;
pub mod config;
#[cfg(feature = "download")]
mod download;
pub mod embedded;
mod experts;
mod family;
mod folder;
mod forward;
mod head;
mod heads;
pub mod hub;
mod image;
pub(crate) mod json;
pub(crate) mod keys;
mod linear;
pub mod load;
mod mapped;
#[cfg(test)]
mod misread;
mod named;
mod norm;
mod observe;
mod own;
mod read;
mod rope;
pub mod save;
mod scaling;
mod shards;
mod substitute;
mod trained;
pub mod weights;

pub use config::{Image, ModelConfig};
pub use family::{ALL, Effect, Family};
pub(crate) use folder::{WEIGHTS, settled};
pub use named::Named;
pub use observe::{HeadTap, ModelInput, Observer, Unobserved};
pub use own::{BYTES, BYTES_FROM_ONE};
pub(crate) use own::{MODEL_TYPE, TRANSLATOR, first_byte};
pub use rope::Rope;
pub use scaling::Scaling;
pub use substitute::Substitute;
pub use trained::{Model, Output};

pub use crate::layer::Activation;
