"""Figures of the rows of small attention matrices, by NumPy in float64: writes expected.json beside the matrices."""

import json

import numpy as np

rng = np.random.default_rng(19)


def softmax(logits, hidden):
    logits = np.where(hidden, -np.inf, logits)
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def figures(a, at):
    a = a.astype(np.float64)
    a = a[a.sum(axis=1) > 0]
    mass = a.sum(axis=1)
    ranked = -np.sort(-a, axis=1)
    cumulative = np.cumsum(ranked, axis=1) / mass[:, None]
    found = {"sink_mass": a[:, 0].mean(), "sink4_mass": a[:, :4].sum(axis=1).mean()}
    for share in (50, 90, 95, 99):
        found[f"keys{share}"] = (1 + (cumulative < share / 100 * (1 - 1e-12)).sum(axis=1)).mean()
    for k in at:
        found[f"top_mass_at_{k}"] = cumulative[:, k - 1].mean()
    return found


def places(a, near=64):
    a = a.astype(np.float64)
    mass = a.sum(axis=1)
    i = np.flatnonzero(mass > 0)[:, None]
    a, mass = a[i[:, 0]], mass[mass > 0]
    far = np.abs(np.arange(a.shape[1])[None, :] - i)
    return {
        "own_mass": (a * (far == 0)).sum(axis=1).mean(),
        "near64_mass": (a * (far < near)).sum(axis=1).mean(),
        "distance": ((a * far).sum(axis=1) / mass).mean(),
    }


def case(name, a, at=(1, 4, 16)):
    expected = figures(a, at) | (places(a) if a.shape[0] == a.shape[1] else {})
    np.save(f"{name}.npy", a)
    return expected


def causal(n):
    return np.triu(np.ones((n, n), bool), 1)


none = np.zeros((96, 96), bool)
expected = {"full": case("full", softmax(2 * rng.standard_normal((96, 96)), none))}
sink = 1.5 * rng.standard_normal((100, 100))
sink[:, 0] += 4
expected["causal"] = case("causal", softmax(sink, causal(100)))
window = causal(90) | np.tril(np.ones((90, 90), bool), -12)
expected["window"] = case("window", softmax(rng.standard_normal((90, 90)), window))
expected["rectangular"] = case("rectangular", softmax(3 * rng.standard_normal((33, 70)), np.zeros((33, 70), bool)))
# A sink in the softmax takes a part of every row; the last rows are padding.
part = softmax(rng.standard_normal((64, 64)), causal(64)) * rng.uniform(0.2, 0.9, (64, 1)).astype(np.float32)
part[60:] = 0
part[:, 60:] = 0
expected["part"] = case("part", part)

with open("expected.json", "w") as file:
    json.dump(expected, file, indent=1)
    file.write("\n")
