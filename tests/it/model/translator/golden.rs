//! `tests/golden/translator`: torch's own figures.

use std::path::Path;

use luna::model::Named;
use luna::network::translator::{Translator, TranslatorConfig};
use luna::network::{EncoderConfig, Mechanism};

use crate::attention::golden::{Golden, furthest};

#[test]
fn torch_says_the_same() {
    for (name, pre_norm) in [("post_norm", false), ("pre_norm", true)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translator");
        let named = Named::open(&path.join(format!("{name}.safetensors"))).unwrap();
        let encoder = EncoderConfig {
            vocab: Some(17),
            positions: 12,
            embedding_norm: true,
            pre_norm,
            ..EncoderConfig::new(Mechanism::Softmax, 24, 3, 40, 2)
        };
        let config = TranslatorConfig { decoder_layers: 3, ..TranslatorConfig::new(encoder) };
        let translator = Translator::load(&named.within("w"), &config).unwrap();
        let golden = Golden::read("translator", name);
        let tokens = |name: &str| golden.array(name).iter().map(|id| *id as u32).collect::<Vec<_>>();
        let (source, target) = (tokens("in.source"), tokens("in.target"));
        let exact = golden.matrix("out.logits");
        let off = furthest(&translator.logits(&source, &target).unwrap(), &exact);
        assert!(off < 2e-5, "{name}: off by {off:e}");
        let mut state = translator.start(&source).unwrap();
        for (token, exact) in target.iter().zip(exact.rows()) {
            let off = furthest(&translator.step(&mut state, *token).unwrap(), &exact);
            assert!(off < 2e-5, "{name}, a token at a time: off by {off:e}");
        }
        // The file's weights are all that such a network has, and no more.
        let weights = named.names().iter().filter(|name| name.starts_with("w.")).count();
        assert_eq!(weights, config.layout().entries().len());
    }
}
