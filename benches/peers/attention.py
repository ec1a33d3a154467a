"""Fused passes of this project beside torch on the CPU, in turn: see README.md beside this file."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--lengths", default="1024,2048,4096,8192")
parser.add_argument("--only", default="", help="mechanisms, with commas")
parser.add_argument("--bench", help="the built benchmark; without it, cargo bench builds and runs it")
parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
args = parser.parse_args()

HEADS, WIDTH = 8, 64


def theirs(mechanism, n, l):
    """Median seconds of a pass in torch, over a second."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, n, WIDTH) for _ in range(3))
    p = torch.randn(1, HEADS, max(l, 1), WIDTH)
    e = torch.randn(max(l, 1), n) / n**0.5
    scale = WIDTH**-0.5

    def luna():
        packed = torch.softmax(p @ k.transpose(-1, -2) * scale, -1) @ k
        return torch.softmax(q @ packed.transpose(-1, -2) * scale, -1) @ packed

    def linformer():
        return torch.softmax(q @ (e @ k).transpose(-1, -2) * scale, -1) @ (e @ v)

    def linear():
        fq, fk = F.elu(q) + 1, F.elu(k) + 1
        return (fq @ (fk.transpose(-1, -2) @ v)) / (fq @ fk.sum(-2).unsqueeze(-1) + 1e-6)

    run = {
        "softmax": lambda: F.scaled_dot_product_attention(q, k, v),
        "softmax+causal": lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        "luna": luna,
        "linformer": linformer,
        "linear": linear,
    }[mechanism]
    seconds = []
    begun = time.perf_counter()
    while len(seconds) < 5 or time.perf_counter() - begun < 1.0:
        since = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - since)
    return statistics.median(seconds)


if args.one:
    print(json.dumps({"median_s": theirs(args.one[0], int(args.one[1]), int(args.one[2]))}))
    sys.exit()

environment = dict(os.environ, RAYON_NUM_THREADS=str(args.threads), OMP_NUM_THREADS=str(args.threads))
ours = [args.bench] if args.bench else ["cargo", "bench", "--quiet", "--features", "bench", "--bench", "attention", "--"]
cells = [("softmax", 0), ("softmax+causal", 0), ("luna", 16), ("luna", 128), ("linformer", 16), ("linformer", 128), ("linear", 0)]
wanted = [name for name in args.only.split(",") if name]


def seconds(command):
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])["median_s"]


def flops(mechanism, n, l):
    pair = {"softmax": 4 * n, "softmax+causal": 2 * (n + 1), "linear": 4 * WIDTH}.get(mechanism, 8 * l)
    return HEADS * n * pair * WIDTH


print(f"{'mechanism':15} {'n':>5} {'l':>4} {'torch ms':>9} {'ours ms':>9} {'torch/ours':>16} {'GFLOP/s':>8}")
for n in map(int, args.lengths.split(",")):
    for mechanism, l in cells:
        if wanted and mechanism not in wanted:
            continue
        rounds = []
        for _ in range(args.rounds):
            one = [mechanism, str(n), str(l)]
            torch = seconds([sys.executable, __file__, "--threads", str(args.threads), "--one", *one])
            rounds.append((torch, seconds([*ours, "--cell", *one])))
        ratios = sorted(a / b for a, b in rounds)
        torch, fused = (statistics.median(side) for side in zip(*rounds))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        rate = flops(mechanism, n, l) / fused / 1e9
        print(f"{mechanism:15} {n:5} {l:4} {1e3 * torch:9.2f} {1e3 * fused:9.2f} {spread:>16} {rate:8.0f}", flush=True)
