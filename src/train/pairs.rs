//! The head of two towers that share their weights: classes of pairs of sequences, each of which was encoded alone.
//!
//! Long Range Arena's document retrieval (Tay et al. 2021; `classifier_head_dual` with the interaction `NLI`): of the means
//! x1 and x2 over the sequences of a pair, `[x1, x2, x1 x2, x1 - x2]` goes through a hidden layer to the classes.

use ndarray::{Array2, ArrayView2, s};

use super::loss::{Learn, Sums, cross_entropy, means_back};
use crate::layer::{Backward, Dropout, FeedForward, Pass, Rows, Tape};
use crate::network::means;

/// Classes of pairs from the rows (n, d) of their sequences, the first and the second of a pair one after the other: what
/// was found, and the gradient of x (n, d) if it is wanted.
pub(super) fn of_pairs(
    pass: Pass<'_>,
    learn: Learn<'_>,
    head: &FeedForward,
    x: ArrayView2<'_, f32>,
    rows: &Rows,
    targets: &[u32],
    smoothing: f32,
) -> (Sums, Option<Array2<f32>>) {
    let pass = Pass { dropout: Dropout::OFF, ..pass };
    let mut tape = Tape::default();
    let means = means(x, rows);
    let features = features(means.view());
    let mut logits = head.forward(pass, features.view(), Some(&mut tape));
    let weight = learn.as_ref().map_or(0.0, |(_, weight)| *weight);
    let sums = cross_entropy(logits.view_mut(), targets, smoothing, weight);
    let Some((gradients, _)) = learn else { return (sums, None) };
    let d = head.backward(&mut Backward { pass, gradients }, &mut tape, features.view(), logits.view());
    let d_means = features_back(means.view(), d.view());
    (sums, Some(means_back(d_means.view(), rows, x.ncols())))
}

/// `[x1, x2, x1 x2, x1 - x2]` of each two rows: of (2 b, d) the rows (b, 4 d).
fn features(x: ArrayView2<'_, f32>) -> Array2<f32> {
    let (one, two) = (x.slice(s![..;2, ..]), x.slice(s![1..;2, ..]));
    let (b, d) = one.dim();
    let mut features = Array2::zeros((b, 4 * d));
    features.slice_mut(s![.., ..d]).assign(&one);
    features.slice_mut(s![.., d..2 * d]).assign(&two);
    features.slice_mut(s![.., 2 * d..3 * d]).assign(&(&one * &two));
    features.slice_mut(s![.., 3 * d..]).assign(&(&one - &two));
    features
}

/// The gradient of the rows x (2 b, d) under that of their [`features`] (b, 4 d).
fn features_back(x: ArrayView2<'_, f32>, d_features: ArrayView2<'_, f32>) -> Array2<f32> {
    let d = x.ncols();
    let part = |at: usize| d_features.slice(s![.., at * d..(at + 1) * d]);
    let (one, two) = (x.slice(s![..;2, ..]), x.slice(s![1..;2, ..]));
    let mut dx = Array2::zeros(x.raw_dim());
    dx.slice_mut(s![..;2, ..]).assign(&(&part(0) + &(&part(2) * &two) + part(3)));
    dx.slice_mut(s![1..;2, ..]).assign(&(&part(1) + &(&part(2) * &one) - part(3)));
    dx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{EncoderConfig, Head, Mechanism};
    use crate::train::{Batch, Network, Rates};

    fn network(mechanism: Mechanism) -> Network {
        let config = EncoderConfig {
            vocab: Some(7),
            positions: 9,
            embedding_norm: true,
            head: Head::Pairs(3),
            ..EncoderConfig::new(mechanism, 8, 2, 12, 1)
        };
        Network::new(&config).unwrap()
    }

    fn batch(pairs: &[([&[u32]; 2], u32)]) -> Batch {
        Batch {
            ids: pairs.iter().flat_map(|(texts, _)| texts.concat()).collect(),
            rows: Rows::of(pairs.iter().flat_map(|(texts, _)| texts.map(<[u32]>::len))),
            targets: pairs.iter().map(|(_, class)| *class).collect(),
        }
    }

    const FIRST: ([&[u32]; 2], u32) = ([&[1, 2, 3], &[4, 5]], 2);
    const SECOND: ([&[u32]; 2], u32) = ([&[6], &[1, 1, 2, 0, 3]], 0);

    #[test]
    fn gradients_follow_differences() {
        for mechanism in [Mechanism::Softmax, Mechanism::Luna { l: 3, tied: true }] {
            let (network, batch) = (network(mechanism), batch(&[FIRST, SECOND]));
            let parameters = network.draw(1);
            let mut gradients = vec![0.0; parameters.len()];
            network.learn(&parameters, &mut gradients, 1.0, &batch, Rates::OFF).unwrap();
            // The parameters of each tensor whose gradient is largest.
            for entry in network.layout().entries() {
                let at = entry
                    .at
                    .clone()
                    .max_by(|a, b| gradients[*a].abs().total_cmp(&gradients[*b].abs()))
                    .unwrap();
                let moved = |by: f32| {
                    let mut parameters = parameters.clone();
                    parameters[at] += by;
                    network.evaluate(&parameters, &batch).unwrap().nats
                };
                let step = 1e-2;
                let difference = (moved(step) - moved(-step)) / f64::from(2.0 * step);
                let gradient = f64::from(gradients[at]);
                let near = (difference - gradient).abs() < 2e-2 * gradient.abs() + 2e-3;
                assert!(near, "{} of {mechanism:?}: {difference} is not {gradient}", entry.name);
            }
        }
    }

    #[test]
    fn sequences_are_encoded_alone_and_their_order_counts() {
        let network = network(Mechanism::Softmax);
        let parameters = network.draw(2);
        let nats = |pairs: &[_]| network.evaluate(&parameters, &batch(pairs)).unwrap().nats;
        assert!((nats(&[FIRST, SECOND]) - nats(&[FIRST]) - nats(&[SECOND])).abs() < 1e-5);
        let swapped = ([FIRST.0[1], FIRST.0[0]], FIRST.1);
        assert!((nats(&[FIRST]) - nats(&[swapped])).abs() > 1e-4);
        let odd = Batch { rows: Rows::of([1]), ids: vec![1], targets: vec![0] };
        assert!(network.evaluate(&parameters, &odd).unwrap_err().to_string().contains("targets of a batch"));
    }
}
