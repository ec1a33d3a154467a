"""Causal Longformer, Sparse Transformer and BigBird by their definitions in float64, pair by pair: arrays for
tests/it/attention/sparse.rs.

Writes causal.safetensors beside this script: q, k, v of shape (40, 8), and for each mechanism its matrix and, under the
name with `_out`, its output. Run: python causal.py
"""

import json
import struct
from pathlib import Path

import numpy as np

N, D = 40, 8


def longformer(t, j, window=9, leading=3):
    """Beltagy et al. 2020: a window, and leading tokens that see all and are seen by all."""
    return t - j < window or j < leading or t < leading


def strided(t, j, stride=7):
    """Child et al. 2019, section 4.3: A1 = {t, t - 1, ..., t - l} and A2 = {j: (t - j) mod l = 0}."""
    return t - j <= stride or (t - j) % stride == 0


def fixed(t, j, stride=6, c=2):
    """Child et al. 2019, section 4.3: A1 = {j: floor(j / l) = floor(t / l)} and A2 = {j: j mod l in {l - c, ..., l - 1}}."""
    return t // stride == j // stride or j % stride in range(stride - c, stride)


def bigbird(t, j, block=4, window=3, leading=2):
    """Zaheer et al. 2020 as DeepSpeed has it for language models, without random blocks: the own block and window - 1 before
    it, and the first blocks."""
    row, column = t // block, j // block
    return row - column < window or column < leading


def attend(q, k, v, sees):
    matrix, out = np.zeros((N, N)), np.zeros((N, D))
    for t in range(N):
        kept = [j for j in range(t + 1) if sees(t, j)]
        logits = np.array([sum(q[t, c] * k[j, c] for c in range(D)) / np.sqrt(D) for j in kept])
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        for j, weight in zip(kept, weights):
            matrix[t, j] = weight
            out[t] += weight * v[j]
    return matrix, out


def main():
    rng = np.random.default_rng(24)
    q, k, v = ((1.5 * rng.standard_normal((N, D))).astype(np.float32) for _ in range(3))
    arrays = {"q": q, "k": k, "v": v}
    for name, sees in {"longformer": longformer, "strided": strided, "fixed": fixed, "bigbird": bigbird}.items():
        wide = [x.astype(np.float64) for x in (q, k, v)]
        arrays[f"{name}_causal"], arrays[f"{name}_causal_out"] = attend(*wide, sees)
    header, data = {}, b""
    for name, array in arrays.items():
        raw = array.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = Path(__file__).with_suffix(".safetensors")
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
