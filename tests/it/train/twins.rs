//! Networks beside the forward passes of `model`: the same tensors, the same output; gradients beside differences.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use luna::attention::luna_causal::{Average, Packing, Weight};
use luna::cost::Tally;
use luna::model::Named;
use luna::network::{Encoder, EncoderConfig, Head, Mechanism};
use luna::train::{Batch, Dropout, Layers, Network, Rates, Rows};
use ndarray::Array2;
use std::path::Path;

const LENGTHS: [usize; 3] = [23, 9, 40];
const CLASSES: usize = 3;

/// Causal Luna that forgets.
fn decaying(average: Average) -> Mechanism {
    Mechanism::LunaCausal { l: 5, tied: true, packing: Packing { average, ..Packing::default() } }
}

fn configs() -> Vec<EncoderConfig> {
    let full = [
        Mechanism::Softmax,
        Mechanism::Luna { l: 12, tied: true },
        Mechanism::Luna { l: 12, tied: false },
        Mechanism::Linformer { l: 6, max: 64 },
        Mechanism::Linear,
        Mechanism::Performer { l: 16 },
        Mechanism::Local { l: 8 },
    ];
    let causal = [
        Mechanism::Softmax,
        Mechanism::LunaCausal { l: 5, tied: true, packing: Weight::Softplus.into() },
        Mechanism::LunaCausal { l: 5, tied: false, packing: Weight::Elu.into() },
        decaying(Average::Decaying(0.8)),
        decaying(Average::Learned),
        Mechanism::Linear,
        Mechanism::Local { l: 8 },
    ];
    let base = |mechanism, causal| EncoderConfig {
        vocab: Some(31),
        positions: 48,
        embedding_norm: true,
        causal,
        head: if causal { Head::Tokens } else { Head::Classes(CLASSES) },
        ..EncoderConfig::new(mechanism, 24, 3, 40, 2)
    };
    let mut all: Vec<_> = full.iter().map(|mechanism| base(*mechanism, false)).collect();
    all.extend(causal.iter().map(|mechanism| base(*mechanism, true)));
    // Each in its other arrangements.
    let with_p = [Mechanism::Luna { l: 12, tied: true }];
    for mechanism in with_p {
        all.push(EncoderConfig { p_chain: false, ..base(mechanism, false) });
        all.push(EncoderConfig { pre_norm: true, embedding_norm: false, ..base(mechanism, false) });
    }
    let mechanism = Mechanism::LunaCausal { l: 5, tied: true, packing: Weight::Softplus.into() };
    all.push(EncoderConfig { p_chain: false, pre_norm: true, ..base(mechanism, true) });
    all.push(EncoderConfig { positions: 0, ..base(Mechanism::Linear, true) });
    all
}

fn batch(config: &EncoderConfig) -> Batch {
    let rows = Rows::of(LENGTHS);
    let ids: Vec<u32> = (0..rows.total()).map(|i| ((i * i + 7 * i) % 31) as u32).collect();
    let targets = match config.head {
        Head::Classes(_) => vec![2, 0, 1],
        _ => ids.iter().map(|id| (id * 5 + 1) % 31).collect(),
    };
    Batch { ids, rows, targets }
}

#[test]
fn the_same_tensors_give_the_same_loss() {
    for config in configs() {
        let network = Network::new(&config).unwrap();
        let numbers = network.draw(3);
        let named = Named::new(Path::new("twin"), network.layout().tensors(&numbers));
        let encoder = Encoder::load(&named, &config).unwrap();
        let batch = batch(&config);
        let most = LENGTHS.into_iter().max().unwrap();
        let mut ids = Array2::zeros((LENGTHS.len(), most));
        for (mut row, of) in ids.rows_mut().into_iter().zip(batch.rows.each()) {
            row.iter_mut().zip(&batch.ids[of]).for_each(|(to, id)| *to = *id);
        }
        let mut nats = 0.0;
        let mut add = |logits: ndarray::ArrayView1<'_, f32>, target: u32| {
            let logits = logits.mapv(f64::from);
            nats += logits.mapv(f64::exp).sum().ln() - logits[target as usize];
        };
        if let Head::Classes(_) = config.head {
            let logits = encoder.logits(ids.view(), Some(&LENGTHS)).unwrap();
            logits.rows().into_iter().zip(&batch.targets).for_each(|(row, target)| add(row, *target));
        } else {
            let logits = encoder.token_logits(ids.view()).unwrap();
            for (of, logits) in batch.rows.each().zip(logits.outer_iter()) {
                let targets = &batch.targets[of];
                logits.rows().into_iter().zip(targets).for_each(|(row, target)| add(row, *target));
            }
        }
        let found = network.evaluate(&numbers, &batch).unwrap();
        assert_eq!(found.count, batch.targets.len());
        assert!((found.nats - nats).abs() < 1e-4 * nats, "{config:?}: {} and {nats}", found.nats);
    }
}

/// Along a direction that has a part in every tensor, with dropout's mask standing still.
#[test]
fn gradients_are_the_slopes_of_the_objective() {
    for config in configs() {
        let network = Network::new(&config).unwrap();
        let mut numbers = network.draw(4);
        // Norms and biases away from where they begin, so that nothing hides behind ones and zeros.
        let noise = |i: usize| ((i.wrapping_mul(2_654_435_761) >> 7) % 2001) as f32 / 1000.0 - 1.0;
        let learned =
            |i: usize| network.layout().entries().iter().any(|entry| entry.learned && entry.at.contains(&i));
        let moving: Vec<bool> = (0..numbers.len()).map(learned).collect();
        for (i, x) in numbers.iter_mut().enumerate().filter(|(i, _)| moving[*i]) {
            *x += 0.1 * noise(i + 5);
        }
        let direction: Vec<f32> =
            (0..numbers.len()).map(|i| if moving[i] { noise(i) } else { 0.0 }).collect();
        let batch = batch(&config);
        let masked = Dropout::new(0.2, 1, 2, 0);
        let drops = config.mechanism.drops();
        for dropout in [Dropout::OFF, if drops { masked.of_attention(0.3) } else { masked }] {
            let rates = Rates { dropout, smoothing: 0.1 };
            let objective = |by: f32| {
                let moved: Vec<f32> = numbers.iter().zip(&direction).map(|(x, d)| x + by * d).collect();
                let mut unused = vec![0.0; moved.len()];
                network.learn(&moved, &mut unused, 0.0, &batch, rates).unwrap().objective
            };
            let mut gradients = vec![0.0; numbers.len()];
            network.learn(&numbers, &mut gradients, 1.0, &batch, rates).unwrap();
            let along: f64 =
                gradients.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            // Two steps of the difference, so that its own error of second order falls out.
            let difference = |h: f32| (objective(h) - objective(-h)) / (2.0 * f64::from(h));
            let slope = (4.0 * difference(1e-3) - difference(2e-3)) / 3.0;
            let off = (slope - along).abs() / along.abs().max(1.0);
            assert!(off < 2e-2, "{config:?} {dropout:?}: {slope} and {along}");
        }
    }
}

/// Layers without embeddings and head: the gradient of what goes in, along a direction.
#[test]
fn layers_alone_have_gradients_too() {
    let of = |mechanism, causal| EncoderConfig { causal, ..EncoderConfig::new(mechanism, 24, 3, 40, 2) };
    let causal = Mechanism::LunaCausal { l: 5, tied: true, packing: Weight::Softplus.into() };
    let configs = [
        of(Mechanism::Softmax, false),
        of(Mechanism::Materialised, true),
        of(Mechanism::Luna { l: 12, tied: true }, false),
        of(Mechanism::Linformer { l: 6, max: 48 }, false),
        of(causal, true),
    ];
    let pre_norm = EncoderConfig { pre_norm: true, ..of(Mechanism::Luna { l: 12, tied: true }, false) };
    for config in configs.into_iter().chain([pre_norm]) {
        let layers = Layers::new(&config).unwrap();
        let numbers = layers.draw(2);
        let rows = Rows::of(LENGTHS);
        let of = |salt: usize| {
            let number = |(row, column): (usize, usize)| {
                (((row * 31 + column * 17 + salt) * 7919) % 2003) as f32 / 1000.0 - 1.0
            };
            Array2::from_shape_fn((rows.total(), 24), number)
        };
        let (x, d_out, direction) = (of(1), of(2), of(3));
        let mut gradients = vec![0.0; numbers.len()];
        let mut pass =
            |x: Array2<f32>| layers.pass(&numbers, &mut gradients, x, &rows, d_out.view(), None).unwrap();
        let (y, dx) = pass(x.clone());
        let by_columns = x.t().as_standard_layout().into_owned().reversed_axes();
        assert!(!by_columns.is_standard_layout());
        assert_eq!(pass(by_columns), (y, dx.clone()), "{config:?}");
        let mut objective = |by: f32| {
            let (y, _) = pass(&x + &(&direction * by));
            y.iter().zip(&d_out).map(|(y, d)| f64::from(*y) * f64::from(*d)).sum::<f64>()
        };
        let mut difference = |h: f32| (objective(h) - objective(-h)) / (2.0 * f64::from(h));
        let slope = (4.0 * difference(1e-2) - difference(2e-2)) / 3.0;
        let along: f64 = dx.iter().zip(&direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        assert!((slope - along).abs() < 1e-2 * along.abs().max(1.0), "{config:?}: {slope} and {along}");
        assert!(
            layers.pass(&numbers, &mut gradients, Array2::zeros((3, 24)), &rows, d_out.view(), None).is_err()
        );
    }
    assert!(Layers::new(&EncoderConfig { p_chain: false, ..of(causal, true) }).is_err());
}

/// Every product of layers counts itself: projections and feed-forward networks three times, attention as its own passes.
#[test]
fn layers_count_what_the_closed_form_says() {
    let all = [
        (Mechanism::Softmax, false),
        (Mechanism::Softmax, true),
        (Mechanism::Materialised, false),
        (Mechanism::Materialised, true),
        (Mechanism::Luna { l: 7, tied: true }, false),
        (Mechanism::Luna { l: 99, tied: false }, false),
        (Mechanism::LunaCausal { l: 7, packing: Weight::Softplus.into(), tied: true }, true),
        (Mechanism::LunaCausal { l: 20, packing: Weight::Elu.into(), tied: false }, true),
        (decaying(Average::Learned), true),
        (Mechanism::Linformer { l: 6, max: 90 }, false),
        (Mechanism::Linear, false),
        (Mechanism::Linear, true),
        (Mechanism::Performer { l: 10 }, false),
        (Mechanism::Local { l: 8 }, false),
        (Mechanism::Local { l: 8 }, true),
    ];
    for (mechanism, causal) in all {
        let config = EncoderConfig { causal, ..EncoderConfig::new(mechanism, 24, 3, 40, 2) };
        let layers = Layers::new(&config).unwrap();
        let numbers = layers.draw(5);
        let (b, n) = (2, 83);
        let rows = Rows::of(vec![n; b]);
        let x = Array2::from_shape_fn((b * n, 24), |(row, column)| ((row + column) % 5) as f32 - 2.0);
        let (tally, d_out) = (Tally::default(), x.clone());
        let mut gradients = vec![0.0; numbers.len()];
        layers.pass(&numbers, &mut gradients, x, &rows, d_out.view(), Some(&tally)).unwrap();
        let expected = (config.layer_train_cost(b, n).unwrap() * config.layers).macs;
        assert_eq!(tally.macs(), expected, "{mechanism:?} causal {causal}");
    }
}

/// The yardstick is the same function, with matrices.
#[test]
fn layers_with_matrices_learn_what_layers_without_learn() {
    for causal in [false, true] {
        let found = [Mechanism::Softmax, Mechanism::Materialised].map(|mechanism| {
            let config = EncoderConfig { causal, ..EncoderConfig::new(mechanism, 24, 3, 40, 2) };
            let layers = Layers::new(&config).unwrap();
            let numbers = layers.draw(4);
            let rows = Rows::of(LENGTHS);
            let number = |(row, column): (usize, usize)| ((row * 13 + column * 7) % 29) as f32 / 14.0 - 1.0;
            let x = Array2::from_shape_fn((rows.total(), 24), number);
            let mut gradients = vec![0.0; numbers.len()];
            let d_out = &x * 0.1;
            let (y, dx) = layers.pass(&numbers, &mut gradients, x, &rows, d_out.view(), None).unwrap();
            [y.into_raw_vec_and_offset().0, dx.into_raw_vec_and_offset().0, gradients].concat()
        });
        assert!(found[0].iter().any(|number| number.abs() > 0.1));
        for (one, other) in found[0].iter().zip(&found[1]) {
            assert!((one - other).abs() < 1e-4 * one.abs().max(1.0), "{one} and {other}");
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for config in configs() {
        let network = Network::new(&config).unwrap();
        let numbers = network.draw(5);
        let batch = batch(&config);
        let dropped = if config.mechanism.drops() { 0.1 } else { 0.0 };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut gradients = vec![0.0; numbers.len()];
                let rates =
                    Rates { dropout: Dropout::new(0.1, 7, 8, 9).of_attention(dropped), smoothing: 0.0 };
                let sums = network.learn(&numbers, &mut gradients, 1.0, &batch, rates).unwrap();
                (sums, gradients)
            })
        };
        assert_eq!(run(1), run(1), "{config:?}");
        assert!(run(1) == run(3), "{config:?}");
    }
}
