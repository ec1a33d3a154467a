"""What transformers makes of every key of config.json that a family of luna knows: writes expected.json beside this file.

    pip install torch transformers==5.24.0
    python tests/golden/hf_keys/make.py [FAMILY ...]

Only the entries of the families named are made again, or all of them. Each case sets keys of a copy of a folder of
../hf_tiny to other values and runs the copy in float64 (eager attention) on the ids of its expected.safetensors. It is
"same" if nothing moves by more than 1e-5 of the largest, "refused" if transformers raises an error or has to draw a
weight that the file lacks, and otherwise the probe of what came out: see `probe`. `null` as a value removes the key; a
case with "null": true writes it as null.
"""

import copy
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")

import torch
import transformers
from safetensors.torch import load_file

transformers.logging.set_verbosity(logging.CRITICAL)
transformers.logging.disable_progress_bar()
logging.disable(logging.CRITICAL)

HERE = Path(__file__).parent
TINY = HERE.parent / "hf_tiny"

# Keys of any model: another value for each.
COMMON = {
    "_name_or_path": "a/b", "name_or_path": "a/b", "_commit_hash": "abc", "architectures": ["Other"],
    "transformers_version": "4.0.0", "transformers.js_config": {"dtype": "q4"},
    "auto_map": {"AutoConfig": "configuration_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"},
    "custom_pipelines": {"a": {"impl": "b"}}, "unsloth_version": "2024.9", "unsloth_fixed": True,
    "torch_dtype": "float16", "dtype": "float16", "use_bfloat16": True, "torchscript": True, "tf_legacy_loss": True,
    "tokenizer_class": "Other", "gradient_checkpointing": True, "use_cache": False, "output_attentions": True,
    "output_hidden_states": True, "output_past": True, "return_dict": False, "use_return_dict": None,
    "tie_last_hidden_states": False, "chunk_size_feed_forward": 4, "attn_implementation": "sdpa",
    "_attn_implementation": "sdpa", "_attn_implementation_autoset": True, "_attn_implementation_internal": "sdpa",
    "is_encoder_decoder": True, "is_decoder": True, "initializer_range": 0.5, "initializer_factor": 3.0,
    "bos_token_id": 7, "eos_token_id": 8, "pad_token_id": 5, "sep_token_id": 9, "unk_token_id": 9, "mask_token_id": 9,
    "cls_token_id": 9, "decoder_start_token_id": 9, "id2label": {"0": "a", "1": "b", "2": "c"},
    "label2id": {"a": 0, "b": 1, "c": 2}, "num_labels": 3, "_num_labels": 3,
    "problem_type": "single_label_classification", "finetuning_task": "sst2",
    "task_specific_params": {"a": {"max_length": 2}}, "prefix": "a", "language": "en", "license": "mit",
    "classifier_dropout": 0.5, "generation_config": {"top_k": 2}, "assistant_confidence_threshold": 0.1,
    "assistant_lookbehind": 3, "bad_words_ids": [[3]], "begin_suppress_tokens": [3], "diversity_penalty": 0.5,
    "do_sample": True, "early_stopping": True, "encoder_no_repeat_ngram_size": 2, "encoder_repetition_penalty": 2.0,
    "epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "exponential_decay_length_penalty": [3, 1.5], "forced_bos_token_id": 3,
    "forced_eos_token_id": 3, "length_penalty": 2.0, "max_length": 4, "max_new_tokens": 4, "min_length": 2,
    "no_repeat_ngram_size": 2, "num_assistant_tokens": 3, "num_assistant_tokens_schedule": "constant",
    "num_beam_groups": 2, "num_beams": 4, "num_return_sequences": 2, "output_scores": True,
    "remove_invalid_values": True, "repetition_penalty": 2.0, "return_dict_in_generate": True, "suppress_tokens": [3],
    "target_lookbehind": 3, "temperature": 0.5, "top_k": 2, "top_p": 0.5, "typical_p": 0.5,
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}, "compression_config": {"a": 1},
    "per_layer_config": {"0": {"num_attention_heads": 2}}, "pruned_heads": {"0": [1]}, "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0, "logits_soft_cap": 30.0, "attention_logit_cap": 30.0,
    "query_pre_attn_scalar": 256, "attention_multiplier": 0.5, "embedding_multiplier": 12.0,
    "residual_multiplier": 0.5, "logits_scaling": 8.0, "logit_scale": 0.5, "scale_emb": 12, "scale_depth": 1.4,
    "dim_model_base": 256, "use_qk_norm": True, "qk_norm": True, "qk_layernorm": True, "qk_layer_norm": True,
    "clip_qkv": 8.0, "qkv_bias": True, "alibi": True, "use_alibi": True, "sliding_window": 4,
    "use_sliding_window": True, "sliding_window_pattern": 2, "layer_types": ["sliding_attention", "full_attention"],
    "attention_window": 4, "attention_chunk_size": 4, "attention_types": [[["global", "local"], 1]], "window_size": 4,
    "no_rope_layers": [1, 0], "no_rope_layer_interval": 4, "use_bidirectional_attention": True,
    "original_max_position_embeddings": 32, "partial_rotary_factor": 0.5, "rotary_pct": 0.25, "rotary_dim": 4,
    "rope_interleave": True, "use_parallel_residual": True, "parallel_attn": True, "multi_query": True,
    "num_experts": 4, "num_local_experts": 4, "kv_lora_rank": 4, "q_lora_rank": 4, "cross_attention_hidden_size": 16,
    "add_cross_attention": True, "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True,
    "attention_bias": True, "mlp_bias": True, "rope_theta": 100.0,
    "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 100.0},
}

BERT = [
    {"model_type": "albert"}, {"hidden_size": 64}, {"num_attention_heads": 2}, {"num_attention_heads": 8},
    {"num_hidden_layers": 1}, {"num_hidden_layers": 3}, {"intermediate_size": 32}, {"vocab_size": 98},
    {"max_position_embeddings": 65}, {"type_vocab_size": 3}, {"layer_norm_eps": 0.1}, {"hidden_act": "relu"},
    {"hidden_act": "gelu_new"}, {"hidden_act": "silu"}, {"is_decoder": True}, {"is_causal": False}, {"is_causal": True},
    {"is_causal": False, "is_decoder": True}, {"tie_word_embeddings": False}, {"hidden_dropout_prob": 0.5},
    {"attention_probs_dropout_prob": 0.5}, {"pooler_fc_size": 8}, {"pooler_num_attention_heads": 8},
    {"pooler_num_fc_layers": 8}, {"pooler_size_per_head": 8}, {"pooler_type": "other"}, {"directionality": "uni"},
    {"position_embedding_type": "relative_key"}, {"add_cross_attention": True, "is_decoder": True},
]
LLAMA = [
    {"model_type": "albert"}, {"hidden_size": 64}, {"num_attention_heads": 2}, {"num_attention_heads": 8},
    {"num_key_value_heads": 1}, {"num_key_value_heads": 4}, {"num_key_value_heads": None}, {"head_dim": 16},
    {"num_key_value_heads": None, "null": True}, {"head_dim": None, "null": True},
    {"num_hidden_layers": 1}, {"num_hidden_layers": 3}, {"intermediate_size": 32}, {"vocab_size": 98},
    {"max_position_embeddings": 128}, {"rms_norm_eps": 0.1}, {"hidden_act": "relu"}, {"hidden_act": "gelu"},
    {"is_causal": False}, {"is_causal": True}, {"layer_types": ["full_attention", "full_attention"]},
    {"layer_types": ["full_attention"]}, {"layer_types": ["attention", "full_attention"]},
    {"layer_types": ["chunked_attention", "full_attention"]}, {"attention_dropout": 0.5},
    {"position_embedding_type": "absolute"}, {"sliding_window": 64}, {"sliding_window": 4, "is_causal": False},
    {"sliding_window": None}, {"sliding_window": None, "null": True},
    # The angles.
    {"rope_theta": 500.0}, {"rope_theta": 500.0, "rope_parameters": None},
    {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    {"rope_parameters": {"rope_type": "linear", "factor": 4.0}},
    {"rope_parameters": {"rope_type": "linear", "factor": 4.0}, "rope_theta": 500.0},
    {"rope_parameters": {"rope_type": "linear"}},
    {"rope_parameters": {"type": "linear", "factor": 4.0, "attention_factor": 2.0}},
    {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}},
    {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
    {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "partial_rotary_factor": 0.5}},
    {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4.0}}},
    {"rope_parameters": {"rope_type": "default", "factor": 4.0}},
    {"rope_parameters": {"rope_type": "longrope", "factor": 4.0, "short_factor": [1, 2, 3, 4],
                         "long_factor": [4, 5, 6, 7], "original_max_position_embeddings": 32}},
    {"rope_parameters": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 16}},
    {"rope_parameters": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 50.0}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
                         "truncate": False, "beta_fast": 2.0, "beta_slow": 0.5}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
                         "attention_factor": 1.5}},
    {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
                         "mscale": 0.7, "mscale_all_dim": 1.3}},
    {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_theta": 500.0},
    {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_parameters": None},
    {"rope_scaling": {"type": "linear", "factor": 4.0, "rope_theta": 500.0}},
    {"rope_scaling": {}}, {"rope_scaling": {"type": "dynamic", "factor": 4.0}},
]

OPT = [
    {"model_type": "albert"}, {"hidden_size": 64}, {"num_attention_heads": 2}, {"num_attention_heads": 8},
    {"num_hidden_layers": 2}, {"num_hidden_layers": 4}, {"ffn_dim": 32}, {"max_position_embeddings": 63},
    {"vocab_size": 98}, {"word_embed_proj_dim": 16}, {"word_embed_proj_dim": None},
    {"activation_function": "gelu"}, {"activation_function": None}, {"is_causal": False}, {"is_causal": True},
    {"do_layer_norm_before": False}, {"do_layer_norm_before": None}, {"_remove_final_layer_norm": True},
    {"_remove_final_layer_norm": None}, {"layer_norm_elementwise_affine": False}, {"enable_bias": False},
    {"tie_word_embeddings": False}, {"tie_word_embeddings": None}, {"dropout": 0.5}, {"attention_dropout": 0.5},
    {"activation_dropout": 0.5}, {"layerdrop": 0.5}, {"init_std": 0.5}, {"position_embedding_type": "relative_key"},
]
ROPE = [case for case in LLAMA if any(key.startswith("rope") for key in case)]
GPT_OSS = [
    {"model_type": "albert"}, {"hidden_size": 64}, {"num_attention_heads": 2}, {"num_attention_heads": 8},
    {"num_key_value_heads": 1}, {"num_key_value_heads": 4}, {"num_key_value_heads": None}, {"head_dim": 16},
    {"head_dim": None}, {"num_hidden_layers": 1}, {"num_hidden_layers": 3}, {"intermediate_size": 32},
    {"vocab_size": 98}, {"max_position_embeddings": 128}, {"rms_norm_eps": 0.1}, {"hidden_act": "relu"},
    {"is_causal": False}, {"is_causal": True}, {"attention_dropout": 0.5}, {"position_embedding_type": "absolute"},
    {"tie_word_embeddings": True}, {"attention_bias": False}, {"attention_bias": None},
    {"layer_types": None}, {"layer_types": ["full_attention", "full_attention"]}, {"layer_types": ["full_attention"]},
    {"layer_types": ["full_attention", "sliding_attention"]}, {"layer_types": ["chunked_attention", "full_attention"]},
    {"sliding_window": 11}, {"sliding_window": 13}, {"sliding_window": None}, {"sliding_window": None, "null": True},
    {"sliding_window": 4, "is_causal": False},
    {"num_local_experts": 3}, {"num_local_experts": None, "num_experts": 4}, {"num_experts": 3},
    {"num_experts_per_tok": 1}, {"num_experts_per_tok": 3}, {"num_experts_per_tok": None}, {"num_experts_per_tok": 5},
    {"swiglu_alpha": 1.0}, {"swiglu_alpha": None}, {"swiglu_limit": 0.5}, {"swiglu_limit": None},
    {"router_aux_loss_coef": 0.5}, {"output_router_logits": True}, {"experts_per_token": 3},
    {"initial_context_length": 32}, {"rope_parameters": None}, {"rope_parameters": None, "rope_theta": 500.0},
    {"rope_parameters": {}}, {"rope_parameters": None, "rope_scaling": {}},
] + ROPE
WINDOWS = [
    {"sliding_window": 4}, {"sliding_window": 11}, {"sliding_window": 13}, {"sliding_window": 4, "is_causal": False},
    {"sliding_window": None}, {"sliding_window": None, "null": True},
]
QWEN3 = [
    {"use_sliding_window": True, "layer_types": None, "sliding_window": 12, "max_window_layers": 1},
    {"use_sliding_window": True, "layer_types": None, "sliding_window": 11, "max_window_layers": 2},
    {"use_sliding_window": True, "layer_types": None, "sliding_window": 12, "max_window_layers": 3},
    {"use_sliding_window": False, "layer_types": ["sliding_attention"] * 3, "sliding_window": 12},
    {"layer_types": ["sliding_attention", "full_attention", "full_attention"], "use_sliding_window": True,
     "sliding_window": 12},
    {"max_window_layers": 0}, {"attention_bias": True}, {"tie_word_embeddings": True},
]
KINDS = [
    {"layer_types": None}, {"layer_types": ["full_attention"] * 3}, {"layer_types": ["sliding_attention"] * 3},
    {"layer_types": ["full_attention"] * 4}, {"layer_types": ["sliding_attention"] * 4},
]
# Rotary settings by kind of layer.
NESTED = [
    {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 77.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}},
    {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 77.0}}},
    {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4.0}}},
    {"rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 4.0, "rope_theta": 77.0,
                                            "original_max_position_embeddings": 16}}},
    {"rope_parameters": None}, {"rope_parameters": None, "rope_theta": 77.0},
    {"rope_parameters": None, "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    {"rope_parameters": None, "rope_theta": 77.0, "rope_scaling": {"type": "linear", "factor": 4.0}},
]
GEMMA = WINDOWS + KINDS + [
    {"hidden_activation": "relu"}, {"query_pre_attn_scalar": 10}, {"attn_logit_softcapping": 2.0},
    {"attn_logit_softcapping": None}, {"attn_logit_softcapping": None, "null": True},
    {"final_logit_softcapping": 2.0}, {"final_logit_softcapping": None, "null": True}, {"attention_bias": True},
    {"tie_word_embeddings": False}, {"use_bidirectional_attention": True}, {"cache_implementation": "hybrid"},
    {"head_dim": None}, {"num_key_value_heads": None},
]
# What other encoders share with BERT's.
ENCODER = [case for case in BERT if not any("pool" in key or key == "directionality" for key in case)]
SUMMARY = [{"summary_activation": "tanh"}, {"summary_last_dropout": 0.5}, {"summary_type": "mean"},
           {"summary_use_proj": False}]

# What vision models share.
VISION = [
    {"model_type": "albert"}, {"hidden_size": 64}, {"num_attention_heads": 2}, {"num_attention_heads": 8},
    {"num_attention_heads": 5}, {"num_hidden_layers": 1}, {"num_hidden_layers": 4}, {"layer_norm_eps": 0.1},
    {"layer_norm_eps": None}, {"hidden_act": "relu"}, {"hidden_act": "gelu_new"}, {"hidden_act": "quick_gelu"},
    {"image_size": 12}, {"image_size": 27}, {"image_size": None}, {"patch_size": 3}, {"patch_size": 2},
    {"patch_size": 64}, {"patch_size": None}, {"num_channels": 1}, {"tie_word_embeddings": False},
]
VIT = VISION + [
    {"intermediate_size": 32}, {"qkv_bias": False}, {"qkv_bias": True}, {"hidden_dropout_prob": 0.5},
    {"attention_probs_dropout_prob": 0.5}, {"encoder_stride": 4}, {"pooler_act": "relu"}, {"pooler_output_size": 8},
]

FAMILIES = {
    "bert": ("bert-mlm", {}, "AutoModelForMaskedLM", BERT),
    "roberta": ("roberta", {}, "AutoModel", BERT),
    "xlm-roberta": ("xlm-roberta", {}, "AutoModelForMaskedLM", BERT),
    "camembert": ("camembert", {}, "AutoModelForMaskedLM", BERT),
    "electra": ("electra", {}, "AutoModelForMaskedLM", ENCODER + SUMMARY + [
        {"embedding_size": 32}, {"embedding_size": 24}, {"embedding_size": None}]),
    "albert": ("albert", {}, "AutoModelForMaskedLM", ENCODER + [
        {"embedding_size": 32}, {"embedding_size": 24}, {"embedding_size": None}, {"num_hidden_groups": 1},
        {"num_hidden_groups": 3}, {"num_hidden_groups": 4}, {"inner_group_num": 2}, {"hidden_act": None},
        {"classifier_dropout_prob": 0.5}, {"down_scale_factor": 2}, {"gap_size": 1}, {"net_structure_type": 1},
        {"num_memory_blocks": 1}, {"num_hidden_layers": 4, "num_hidden_groups": 2}, {"num_hidden_layers": 7},
    ]),
    "esm": ("esm", {}, "AutoModelForMaskedLM", [
        {"model_type": "albert"}, {"hidden_size": 64}, {"num_attention_heads": 5}, {"num_attention_heads": 32},
        {"num_hidden_layers": 1}, {"num_hidden_layers": 4}, {"intermediate_size": 32},
        {"vocab_size": 98}, {"max_position_embeddings": 65}, {"layer_norm_eps": 0.1}, {"is_decoder": True},
        {"is_causal": False}, {"is_causal": True}, {"is_causal": False, "is_decoder": True}, {"hidden_act": "relu"},
        {"tie_word_embeddings": False}, {"hidden_dropout_prob": 0.5}, {"attention_probs_dropout_prob": 0.5},
        {"rope_theta": 500.0}, {"rope_theta": None}, {"position_embedding_type": "absolute"},
        {"position_embedding_type": None}, {"position_embedding_type": "relative_key"}, {"pad_token_id": 5},
        {"token_dropout": False}, {"token_dropout": None}, {"mask_token_id": 35}, {"mask_token_id": 96},
        {"mask_token_id": 35, "token_dropout": False}, {"emb_layer_norm_before": True},
        {"emb_layer_norm_before": None}, {"is_folding_model": True}, {"esmfold_config": {"esm_type": "a"}},
        {"vocab_list": ["a"]}, {"add_cross_attention": True, "is_decoder": True},
    ]),
    "modernbert": ("modernbert", {}, "AutoModelForMaskedLM", [
        {"model_type": "albert"}, {"hidden_size": 64}, {"num_attention_heads": 2}, {"num_attention_heads": 8},
        {"num_attention_heads": 32}, {"num_hidden_layers": 1, "layer_types": None}, {"num_hidden_layers": 3},
        {"num_hidden_layers": 5, "layer_types": None}, {"intermediate_size": 32}, {"vocab_size": 98},
        {"max_position_embeddings": 65}, {"norm_eps": 0.1}, {"layer_norm_eps": 0.1}, {"hidden_activation": "relu"},
        {"classifier_activation": "relu"}, {"is_causal": True}, {"is_causal": False}, {"tie_word_embeddings": False},
        {"attention_bias": True}, {"mlp_bias": True}, {"norm_bias": True}, {"decoder_bias": False},
        {"classifier_bias": True}, {"attention_dropout": 0.5}, {"embedding_dropout": 0.5}, {"mlp_dropout": 0.5},
        {"classifier_pooling": "mean"}, {"deterministic_flash_attn": True}, {"initializer_cutoff_factor": 3.0},
        {"position_embedding_type": "absolute"}, {"reference_compile": True}, {"repad_logits_with_grad": True},
        {"sparse_prediction": True}, {"sparse_pred_ignore_index": -1},
        # Which layers see a band, and which.
        {"local_attention": 10}, {"local_attention": 13}, {"local_attention": 14}, {"local_attention": 2},
        {"local_attention": 1}, {"local_attention": None}, {"global_attn_every_n_layers": 2},
        {"global_attn_every_n_layers": 2, "layer_types": None}, {"layer_types": None},
        {"global_attn_every_n_layers": 1, "layer_types": None},
        {"layer_types": ["sliding_attention", "sliding_attention", "full_attention", "full_attention"]},
        {"layer_types": ["full_attention"]}, {"sliding_window": 3},
        # The angles.
        {"rope_parameters": None}, {"rope_parameters": {}}, {"global_rope_theta": 500.0}, {"local_rope_theta": 500.0},
        {"global_rope_theta": 500.0, "rope_parameters": None}, {"local_rope_theta": 500.0, "rope_parameters": None},
        {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 500.0}}},
        {"rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 500.0}}},
        {"rope_parameters": {"sliding_attention": {"rope_type": "default"}}, "local_rope_theta": 500.0},
        {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 4.0}}},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0}},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    ]),
    "t5": ("t5-encoder", {}, "T5EncoderModel", [
        {"model_type": "albert"}, {"d_model": 64}, {"hidden_size": 64}, {"num_heads": 2}, {"num_attention_heads": 2},
        {"num_heads": 2, "d_kv": 20}, {"num_heads": 8, "d_kv": 5}, {"d_kv": 8}, {"head_dim": 8}, {"num_layers": 1},
        {"num_layers": 4}, {"num_hidden_layers": 2}, {"num_hidden_layers": 4}, {"d_ff": 32}, {"vocab_size": 98},
        {"layer_norm_epsilon": 0.1}, {"layer_norm_epsilon": None}, {"dropout_rate": 0.5}, {"n_positions": 20},
        {"num_decoder_layers": 1}, {"scale_decoder_outputs": True}, {"tie_word_embeddings": False},
        # The feed-forward networks.
        {"feed_forward_proj": "gated-silu"}, {"feed_forward_proj": "gated-silu", "dense_act_fn": None},
        {"feed_forward_proj": "gated-relu", "dense_act_fn": None, "is_gated_act": None},
        {"feed_forward_proj": "relu", "dense_act_fn": None}, {"dense_act_fn": "relu"}, {"dense_act_fn": None},
        {"dense_act_fn": None, "is_gated_act": None}, {"is_gated_act": False}, {"is_gated_act": None},
        {"feed_forward_proj": "relu", "dense_act_fn": None, "is_gated_act": None},
        {"feed_forward_proj": "gated-gelu-x", "dense_act_fn": None}, {"feed_forward_proj": None},
        # The buckets.
        {"relative_attention_num_buckets": 8}, {"relative_attention_num_buckets": None},
        {"relative_attention_max_distance": 100}, {"relative_attention_max_distance": 23},
        {"relative_attention_max_distance": None}, {"relative_attention_max_distance": 4},
    ]),
    "vit": ("vit", {}, "AutoModel", VIT),
    "deit": ("deit", {}, "AutoModel", VIT),
    "dinov2": ("dinov2", {}, "AutoModel", VISION + [
        {"mlp_ratio": 3}, {"mlp_ratio": None}, {"use_swiglu_ffn": True}, {"qkv_bias": False},
        {"hidden_dropout_prob": 0.5}, {"attention_probs_dropout_prob": 0.5}, {"drop_path_rate": 0.5},
        {"layerscale_value": 0.5}, {"use_mask_token": False}, {"apply_layernorm": False},
        {"reshape_hidden_states": False}, {"out_features": ["stage1"]}, {"out_indices": [1]},
        {"stage_names": ["stem", "stage1", "stage2"]},
    ]),
    "clip_vision_model": ("clip_vision_model", {}, "AutoModel", VISION + [
        {"intermediate_size": 32}, {"attention_dropout": 0.5}, {"dropout": 0.5}, {"projection_dim": 8},
    ]),
    "distilbert": ("distilbert", {}, "AutoModel", [
        {"model_type": "albert"}, {"dim": 64}, {"hidden_size": 64}, {"n_heads": 2}, {"num_attention_heads": 2},
        {"n_heads": 2, "num_attention_heads": 8}, {"num_attention_heads": 4}, {"n_layers": 1},
        {"num_hidden_layers": 1}, {"num_hidden_layers": 3},
        {"hidden_dim": 32}, {"activation": "relu"}, {"max_position_embeddings": 65}, {"vocab_size": 98},
        {"tie_word_embeddings": False}, {"dropout": 0.5}, {"attention_dropout": 0.5}, {"qa_dropout": 0.5},
        {"seq_classif_dropout": 0.5}, {"sinusoidal_pos_embds": True}, {"tie_weights_": False}, {"is_causal": True},
        {"is_causal": False}, {"position_embedding_type": "relative_key"},
    ]),
    "gpt2": ("gpt2", {}, "AutoModelForCausalLM", [
        {"model_type": "albert"}, {"n_embd": 64}, {"hidden_size": 64}, {"n_head": 2}, {"num_attention_heads": 2},
        {"n_head": 8, "num_attention_heads": 2}, {"num_attention_heads": 4}, {"n_layer": 1}, {"num_hidden_layers": 1},
        {"n_inner": 64}, {"n_inner": 128}, {"n_positions": 65}, {"max_position_embeddings": 65},
        {"activation_function": "relu"}, {"vocab_size": 98}, {"layer_norm_epsilon": 0.1}, {"is_causal": False},
        {"is_causal": True}, {"scale_attn_weights": False}, {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_by_inverse_layer_idx": True, "scale_attn_weights": False}, {"tie_word_embeddings": False},
        {"n_ctx": 32}, {"reorder_and_upcast_attn": True}, {"attn_pdrop": 0.5}, {"embd_pdrop": 0.5},
        {"resid_pdrop": 0.5}, {"hidden_dropout": 0.5}, {"summary_activation": "tanh"}, {"summary_first_dropout": 0.5},
        {"summary_last_dropout": 0.5}, {"summary_proj_to_labels": False}, {"summary_type": "mean"},
        {"summary_use_proj": False}, {"position_embedding_type": "relative_key"},
    ]),
    "gpt_neo": ("gpt_neo", {}, "AutoModelForCausalLM", [
        {"model_type": "albert"}, {"hidden_size": 64}, {"num_heads": 2}, {"num_heads": 3}, {"num_attention_heads": 2},
        {"num_heads": 8, "num_attention_heads": 2}, {"num_layers": 2}, {"num_hidden_layers": 2},
        {"num_hidden_layers": 2, "attention_layers": ["global", "local"]},
        {"intermediate_size": 32}, {"intermediate_size": None}, {"vocab_size": 98}, {"max_position_embeddings": 65},
        {"activation_function": "relu"}, {"activation_function": None}, {"layer_norm_epsilon": 0.1}, {"is_causal": False},
        {"is_causal": True}, {"tie_word_embeddings": False}, {"tie_word_embeddings": None},
        {"attention_dropout": 0.5}, {"embed_dropout": 0.5}, {"resid_dropout": 0.5}, {"summary_activation": "tanh"},
        {"summary_first_dropout": 0.5}, {"summary_proj_to_labels": False}, {"summary_type": "mean"},
        {"summary_use_proj": False}, {"position_embedding_type": "relative_key"},
        # The layers.
        {"window_size": 11}, {"window_size": 13}, {"window_size": 1}, {"window_size": None}, {"window_size": 64},
        {"attention_layers": None}, {"attention_layers": ["local", "global", "local", "global"]},
        {"attention_layers": ["global", "local"]}, {"attention_layers": ["global", "local", "global", "other"]},
        {"attention_layers": ["global", "global", "global", "global"]},
        {"attention_types": [[["local"], 4]]}, {"attention_types": [[["local"], 4]], "attention_layers": None},
        {"attention_types": [[["global"], 1], [["local", "global"], 1], [["local"], 1]], "attention_layers": None},
        {"attention_types": [[["local", "global"], 2]], "attention_layers": None},
        {"attention_types": [[["global", "local"], 3]], "attention_layers": None},
        {"attention_types": [["global", "local"]], "attention_layers": None},
        {"attention_types": None, "attention_layers": None}, {"attention_types": None},
    ]),
    "gpt_neox": ("gpt_neox", {}, "AutoModelForCausalLM", [
        {"model_type": "albert"}, {"hidden_size": 64}, {"num_attention_heads": 2}, {"num_attention_heads": 6},
        {"num_hidden_layers": 1}, {"num_hidden_layers": 3}, {"intermediate_size": 32}, {"vocab_size": 98},
        {"max_position_embeddings": 128}, {"layer_norm_eps": 0.1}, {"hidden_act": "relu"}, {"hidden_act": "gelu_new"},
        {"is_causal": False}, {"is_causal": True}, {"attention_dropout": 0.5}, {"hidden_dropout": 0.5},
        {"attention_bias": False}, {"use_parallel_residual": False}, {"tie_word_embeddings": True},
        {"position_embedding_type": "absolute"},
        # The angles.
        {"rotary_pct": 0.5}, {"rotary_pct": 0.5, "rope_parameters": None}, {"rotary_pct": 1.0, "rope_parameters": None},
        {"rotary_emb_base": 500}, {"rotary_emb_base": 500, "rope_parameters": None},
        {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}, {"rope_parameters": None},
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 1.0, "rope_theta": 500.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0}},
        {"rope_parameters": {"rope_type": "linear", "factor": 4.0}, "rotary_emb_base": 500, "rotary_pct": 0.5},
        {"rope_parameters": {"rope_type": "dynamic", "factor": 4.0}},
        {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16,
                             "partial_rotary_factor": 0.5}},
        {"rope_parameters": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                             "original_max_position_embeddings": 16, "partial_rotary_factor": 0.75}},
        {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
        {"rope_scaling": {"type": "linear", "factor": 4.0}, "rope_parameters": None, "rotary_pct": 0.5},
        {"rope_scaling": {}},
    ]),
    "llama": ("llama-gqa", {}, "AutoModelForCausalLM",
              LLAMA + [{"tie_word_embeddings": True}, {"pretraining_tp": 2}]),
    "mistral": ("llama-gqa", {"model_type": "mistral", "sliding_window": None, "null": True},
                "AutoModelForCausalLM", LLAMA + [{"tie_word_embeddings": True}, {"pretraining_tp": 2}]),
    "qwen3": ("qwen3", {}, "AutoModelForCausalLM", LLAMA + QWEN3),
    "gemma2": ("gemma2", {}, "AutoModelForCausalLM", LLAMA + GEMMA),
    "gemma3_text": ("gemma3_text", {}, "AutoModelForCausalLM", LLAMA + GEMMA + NESTED + [
        {"rope_local_base_freq": 77.0}, {"rope_local_base_freq": 77.0, "rope_parameters": None},
        {"sliding_window_pattern": 2}, {"sliding_window_pattern": 2, "layer_types": None},
        {"_sliding_window_pattern": 2, "layer_types": None},
    ]),
    "olmo2": ("olmo2", {}, "AutoModelForCausalLM", LLAMA + [{"attention_bias": True}, {"tie_word_embeddings": True}]),
    "olmo3": ("olmo3", {}, "AutoModelForCausalLM", LLAMA + WINDOWS + KINDS + NESTED + [
        {"attention_bias": True}, {"tie_word_embeddings": True}]),
    "phi": ("phi", {}, "AutoModelForCausalLM", LLAMA + [
        {"layer_norm_eps": 0.1}, {"partial_rotary_factor": 0.25, "rope_parameters": None},
        {"partial_rotary_factor": 0.25}, {"rope_parameters": None}, {"qk_layernorm": True}, {"embd_pdrop": 0.5},
        {"resid_pdrop": 0.5}, {"tie_word_embeddings": True},
    ]),
    "phi3": ("phi3-short", {}, "AutoModelForCausalLM", LLAMA + WINDOWS + [
        {"embd_pdrop": 0.5}, {"resid_pdrop": 0.5}, {"tie_word_embeddings": True},
        {"original_max_position_embeddings": 16}, {"original_max_position_embeddings": None},
        {"original_max_position_embeddings": 16, "max_position_embeddings": 48},
        {"partial_rotary_factor": 0.5, "rope_parameters": None}, {"partial_rotary_factor": 0.5},
        {"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0, 2.0, 3.0, 5.0],
                             "long_factor": [2.0, 3.0, 4.0, 6.0], "rope_theta": 1000.0}},
        {"rope_parameters": None, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 2.0, 3.0, 5.0],
                                                   "long_factor": [2.0, 3.0, 4.0, 6.0]},
         "original_max_position_embeddings": 16},
        {"rope_parameters": None, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 2.0],
                                                   "long_factor": [2.0, 3.0]}, "partial_rotary_factor": 0.5},
        {"rope_parameters": None, "rope_scaling": {"type": "longrope", "short_factor": [1.0, 2.0],
                                                   "long_factor": [2.0, 3.0]}},
    ]),
    "qwen2": ("qwen2", {}, "AutoModelForCausalLM", LLAMA + [
        {"tie_word_embeddings": False}, {"max_window_layers": 1}, {"use_sliding_window": True, "layer_types": None},
        {"use_sliding_window": True, "sliding_window": 64, "layer_types": None, "max_window_layers": 1},
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": None, "max_window_layers": 1},
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": None, "max_window_layers": 2},
        {"use_sliding_window": False, "sliding_window": 4, "layer_types": None, "max_window_layers": 0},
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": ["full_attention", "full_attention"]},
        {"use_sliding_window": True, "sliding_window": 64, "layer_types": ["full_attention", "sliding_attention"]},
        {"use_sliding_window": True, "sliding_window": 4, "layer_types": ["full_attention", "sliding_attention"]},
        {"use_sliding_window": True, "layer_types": ["full_attention", "sliding_attention"]},
        {"attention_bias": False},
    ]),
    "gptj": ("gptj", {}, "AutoModelForCausalLM", [
        {"model_type": "albert"}, {"n_embd": 64}, {"hidden_size": 64}, {"n_head": 2}, {"num_attention_heads": 2},
        {"n_head": 8}, {"n_head": 8, "num_attention_heads": 2}, {"n_layer": 1}, {"num_hidden_layers": 1},
        {"n_layer": 4}, {"n_inner": 64}, {"n_inner": 128}, {"n_positions": 65}, {"max_position_embeddings": 65},
        {"vocab_size": 98}, {"activation_function": "relu"}, {"activation_function": None},
        {"layer_norm_epsilon": 0.1}, {"is_causal": False}, {"is_causal": True}, {"tie_word_embeddings": True},
        {"rotary_dim": 2}, {"rotary_dim": 6}, {"rotary_dim": 8}, {"rotary_dim": 3}, {"rotary_dim": 16},
        {"rotary_dim": None}, {"rotary": False}, {"n_ctx": 32}, {"attn_pdrop": 0.5}, {"embd_pdrop": 0.5},
        {"resid_pdrop": 0.5}, {"summary_activation": "tanh"}, {"summary_first_dropout": 0.5},
        {"summary_proj_to_labels": False}, {"summary_type": "mean"}, {"summary_use_proj": False},
        {"position_embedding_type": "absolute"},
    ]),
    "opt": ("opt", {}, "AutoModelForCausalLM", OPT),
    "bloom": ("bloom", {}, "AutoModelForCausalLM", [
        {"model_type": "albert"}, {"hidden_size": 64}, {"n_embed": 64}, {"n_embed": 32, "hidden_size": None},
        {"n_embed": 32, "hidden_size": 64}, {"n_head": 2}, {"n_head": 8}, {"num_attention_heads": 2},
        {"n_head": 8, "num_attention_heads": 2}, {"n_layer": 1}, {"num_hidden_layers": 1}, {"n_layer": 4},
        {"vocab_size": 98}, {"layer_norm_epsilon": 0.1}, {"is_causal": False}, {"is_causal": True},
        {"tie_word_embeddings": False}, {"apply_residual_connection_post_layernorm": True}, {"slow_but_exact": True},
        {"slow_but_exact": True, "pretraining_tp": 2}, {"pretraining_tp": 2}, {"hidden_dropout": 0.5},
        {"attention_dropout": 0.5}, {"seq_length": 8}, {"n_inner": 64}, {"offset_alibi": 7},
        {"attention_softmax_in_fp32": True}, {"masked_softmax_fusion": False}, {"bias_dropout_fusion": False},
        {"skip_bias_add": False}, {"skip_bias_add_qkv": True}, {"position_embedding_type": "rotary"},
    ]),
    "mpt": ("mpt", {}, "AutoModelForCausalLM", [
        {"model_type": "albert"}, {"d_model": 64}, {"hidden_size": 64}, {"n_heads": 2}, {"n_heads": 8},
        {"num_attention_heads": 2}, {"n_heads": 8, "num_attention_heads": 2}, {"n_layers": 1},
        {"num_hidden_layers": 1}, {"n_layers": 4}, {"max_seq_len": 128},
        {"vocab_size": 98}, {"layer_norm_epsilon": 0.1}, {"is_causal": False}, {"is_causal": True},
        {"tie_word_embeddings": False}, {"expansion_ratio": 4}, {"learned_pos_emb": False}, {"resid_pdrop": 0.5},
        {"emb_pdrop": 0.5}, {"embedding_fraction": 0.5}, {"init_device": "meta"}, {"init_config": {"name": "a"}},
        {"verbose": 1}, {"tokenizer_name": "a/b"}, {"no_bias": False}, {"norm_type": "layernorm"},
        {"norm_type": "rmsnorm"}, {"position_embedding_type": "rotary"},
        # The attention.
        {"attn_config": None}, {"attn_config": {}}, {"attn_config": {"clip_qkv": 0.5}},
        {"attn_config": {"clip_qkv": 0.0}}, {"attn_config": {"clip_qkv": 0.2, "softmax_scale": 0.9}},
        {"attn_config": {"softmax_scale": 0.9}}, {"attn_config": {"softmax_scale": None}},
        {"attn_config": {"alibi": False}}, {"attn_config": {"alibi_bias_max": 16}},
        {"attn_config": {"attn_type": "multiquery_attention"}}, {"attn_config": {"attn_type": "other"}},
        {"attn_config": {"prefix_lm": True}}, {"attn_config": {"qk_ln": True}},
        {"attn_config": {"attn_impl": "triton", "attn_uses_sequence_id": True, "attn_pdrop": 0}},
        {"attn_config": ["clip_qkv"]},
    ]),
    "gpt_oss": ("gpt_oss", {}, "AutoModelForCausalLM", GPT_OSS),
}


def changed(config, case):
    config = copy.deepcopy(config)
    for key, value in case.items():
        if key == "null":
            continue
        if value is None and not case.get("null"):
            config.pop(key, None)
        else:
            config[key] = copy.deepcopy(value)
    return config


def run(folder, config, kind):
    """Hidden states, attentions and (if there is a head) logits; None if transformers refuses or draws weights."""
    read = load_file(folder / "expected.safetensors")
    if "pixel_values" in read:
        input = {"pixel_values": read["pixel_values"].double()}
    else:
        input = {"input_ids": read["input_ids"].reshape(1, -1), "use_cache": False}
    with tempfile.TemporaryDirectory() as copied:
        shutil.copy(folder / "model.safetensors", copied)
        (Path(copied) / "config.json").write_text(json.dumps(config))
        try:
            torch.manual_seed(0)
            model, info = getattr(transformers, kind).from_pretrained(
                copied, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager",
                output_loading_info=True)
            # A pooler that the file lacks is drawn, and nothing here reads it.
            if any("pooler" not in name for name in info["missing_keys"]) or info["mismatched_keys"]:
                return None
            # A file may name an implementation that returns no attentions.
            model.set_attn_implementation("eager")
            model = model.eval()
            with torch.no_grad():
                base = model.base_model(**input, output_attentions=True, return_dict=True)
                head = None if kind.endswith("Model") else model(**input, return_dict=True).logits[0]
            return base.last_hidden_state[0], torch.stack(base.attentions)[:, 0], head
        except Exception:
            return None


def probe(result):
    """Hidden states of the last row and the second, attention of the first and last head of each layer, logits."""
    hidden, attentions, head = result
    n = len(hidden)
    numbers = [hidden[n - 1, :8], hidden[1, :4]]
    for layer in attentions:
        for a in (layer[0], layer[-1]):
            numbers.append(torch.stack([a[n - 1, 0], a[2, 1], a[1, 2]]))
    if head is not None:
        numbers.append(head[n - 1, :4])
    return [float(f"{x:.8g}") for x in torch.cat(numbers).tolist()]


def same(a, b):
    if (a[2] is None) != (b[2] is None):
        return False
    pairs = [(x, y) for x, y in zip(a, b) if x is not None]
    return all(x.shape == y.shape and (x - y).abs().max() <= 1e-5 * y.abs().max() for x, y in pairs)


def main():
    """Writes the entries of the families named as arguments, or of all, in the order of FAMILIES."""
    file = HERE / "expected.json"
    asked = sys.argv[1:] or list(FAMILIES)
    written = json.loads(file.read_text()) if file.exists() else {}
    for family, (name, own, kind, cases) in FAMILIES.items():
        if family not in asked:
            continue
        folder = TINY / name
        config = changed(json.loads((folder / "config.json").read_text()), own)
        base = run(folder, config, kind)
        assert base is not None, family
        listed = {key for case in cases for key in case}
        cases = cases + [{key: value} if value is not None else {key: True}
                         for key, value in COMMON.items() if key not in listed]
        # Everything that the folder itself holds, set to something else, is among the cases.
        missing = set(config) - {key for case in cases for key in case}
        assert not missing, (family, missing)
        entries = []
        for case in cases:
            result = run(folder, changed(config, case), kind)
            outcome = "refused" if result is None else "same" if same(result, base) else probe(result)
            entries.append({"set": case, "is": outcome})
        written[family] = {"folder": name, "base": own, "cases": entries}
    lines = []
    for family, entry in sorted(written.items(), key=lambda item: list(FAMILIES).index(item[0])):
        head = json.dumps({"folder": entry["folder"], "base": entry["base"]})[:-1]
        cases = ",\n".join("    " + json.dumps(case) for case in entry["cases"])
        lines.append(f'  {json.dumps(family)}: {head}, "cases": [\n{cases}\n  ]}}')
    file.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
