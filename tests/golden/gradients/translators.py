"""Gradients of whole small encoder-decoders by torch's autograd in float64: see README.md beside this file."""

import json

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

import make
from make import D, FFN, HERE, L, LAYERS, POSITIONS, VOCAB, attention, join, layer, linear, luna, luna_causal, norm, split

DECODER_LAYERS = 3
HEADS = make.HEADS
# One source is shorter than P has rows, and no two lengths are the same.
LENGTHS = [(7, 9), (2, 5)]
# Seed, step and batch of dropout.
SEED = (1, 2, 0)
CASES = {
    "softmax": {},
    "softmax-prenorm": {"pre_norm": True, "label_smoothing": 0.1},
    "luna-tied": {"attention": "luna", "decoder": "luna"},
    "luna-untied-elu": {"attention": "luna", "decoder": "luna", "tied": False, "w": "elu"},
    "luna-prenorm": {"attention": "luna", "decoder": "luna", "pre_norm": True, "label_smoothing": 0.1},
    "luna-softmax": {"attention": "luna"},
    "linear-softmax": {"attention": "linear"},
    "luna-self": {"attention": "luna", "decoder": "luna-self"},
    "luna-self-prenorm": {"attention": "luna", "decoder": "luna-self", "tied": False, "w": "elu", "pre_norm": True},
    "luna-source": {"attention": "luna", "decoder": "luna-source", "tied": False},
    "luna-source-prenorm": {"attention": "luna", "decoder": "luna-source", "pre_norm": True, "label_smoothing": 0.1},
    "softmax-luna-self": {"decoder": "luna-self", "l": L},
    "linear-luna": {"attention": "linear", "decoder": "luna", "pre_norm": True, "l": L},
    "softmax-dropped": {"attention_dropout": 0.3},
    "luna-dropped": {"attention": "luna", "decoder": "luna", "attention_dropout": 0.3},
    "luna-untied-elu-dropped": {"attention": "luna", "decoder": "luna", "tied": False, "w": "elu", "attention_dropout": 0.2},
    "luna-self-dropped": {"attention": "luna", "decoder": "luna-self", "pre_norm": True, "attention_dropout": 0.3},
}


def mix(x):
    """The finalizer of MurmurHash3 (32 bits)."""
    x ^= x >> 16
    x = x * 0x85EBCA6B & 0xFFFFFFFF
    x ^= x >> 13
    x = x * 0xC2B2AE35 & 0xFFFFFFFF
    return x ^ x >> 16


def part(key, at):
    return mix(key ^ mix(at))


def dropout_key(seed, step, batch):
    """What Dropout::new makes of a seed and a step below 2^32."""
    key = mix(seed ^ 0x9E3779B9) ^ mix(0)
    for at in (step, 0, batch):
        key = part(key, at + 0x85EBCA6B)
    return key


class Drop:
    """Dropout of the weights of one attention, for one pair of the batch: the masks of luna's RandomMask."""

    def __init__(self, case, site, pair):
        self.rate = torch.tensor(case["attention_dropout"]).item()
        self.key, self.pair = part(dropout_key(*SEED) ^ 0x27D4EB2F, site), pair

    def __call__(self, weights, step, flat=False):
        heads, n, m = weights.shape
        key = part(self.key, step)
        threshold = int(self.rate * 2**32)
        scale = (1 / (1 - torch.tensor(self.rate))).item()
        mask = torch.zeros(heads, n, m, dtype=torch.float64)
        for h in range(heads):
            for i in range(n):
                for j in range(m):
                    if flat:
                        # One array (heads, rows of all targets, rows of the longest P).
                        row = h * sum(of for _, of in LENGTHS) + sum(of for _, of in LENGTHS[: self.pair]) + i
                        draw = mix(mix(row * min(L, max(of for of, _ in LENGTHS)) + j) ^ key)
                    else:
                        draw = mix(mix(j) ^ part(part(key, self.pair), h * n + i))
                    mask[h, i, j] = 0.0 if draw < threshold else scale
        return weights * mask


def dropping(case, site, pair):
    return Drop(case, site, pair) if "attention_dropout" in case else make.kept


def cross(t, at, x, context, drop):
    """Softmax attention of (n, d) over (m, d)."""
    q = split(linear(t, f"{at}.q_proj", x), HEADS)
    k, v = (split(linear(t, f"{at}.{name}", context), HEADS) for name in ("k_proj", "v_proj"))
    return linear(t, f"{at}.out_proj", join(make.softmax(q, k, v, drop)))


def decoder_layer(case, t, at, x, p, source, drops):
    """LunaDecoderLayer, a Transformer's, or one with one attention of each, on one pair."""
    pre = case["pre_norm"]
    before = (lambda name, y: norm(t, name, y)) if pre else (lambda name, y: y)
    behind = (lambda name, y: y) if pre else (lambda name, y: norm(t, name, y))
    own, over = f"{at}self_attn", f"{at}encoder_attn"
    reads = before(f"{own}_layer_norm", x)
    if case["decoder"] in ("luna", "luna-self"):
        y = luna_causal(t, own, reads, p, case["w"], HEADS, drops[0])
    else:
        y = attention("softmax", t, own, reads, True, HEADS, drops[0])
    x = behind(f"{own}_layer_norm", x + y)
    reads = before(f"{over}_layer_norm", x)
    if case["decoder"] in ("luna", "luna-source"):
        packs = before(f"{at}encoder_atten_proj_layer_norm", p)
        y, y_p = luna(t, over, reads, packs, source, HEADS, drops[1])
        p = behind(f"{at}encoder_atten_proj_layer_norm", p + y_p)
    else:
        y = cross(t, over, reads, source, drops[1])
    x = behind(f"{over}_layer_norm", x + y)
    hidden = F.gelu(linear(t, f"{at}fc1", before(f"{at}final_layer_norm", x)))
    return behind(f"{at}final_layer_norm", x + linear(t, f"{at}fc2", hidden)), p


def network(case, t, source, target, pair):
    """The logits of one pair, (tokens of the target, vocabulary)."""

    def embed(side, tokens):
        x = t["encoder.embed_tokens.weight"][torch.tensor(tokens)]
        return norm(t, f"{side}.layernorm_embedding", x + t[f"{side}.embed_positions.weight"][: len(tokens)])

    x, p = embed("encoder", source), None
    if case["attention"] == "luna":
        p = norm(t, "encoder.layernorm_porjected_embedding", t["encoder.projected_embeddings"])[: len(source)]
    for i in range(LAYERS):
        x, p = layer({**case, "task": "classifier"}, t, f"encoder.layers.{i}.", x, p, HEADS, dropping(case, 1 + 4 * i, pair))
    if case["pre_norm"]:
        x = norm(t, "encoder.layer_norm", x)
        p = norm(t, "encoder.proj_layer_norm", p) if p is not None and case["decoder"] != "softmax" else None
    if "l" in case:
        p = norm(t, "decoder.layernorm_porjected_embedding", t["decoder.projected_embeddings"])[: len(source)]
    context, x = x, embed("decoder", target)
    for i in range(DECODER_LAYERS):
        drops = [dropping(case, (1 << 20) + 1 + 5 * i + at, pair) for at in (0, 1)]
        x, p = decoder_layer(case, t, f"decoder.layers.{i}.", x, p, context, drops)
    if case["pre_norm"]:
        x = norm(t, "decoder.layer_norm", x)
    return x @ t["encoder.embed_tokens.weight"].T


def shapes(case):
    """Every tensor of a case, in order."""
    found = {"encoder.embed_tokens.weight": (VOCAB, D)}

    def add(name, *shape):
        found[f"{name}.weight"] = shape
        found[f"{name}.bias"] = shape[:1]

    tied = case["tied"]
    encoder = {"luna": make.LUNA_TIED if tied else make.LUNA_UNTIED}.get(case["attention"], make.PLAIN)
    decoder = case["decoder"]
    packs = decoder in ("luna", "luna-source")
    own = (make.CAUSAL_TIED if tied else make.CAUSAL_UNTIED) if decoder in ("luna", "luna-self") else make.PLAIN
    over = (make.LUNA_TIED if tied else make.LUNA_UNTIED) if packs else make.PLAIN
    for side, layers in (("encoder", LAYERS), ("decoder", DECODER_LAYERS)):
        found[f"{side}.embed_positions.weight"] = (POSITIONS, D)
        add(f"{side}.layernorm_embedding", D)
        if side == "encoder" and case["attention"] == "luna":
            found["encoder.projected_embeddings"] = (L, D)
            add("encoder.layernorm_porjected_embedding", D)
        if side == "decoder" and "l" in case:
            found["decoder.projected_embeddings"] = (L, D)
            add("decoder.layernorm_porjected_embedding", D)
        for i in range(layers):
            at = f"{side}.layers.{i}."
            for name in encoder if side == "encoder" else own:
                add(f"{at}self_attn.{name}", D, D)
            add(f"{at}self_attn_layer_norm", D)
            if side == "encoder" and case["attention"] == "luna":
                add(f"{at}self_atten_proj_layer_norm", D)
            if side == "decoder":
                for name in over:
                    add(f"{at}encoder_attn.{name}", D, D)
                add(f"{at}encoder_attn_layer_norm", D)
                if packs:
                    add(f"{at}encoder_atten_proj_layer_norm", D)
            add(f"{at}fc1", FFN, D)
            add(f"{at}fc2", D, FFN)
            add(f"{at}final_layer_norm", D)
        if case["pre_norm"]:
            add(f"{side}.layer_norm", D)
            # The decoder's is there in its authors' code too; nobody reads what it norms.
            if decoder == "luna" if side == "decoder" else case["attention"] == "luna":
                add(f"{side}.proj_layer_norm", D)
    return found


def main():
    make.agrees_with_the_authors()
    torch.manual_seed(20261128)
    default = {"attention": "softmax", "decoder": "softmax", "tied": True, "w": "softplus", "pre_norm": False}
    pool, arrays, lines = {}, {}, []
    for name, own in CASES.items():
        case = {**default, **own}
        t = {}
        for tensor, shape in shapes(case).items():
            if tensor not in pool:
                pool[tensor] = make.draw(tensor.removeprefix("encoder.").removeprefix("decoder."), shape)
            t[tensor] = pool[tensor].double().requires_grad_()
        draw = lambda n: torch.randint(VOCAB, (n,)).tolist()
        sources, inputs, targets = ([draw(pair[i]) for pair in LENGTHS] for i in (0, 1, 1))
        logits = [network(case, t, *both, pair) for pair, both in enumerate(zip(sources, inputs))]
        against = torch.tensor([token for target in targets for token in target])
        loss = F.cross_entropy(torch.cat(logits), against, label_smoothing=case.get("label_smoothing", 0.0))
        loss.backward()
        for tensor, x in t.items():
            grad = torch.zeros_like(x) if x.grad is None else x.grad
            arrays[f"{name}/{tensor}"] = grad.float()
        facts = {"name": name, **case, "sources": sources, "inputs": inputs, "targets": targets}
        lines.append(json.dumps({**facts, "loss": make.rounded(loss.item())}, separators=(",", ":")))
        zeros = [tensor for tensor, x in t.items() if x.grad is None or x.grad.abs().max() < 1e-12]
        print(f"{name}: loss {loss.item():.6f}; no gradient: {', '.join(zeros) or 'none'}")
    save_file({f"weight/{tensor}": x for tensor, x in pool.items()} | arrays, HERE / "translators.safetensors")
    (HERE / "translators.safetensors").chmod(0o644)
    sizes = {"d": D, "heads": HEADS, "ffn": FFN, "layers": LAYERS, "decoder_layers": DECODER_LAYERS}
    sizes |= {"vocab": VOCAB, "positions": POSITIONS, "l": L}
    text = f'{{"sizes":{json.dumps(sizes)},"cases":[\n' + ",\n".join(lines) + "\n]}\n"
    (HERE / "translators.json").write_text(text)


if __name__ == "__main__":
    main()
