//! What a pass costs: closed forms against counts of what was done, and against published figures.

use luna::cost::Tally;
use luna::network::{Encoder, EncoderConfig, Mechanism, Stream};
use ndarray::Array2;

use super::{MECHANISMS, batch, small, weights};

#[test]
fn counts_of_what_was_done_are_the_closed_forms() {
    for (mechanism, pre_norm) in
        MECHANISMS.into_iter().flat_map(|mechanism| [(mechanism, false), (mechanism, true)])
    {
        let config = small(mechanism, pre_norm);
        let encoder = Encoder::load(&weights(&config, 1), &config).unwrap();
        for (b, n) in [(1, 1), (1, 3), (2, 33), (3, 70)] {
            let tally = Tally::default();
            let mut stream = Stream::new(batch("x", b, n, 24), encoder.p());
            for (at, layer) in encoder.layers().enumerate() {
                stream = layer.forward_counted(stream, None, &tally).unwrap();
                assert_eq!(tally.macs(), (layer.cost(b, n) * (at + 1)).macs, "{mechanism:?} {b} x {n}");
            }
            assert_eq!(encoder.cost(b, n).macs, tally.macs());
        }
    }
}

#[test]
fn counting_changes_nothing_and_embeddings_cost_nothing() {
    for mechanism in MECHANISMS {
        let config = EncoderConfig { vocab: Some(9), positions: 80, ..small(mechanism, false) };
        let encoder = Encoder::random(&config, 1).unwrap();
        let ids = Array2::from_shape_fn((2, 21), |(i, j)| ((i + j) % 9) as u32);
        let tally = Tally::default();
        let counted = encoder.forward_counted(ids.view(), None, &tally).unwrap();
        assert_eq!(counted, encoder.forward(ids.view(), None).unwrap());
        assert_eq!(tally.macs(), encoder.cost(2, 21).macs);
    }
}

#[test]
fn layers_cost_what_the_papers_tables_say() {
    let (n, d, ffn, l) = (1024, 512, 2048, 16);
    let flops = |mechanism| EncoderConfig::new(mechanism, d, 8, ffn, 1).layer_cost(1, n).flops() as usize;
    let feed_forward = 4 * n * d * ffn;
    assert_eq!(flops(Mechanism::Softmax), 8 * n * d * d + 4 * n * n * d + feed_forward);
    assert_eq!(flops(Mechanism::Materialised), flops(Mechanism::Softmax));
    for (tied, projections) in [(true, 6 * n + 4 * l), (false, 8 * n + 6 * l)] {
        let luna = flops(Mechanism::Luna { l, tied });
        assert_eq!(luna, projections * d * d + 8 * n * l * d + feed_forward);
    }
    let linformer = flops(Mechanism::Linformer { l, max: n });
    assert_eq!(linformer, 8 * n * d * d + 8 * n * l * d + feed_forward);
    // 4 n d d_h and the weights' sums; features l (d_h + 1) twice, sums l (d_h) and l (d_h + 1)
    let linear = flops(Mechanism::Linear);
    assert_eq!(linear, 8 * n * d * d + 4 * n * d * 64 + 2 * n * d + feed_forward);
    // Luna's P has no more rows than X.
    let short = EncoderConfig::new(Mechanism::Luna { l, tied: true }, d, 8, ffn, 1).layer_cost(1, 4);
    assert_eq!(short.flops() as usize, 10 * 4 * d * d + 8 * 16 * d + 4 * 4 * d * ffn);
}

#[test]
fn bert_base_costs_what_is_published() {
    // 11.17 GMACs at 128 tokens: calflops (MrYxJ/calculate-flops.pytorch, README at 086d419f), BERT-base, batch 1.
    let bert = EncoderConfig::new(Mechanism::Softmax, 768, 12, 3072, 12);
    let macs = bert.cost(1, 128).macs;
    assert_eq!(macs, 12 * (12 * 768 * 768 * 128 + 2 * 128 * 128 * 768));
    assert_eq!((macs as f64 / 1e7).round() / 100.0, 11.17);
}

#[test]
fn parameters_follow_the_tables_of_tensors() {
    for pre_norm in [false, true] {
        let (d, ffn, layers) = (24, 40, 2);
        let (square, feed) = (d * d + d, 2 * d * ffn + ffn + d);
        let last = if pre_norm { 2 * d } else { 0 };
        let parameters = |mechanism| small(mechanism, pre_norm).parameters();
        let transformer = layers * (4 * square + feed + 4 * d) + last;
        for mechanism in
            [Mechanism::Softmax, Mechanism::Materialised, Mechanism::Linear, Mechanism::Performer { l: 9 }]
        {
            assert_eq!(parameters(mechanism), transformer);
        }
        assert_eq!(parameters(Mechanism::Linformer { l: 7, max: 80 }), transformer + layers * 7 * 80);
        for (tied, squares) in [(true, 5), (false, 7)] {
            let luna = layers * (squares * square + feed + 6 * d) + 5 * d + 2 * last;
            assert_eq!(parameters(Mechanism::Luna { l: 5, tied }), luna);
        }
    }
    // A layer of BERT-base has 7,087,872 parameters.
    assert_eq!(EncoderConfig::new(Mechanism::Softmax, 768, 12, 3072, 1).parameters(), 7_087_872);
}

#[test]
fn only_matrices_take_memory_that_grows_with_the_square_of_the_length() {
    for mechanism in MECHANISMS {
        let layer = EncoderConfig::new(mechanism, 24, 3, 40, 1);
        let [once, twice] = [1 << 14, 1 << 15].map(|n| layer.extra_bytes(1, n, 2) as f64);
        let order = (twice / once).log2();
        let expected = if mechanism == Mechanism::Materialised { 2.0 } else { 1.0 };
        assert!((order - expected).abs() < 0.05, "{mechanism:?}: n to the {order}");
    }
}
