"""Makes folders beside this file: random weights, and transformers' float64 results.

    pip install torch transformers==5.24.0
    python tests/golden/hf_tiny/make.py [FOLDER ...]

With names only these folders are made.
"""

import os
import shutil
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = Path(__file__).parent


def make(name, kind, config, seed):
    torch.manual_seed(seed)
    model = getattr(transformers, kind)._from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            # Norms, biases and scales away from 1 and 0, and no term near zero.
            if parameter.min() == parameter.max():
                parameter.add_(torch.randn_like(parameter) * 0.3)
            else:
                parameter.mul_(4.0)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    if name == "esm-base":
        weights = load_file(folder / "model.safetensors")
        save_file({key: x for key, x in weights.items() if "inv_freq" not in key}, folder / "model.safetensors",
                  metadata={"format": "pt"})
    tower = getattr(model, "vision_model", model.base_model).double()
    if tower.main_input_name == "pixel_values":
        side = tower.config.image_size
        input = {"pixel_values": torch.randn((1, 3, side, side))}
    else:
        input = {"input_ids": torch.randint(0, config.vocab_size, (1, 24))}
    with torch.no_grad():
        read = {key: x.double() if x.is_floating_point() else x for key, x in input.items()}
        base = tower(**read, output_attentions=True)
        logits = {} if kind.endswith("Model") else {"logits": model.double()(**read).logits[0]}
    attentions = torch.stack(base.attentions)[:, 0]
    results = {"attentions": attentions, "last_hidden": base.last_hidden_state[0],
               "singular_values": torch.linalg.svdvals(attentions), **logits}
    save_file(input | {key: value.float().contiguous() for key, value in results.items()},
              folder / "expected.safetensors")
    (folder / "generation_config.json").unlink(missing_ok=True)


DECODER = dict(vocab_size=97, hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=80,
               max_position_embeddings=64, bos_token_id=0, eos_token_id=2)
ENCODER = dict(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=56,
               max_position_embeddings=64)
OPT = dict(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=56,
           max_position_embeddings=64, bos_token_id=0, eos_token_id=2)
# No whole number of patches: what is left over at the right and below is not read.
VISION = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, image_size=18, patch_size=4)
FOLDERS = {
    "gpt_neox": ("GPTNeoXForCausalLM", transformers.GPTNeoXConfig(**DECODER), 1),
    "gpt_neox-sequential": ("GPTNeoXForCausalLM", transformers.GPTNeoXConfig(
        **DECODER, use_parallel_residual=False, rotary_pct=0.5, rotary_emb_base=500.0, hidden_act="gelu_new"), 2),
    # The form of OPT-350m: norms after the blocks, and a narrower token table.
    "opt-350m": ("OPTForCausalLM", transformers.OPTConfig(
        **OPT, do_layer_norm_before=False, word_embed_proj_dim=16), 3),
    # Norms without weights, none at the end, no biases.
    "opt-bare": ("OPTForCausalLM", transformers.OPTConfig(
        **OPT, layer_norm_elementwise_affine=False, enable_bias=False, _remove_final_layer_norm=True), 4),
    "camembert": ("CamembertForMaskedLM", transformers.CamembertConfig(**ENCODER), 3),
    # ESM-1b: learned positions, and a norm on the embeddings.
    "esm-absolute": ("EsmForMaskedLM", transformers.EsmConfig(
        **ENCODER, pad_token_id=1, mask_token_id=32, position_embedding_type="absolute", emb_layer_norm_before=True,
        token_dropout=True), 4),
    # As transformers writes it, but for the frequencies: they follow from the configuration.
    "esm-base": ("EsmForMaskedLM", transformers.EsmConfig(
        **ENCODER, pad_token_id=1, mask_token_id=32, position_embedding_type="rotary", rope_theta=500.0), 6),
    "t5-relu": ("T5EncoderModel", transformers.T5Config(
        vocab_size=97, d_model=32, d_kv=6, d_ff=56, num_layers=2, num_heads=3,
        initializer_factor=0.5), 5),
    "deit": ("DeiTModel", transformers.DeiTConfig(**VISION, intermediate_size=56, qkv_bias=False), 7),
    "dinov2": ("Dinov2Model", transformers.Dinov2Config(**VISION, mlp_ratio=2), 8),
    "dinov2-swiglu": ("Dinov2Model", transformers.Dinov2Config(**VISION, use_swiglu_ffn=True), 9),
    "clip_vision_model": ("CLIPVisionModel", transformers.CLIPVisionConfig(**VISION, intermediate_size=56), 10),
    "clip": ("CLIPModel", transformers.CLIPConfig(
        vision_config=dict(**VISION, intermediate_size=56),
        text_config=dict(vocab_size=97, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
                         max_position_embeddings=16), projection_dim=8), 11),
}

if __name__ == "__main__":
    for name in sys.argv[1:] or FOLDERS:
        make(name, *FOLDERS[name])
