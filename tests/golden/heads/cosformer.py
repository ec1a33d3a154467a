"""cosFormer (Qin et al. 2022) by its equation in float64, pair by pair: arrays for tests/it/attention/golden.rs.

Writes cosformer.safetensors beside this script: q, k, v of shape (1, 2, 24, 8), `out` without a mask (M = 24) and
`out_causal` under the causal mask with M = 32. Run: python cosformer.py
"""

import json
import struct
from pathlib import Path

import numpy as np

H, N, D = 2, 24, 8
EPS = 1e-6


def attend(q, k, v, longest, causal):
    out = np.zeros_like(v)
    for i in range(N):
        seen = range(i + 1) if causal else range(N)
        weights = np.array(
            [
                np.maximum(q[i], 0) @ np.maximum(k[j], 0) * np.cos(np.pi * (i - j) / (2 * longest))
                for j in seen
            ]
        )
        out[i] = weights @ v[list(seen)] / (weights.sum() + EPS)
    return out


def main():
    rng = np.random.default_rng(2022)
    q, k, v = (rng.standard_normal((H, N, D)).astype(np.float32) for _ in range(3))
    wide = [x.astype(np.float64) for x in (q, k, v)]
    heads = [[x[h] for x in wide] for h in range(H)]
    arrays = {
        "q": q,
        "k": k,
        "v": v,
        "out": np.stack([attend(*head, N, False) for head in heads]),
        "out_causal": np.stack([attend(*head, 32, True) for head in heads]),
    }
    header, data = {}, b""
    for name, array in arrays.items():
        raw = array.astype("<f4")[None].tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": [1, *array.shape],
            "data_offsets": [len(data), len(data) + len(raw)],
        }
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = Path(__file__).with_suffix(".safetensors")
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


if __name__ == "__main__":
    main()
