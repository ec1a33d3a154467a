"""Errors of sparse stand-ins over all heads of a causal model: `luna approx-error` beside transformers and torch, in turn.

    python benches/peers/sparse_errors.py MODEL_DIR TEXT --luna target/release/luna --n 1024 --l 64

Both read the same tokens, take queries, keys and values of every head from one forward pass, and compare sink-window,
top-k and block-top-k at every l with softmax attention: relative error of the matrix and of the output (Frobenius norm), total
variation and divergence of rows, recall, density. In torch the heads of a layer are one batch and every step is a tensor
operation. Printed are seconds of whole commands, their ratios, and the peak resident memory of each process.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("model")
parser.add_argument("text")
parser.add_argument("--luna", default="target/release/luna")
parser.add_argument("--n", type=int, default=1024)
parser.add_argument("--l", default="64")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
args = parser.parse_args()
LENGTHS = [int(l) for l in args.l.split(",")]
SINKS, BLOCK = 4, 16


def theirs():
    since = time.perf_counter()
    import torch
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    text = open(args.text, encoding="utf8").read()[: 16 * args.n]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(args.model, "tokenizer.json"))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"][: args.n]
    assert len(ids) == args.n
    n = args.n
    at = torch.arange(n)
    hidden = at[None, :] > at[:, None]
    visible = (~hidden).sum().item()
    floor = 1e-30
    sums = {}

    def sink_window(q, k, x, l):
        return hidden | ((at[None, :] >= SINKS) & (at[:, None] - at[None, :] >= l - SINKS))

    def top_k(q, k, x, l):
        kept = torch.zeros_like(x, dtype=torch.bool)
        kept.scatter_(-1, x.topk(l, -1, sorted=False).indices, True)
        return ~kept | hidden

    def block_top_k(q, k, x, l):
        blocks = k.unflatten(-2, (n // BLOCK, BLOCK))
        low, high = blocks.amin(-2), blocks.amax(-2)
        # max(q low, q high), summed over dimensions, is q+ high + q- low.
        score = q.clamp_min(0) @ high.transpose(-1, -2) + q.clamp_max(0) @ low.transpose(-1, -2)
        own, block = at[:, None] // BLOCK, torch.arange(n // BLOCK)[None, :]
        score = score.masked_fill(block > own, -torch.inf).masked_fill(block == own, torch.inf)
        kept = torch.zeros_like(score, dtype=torch.bool)
        kept.scatter_(-1, score.topk(max(l // BLOCK, 1), -1, sorted=False).indices, True)
        return ~kept.repeat_interleave(BLOCK, -1) | hidden

    def compare(q, k, v, scale):
        x = (q @ k.transpose(-1, -2) * scale).masked_fill_(hidden, -torch.inf)
        a = torch.softmax(x, -1)
        o = a @ v
        for name, choose in (("sink-window", sink_window), ("top-k", top_k), ("block-top-k", block_top_k)):
            for l in LENGTHS:
                dropped = choose(q, k, x, l)
                b = torch.softmax(x.masked_fill(dropped, -torch.inf), -1)
                d = a - b
                figures = [
                    (b @ v - o).norm(dim=(-1, -2)) / o.norm(dim=(-1, -2)),
                    d.norm(dim=(-1, -2)) / a.norm(dim=(-1, -2)),
                    0.5 * d.abs().sum(-1).mean(-1),
                    (a * (a.clamp_min(floor).log() - b.clamp_min(floor).log())).sum(-1).mean(-1),
                    a.masked_fill(dropped, 0).sum(-1).mean(-1),
                    (b != 0).sum((-1, -2)) / visible,
                ]
                sums.setdefault((name, l), []).append(torch.stack(figures, -1))
        return o

    def attend(module, query, key, value, mask, scaling=None, dropout=0.0, **_):
        groups = module.num_key_value_groups
        k, v = (y[0].repeat_interleave(groups, 0) for y in (key, value))
        o = compare(query[0], k, v, scaling)
        return o.transpose(0, 1)[None].contiguous(), None

    ALL_ATTENTION_FUNCTIONS.register("compared", attend)
    model = AutoModelForCausalLM.from_pretrained(args.model, attn_implementation="compared", dtype=torch.float32)
    # The last hidden state is enough: no logits over the vocabulary.
    model.eval().model(input_ids=torch.tensor([ids]))
    means = {f"{name}:l={l}": torch.cat(found).mean(0).tolist() for (name, l), found in sums.items()}
    return {"seconds": time.perf_counter() - since, "figures": means}


if args.one:
    print(json.dumps(theirs()))
    sys.exit()

NAMES = ["output_rel_fro", "matrix_rel_fro", "row_tv", "row_kl", "recall", "density"]
ours = [args.luna, "approx-error", "--model", args.model, "--text", args.text, "--seq-len", str(args.n)]
ours += ["--windows", "1", "--stride", "contiguous", "--l", args.l, "--mechanism", "sink-window,top-k,block-top-k"]
ours += ["--stream", "--aggregate", "--format", "json", "--quiet", "--threads", str(args.threads)]
other = [sys.executable, __file__, args.model, args.text, "--n", str(args.n), "--l", args.l, "--threads", str(args.threads), "--one"]


def run(command):
    """Seconds, output and peak memory (MB) of a command."""
    since = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ, HF_HUB_OFFLINE="1"))
    out = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    assert status == 0, command
    return time.perf_counter() - since, json.loads(out), usage.ru_maxrss / 1024


rounds = []
for _ in range(args.rounds):
    fast, report, memory = run(ours)
    slow, peer, their_memory = run(other)
    rounds.append((fast, slow))
    print(f"luna {fast:7.2f} s {memory:7.0f} MB   torch {slow:7.2f} s {their_memory:7.0f} MB   {slow / fast:5.2f}", flush=True)
ratios = sorted(slow / fast for fast, slow in rounds)
print(f"torch / luna {statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})")
columns = [column["name"] for column in report["columns"]]
for row in report["rows"]:
    row = dict(zip(columns, row)) if isinstance(row, list) else row
    spec = f"{row['mechanism']}:l={row['l']}"
    if spec not in peer["figures"]:
        continue  # the bound, which is top-k again
    off = max(abs(row[name] - found) for name, found in zip(NAMES, peer["figures"][spec]))
    print(f"{spec:20} " + " ".join(f"{row[name]:.5f}" for name in NAMES) + f"   furthest from torch {off:.1e}")
