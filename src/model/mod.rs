//! Trained models: `config.json` and safetensors weights in, attention heads out.
//!
//! [`Model::open`] maps a folder in the layout of the Hugging Face hub; [`Model::forward`] runs token ids through it and
//! passes every head's queries, keys, values and (if requested) attention matrix to an [`Observer`]. A [`Family`] is a table
//! of tensor names and a reader of configuration keys.
//!
//! [`Network::open`] also opens the folders of trained Luna encoders, whose heads come with their pack and unpack weights.
//!
//! [`Model::forward_with`] replaces softmax attention by a [`Substitute`] in selected layers.
//! [`luna`] holds the Luna authors' own modules, with projections, norms and the packed sequence from layer to layer;
//! [`encoder`] holds encoders of any mechanism, their weights drawn or given, to be timed, counted, and
//! opened from the folders that training writes ([`save`] writes their weights).

mod activation;
pub mod config;
#[cfg(feature = "download")]
mod download;
pub mod embedded;
pub mod encoder;
mod family;
mod folder;
mod forward;
mod head;
mod heads;
pub mod hub;
mod json;
mod kernel;
mod keys;
mod linear;
pub mod load;
pub mod luna;
mod mapped;
mod network;
mod norm;
mod observe;
mod read;
mod rope;
mod rows;
pub mod save;
mod scaling;
mod shards;
mod substitute;
mod trained;
pub mod translator;
pub mod weights;

pub use activation::Activation;
pub use config::ModelConfig;
pub use family::{ALL, Effect, Family};
use folder::WEIGHTS;
pub(crate) use folder::settled;
pub use network::{Network, Reader};
pub use observe::{HeadTap, Observer, Unobserved};
pub use rope::Rope;
pub use scaling::Scaling;
pub use substitute::Substitute;
pub use trained::{Model, Output};
