//! A token at a time gives what the whole sequence gives.

use luna::network::{Encoder, EncoderConfig, Head, Mechanism};
use ndarray::{Array2, s};

use super::causal::stacks;
use super::{small, weights};

/// A language model with everything below and above its layers.
fn language(config: EncoderConfig) -> EncoderConfig {
    EncoderConfig { vocab: Some(9), positions: 70, embedding_norm: true, head: Head::Tokens, ..config }
}

#[test]
fn steps_are_the_rows_of_the_whole() {
    for config in stacks().into_iter().map(language) {
        let encoder = Encoder::load(&weights(&config, 4), &config).unwrap();
        let ids = Array2::from_shape_fn((1, 70), |(_, j)| ((j * j + 3 * j) % 9) as u32);
        let whole = encoder.token_logits(ids.view()).unwrap();
        let mut state = encoder.start().unwrap();
        for (t, id) in ids.row(0).iter().enumerate() {
            assert_eq!(state.tokens(), t);
            let logits = encoder.step(&mut state, *id).unwrap();
            let off = (&logits - &whole.slice(s![0, t, ..])).mapv(f32::abs);
            assert!(off.iter().all(|off| *off < 1e-4), "{config:?}, token {t}: {off}");
        }
    }
}

#[test]
fn a_state_can_be_kept_and_gone_on_from_twice() {
    let config = language(stacks()[8]);
    let encoder = Encoder::load(&weights(&config, 4), &config).unwrap();
    let mut state = encoder.start().unwrap();
    encoder.step(&mut state, 3).unwrap();
    let mut other = state.clone();
    assert_eq!(encoder.step(&mut state, 5).unwrap(), encoder.step(&mut other, 5).unwrap());
}

#[test]
fn what_cannot_be_stepped_is_refused() {
    let load = |config: EncoderConfig| Encoder::load(&weights(&config, 4), &config).unwrap();
    let started = |config| load(config).start().unwrap_err().to_string();
    let fine = EncoderConfig { positions: 2, ..language(stacks()[0]) };
    assert!(started(EncoderConfig { causal: false, ..fine }).contains("accepted: causal"));
    let classes = EncoderConfig { head: Head::Classes(2), ..fine };
    assert_eq!(started(classes), "head of this encoder: 'classes' is not accepted; accepted: tokens");
    let luna = language(small(Mechanism::Luna { l: 4, tied: true }, false));
    assert!(load(luna).start().is_err());

    let encoder = load(fine);
    let mut state = encoder.start().unwrap();
    encoder.step(&mut state, 0).unwrap();
    let text = encoder.step(&mut state, 9).unwrap_err().to_string();
    assert_eq!(text, "token of the input: '9' is not accepted; accepted: ids below 9, the vocabulary");
    encoder.step(&mut state, 8).unwrap();
    let text = encoder.step(&mut state, 8).unwrap_err().to_string();
    assert_eq!(text, "a decoded sequence: 3 tokens; 2 or less, the positions");
    let other = load(EncoderConfig { mechanism: Mechanism::Linear, ..fine });
    assert!(other.step(&mut state, 0).unwrap_err().to_string().contains("one that its start gave"));
}
