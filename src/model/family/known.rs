//! What each key of a family's `config.json` does here: every one is read, has no effect, or must be neutral.
//!
//! The lists follow what transformers 5.24 reads: a key that changes attention there is read here, or refused when it
//! holds anything but its neutral value. `tests/golden/hf_keys` holds what transformers makes of every key on them.

use crate::Result;
use crate::model::keys::Keys;

/// A family's own lists; [`INERT`] and [`FOREIGN`] hold those of all families from the Hugging Face hub.
#[derive(Debug)]
pub(in crate::model) struct Known {
    /// Keys that are read.
    pub(in crate::model) read: &'static [&'static str],
    /// Keys without effect on attention, and on anything else that is printed.
    pub(in crate::model) inert: &'static [&'static str],
    /// Keys that must hold one of these values (or null): another would be another kind of model.
    pub(in crate::model) neutral: &'static [Neutral],
    /// Whether models of this family come from the hub, with its keys of all models.
    pub(in crate::model) hub: bool,
}

/// A key, and the values that change nothing, as JSON (null always is one).
pub(in crate::model) type Neutral = (&'static str, &'static [&'static str]);

/// That positions are learned and absolute.
pub(super) const ABSOLUTE: Neutral = ("position_embedding_type", &["absolute"]);

/// The keys of one list, then those of another; N is how many they are together.
pub(super) const fn joined<const N: usize>(
    first: &[&'static str],
    more: &[&'static str],
) -> [&'static str; N] {
    let mut keys = [""; N];
    let mut at = 0;
    while at < N {
        keys[at] = if at < first.len() { first[at] } else { more[at - first.len()] };
        at += 1;
    }
    keys
}

/// What a key of `config.json` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is read and has an effect.
    Read,
    /// No effect on attention or on anything that is printed.
    Inert,
    /// It must hold one of these values, or null; any other is refused.
    Neutral(&'static [&'static str]),
}

impl Known {
    /// What a key does; `None` if it is not known.
    pub(super) fn effect(&self, key: &str) -> Option<Effect> {
        let neutral = |list: &[Neutral]| {
            list.iter().find(|(name, _)| *name == key).map(|(_, accepted)| Effect::Neutral(accepted))
        };
        if self.read.contains(&key) {
            return Some(Effect::Read);
        }
        if let Some(effect) = neutral(self.neutral) {
            return Some(effect);
        }
        if self.inert.contains(&key) || (self.hub && INERT.contains(&key)) {
            return Some(Effect::Inert);
        }
        if self.hub { neutral(FOREIGN) } else { None }
    }

    /// Refuses keys that must be neutral and are not; the names of unknown ones.
    pub(super) fn check<'a>(&self, keys: &Keys<'a>) -> Result<Vec<&'a str>> {
        let mut unknown = Vec::new();
        for key in keys.given() {
            match self.effect(key) {
                Some(Effect::Neutral(accepted)) => keys.only(key, accepted)?,
                Some(Effect::Read | Effect::Inert) => {}
                None => unknown.push(key),
            }
        }
        Ok(unknown)
    }

    /// Every key that is known, once.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        let (common, foreign) = if self.hub { (INERT, FOREIGN) } else { (&[][..], &[][..]) };
        let names = |list: &'static [Neutral]| list.iter().map(|(key, _)| *key);
        let mut keys: Vec<_> = [self.read, self.inert, common].concat();
        keys.extend(names(self.neutral).chain(names(foreign)));
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

/// Keys of any model from the hub that change neither attention nor logits: origin, training, options of generation, heads
/// of tasks.
///
/// `dtype`: weights are read in the type of the file, and used as f32. `use_cache`, `chunk_size_feed_forward`
/// and `attn_implementation` change the order of the arithmetic only.
#[rustfmt::skip]
const INERT: &[&str] = &[
    "_name_or_path", "name_or_path", "_commit_hash", "architectures", "transformers_version", "transformers.js_config",
    "auto_map", "custom_pipelines", "unsloth_version", "unsloth_fixed", "torch_dtype", "dtype", "use_bfloat16",
    "torchscript", "tf_legacy_loss", "tokenizer_class", "gradient_checkpointing", "use_cache", "output_attentions",
    "output_hidden_states", "output_past", "return_dict", "use_return_dict", "tie_last_hidden_states",
    "chunk_size_feed_forward", "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
    "_attn_implementation_internal", "is_encoder_decoder", "is_decoder", "initializer_range", "initializer_factor",
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "unk_token_id", "mask_token_id", "cls_token_id",
    "decoder_start_token_id", "id2label", "label2id", "num_labels", "_num_labels", "problem_type", "finetuning_task",
    "task_specific_params", "prefix", "language", "license", "classifier_dropout", "generation_config",
    "assistant_confidence_threshold", "assistant_lookbehind", "bad_words_ids", "begin_suppress_tokens",
    "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size", "encoder_repetition_penalty",
    "epsilon_cutoff", "eta_cutoff", "exponential_decay_length_penalty", "forced_bos_token_id", "forced_eos_token_id",
    "length_penalty", "max_length", "max_new_tokens", "min_length", "no_repeat_ngram_size", "num_assistant_tokens",
    "num_assistant_tokens_schedule", "num_beam_groups", "num_beams", "num_return_sequences", "output_scores",
    "remove_invalid_values", "repetition_penalty", "return_dict_in_generate", "suppress_tokens", "target_lookbehind",
    "temperature", "top_k", "top_p", "typical_p",
];

/// Keys by which models of other families change attention or its inputs. transformers does not read them in the families
/// here; a model that has them was made for code of its own.
#[rustfmt::skip]
const FOREIGN: &[Neutral] = &[
    ("quantization_config", &[]), ("compression_config", &[]), ("per_layer_config", &["{}"]), ("pruned_heads", &["{}"]),
    ("attn_logit_softcapping", &[]), ("final_logit_softcapping", &[]), ("logits_soft_cap", &[]),
    ("attention_logit_cap", &[]), ("query_pre_attn_scalar", &[]), ("attention_multiplier", &[]),
    ("embedding_multiplier", &["1", "1.0"]), ("residual_multiplier", &["1", "1.0"]),
    ("logits_scaling", &["1", "1.0"]), ("logit_scale", &["1", "1.0"]), ("scale_emb", &["1", "1.0"]),
    ("scale_depth", &[]), ("dim_model_base", &[]),
    ("use_qk_norm", &["false"]), ("qk_norm", &["false"]), ("qk_layernorm", &["false"]), ("qk_layer_norm", &["false"]),
    ("clip_qkv", &[]), ("qkv_bias", &["false"]), ("alibi", &["false"]), ("use_alibi", &["false"]),
    ("sliding_window", &[]), ("use_sliding_window", &["false"]), ("sliding_window_pattern", &[]), ("layer_types", &[]),
    ("attention_window", &[]), ("attention_chunk_size", &[]), ("attention_types", &[]), ("window_size", &[]),
    ("no_rope_layers", &[]), ("no_rope_layer_interval", &[]), ("use_bidirectional_attention", &["false"]),
    ("original_max_position_embeddings", &[]), ("partial_rotary_factor", &["1", "1.0"]),
    ("rotary_pct", &["1", "1.0"]), ("rotary_dim", &[]), ("rope_interleave", &["false"]),
    ("use_parallel_residual", &["false"]), ("parallel_attn", &["false"]), ("multi_query", &["false"]),
    ("num_experts", &[]), ("num_local_experts", &[]), ("kv_lora_rank", &[]), ("q_lora_rank", &[]),
    ("cross_attention_hidden_size", &[]), ("add_cross_attention", &["false"]), ("scale_attn_weights", &["true"]),
    ("scale_attn_by_inverse_layer_idx", &["false"]), ("attention_bias", &["false"]), ("mlp_bias", &["false"]),
    ("rope_theta", &[]), ("rope_scaling", &[]), ("rope_parameters", &[]),
];
