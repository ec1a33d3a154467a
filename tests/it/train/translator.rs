//! Encoder-decoders that learn: gradients beside differences, threads, padding that is not there.
#![allow(clippy::unwrap_used)] // the helpers are test code too

use std::path::Path;

use luna::attention::luna_causal::Weight;
use luna::model::Named;
use luna::network::translator::{DecoderAttention, Translator as InUse, TranslatorConfig};
use luna::network::{EncoderConfig, Mechanism};
use luna::train::{Dropout, Pairs, Rates, Rows, Translator};

/// Sources and targets of these lengths; l is longer than one source and shorter than the others.
const LENGTHS: [(usize, usize); 3] = [(11, 7), (4, 13), (9, 9)];
const VOCAB: usize = 31;

fn configs() -> Vec<TranslatorConfig> {
    let encoder = |mechanism| EncoderConfig {
        vocab: Some(VOCAB),
        positions: 16,
        embedding_norm: true,
        ..EncoderConfig::new(mechanism, 24, 3, 40, 2)
    };
    let of = |encoder, weight: Weight| {
        let mut config = TranslatorConfig::new(encoder);
        config.decoder.packing = weight.into();
        config
    };
    let decoded = |encoder: EncoderConfig, spec: &str| TranslatorConfig {
        decoder: DecoderAttention::build(&spec.parse().unwrap(), &encoder).unwrap(),
        ..TranslatorConfig::new(encoder)
    };
    let (tied, untied) = (Mechanism::Luna { l: 6, tied: true }, Mechanism::Luna { l: 6, tied: false });
    vec![
        of(encoder(Mechanism::Softmax), Weight::Softplus),
        of(encoder(tied), Weight::Softplus),
        of(encoder(untied), Weight::Elu),
        of(EncoderConfig { pre_norm: true, ..encoder(Mechanism::Softmax) }, Weight::Softplus),
        of(EncoderConfig { pre_norm: true, embedding_norm: false, ..encoder(tied) }, Weight::Elu),
        TranslatorConfig {
            decoder_layers: 3,
            ..TranslatorConfig::new(EncoderConfig { positions: 0, ..encoder(tied) })
        },
        // A softmax decoder behind other encoders.
        decoded(encoder(tied), "softmax"),
        decoded(EncoderConfig { pre_norm: true, ..encoder(untied) }, "softmax"),
        TranslatorConfig::new(EncoderConfig { p_chain: false, ..encoder(tied) }),
        TranslatorConfig::new(encoder(Mechanism::Linformer { l: 5, max: 16 })),
        TranslatorConfig::new(encoder(Mechanism::Linear)),
        TranslatorConfig::new(encoder(Mechanism::Performer { l: 12 })),
        TranslatorConfig::new(encoder(Mechanism::Local { l: 6 })),
        // One attention of each, by the encoder's P, and by a P of the decoder's own.
        decoded(encoder(tied), "luna-self"),
        decoded(EncoderConfig { pre_norm: true, ..encoder(untied) }, "luna-self:weight=elu,decay=0.9"),
        decoded(encoder(untied), "luna-source:tied=true"),
        decoded(EncoderConfig { pre_norm: true, ..encoder(tied) }, "luna-source"),
        decoded(encoder(Mechanism::Softmax), "luna-self:l=5,tied=false"),
        decoded(EncoderConfig { pre_norm: true, ..encoder(Mechanism::Linear) }, "luna-source:l=5"),
        decoded(
            EncoderConfig { p_chain: false, ..encoder(tied) },
            "luna:l=5,tied=false,weight=elu,decay=learned",
        ),
    ]
}

fn pairs(lengths: &[(usize, usize)]) -> Pairs {
    let tokens = |pair: &(usize, usize), n: usize, salt: usize| -> Vec<u32> {
        (0..n).map(|i| ((i * i + 7 * i + salt + 3 * pair.0 + 5 * pair.1) % VOCAB) as u32).collect()
    };
    let flat = |of: &dyn Fn(&(usize, usize)) -> Vec<u32>| lengths.iter().flat_map(of).collect();
    Pairs {
        sources: flat(&|pair| tokens(pair, pair.0, 1)),
        source_rows: Rows::of(lengths.iter().map(|pair| pair.0)),
        inputs: flat(&|pair| tokens(pair, pair.1, 2)),
        rows: Rows::of(lengths.iter().map(|pair| pair.1)),
        targets: flat(&|pair| tokens(pair, pair.1, 9)),
    }
}

fn in_use(network: &Translator, numbers: &[f32]) -> InUse {
    let named = Named::new(Path::new("twin"), network.layout().tensors(numbers));
    InUse::load(&named, network.config()).unwrap()
}

/// A pair after the other, and a token of the target after the other: what is used says what was trained.
#[test]
fn the_same_tensors_give_the_same_loss() {
    for config in configs() {
        let network = Translator::new(&config).unwrap();
        let numbers = network.draw(3);
        let translator = in_use(&network, &numbers);
        let pairs = pairs(&LENGTHS);
        let mut nats = 0.0;
        for (of, rows) in pairs.source_rows.each().zip(pairs.rows.each()) {
            let logits = translator.logits(&pairs.sources[of], &pairs.inputs[rows.clone()]).unwrap();
            for (row, target) in logits.rows().into_iter().zip(&pairs.targets[rows]) {
                let row = row.mapv(f64::from);
                nats += row.mapv(f64::exp).sum().ln() - row[*target as usize];
            }
        }
        let found = network.evaluate(&numbers, &pairs).unwrap();
        assert_eq!(found.count, pairs.targets.len());
        assert!((found.nats - nats).abs() < 1e-4 * nats, "{config:?}: {} and {nats}", found.nats);
    }
}

/// Through the file of a configuration and back, and what is no such file or no such input.
#[test]
fn what_is_kept_of_a_configuration_and_what_is_refused() {
    for config in configs() {
        let text = serde_json::to_string(&config.to_json()).unwrap();
        assert_eq!(TranslatorConfig::parse(Path::new("c"), &text).unwrap(), config);
        let spec = config.decoder_spec().parse().unwrap();
        assert_eq!(DecoderAttention::build(&spec, &config.encoder).unwrap().kind, config.decoder.kind);
        assert_eq!(DecoderAttention::build(&spec, &config.encoder).unwrap().l, config.decoder.l);
    }
    let good = configs()[1].to_json();
    let message = |key: &str, value: serde_json::Value| {
        let mut map = good.clone();
        map.insert(key.into(), value);
        let text = serde_json::to_string(&map).unwrap();
        TranslatorConfig::parse(Path::new("c"), &text).unwrap_err().to_string()
    };
    assert!(message("attention", "materialised".into()).contains("softmax, luna, linformer"));
    assert!(message("attention", "linear".into()).contains("this encoder hands on none"));
    assert!(message("decoder", "linear".into()).contains("softmax, luna, luna-self, luna-source"));
    assert!(message("decoder_l", 4.into()).contains("it reads the P of the luna encoder"));
    assert!(message("decoder_tied", 4.into()).contains("decoder_tied"));
    assert!(message("weight", "relu".into()).contains("softplus or elu"));
    assert!(message("decay", "1.5".into()).contains("below 1, or learned"));
    assert!(message("decoder_layers", 0.into()).contains("decoder_layers"));
    assert!(message("model_type", "luna".into()).contains("luna-translator"));
    assert!(message("p_chain", false.into()).contains("this encoder hands on none"));
    // A file of an earlier version, which has no key of a decoder.
    let mut old = good.clone();
    old.remove("decoder");
    let old = TranslatorConfig::parse(Path::new("c"), &serde_json::to_string(&old).unwrap()).unwrap();
    assert_eq!(old, configs()[1]);
    assert_eq!(good["decoder"], "luna");
    assert!(!good.contains_key("decoder_l") && !good.contains_key("decoder_tied"));
    let network = Translator::new(&configs()[1]).unwrap();
    let translator = in_use(&network, &network.draw(1));
    let said = |source: &[u32]| translator.start(source).unwrap_err().to_string();
    assert!(said(&[]).contains("a source"));
    assert!(said(&[31]).contains("below 31"));
    assert!(said(&[1; 17]).contains("16 or less"));
    let mut state = translator.start(&[1, 2]).unwrap();
    assert!(translator.step(&mut state, 31).unwrap_err().to_string().contains("below 31"));
    for _ in 0..16 {
        translator.step(&mut state, 3).unwrap();
    }
    assert_eq!(state.tokens(), 16);
    assert!(translator.step(&mut state, 3).unwrap_err().to_string().contains("a target: 17"));
    let other = Translator::new(&configs()[0]).unwrap();
    let mut state = in_use(&other, &other.draw(1)).start(&[1, 2]).unwrap();
    assert!(translator.step(&mut state, 3).unwrap_err().to_string().contains("another network"));
}

/// Along a direction that has a part in every tensor, with dropout's mask standing still.
#[test]
fn gradients_are_the_slopes_of_the_objective() {
    for config in configs() {
        let network = Translator::new(&config).unwrap();
        assert_eq!(network.layout().learned(), config.parameters());
        let mut numbers = network.draw(4);
        let noise = |i: usize| ((i.wrapping_mul(2_654_435_761) >> 7) % 2001) as f32 / 1000.0 - 1.0;
        numbers.iter_mut().enumerate().for_each(|(i, x)| *x += 0.1 * noise(i + 5));
        let mut direction: Vec<f32> = (0..numbers.len()).map(noise).collect();
        for entry in network.layout().entries().iter().filter(|entry| !entry.learned) {
            direction[entry.at.clone()].fill(0.0);
        }
        let pairs = pairs(&LENGTHS);
        let masked = Dropout::new(0.2, 1, 2, 0);
        let drops = config.encoder.mechanism.drops();
        for dropout in [Dropout::OFF, if drops { masked.of_attention(0.3) } else { masked }] {
            let rates = Rates { dropout, smoothing: 0.1 };
            let objective = |by: f32| {
                let moved: Vec<f32> = numbers.iter().zip(&direction).map(|(x, d)| x + by * d).collect();
                let mut unused = vec![0.0; moved.len()];
                network.learn(&moved, &mut unused, 0.0, &pairs, rates).unwrap().objective
            };
            let mut gradients = vec![0.0; numbers.len()];
            network.learn(&numbers, &mut gradients, 1.0, &pairs, rates).unwrap();
            let along: f64 =
                gradients.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
            let difference = |h: f32| (objective(h) - objective(-h)) / (2.0 * f64::from(h));
            let slope = (4.0 * difference(1e-3) - difference(2e-3)) / 3.0;
            let off = (slope - along).abs() / along.abs().max(1.0);
            assert!(off < 2e-2, "{config:?} {dropout:?}: {slope} and {along}");
        }
    }
}

/// Every pair alone finds what all together find: no pair reads another, and lengths that are alike (which are worked on
/// at once) are no other case.
#[test]
fn pairs_do_not_know_each_other() {
    for config in configs() {
        let network = Translator::new(&config).unwrap();
        let numbers = network.draw(6);
        for lengths in [LENGTHS, [(8, 5), (8, 5), (8, 5)], [(3, 5), (8, 5), (12, 5)]] {
            let mut whole = vec![0.0; numbers.len()];
            let sums = network.learn(&numbers, &mut whole, 1.0, &pairs(&lengths), Rates::OFF).unwrap();
            let mut parts = vec![0.0; numbers.len()];
            let mut nats = 0.0;
            for pair in lengths {
                let pairs = pairs(&[pair]);
                nats += network.learn(&numbers, &mut parts, 1.0, &pairs, Rates::OFF).unwrap().nats;
                assert!(network.evaluate(&numbers, &pairs).unwrap().nats > 0.0);
            }
            assert!((nats - sums.nats).abs() < 1e-4 * nats, "{config:?}: {nats} and {}", sums.nats);
            let size = whole.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let off = whole.iter().zip(&parts).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(off < 1e-4 * size, "{config:?} {lengths:?}: {off} of {size}");
        }
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    for config in configs() {
        let network = Translator::new(&config).unwrap();
        let numbers = network.draw(5);
        let pairs = pairs(&LENGTHS);
        let dropout = |config: &TranslatorConfig| {
            let of_attention = if config.encoder.mechanism.drops() { 0.1 } else { 0.0 };
            Dropout::new(0.1, 7, 8, 9).of_attention(of_attention)
        };
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut gradients = vec![0.0; numbers.len()];
                let rates = Rates { dropout: dropout(&config), smoothing: 0.0 };
                let sums = network.learn(&numbers, &mut gradients, 1.0, &pairs, rates).unwrap();
                (sums, gradients)
            })
        };
        assert!(run(1) == run(3), "{config:?}");
    }
}

#[test]
fn batches_that_do_not_fit() {
    let network = Translator::new(&configs()[1]).unwrap();
    let numbers = network.draw(0);
    let message = |pairs: &Pairs| network.evaluate(&numbers, pairs).unwrap_err().to_string();
    let good = pairs(&LENGTHS);
    assert!(message(&Pairs { targets: vec![1], ..good.clone() }).contains("sources, inputs, targets"));
    let mut beyond = good.clone();
    beyond.targets[3] = VOCAB as u32;
    assert!(message(&beyond).contains("target: '31'"), "{}", message(&beyond));
    let mut beyond = good.clone();
    beyond.inputs[3] = VOCAB as u32;
    assert!(message(&beyond).contains("below 31"), "{}", message(&beyond));
    assert!(message(&pairs(&[(17, 3)])).contains("16 or less"));
}
