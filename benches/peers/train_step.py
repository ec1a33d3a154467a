"""A step of luna train beside the same network in torch on the CPU, in turn: see README.md beside this file."""

import argparse
import csv
import io
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--luna", default="target/release/luna", help="the built program")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--steps", type=int, default=6)
parser.add_argument("--lengths", default="512,1024,2048")
parser.add_argument("--only", default="softmax,linformer:l=64,luna:l=16,luna:l=128")
parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
args = parser.parse_args()

BATCH, WIDTH, HEADS, FFN, LAYERS = 8, 256, 4, 1024, 2


MIB = 1024  # of ru_maxrss, which counts KiB


def theirs(mechanism, n):
    """Median seconds of a step in torch, and by how many MiB the resident set grew from before the network was there."""
    import torch
    import torch.nn as nn
    import torch.nn.functional as F

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.ones(512, 512) @ torch.ones(512, 512)  # what its libraries take once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kind, l = (mechanism.split(":l=") + ["0"])[:2]
    l = int(l)

    def heads(x):
        return x.view(BATCH, -1, HEADS, WIDTH // HEADS).transpose(1, 2)

    def rows(x):
        return x.transpose(1, 2).reshape(BATCH, -1, WIDTH)

    attend = F.scaled_dot_product_attention

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k, self.out, self.fc1, self.fc2 = (
                nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH),
                nn.Linear(WIDTH, FFN), nn.Linear(FFN, WIDTH))
            self.norm, self.last = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            if kind == "luna":
                self.pq, self.c, self.p_norm = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH)
            else:
                self.v = nn.Linear(WIDTH, WIDTH)
            if kind == "linformer":
                self.e = nn.Parameter(torch.randn(l, n) / n**0.5)

        def forward(self, x, p):
            q, k = heads(self.q(x)), heads(self.k(x))
            if kind == "luna":
                packed = rows(attend(heads(self.pq(p)), k, k))
                c = heads(self.c(packed))
                y, p = attend(q, c, c), self.p_norm(p + packed)
            else:
                v = heads(self.v(x))
                if kind == "linformer":
                    k, v = self.e @ k, self.e @ v
                y = attend(q, k, v)
            x = self.norm(x + self.out(rows(y)))
            return self.last(x + self.fc2(F.gelu(self.fc1(x)))), p

    tokens, places, head = nn.Embedding(257, WIDTH), nn.Embedding(n, WIDTH), nn.Linear(WIDTH, 2)
    first, first_p = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
    p = nn.Parameter(torch.randn(max(l, 1), WIDTH) / WIDTH**0.5)
    layers = nn.ModuleList(Layer() for _ in range(LAYERS))
    parts = [tokens, places, head, first, first_p, layers]
    learned = [p] + [weight for part in parts for weight in part.parameters()]
    adam = torch.optim.AdamW(learned, lr=1e-3)
    ids, classes, seconds = torch.randint(1, 257, (BATCH, n)), torch.randint(2, (BATCH,)), []
    for _ in range(args.steps):
        since = time.perf_counter()
        adam.zero_grad()
        x, at = first(tokens(ids) + places.weight), first_p(p).expand(BATCH, -1, -1)
        for layer in layers:
            x, at = layer(x, at)
        F.cross_entropy(head(x.mean(1)), classes).backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        adam.step()
        seconds.append(time.perf_counter() - since)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return statistics.median(seconds[1:]), grown / MIB


def ours(mechanism, n, folder):
    """Median seconds of a step of luna train, and the MiB of the whole program's resident set."""
    path = os.path.join(folder, f"{n}.tsv")
    if not os.path.exists(path):
        draw = random.Random(n)
        with open(path, "w") as out:
            for i in range(32):
                out.write(f"{i % 2}\t{''.join(draw.choice('abcdefgh ') for _ in range(n))}\n")
    command = [args.luna, "train", "--task", "text", "--data", path, "--attention", mechanism, "--seq-len", str(n),
               "--d", str(WIDTH), "--heads", str(HEADS), "--ffn", str(FFN), "--layers", str(LAYERS),
               "--batch", str(BATCH), "--steps", str(args.steps), "--eval-every", str(args.steps),
               "--eval-examples", "1", "--threads", str(args.threads), "--quiet", "--format", "csv"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        table = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    row = next(csv.DictReader(io.StringIO(table)))
    return float(row["step_s"]), usage.ru_maxrss / MIB


if args.one:
    print(json.dumps(theirs(args.one[0], int(args.one[1]))))
    sys.exit()


with tempfile.TemporaryDirectory() as folder:
    print(f"{'attention':16}{'n':>6}{'luna (s)':>10}{'torch (s)':>11}{'luna/torch':>12}   (lowest to highest)"
          f"{'luna (MiB)':>12}{'torch (MiB)':>13}")
    for mechanism in args.only.split(","):
        for n in map(int, args.lengths.split(",")):
            own, other = [], []
            for _ in range(args.rounds):
                own.append(ours(mechanism, n, folder))
                command = [sys.executable, __file__, "--threads", str(args.threads), "--steps", str(args.steps),
                           "--one", mechanism, str(n)]
                other.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
            ratios = [a / b for (a, _), (b, _) in zip(own, other)]
            (own_s, own_mib), (other_s, other_mib) = (map(statistics.median, zip(*side)) for side in (own, other))
            print(f"{mechanism:16}{n:>6}{own_s:>10.3f}{other_s:>11.3f}{statistics.median(ratios):>12.2f}"
                  f"   ({min(ratios):.2f} to {max(ratios):.2f})   {own_mib:>12.0f}{other_mib:>13.0f}", flush=True)
