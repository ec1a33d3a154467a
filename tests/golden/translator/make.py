"""Logits of small Transformer encoder-decoders by torch in float64: see README.md beside this file."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

D, HEADS, FFN, LAYERS, DECODER_LAYERS, VOCAB, POSITIONS, EPS = 24, 3, 40, 2, 3, 17, 12, 1e-5
HERE = Path(__file__).resolve().parent


def shapes(pre_norm):
    def linear(name, outputs, inputs):
        return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}

    def norm(name):
        return {f"{name}.weight": (D,), f"{name}.bias": (D,)}

    def attention(name):
        return {k: v for p in "qkv" for k, v in linear(f"{name}.{p}_proj", D, D).items()} | linear(f"{name}.out_proj", D, D)

    all = {"encoder.embed_tokens.weight": (VOCAB, D)}
    for side, layers in (("encoder", LAYERS), ("decoder", DECODER_LAYERS)):
        all |= {f"{side}.embed_positions.weight": (POSITIONS, D)} | norm(f"{side}.layernorm_embedding")
        for i in range(layers):
            at = f"{side}.layers.{i}"
            all |= attention(f"{at}.self_attn") | norm(f"{at}.self_attn_layer_norm")
            if side == "decoder":
                all |= attention(f"{at}.encoder_attn") | norm(f"{at}.encoder_attn_layer_norm")
            all |= linear(f"{at}.fc1", FFN, D) | linear(f"{at}.fc2", D, FFN) | norm(f"{at}.final_layer_norm")
        if pre_norm:
            all |= norm(f"{side}.layer_norm")
    return all


def attend(t, name, query, context, mask=None):
    """torch's own module, one sequence."""
    module = torch.nn.MultiheadAttention(D, HEADS, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        module.in_proj_weight.copy_(torch.cat([t[f"{name}.{p}_proj.weight"] for p in "qkv"]))
        module.in_proj_bias.copy_(torch.cat([t[f"{name}.{p}_proj.bias"] for p in "qkv"]))
        module.out_proj.weight.copy_(t[f"{name}.out_proj.weight"])
        module.out_proj.bias.copy_(t[f"{name}.out_proj.bias"])
        return module(query[None], context[None], context[None], attn_mask=mask, need_weights=False)[0][0]


def run(t, pre_norm, source, target):
    def norm(name, x):
        return F.layer_norm(x, (D,), t[f"{name}.weight"], t[f"{name}.bias"], EPS)

    def block(name, x, inner):
        return x + inner(norm(name, x)) if pre_norm else norm(name, x + inner(x))

    def feed_forward(at):
        return lambda x: F.linear(
            F.gelu(F.linear(x, t[f"{at}.fc1.weight"], t[f"{at}.fc1.bias"])),
            t[f"{at}.fc2.weight"],
            t[f"{at}.fc2.bias"],
        )

    def embed(side, ids):
        x = t["encoder.embed_tokens.weight"][ids] + t[f"{side}.embed_positions.weight"][: len(ids)]
        return norm(f"{side}.layernorm_embedding", x)

    x = embed("encoder", source)
    for i in range(LAYERS):
        at = f"encoder.layers.{i}"
        x = block(f"{at}.self_attn_layer_norm", x, lambda x: attend(t, f"{at}.self_attn", x, x))
        x = block(f"{at}.final_layer_norm", x, feed_forward(at))
    context = norm("encoder.layer_norm", x) if pre_norm else x
    x = embed("decoder", target)
    later = torch.ones(len(target), len(target), dtype=torch.bool).triu(1)
    for i in range(DECODER_LAYERS):
        at = f"decoder.layers.{i}"
        x = block(f"{at}.self_attn_layer_norm", x, lambda x: attend(t, f"{at}.self_attn", x, x, later))
        x = block(f"{at}.encoder_attn_layer_norm", x, lambda x: attend(t, f"{at}.encoder_attn", x, context))
        x = block(f"{at}.final_layer_norm", x, feed_forward(at))
    x = norm("decoder.layer_norm", x) if pre_norm else x
    return x @ t["encoder.embed_tokens.weight"].T


def main():
    torch.set_num_threads(1)
    for name, pre_norm in (("post_norm", False), ("pre_norm", True)):
        generator = torch.Generator().manual_seed(5)
        # Half precision keeps the files small: the numbers are exactly these in every precision above it.
        weights = {
            name: (torch.randn(shape, generator=generator) * 0.3 + (name.endswith("norm.weight") or name.endswith("embedding.weight"))).half()
            for name, shape in shapes(pre_norm).items()
        }
        source = torch.randint(VOCAB, (9,), generator=generator)
        target = torch.randint(VOCAB, (POSITIONS,), generator=generator)
        logits = run({name: w.double() for name, w in weights.items()}, pre_norm, source, target)
        tensors = {f"w.{name}": w for name, w in weights.items()}
        tensors |= {"in.source": source.float(), "in.target": target.float(), "out.logits": logits.float()}
        save_file(tensors, HERE / f"{name}.safetensors")
        print(name, tuple(logits.shape), logits.abs().max().item())


main()
