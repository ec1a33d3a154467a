//! The model families: for each, a table of tensor names and a reader of its `config.json`.
//!
//! # How to add a family
//! A file with a `static Family` (tensor names with their shapes, keys of `config.json` that are read, inert or must be
//! neutral, a reader that fills in a [`ModelConfig`](super::ModelConfig)), its `mod` line and its line in [`ALL`]. The
//! golden tests compare it with Hugging Face's forward pass and its keys with what transformers reads.

mod albert;
mod bert;
mod bloom;
mod declaration;
mod decoder;
mod distilbert;
mod electra;
mod esm;
mod find;
mod gemma;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod gpt_oss;
mod gptj;
mod known;
mod llama;
mod luna;
mod modernbert;
mod mpt;
mod olmo;
mod opt;
mod phi;
mod t5;
mod tensors;
mod vision;

pub use declaration::Family;
pub use known::Effect;
pub(super) use tensors::{Need, Role, Tensor};

/// Every family, by `model_type`.
pub static ALL: &[&Family] = &[
    &bert::BERT,
    &bert::ROBERTA,
    &bert::XLM_ROBERTA,
    &bert::CAMEMBERT,
    &distilbert::DISTILBERT,
    &electra::ELECTRA,
    &albert::ALBERT,
    &modernbert::MODERNBERT,
    &esm::ESM,
    &t5::T5,
    &gpt2::GPT2,
    &gpt_neo::GPT_NEO,
    &gpt_neox::GPT_NEOX,
    &gptj::GPTJ,
    &opt::OPT,
    &bloom::BLOOM,
    &mpt::MPT,
    &llama::LLAMA,
    &llama::MISTRAL,
    &llama::QWEN2,
    &llama::QWEN3,
    &gemma::GEMMA2,
    &gemma::GEMMA3,
    &olmo::OLMO2,
    &olmo::OLMO3,
    &phi::PHI,
    &phi::PHI3,
    &gpt_oss::GPT_OSS,
    &vision::VIT,
    &vision::DEIT,
    &vision::DINOV2,
    &vision::CLIP,
    &self::luna::LUNA,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_old_names() {
        use declaration::matches;
        assert!(matches("*.attn.bias", "h.11.attn.bias"));
        assert!(!matches("*.attn.bias", "h.11.attn.c_attn.bias"));
        assert!(matches("classifier.*", "classifier.dense.weight"));
        assert!(!matches("classifier.*", "pre_classifier.weight"));
        let bert = Family::find("bert").unwrap();
        assert_eq!(bert.canonical("bert.embeddings.LayerNorm.gamma"), "embeddings.LayerNorm.weight");
        assert_eq!(
            bert.canonical("encoder.layer.0.output.LayerNorm.beta"),
            "encoder.layer.0.output.LayerNorm.bias"
        );
    }

    #[test]
    fn names_differ_and_each_family_says_what_it_is() {
        for (i, family) in ALL.iter().enumerate() {
            assert!(!family.about.is_empty() && !family.about.ends_with('.'), "{}", family.name);
            assert!(ALL[..i].iter().all(|other| other.name != family.name), "{}", family.name);
            let mut names: Vec<_> = family.tensors.concat().iter().map(|tensor| tensor.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{}", family.name);
        }
    }
}
