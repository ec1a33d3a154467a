"""`errors`, `cost`, `attention` and `read` beside the command and beside the formula."""

import luna_attention as luna_py
import numpy as np
import pytest
from conftest import assert_same, heads

ERRORS = [
    ({"attention": ["luna", "linformer:e=segment"], "l": [4, 8]}, ["--mechanism", "luna,linformer:e=segment", "--l", "4,8"]),
    (
        {"attention": "linear,luna-causal", "l": 8, "mask": "causal", "seed": 3},
        ["--mechanism", "linear,luna-causal", "--l", "8", "--qkv-mask", "causal", "--seed", "3"],
    ),
    ({"l": (4,), "scale": 0.7}, ["--l", "4", "--qkv-scale", "0.7"]),
]


@pytest.mark.parametrize(("options", "flags"), ERRORS)
def test_errors(options, flags, rows, tmp_path):
    q, k, v = heads((2, 32, 8), 1), heads((2, 32, 8), 2), heads((2, 32, 6), 3)
    np.savez(tmp_path / "qkv.npz", q=q, k=k, v=v)
    assert_same(luna_py.errors(q, k, v, **options), rows("approx-error", "--qkv", "qkv.npz", *flags))


COSTS = [
    (
        {"attention": ["luna", "linformer"], "n": [128, 256], "l": 16},
        ["--mechanism", "luna,linformer", "--seq-len", "128,256", "--l", "16"],
    ),
    (
        {"attention": "linear", "n": 64, "num_heads": 2, "head_dim": 16, "causal": True, "pass_": "train"},
        ["--mechanism", "linear", "--seq-len", "64", "--num-heads", "2", "--head-dim", "16", "--causal", "--pass", "train"],
    ),
    (
        {"attention": "luna", "n": 64, "l": 16, "unit": "layer", "num_heads": 2, "head_dim": 16},
        ["--mechanism", "luna", "--seq-len", "64", "--l", "16", "--unit", "layer", "--num-heads", "2", "--head-dim", "16"],
    ),
]


@pytest.mark.parametrize(("options", "flags"), COSTS)
def test_cost(options, flags, rows):
    assert_same(luna_py.cost(**options), rows("scale-sweep", "--measure", "flops", *flags))


def softmax_attention(q, k, v, scale, causal):
    logits = scale * q.astype(np.float64) @ k.astype(np.float64).swapaxes(-1, -2)
    if causal:
        logits = np.where(np.tri(*logits.shape[-2:], dtype=bool), logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True) @ v.astype(np.float64)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("leading", [(), (3,), (2, 2)])
def test_softmax_is_that_of_the_formula(causal, leading):
    q, k, v = heads((*leading, 40, 8), 1), heads((*leading, 40, 8), 2), heads((*leading, 40, 5), 3)
    found = luna_py.attention("softmax", q, k, v, scale=0.4, mask="causal" if causal else "full")
    assert found.shape == (*leading, 40, 5) and found.dtype == np.float32
    assert np.allclose(found, softmax_attention(q, k, v, 0.4, causal), atol=1e-5)


def test_heads_of_a_group_share_keys_and_values():
    q, k, v = heads((2, 4, 16, 8), 1), heads((2, 2, 16, 8), 2), heads((2, 2, 16, 8), 3)
    for name in ["softmax", "luna:l=4"]:
        found = luna_py.attention(name, q, k, v)
        expected = luna_py.attention(name, q, k.repeat(2, axis=1), v.repeat(2, axis=1))
        assert np.array_equal(found, expected)


def test_the_output_is_the_one_that_errors_judge():
    q, k, v = heads((2, 32, 8), 1), heads((2, 32, 8), 2), heads((2, 32, 8), 3)
    exact = softmax_attention(q, k, v, 8**-0.5, False)
    for name in ["luna", "linformer", "nystrom"]:
        table = luna_py.errors(q, k, v, attention=name, l=8)
        own = table["mechanism"] == name
        found = luna_py.attention(f"{name}:l=8", q, k, v).astype(np.float64)
        expected = [np.linalg.norm(found[h] - exact[h]) / np.linalg.norm(exact[h]) for h in range(2)]
        assert own.sum() == 2 and np.allclose(table["output_rel_fro"][own], expected, rtol=1e-4), name


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("sofmax", {}, "unknown attention 'sofmax' (did you mean 'softmax'?)"),
        ("luna:k=4", {}, "attention 'luna' takes no parameter 'k'"),
        ("linformer", {"mask": "causal"}, "causal"),
        ("softmax", {"mask": "causl"}, "mask: 'causl' is not accepted; accepted: full, causal"),
        ("softmax", {"scale": 0}, "scale: '0' is not accepted"),
        ("softmax", {"k": heads((2, 16, 4))}, "array 'k': shape [2, 16, 4]; expected"),
        ("softmax", {"v": heads((2, 15, 8))}, "array 'v': shape [2, 15, 8]; expected"),
        ("softmax", {"k": heads((16, 8))}, "array 'k': shape [16, 8]; expected"),
        ("softmax", {"q": heads((3, 16, 8))}, "array 'k': shape [2, 16, 8]; expected"),
        ("softmax", {"q": np.full((2, 16, 8), np.nan, np.float32)}, "array 'q': NaN at head 0, row 0, column 0"),
        ("softmax", {"q": np.zeros((2, 0, 8), np.float32)}, "array 'q': shape [2, 0, 8]"),
        ("softmax", {"threads": 0}, "threads: '0' is not accepted"),
    ],
)
def test_attention_refuses_with_a_sentence(name, change, said):
    arrays = {"q": heads((2, 16, 8), 1), "k": heads((2, 16, 8), 2), "v": heads((2, 16, 8), 3)}
    with pytest.raises(ValueError) as raised:
        luna_py.attention(name, **{**arrays, **change})
    assert said in str(raised.value)


def test_read_is_the_run(luna, rows, tmp_path):
    run = ["svd-spectrum", "--synthetic", "gaussian:logit_sd=1,d_h=8", "--seq-len", "16", "--windows", "2", "--at", "4"]
    texts = rows(*run, "--out", "run")
    for path in [tmp_path / "run", str(tmp_path / "run" / "result.json")]:
        table = luna_py.read(path)
        assert_same(table, texts)
        assert table.stamp["seq_len"] == [16] and table.notes
    with pytest.raises(ValueError, match="holds no result.json"):
        luna_py.read(tmp_path)
