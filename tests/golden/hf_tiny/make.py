"""Makes the folders gpt_neox, gpt_neox-sequential, opt-350m and opt-bare beside this file: random weights, and
transformers' float64 results.

    pip install torch transformers==5.24.0
    python tests/golden/hf_tiny/make.py
"""

import json
import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent


def make(name, config, seed):
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            # Norms away from 1 and 0, and no term near zero.
            if "norm" in key or key.endswith("bias"):
                parameter.add_(torch.randn_like(parameter) * 0.3)
            else:
                parameter.mul_(4.0)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    ids = torch.randint(0, config.vocab_size, (1, 24))
    model = model.double()
    with torch.no_grad():
        base = model.base_model(ids, output_attentions=True, use_cache=False)
        logits = model(ids, use_cache=False).logits[0]
    attentions = torch.stack(base.attentions)[:, 0]
    save_file({
        "input_ids": ids, "attentions": attentions.float().contiguous(),
        "last_hidden": base.last_hidden_state[0].float().contiguous(), "logits": logits.float().contiguous(),
        "singular_values": torch.linalg.svdvals(attentions).float().contiguous(),
    }, folder / "expected.safetensors")
    (folder / "generation_config.json").unlink(missing_ok=True)


common = dict(vocab_size=97, hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=80,
              max_position_embeddings=64, bos_token_id=0, eos_token_id=2)
make("gpt_neox", transformers.GPTNeoXConfig(**common), 1)
make("gpt_neox-sequential", transformers.GPTNeoXConfig(
    **common, use_parallel_residual=False, rotary_pct=0.5, rotary_emb_base=500.0, hidden_act="gelu_new"), 2)
# The form of OPT-350m: norms after the blocks, and a narrower token table.
opt = dict(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=56,
           max_position_embeddings=64, bos_token_id=0, eos_token_id=2)
make("opt-350m", transformers.OPTConfig(**opt, do_layer_norm_before=False, word_embed_proj_dim=16), 3)
# Norms without weights, none at the end, no biases.
make("opt-bare", transformers.OPTConfig(**opt, layer_norm_elementwise_affine=False, enable_bias=False,
                                        _remove_final_layer_norm=True), 4)
