//! What encoders promise at every size.

use std::collections::BTreeMap;
use std::path::Path;

use luna::attention::Mask;
use luna::layer::Entry;
use luna::model::Named;
use luna::network::{ALL, Encoder, EncoderConfig, Mechanism, Stream};
use ndarray::{Array2, ArrayD, s};

use super::{MECHANISMS, batch, furthest, small, weights};

const BOUND: f32 = 2e-5;

#[test]
fn both_forms_of_softmax_agree() {
    for pre_norm in [false, true] {
        let [fused, plain] = [Mechanism::Softmax, Mechanism::Materialised].map(|mechanism| {
            let config = small(mechanism, pre_norm);
            let encoder = Encoder::load(&weights(&config, 1), &config).unwrap();
            encoder.forward_vectors(batch("x", 2, 75, 24), Some(&[75, 40])).unwrap().x
        });
        assert!(
            furthest(&fused.slice(s![..1, .., ..]).to_owned(), &plain.slice(s![..1, .., ..]).to_owned())
                < BOUND
        );
        let real = s![1.., ..40, ..];
        assert!(furthest(&fused.slice(real).to_owned(), &plain.slice(real).to_owned()) < BOUND);
    }
}

#[test]
fn a_batch_is_its_sequences_and_padding_does_not_matter() {
    let (n, real) = (70, [70, 9, 1]);
    for (mechanism, pre_norm) in
        MECHANISMS.into_iter().flat_map(|mechanism| [(mechanism, false), (mechanism, true)])
    {
        let config = small(mechanism, pre_norm);
        let encoder = Encoder::load(&weights(&config, 2), &config).unwrap();
        let mut x = batch("x", 3, n, 24);
        let alone: Vec<Stream> = real
            .iter()
            .enumerate()
            .map(|(at, real)| {
                let one = x.slice(s![at..=at, ..*real, ..]).to_owned();
                encoder.forward_vectors(one, None).unwrap()
            })
            .collect();
        for (at, real) in real.iter().enumerate() {
            x.slice_mut(s![at, *real.., ..]).fill(f32::NAN);
        }
        let all = encoder.forward_vectors(x, Some(&real)).unwrap();
        for (at, (alone, real)) in alone.iter().zip(real).enumerate() {
            let off = furthest(&all.x.slice(s![at..=at, ..real, ..]).to_owned(), &alone.x);
            assert!(off < BOUND, "{mechanism:?}, sequence {at}: {off:e}");
            if let (Some(all), Some(alone)) = (&all.p, &alone.p) {
                let rows = alone.dim().1;
                let off = furthest(&all.slice(s![at..=at, ..rows, ..]).to_owned(), alone);
                assert!(off < BOUND, "p of sequence {at}: {off:e}");
            }
        }
    }
}

/// The tensors of a configuration's one layer with an E that is added to them.
fn with_e(named: &Named, config: &EncoderConfig, e: Array2<f32>) -> Named {
    let mut all: BTreeMap<String, ArrayD<f32>> = BTreeMap::new();
    for Entry { name, shape, .. } in config.layout().entries() {
        let tensor = match shape[..] {
            [rows, columns] => named.matrix(name, (rows, columns)).unwrap().into_dyn(),
            _ => named.vector(name, shape[0]).unwrap().into_dyn(),
        };
        all.insert(name.clone(), tensor);
    }
    for layer in 0..config.layers {
        all.insert(format!("layers.{layer}.self_attn.compress.weight"), e.clone().into_dyn());
    }
    Named::new(Path::new("memory"), all)
}

#[test]
fn a_window_over_all_and_an_e_that_does_nothing_are_softmax() {
    let softmax = small(Mechanism::Softmax, false);
    let named = weights(&softmax, 4);
    let top = |config: &EncoderConfig, named: &Named| {
        Encoder::load(named, config).unwrap().forward_vectors(batch("x", 2, 33, 24), None).unwrap().x
    };
    let exact = top(&softmax, &named);
    let wide = EncoderConfig { mechanism: Mechanism::Local { l: 66 }, ..softmax };
    assert!(furthest(&top(&wide, &named), &exact) < BOUND);
    let whole = EncoderConfig { mechanism: Mechanism::Linformer { l: 33, max: 33 }, ..softmax };
    assert!(furthest(&top(&whole, &with_e(&named, &softmax, Array2::eye(33))), &exact) < BOUND);
}

#[test]
fn drawn_encoders_follow_from_their_seed() {
    for mechanism in MECHANISMS {
        let config = EncoderConfig {
            vocab: Some(260),
            positions: 80,
            embedding_norm: true,
            ..small(mechanism, false)
        };
        let ids = Array2::from_shape_fn((2, 70), |(i, j)| ((i * 37 + j * 11) % 260) as u32);
        let top = |seed| Encoder::random(&config, seed).unwrap().forward(ids.view(), None).unwrap();
        let first = top(7);
        assert!(first.x.iter().all(|x| x.is_finite()), "{mechanism:?}");
        assert_eq!(first, top(7));
        assert_ne!(first.x, top(8).x);
        let encoder = Encoder::random(&config, 7).unwrap();
        let input = Stream::new(batch("x", 2, 20, 24), encoder.p());
        let lowest = encoder.layers().next().unwrap().forward(input.clone(), None).unwrap();
        let alone = Encoder::random(&EncoderConfig { layers: 1, ..config }, 7).unwrap();
        assert_eq!(lowest, alone.layers().next().unwrap().forward(input, None).unwrap());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = |config: EncoderConfig| Encoder::random(&config, 1).err().unwrap().to_string();
    let fine = small(Mechanism::Softmax, false);
    assert!(refused(EncoderConfig { heads: 5, ..fine }).contains("a divisor of d = 24"));
    assert!(refused(EncoderConfig { heads: 0, ..fine }).contains("heads of an encoder"));
    assert!(
        refused(EncoderConfig { mechanism: Mechanism::Local { l: 0 }, ..fine })
            .contains("'l' of attention 'local'")
    );

    let encoder = Encoder::random(&EncoderConfig { vocab: Some(9), positions: 6, ..fine }, 1).unwrap();
    let text =
        |ids: Array2<u32>, real: Option<&[usize]>| encoder.forward(ids.view(), real).unwrap_err().to_string();
    assert!(text(Array2::from_elem((1, 3), 9), None).contains("ids below 9"));
    assert!(text(Array2::zeros((1, 7)), None).contains("6 or less, the positions"));
    assert!(text(Array2::zeros((2, 3)), Some(&[3])).contains("2 lengths of at most 3"));
    assert!(text(Array2::zeros((1, 3)), Some(&[4])).contains("1 lengths of at most 3"));
    let vectors = Encoder::random(&fine, 1).unwrap();
    assert!(
        vectors.forward(Array2::zeros((1, 3)).view(), None).unwrap_err().to_string().contains("vocabulary")
    );
    let lowest = |config: &EncoderConfig, stream| {
        Encoder::random(config, 1).unwrap().layers().next().unwrap().forward(stream, None)
    };
    assert!(lowest(&fine, Stream::new(batch("x", 1, 3, 23), None)).is_err());
    let without_p = Stream::new(batch("x", 1, 3, 24), None);
    assert!(lowest(&small(MECHANISMS[2], false), without_p).is_err(), "Luna's layer has a P");
    let short = small(Mechanism::Linformer { l: 4, max: 10 }, false);
    assert!(lowest(&short, Stream::new(batch("x", 1, 11, 24), None)).is_err(), "E has 10 columns");
}

#[test]
fn every_mechanism_has_a_name() {
    for kind in ALL {
        let mechanism = Mechanism::build(&kind.name.parse().unwrap()).unwrap();
        assert_eq!(mechanism.name(), kind.name);
        assert_eq!(mechanism.l().is_some(), kind.takes.iter().any(|param| param.name == "l"));
        let causal = !mechanism.honours(Mask::Full);
        let config = EncoderConfig { causal, ..EncoderConfig::new(mechanism, 16, 2, 32, 1) };
        let stream = Stream::new(batch("x", 1, 12, 16), Encoder::random(&config, 1).unwrap().p());
        let encoder = Encoder::random(&config, 1).unwrap();
        assert!(encoder.layers().next().unwrap().forward(stream, None).is_ok(), "{}", kind.name);
    }
    let built = Mechanism::build(&"luna:l=128,tied=false".parse().unwrap()).unwrap();
    assert_eq!(built, Mechanism::Luna { l: 128, tied: false });
    let unknown = Mechanism::build(&"linfomer".parse().unwrap()).unwrap_err().to_string();
    assert!(unknown.contains("linformer"), "{unknown}");
}
