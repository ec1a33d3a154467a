"""An allocation in transformers, by the code of docs/allocate.md, beside luna: the perplexity of both on the same tokens."""

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="folder of a causal model")
parser.add_argument("--allocation", required=True)
parser.add_argument("--text", required=True)
parser.add_argument("--seq-len", type=int, default=1024)
parser.add_argument("--windows", type=int, default=1)
parser.add_argument("--skip-bytes", type=int, default=0)
parser.add_argument("--luna", default="target/release/luna")
parser.add_argument("--threads", type=int, default=2)
args = parser.parse_args()

import torch
from transformers import AutoTokenizer

torch.set_num_threads(args.threads)
torch.set_grad_enabled(False)
page = pathlib.Path(__file__).parents[2] / "docs" / "allocate.md"
code = re.search(r"```python\n(.*?)```", page.read_text(), re.S)[1]
exec(code.replace("run/allocation.json", args.allocation).replace("MODEL", args.model))
model.eval()

text = pathlib.Path(args.text).read_bytes()[args.skip_bytes :].decode(errors="ignore")
tokens = AutoTokenizer.from_pretrained(args.model)(text[: args.windows * args.seq_len * 12])["input_ids"]
windows = [tokens[i * args.seq_len : (i + 1) * args.seq_len] for i in range(args.windows)]


def nll(ids):
    logits = model(torch.tensor([ids])).logits[0, :-1].double()
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])).item()


theirs = [nll(ids) for ids in windows]
ids = pathlib.Path("allocation-tokens.json")
ids.write_text(json.dumps([token for window in windows for token in window]))
flags = ["--seq-len", str(args.seq_len), "--windows", str(args.windows), "--stride", "contiguous"]
run = [args.luna, "approx-error", "--model", args.model, "--tokens", str(ids), "--substitute", "all", *flags]
run += ["--allocation", args.allocation, "--format", "json", "--quiet"]
found = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
ids.unlink()
ours = [row["nll"] for row in found["rows"]]
differences = [abs(math.exp(a) - math.exp(b)) for a, b in zip(ours, theirs, strict=True)]
for window, (a, b) in enumerate(zip(ours, theirs)):
    print(f"window {window}: perplexity {math.exp(a):.5f} by luna, {math.exp(b):.5f} by transformers")
print(f"largest difference of perplexity: {max(differences):.2e}")
sys.exit(max(differences) > 1e-3)
