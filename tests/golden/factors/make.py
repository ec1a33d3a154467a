"""Spectra of logits, queries, keys and values of four query heads on two heads of keys and values, by NumPy in float64."""

import json

import numpy as np

rng = np.random.default_rng(7)
n, m, d, d_v, scale = 40, 50, 6, 5, 0.3
q = rng.standard_normal((1, 4, n, d)) * np.linspace(0.2, 2, d) + 0.7
k = rng.standard_normal((1, 2, m, d)) @ rng.standard_normal((d, d))
v = rng.standard_normal((1, 2, m, d_v))
q, k, v = (x.astype(np.float32) for x in (q, k, v))
np.savez("qkv.npz", q=q, k=k, v=v)


def figures(a, prefix=""):
    sigma = np.linalg.svd(a, compute_uv=False)
    sigma = sigma[sigma > 1e-12 * sigma[0]]
    share, energy = sigma / sigma.sum(), sigma**2 / (sigma**2).sum()
    return {
        f"{prefix}sigma_max": sigma[0],
        f"{prefix}cum_l1_at_2": share[:2].sum(),
        f"{prefix}cum_energy_at_2": energy[:2].sum(),
        f"{prefix}effective_rank": np.exp(-(share * np.log(share)).sum()),
        f"{prefix}stable_rank": 1 / energy[0],
        f"{prefix}rank90_energy": int(1 + (np.cumsum(energy) < 0.9).sum()),
    }


def both(a):
    return figures(a) | figures(a - a.mean(axis=0), "centred_")


wide = {name: x.astype(np.float64)[0] for name, x in (("q", q), ("k", k), ("v", v))}
heads = range(4)
expected = {
    "logits": [both(scale * wide["q"][h] @ wide["k"][h // 2].T) for h in heads],
    "queries": [both(wide["q"][h]) for h in heads],
    "keys": [both(wide["k"][h // 2]) for h in heads],
    "values": [both(wide["v"][h // 2]) for h in heads],
}
with open("expected.json", "w") as file:
    json.dump(expected, file, indent=1)
    file.write("\n")
