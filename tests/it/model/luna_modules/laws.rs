//! What the modules promise at every size: on random weights.

use luna::attention::luna_causal::Weight;
use luna::model::luna::{LunaAttention, LunaCausalAttention, LunaDecoder, LunaEncoder, Padding};
use ndarray::{Array2, s};

use super::{Tensors, named, random, rows, small};
use crate::attention::golden::furthest;

const KINDS: [(bool, bool); 4] = [(true, false), (false, false), (true, true), (false, true)];

#[test]
fn a_size_s_tensors_are_all_that_loading_needs_and_all_of_them() {
    for (tied, pre_norm) in KINDS {
        let (size, config) = small(tied, pre_norm);
        let all = random(&size);
        let load = |tensors: &Tensors| {
            let named = named(tensors);
            LunaEncoder::load(&named.within("encoder"), &config, 2)?;
            LunaDecoder::load(&named.within("decoder"), &config, 3).map(|_| ())
        };
        load(&all).unwrap();
        let layers: Vec<&String> = all.keys().filter(|name| name.contains("layer")).collect();
        assert!(layers.len() > 20, "{layers:?}");
        for name in layers {
            let mut fewer = all.clone();
            fewer.remove(name);
            let text = load(&fewer).unwrap_err().to_string();
            // Without its tied projection a module looks untied.
            let looks_untied = name.contains("c_proj.weight");
            assert!(text.contains(&format!("no tensor '{name}'")) || looks_untied, "{name}: {text}");
            fewer.insert(name.clone(), ndarray::ArrayD::zeros(ndarray::IxDyn(&[2, 2])));
            let text = load(&fewer).unwrap_err().to_string();
            assert!(text.contains(&format!("tensor '{name}' has shape [2, 2]")), "{text}");
        }
    }
}

#[test]
fn decoding_row_by_row_gives_the_rows_of_the_whole() {
    for ((tied, pre_norm), weight) in
        KINDS.into_iter().flat_map(|kind| [Weight::Softplus, Weight::Elu].map(|weight| (kind, weight)))
    {
        let (size, mut config) = small(tied, pre_norm);
        config.weight = weight;
        let decoder = LunaDecoder::load(&named(&random(&size)).within("decoder"), &config, 3).unwrap();
        // longer than one chunk
        let (x, p, context) = (rows("x", 150, 24), rows("p", 5, 24), rows("context", 31, 24));
        let context_padding: Vec<bool> = (0..31).map(|row| row > 20).collect();
        let p_padding = Padding::dynamic(5, 3);
        assert_eq!(p_padding, [false, false, false, true, true]);
        for padding in [Padding::default(), Padding { context: Some(&context_padding), p: Some(&p_padding) }]
        {
            let (whole, _) = decoder.forward(x.clone(), p.clone(), context.view(), padding).unwrap();
            let mut state = decoder.start(p.clone(), context.view(), padding).unwrap();
            let mut other = None;
            for (t, (x, expected)) in x.rows().into_iter().zip(whole.rows()).enumerate() {
                let y = decoder.step(&mut state, x).unwrap();
                let off = furthest(&y, &expected);
                assert!(off <= 2e-5, "row {t}: off by {off:e}");
                if t == 70 {
                    other = Some(state.clone());
                }
            }
            // A state that was put aside goes on from where it was.
            let y = decoder.step(&mut other.unwrap(), x.row(71)).unwrap();
            assert!(furthest(&y, &whole.row(71)) <= 2e-5);
        }
    }
}

#[test]
fn no_row_reads_a_later_one() {
    for (tied, pre_norm) in KINDS {
        let (size, config) = small(tied, pre_norm);
        let decoder = LunaDecoder::load(&named(&random(&size)).within("decoder"), &config, 3).unwrap();
        let (mut x, p, context) = (rows("x", 150, 24), rows("p", 5, 24), rows("context", 31, 24));
        let forward = |x: &Array2<f32>| {
            decoder.forward(x.clone(), p.clone(), context.view(), Padding::default()).unwrap()
        };
        let (before, p_before) = forward(&x);
        for first in [149, 70, 1] {
            x.slice_mut(s![first.., ..]).mapv_inplace(|x| x * -3.0 + 1.0);
            let (after, p_after) = forward(&x);
            assert_eq!(before.slice(s![..first, ..]), after.slice(s![..first, ..]));
            assert_ne!(before.row(first), after.row(first));
            assert_eq!(p_before, p_after, "P follows from the encoder alone");
        }
    }
}

#[test]
fn what_stands_in_padding_changes_nothing() {
    for (tied, pre_norm) in KINDS {
        let (size, config) = small(tied, pre_norm);
        let weights = named(&random(&size));
        let encoder = LunaEncoder::load(&weights.within("encoder"), &config, 2).unwrap();
        let (x, mut p) = (rows("x", 37, 24), rows("p", 5, 24));
        let (x_padding, p_padding): (Vec<bool>, _) =
            ((0..37).map(|row| row >= 30 || row == 4).collect(), Padding::dynamic(5, 4));
        let padding = Padding { context: Some(&x_padding), p: Some(&p_padding) };
        let (clean_x, clean_p) = encoder.forward(x.clone(), p.clone(), padding).unwrap();
        let mut soiled = x.clone();
        for garbage in [1e6, f32::NAN] {
            soiled.slice_mut(s![30.., ..]).fill(garbage);
            soiled.row_mut(4).fill(garbage);
            p.row_mut(4).fill(garbage);
            let (found_x, found_p) = encoder.forward(soiled.clone(), p.clone(), padding).unwrap();
            for row in (0..30).filter(|row| *row != 4) {
                assert_eq!(found_x.row(row), clean_x.row(row));
            }
            assert_eq!(found_p.slice(s![..4, ..]), clean_p.slice(s![..4, ..]));
        }
        // Padding is as good as absence.
        let real: Vec<usize> = (0..37).filter(|row| !x_padding[*row]).collect();
        let cut = x.select(ndarray::Axis(0), &real);
        let short = p.slice(s![..4, ..]).to_owned();
        let (found, _) = encoder.forward(cut, short, Padding::default()).unwrap();
        assert!(furthest(&found, &clean_x.select(ndarray::Axis(0), &real)) <= 1e-5);
    }
}

#[test]
fn without_anything_to_read_there_are_zeros_and_never_nan() {
    let (size, config) = small(true, false);
    let tensors = random(&size);
    let weights = named(&tensors);
    let module = LunaAttention::load(&weights.within("encoder.layers.0.self_attn"), &config).unwrap();
    let (x, p) = (rows("x", 6, 24), rows("p", 5, 24));
    let (nothing, no_p) = ([true; 6], [true; 5]);
    let padding = Padding { context: Some(&nothing), p: None };
    let (y_x, y_p) = module.forward(x.view(), p.view(), x.view(), padding).unwrap();
    assert_eq!(y_p, Array2::<f32>::zeros((5, 24)));
    assert!(y_x.iter().all(|x| x.is_finite()));
    let bias = &tensors["encoder.layers.0.self_attn.out_proj.bias"];
    let padding = Padding { context: None, p: Some(&no_p) };
    let (y_x, y_p) = module.forward(x.view(), p.view(), x.view(), padding).unwrap();
    assert!(y_x.rows().into_iter().all(|row| row.into_dyn() == bias));
    assert!(y_p.iter().any(|x| *x != 0.0));
    let packed = module.pack(p.view(), x.view(), padding).unwrap();
    assert_eq!(module.unpack_weights(x.view(), &packed).unwrap().sum(), 0.0);
    let bias = &tensors["decoder.layers.0.self_attn.out_proj.bias"];
    let module = LunaCausalAttention::load(&weights.within("decoder.layers.0.self_attn"), &config).unwrap();
    let y = module.forward(x.view(), p.view(), Some(&no_p)).unwrap();
    assert!(y.rows().into_iter().all(|row| row.into_dyn() == bias));
    let mut state = module.start(p.view(), Some(&no_p)).unwrap();
    assert_eq!(&module.step(&mut state, x.row(0)).unwrap().into_dyn(), bias);
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let (size, config) = small(true, false);
    let weights = named(&random(&size));
    let encoder = LunaEncoder::load(&weights.within("encoder"), &config, 2).unwrap();
    let refuse = |x: (usize, usize), p, padding| {
        encoder.forward(Array2::zeros(x), Array2::zeros(p), padding).unwrap_err().to_string()
    };
    let short = [false; 3];
    assert!(
        refuse((6, 24), (5, 23), Padding::default()).contains("p: shape [5, 23]; expected rows of d = 24")
    );
    assert!(refuse((6, 25), (5, 24), Padding::default()).contains("context: shape [6, 25]"));
    let padding = Padding { context: Some(&short), p: None };
    assert!(refuse((6, 24), (5, 24), padding).contains("padding of the context: shape [3]; expected (6)"));
    let padding = Padding { context: None, p: Some(&short) };
    assert!(refuse((6, 24), (5, 24), padding).contains("padding of p: shape [3]; expected (5)"));
    let config = luna::model::luna::LayerConfig { pack_heads: 7, ..config };
    let error = LunaEncoder::load(&weights.within("encoder"), &config, 2).err().unwrap().to_string();
    assert!(error.contains("heads: '7' is not accepted; accepted: a divisor of d = 24"), "{error}");
}
