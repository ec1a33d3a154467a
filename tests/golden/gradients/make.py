"""Gradients of whole small networks by torch's autograd in float64: see README.md beside this file."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

D, HEADS, FFN, LAYERS, VOCAB, POSITIONS, CLASSES, L, KEPT = 16, 2, 24, 2, 11, 9, 3, 3, 4
EPS = 1e-5
HERE = Path(__file__).resolve().parent
LUNA_TIED = ("pq_proj", "q_proj", "pc_proj", "c_proj", "out_proj")
LUNA_UNTIED = ("pq_proj", "q_proj", "pk_proj", "pv_proj", "k_proj", "v_proj", "out_proj")
CAUSAL_TIED = ("pq_proj", "q_proj", "pc_proj", "c_proj", "out_proj")
CAUSAL_UNTIED = ("pq_proj", "q_proj", "pc_proj", "k_proj", "v_proj", "out_proj")
PLAIN = ("q_proj", "k_proj", "v_proj", "out_proj")


def linear(t, name, x):
    return x @ t[f"{name}.weight"].T + t[f"{name}.bias"]


def norm(t, name, x):
    return F.layer_norm(x, x.shape[-1:], t[f"{name}.weight"], t[f"{name}.bias"], EPS)


def split(x, heads):
    """(n, d) to (heads, n, d / heads)."""
    return x.reshape(x.shape[0], heads, -1).transpose(0, 1)


def join(x):
    return x.transpose(0, 1).reshape(x.shape[1], -1)


def kept(weights, step, flat=False):
    """No dropout: see translators.py."""
    return weights


def attention(kind, t, at, x, causal, heads, drop=kept):
    """The attentions that read one sequence (n, d): softmax, Linformer, linear."""
    n = len(x)
    q, k, v = (split(linear(t, f"{at}.{name}", x), heads) for name in PLAIN[:3])
    if kind == "linear":
        q, k = F.elu(q) + 1, F.elu(k) + 1
        a = q @ k.transpose(1, 2)
        a = a.tril() if causal else a
        out = a @ v / (a.sum(-1, keepdim=True) + 1e-6)
    elif kind == "linformer":
        e = t[f"{at}.compress.weight"][:, :n]
        out = F.scaled_dot_product_attention(q, e @ k, e @ v)
    else:
        out = softmax(q, k, v, drop, causal)
    return linear(t, f"{at}.out_proj", join(out))


def softmax(q, k, v, drop=kept, causal=False):
    """Softmax attention whose weights may be dropped."""
    if drop is kept:
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    logits = q @ k.transpose(1, 2) * q.shape[-1] ** -0.5
    if causal:
        logits = logits.masked_fill(torch.ones_like(logits, dtype=torch.bool).triu(1), -math.inf)
    return drop(logits.softmax(-1), 0) @ v


def luna(t, at, x, p, context, heads, drop=kept):
    """LunarMultiheadAttention: the unpacked and the packed."""
    scale = (x.shape[1] // heads) ** -0.5
    tied = f"{at}.c_proj.weight" in t
    keys, values = ("pc_proj", "pc_proj") if tied else ("pk_proj", "pv_proj")
    pq = split(linear(t, f"{at}.pq_proj", p), heads) * scale
    k, v = (split(linear(t, f"{at}.{name}", context), heads) for name in (keys, values))
    y_p = join(drop((pq @ k.transpose(1, 2)).softmax(-1), 0) @ v)
    keys, values = ("c_proj", "c_proj") if tied else ("k_proj", "v_proj")
    q = split(linear(t, f"{at}.q_proj", x), heads) * scale
    k, v = (split(linear(t, f"{at}.{name}", y_p), heads) for name in (keys, values))
    y_x = drop((q @ k.transpose(1, 2)).softmax(-1), 1) @ v
    return linear(t, f"{at}.out_proj", join(y_x)), y_p


def averages(t, at, n, decay, dtype):
    """What a token reads of those before it, (n, n) or (heads, n, n): rows of the mean, or of an exponential average."""
    a = torch.sigmoid(t[f"{at}.decay"])[:, None, None] if decay == "learned" else torch.tensor(decay, dtype=dtype)
    age = torch.arange(n, dtype=dtype)[:, None] - torch.arange(n, dtype=dtype)
    left = (a ** age.clamp(min=0)).tril()
    return left / left.sum(-1, keepdim=True)


def luna_causal(t, at, x, p, weight, heads, drop=kept, decay=1.0):
    """LunarCausalAttention, by sums over everything before a token; decays are luna's own variant."""
    scale = (x.shape[1] // heads) ** -0.5
    tied = f"{at}.c_proj.weight" in t
    pq = split(linear(t, f"{at}.pq_proj", p), heads) * scale
    pk = split(linear(t, f"{at}.pc_proj", x), heads)
    w = pk @ pq.transpose(1, 2)
    w = F.softplus(w, beta=math.log(2.0)) if weight == "softplus" else F.elu(w) + 1
    w = drop(w, 0, flat=True)
    q = split(linear(t, f"{at}.q_proj", x), heads) * scale
    keys, values = ("c_proj", "c_proj") if tied else ("k_proj", "v_proj")
    k, v = (split(linear(t, f"{at}.{name}", x), heads) for name in (keys, values))
    share = averages(t, at, len(x), decay, x.dtype)
    logits = (q @ k.transpose(1, 2)) * share @ w
    out = (drop(logits.softmax(-1), 1) @ w.transpose(1, 2)) * share @ v
    return linear(t, f"{at}.out_proj", join(out))


def layer(case, t, at, x, p, heads, drop=kept):
    """One layer on one sequence: x, and p (None where there is none)."""
    kind, pre, causal = case["attention"], case["pre_norm"], case["task"] == "lm"
    before = (lambda name, y: norm(t, name, y)) if pre else (lambda name, y: y)
    behind = (lambda name, y: y) if pre else (lambda name, y: norm(t, name, y))
    a = f"{at}self_attn"
    reads = before(f"{a}_layer_norm", x)
    if kind == "luna":
        packs = before(f"{at}self_atten_proj_layer_norm", p)
        y, y_p = luna(t, a, reads, packs, reads, heads, drop)
        p = behind(f"{at}self_atten_proj_layer_norm", p + y_p)
    elif kind == "luna-causal":
        y = luna_causal(t, a, reads, p, case["w"], heads, drop, case.get("decay", 1.0))
    else:
        y = attention(kind, t, a, reads, causal, heads, drop)
    x = behind(f"{a}_layer_norm", x + y)
    hidden = F.gelu(linear(t, f"{at}fc1", before(f"{at}final_layer_norm", x)))
    return behind(f"{at}final_layer_norm", x + linear(t, f"{at}fc2", hidden)), p


def network(case, t, tokens):
    """The logits of one sequence: (classes) or (n, vocabulary)."""
    tokens = torch.tensor(tokens)
    x = t["embed_tokens.weight"][tokens] + t["embed_positions.weight"][: len(tokens)]
    x = norm(t, "layernorm_embedding", x)
    p = None
    if case["attention"].startswith("luna"):
        p = norm(t, "layernorm_porjected_embedding", t["projected_embeddings"])
        if case["attention"] == "luna":
            p = p[: min(L, len(tokens))]
    for i in range(LAYERS):
        x, p = layer(case, t, f"layers.{i}.", x, p, HEADS)
    if case["pre_norm"]:
        x = norm(t, "layer_norm", x)
    if case["task"] == "classifier":
        return linear(t, "classifier", x.mean(0))
    return x @ t["embed_tokens.weight"].T


def shapes(case):
    """Every tensor of a case, in order."""
    found = {"embed_tokens.weight": (VOCAB, D), "embed_positions.weight": (POSITIONS, D)}

    def add(name, *shape):
        found[f"{name}.weight"] = shape
        found[f"{name}.bias"] = shape[:1]

    kind = case["attention"]
    projections = {
        "luna": LUNA_TIED if case["tied"] else LUNA_UNTIED,
        "luna-causal": CAUSAL_TIED if case["tied"] else CAUSAL_UNTIED,
    }.get(kind, PLAIN)
    add("layernorm_embedding", D)
    if kind.startswith("luna"):
        found["projected_embeddings"] = (L, D)
        add("layernorm_porjected_embedding", D)
    for i in range(LAYERS):
        at = f"layers.{i}."
        for name in projections:
            add(f"{at}self_attn.{name}", D, D)
        if case.get("decay") == "learned":
            found[f"{at}self_attn.decay"] = (HEADS,)
        if kind == "linformer":
            found[f"{at}self_attn.compress.weight"] = (KEPT, POSITIONS)
        add(f"{at}self_attn_layer_norm", D)
        if kind == "luna":
            add(f"{at}self_atten_proj_layer_norm", D)
        add(f"{at}fc1", FFN, D)
        add(f"{at}fc2", D, FFN)
        add(f"{at}final_layer_norm", D)
    if case["pre_norm"]:
        add("layer_norm", D)
        if kind == "luna":
            add("proj_layer_norm", D)
    if case["task"] == "classifier":
        add("classifier", CLASSES, D)
    return found


def draw(name, shape):
    """Numbers that float32 holds exactly; no gain is 1, no bias 0."""
    x = torch.randn(shape, dtype=torch.float64)
    if name.endswith("bias"):
        x = 0.3 * x
    elif "norm" in name:
        x = 1 + 0.25 * x
    elif name.startswith("embed"):
        x = 0.6 * x
    elif name.endswith("decay"):
        x = 1 + x
    elif name == "projected_embeddings":
        x = 0.8 * x
    else:
        x = 1.3 * x / math.sqrt(shape[-1])
    return x.float()


CASES = {
    "softmax-classifier": {},
    "linformer-classifier": {"attention": "linformer"},
    "linear-classifier": {"attention": "linear"},
    "luna-tied-classifier": {"attention": "luna"},
    "luna-untied-classifier": {"attention": "luna", "tied": False},
    "luna-short-classifier": {"attention": "luna", "lengths": [9, 2]},
    "softmax-prenorm-classifier": {"pre_norm": True},
    "luna-prenorm-classifier": {"attention": "luna", "pre_norm": True},
    "softmax-lm": {"task": "lm"},
    "softmax-smoothed-lm": {"task": "lm", "label_smoothing": 0.1},
    "luna-causal-tied-lm": {"task": "lm", "attention": "luna-causal", "w": "softplus"},
    "luna-causal-untied-lm": {"task": "lm", "attention": "luna-causal", "w": "softplus", "tied": False},
    "luna-causal-elu-lm": {"task": "lm", "attention": "luna-causal", "w": "elu"},
    "linear-lm": {"task": "lm", "attention": "linear"},
    "luna-causal-decay-lm": {"task": "lm", "attention": "luna-causal", "w": "softplus", "decay": 0.8},
    "luna-causal-learned-lm": {"task": "lm", "attention": "luna-causal", "w": "elu", "tied": False, "decay": "learned"},
}


def agrees_with_the_authors():
    """The Luna modules above against the authors' own outputs."""
    folder = HERE.parent / "luna"

    def check(what, ours, theirs):
        far = (ours - theirs).abs().max().item()
        assert far < 2e-5, f"{what}: {far}"

    def read(name):
        tensors = {key: x.double() for key, x in load_file(folder / f"{name}.safetensors").items()}
        weights = {f"a.{key[2:]}": x for key, x in tensors.items() if key.startswith("w.")}
        return tensors, weights

    for tied in ("tied", "untied"):
        tensors, t = read(f"luna_attention_{tied}")
        for b in range(2):
            x, p = tensors["in.x"][:, b], tensors["in.p"][:, b]
            y_x, y_p = luna(t, "a", x, p, x, 3)
            check(tied, y_x, tensors["out.y_x"][:, b])
            check(tied, y_p, tensors["out.y_p"][:, b])
        tensors, t = read(f"luna_causal_{tied}")
        for b in range(2):
            x, p = tensors["in.x"][:, b], tensors["in.p"][:, b]
            check(f"causal {tied}", luna_causal(t, "a", x, p, "softplus", 3), tensors["out.y_x"][:, b])
    for name, pre in (("2layers_tied", False), ("2layers_untied", False), ("prenorm_padded", True)):
        tensors, t = read(f"luna_encoder_{name}")
        mask = tensors.get("in.context_padding_mask", torch.zeros(2, 37))
        for b in range(2):
            x, p = tensors["in.x"][mask[b] == 0, b], tensors["in.p"][:, b]
            for i in range(2):
                case = {"attention": "luna", "pre_norm": pre, "task": "classifier"}
                x, p = layer(case, t, f"a.{i}.", x, p, 3)
                check(name, x, tensors[f"out.layer{i}.x"][mask[b] == 0, b])
                check(name, p, tensors[f"out.layer{i}.p"][:, b])


def rounded(x):
    return [rounded(y) for y in x] if isinstance(x, list) else float(f"{x:.9g}")


def main():
    agrees_with_the_authors()
    torch.manual_seed(20260301)
    default = {"task": "classifier", "attention": "softmax", "tied": True, "pre_norm": False}
    pool, arrays, lines = {}, {}, []
    for name, own in CASES.items():
        case = {**default, **own}
        t = {}
        for tensor, shape in shapes(case).items():
            if tensor not in pool:
                pool[tensor] = draw(tensor, shape)
            t[tensor] = pool[tensor].double().requires_grad_()
        lengths = case.pop("lengths", [9, 5] if case["task"] == "classifier" else [9, 9])
        tokens = [torch.randint(VOCAB, (n,)).tolist() for n in lengths]
        logits = [network(case, t, sequence) for sequence in tokens]
        if case["task"] == "classifier":
            targets = torch.randint(CLASSES, (2,)).tolist()
            flat, against = torch.stack(logits), torch.tensor(targets)
        else:
            targets = [torch.randint(VOCAB, (n,)).tolist() for n in lengths]
            flat, against = torch.cat(logits), torch.tensor(targets).flatten()
        loss = F.cross_entropy(flat, against, label_smoothing=case.get("label_smoothing", 0.0))
        loss.backward()
        for tensor, x in t.items():
            grad = torch.zeros_like(x) if x.grad is None else x.grad
            arrays[f"{name}/{tensor}"] = grad.float()
        facts = {"name": name, **case, "tokens": tokens, "targets": targets, "loss": rounded(loss.item())}
        facts["logits"] = rounded([x.tolist() for x in logits])
        lines.append(json.dumps(facts, separators=(",", ":")))
        zeros = [tensor for tensor, x in t.items() if x.grad is None or x.grad.abs().max() < 1e-12]
        print(f"{name}: loss {loss.item():.6f}; no gradient: {', '.join(zeros) or 'none'}")
    save_file({f"weight/{tensor}": x for tensor, x in pool.items()} | arrays, HERE / "tensors.safetensors")
    (HERE / "tensors.safetensors").chmod(0o644)
    sizes = {"d": D, "heads": HEADS, "ffn": FFN, "layers": LAYERS, "vocab": VOCAB, "positions": POSITIONS}
    sizes |= {"classes": CLASSES, "l_luna": L, "l_linformer": KEPT, "eps": EPS}
    text = f'{{"sizes":{json.dumps(sizes)},"cases":[\n' + ",\n".join(lines) + "\n]}\n"
    (HERE / "cases.json").write_text(text)


if __name__ == "__main__":
    main()
