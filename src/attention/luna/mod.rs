//! Luna (Ma et al. 2021) as a stand-in for softmax on given heads: two nested attentions, pack and unpack.

mod backward;
mod fit;
mod fused;
mod reference;

pub(super) use reference::KIND;
