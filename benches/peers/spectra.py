"""Effective ranks of a model's attention as a notebook makes them today beside luna_attention: see README.md beside this file."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--minilm", metavar="DIR", help="all-MiniLM-L6-v2: all heads at 512")
parser.add_argument("--smollm2", metavar="DIR", help="SmolLM2-135M: the first layer at 4096")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--methods", default="exact,quadrature", help="of luna_attention")
parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
args = parser.parse_args()

TEXT = "".join(path.read_text() for path in sorted((Path(__file__).parents[2] / "docs").glob("*.md")))
LENGTHS = {"minilm": 512, "smollm2": 4096}


def effective_rank(s):
    """Roy and Vetterli 2007, of singular values (..., n)."""
    p = s / s.sum(-1, keepdim=True)
    return (-(p * p.clamp(min=1e-30).log()).sum(-1)).exp()


def one(name, folder, method):
    """Effective ranks, seconds from the first token to the last figure, and by how much memory grew from the loaded model on."""
    import torch
    import transformers

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    few = {"num_hidden_layers": 1} if name == "smollm2" else {}
    implementation = "eager" if method == "torch" else "sdpa"
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation=implementation, dtype=torch.float32, **few).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(Path(folder) / "tokenizer.json"))
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    n = LENGTHS[name]
    ids = torch.tensor([tokenizer(TEXT).input_ids[:n]])
    assert ids.shape[1] == n
    ranks = []
    if method != "torch":
        import luna_attention

        options = {"method": method, "threads": args.threads, "at": 16}

        def measure(layer, q, k, v, info):
            ranks.extend(luna_attention.spectrum(q, k, **options, **info)["effective_rank"].tolist())

    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins again
    since = time.perf_counter()
    if method == "torch":
        attentions = torch.stack(model(ids, output_attentions=True, use_cache=False).attentions)
        ranks = effective_rank(torch.linalg.svdvals(attentions)).flatten().tolist()
    else:
        with luna_attention.capture(model, measure):
            model(ids, use_cache=False)
    seconds = time.perf_counter() - since
    return {"seconds": seconds, "mib": memory("VmHWM") - before, "ranks": ranks}


def memory(key):
    """The resident set of this process, or its peak, in MiB."""
    return int(Path("/proc/self/status").read_text().split(f"{key}:")[1].split()[0]) / 1024


if args.one:
    print(json.dumps(one(*args.one)))
    sys.exit()

environment = dict(os.environ, HF_HUB_OFFLINE="1", OMP_NUM_THREADS=str(args.threads))


def ran(*what):
    command = [sys.executable, __file__, "--threads", str(args.threads), "--one", *what]
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


print(f"{'model':8} {'n':>5} {'heads':>5} {'luna method':11} {'torch s':>8} {'luna s':>8} {'luna/torch':>18} {'torch MiB':>9} "
      f"{'luna MiB':>8} {'luna/torch':>10} {'ranks off by':>12}")  # fmt: skip
for name, folder in (("minilm", args.minilm), ("smollm2", args.smollm2)):
    if folder is None:
        continue
    methods = args.methods.split(",")
    rounds = [[ran(name, folder, method) for method in ["torch", *methods]] for _ in range(args.rounds)]
    for at, method in enumerate(methods, start=1):
        pairs = [(each[0], each[at]) for each in rounds]
        ratios = sorted(luna["seconds"] / torch["seconds"] for torch, luna in pairs)
        ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        seconds, mib = ([statistics.median(one[key] for one in side) for side in zip(*pairs)] for key in ("seconds", "mib"))
        off = max(abs(a - b) / a for torch, luna in pairs for a, b in zip(torch["ranks"], luna["ranks"], strict=True))
        print(f"{name:8} {LENGTHS[name]:5} {len(pairs[0][0]['ranks']):5} {method:11} {seconds[0]:8.2f} {seconds[1]:8.2f} {ratio:>18} "
              f"{mib[0]:9.0f} {mib[1]:8.0f} {mib[1] / mib[0]:10.3f} {off:12.1e}", flush=True)  # fmt: skip
