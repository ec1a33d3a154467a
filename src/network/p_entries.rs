//! Which tensors of a network make its P, and how far their elements are spread at first.

use super::learned_p::{EMBEDDING_NORM, P};
use crate::layer::{Entry, Layout};

/// Whether a tensor belongs to P: a learned P itself, or the norm that it passes before any layer reads it.
pub(crate) fn of_p(entry: &Entry) -> bool {
    prefix(&entry.name, P).is_some() || norm_prefix(entry).is_some()
}

/// Multiplies the elements of every P, as the layers first read it, by `spread`: by the gain of its norm where it has one,
/// which would undo what its table is multiplied by.
pub(crate) fn spread_p(layout: &Layout, weights: &mut [f32], spread: f32) {
    let gain = |entry: &&Entry| entry.name.ends_with(".weight") && norm_prefix(entry).is_some();
    let gains: Vec<&Entry> = layout.entries().iter().filter(gain).collect();
    let normed = |prefix: &str| gains.iter().any(|gain| norm_prefix(gain) == Some(prefix));
    let tables = layout.entries().iter().filter(|entry| prefix(&entry.name, P).is_some_and(|p| !normed(p)));
    for entry in tables.chain(gains.iter().copied()) {
        weights[entry.at.clone()].iter_mut().for_each(|x| *x *= spread);
    }
}

fn norm_prefix(entry: &Entry) -> Option<&str> {
    let (name, _) = entry.name.rsplit_once('.')?;
    prefix(name, EMBEDDING_NORM)
}

/// What stands before `last` in a name that it ends.
fn prefix<'a>(name: &'a str, last: &str) -> Option<&'a str> {
    let prefix = name.strip_suffix(last)?;
    (prefix.is_empty() || prefix.ends_with('.')).then_some(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::luna_causal::Packing;
    use crate::layer::{EncoderConfig, Mechanism};
    use crate::network::EncoderGraph;

    #[test]
    fn the_p_that_layers_first_read_is_spread() {
        let mechanism = Mechanism::LunaCausal { l: 4, tied: true, packing: Packing::default() };
        for (p_chain, embedding_norm, expected) in [
            (true, true, &["layernorm_porjected_embedding.weight"][..]),
            (true, false, &["projected_embeddings"]),
            (false, true, &["layers.0.projected_embeddings", "layers.1.projected_embeddings"]),
        ] {
            let config = EncoderConfig {
                causal: true,
                p_chain,
                embedding_norm,
                vocab: Some(3),
                ..EncoderConfig::new(mechanism, 8, 2, 8, 2)
            };
            let layout = EncoderGraph::new(&config).unwrap().layout;
            let drawn = layout.draw(1);
            let mut weights = drawn.clone();
            spread_p(&layout, &mut weights, 3.0);
            let mut changed = Vec::new();
            for entry in layout.entries() {
                let of = |weights: &[f32]| weights[entry.at.clone()].to_vec();
                let tripled: Vec<f32> = of(&drawn).iter().map(|x| 3.0 * x).collect();
                if of(&weights) != of(&drawn) {
                    assert_eq!(of(&weights), tripled);
                    changed.push(entry.name.as_str());
                    assert!(of_p(entry));
                }
            }
            assert_eq!(changed, expected);
            let of_p: usize = layout.entries().iter().filter(|entry| of_p(entry)).count();
            assert_eq!(of_p, if p_chain && embedding_norm { 3 } else { expected.len() });
        }
    }
}
