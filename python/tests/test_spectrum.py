"""`spectrum` and `singular_values` beside `luna svd-spectrum` on the same arrays in a file."""

import luna_attention as luna_py
import numpy as np
import pytest
from conftest import assert_same, heads, probabilities

MATRICES = [
    ((24, 24), np.float32, {}, []),
    ((3, 20, 20), np.float64, {}, []),
    ((2, 2, 20, 20), np.float16, {"axes": "batch,head"}, ["--axes", "batch,head"]),
    ((2, 16, 12), np.float32, {"at": [2, 4]}, ["--at", "2,4"]),
    ((2, 16, 16), np.float32, {"nulls": ["gaussian", "shuffled"], "seed": 5}, ["--seed", "5"]),
    ((2, 16, 16), np.float32, {"nulls": "shuffled", "null_draws": 2}, ["--null", "shuffled", "--null-draws", "2"]),
    ((2, 16, 16), np.float32, {"heads": 1, "threads": 1}, ["--heads", "1"]),
    ((1, 80, 80), np.float32, {"method": "quadrature", "probes": 8}, ["--method", "quadrature", "--probes", "8"]),
    ((1, 60, 60), np.float32, {"method": "lanczos", "top": 5}, ["--method", "lanczos", "--top", "5"]),
]


@pytest.mark.parametrize(("shape", "dtype", "options", "flags"), MATRICES)
@pytest.mark.parametrize("causal", [False, True])
def test_matrices(shape, dtype, options, flags, causal, rows, tmp_path):
    a = probabilities(shape, dtype=dtype, causal=causal)
    np.save(tmp_path / "a.npy", a)
    if "nulls" not in options and options.get("method") != "lanczos":
        flags = [*flags, "--null", "none"]
    texts = rows("svd-spectrum", "--attention", "a.npy", *flags)
    assert_same(luna_py.spectrum(a, **options), texts)


PROJECTIONS = [
    ((24, 8), (24, 8), {}, []),
    ((4, 24, 8), (2, 24, 8), {"mask": "causal", "scale": 0.5}, ["--qkv-mask", "causal", "--qkv-scale", "0.5"]),
    ((2, 3, 20, 8), (2, 3, 20, 8), {"axes": "batch,head"}, ["--axes", "batch,head"]),
    ((2, 20, 4), (2, 14, 4), {"of": "logits"}, ["--of", "logits"]),
    ((2, 20, 4), (2, 20, 4), {"of": "values"}, ["--of", "values"]),
    (
        (2, 32, 8),
        (2, 32, 8),
        {"mask": "causal,window:back=4", "nulls": "gaussian"},
        ["--qkv-mask", "causal,window:back=4", "--null", "gaussian"],
    ),
]


@pytest.mark.parametrize(("q", "k", "options", "flags"), PROJECTIONS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_queries_and_keys(q, k, options, flags, dtype, rows, tmp_path):
    q, k, v = heads(q, 1, dtype), heads(k, 2, dtype), heads(k, 3, dtype)
    np.savez(tmp_path / "qkv.npz", q=q, k=k, v=v)
    if "nulls" not in options:
        flags = [*flags, "--null", "none"]
    assert_same(luna_py.spectrum(q, k, v, **options), rows("svd-spectrum", "--qkv", "qkv.npz", *flags))


def test_singular_values_are_the_arrays_of_the_command(luna, tmp_path):
    a = probabilities((3, 20, 16))
    np.save(tmp_path / "a.npy", a)
    assert luna("svd-spectrum", "--attention", "a.npy", "--null", "none", "--out", "run").returncode == 0
    for centred, name in [(False, "singular_values"), (True, "centred_singular_values")]:
        found = luna_py.singular_values(a, centred=centred)
        expected = np.load(tmp_path / "run" / f"{name}_n20.npy")
        assert found.shape == (3, 16) and found.dtype == np.float64
        assert np.array_equal(found, expected)
    other = a.astype(np.float64) - (a.astype(np.float64).mean(1, keepdims=True) if centred else 0)
    assert np.allclose(found, np.linalg.svd(other, compute_uv=False), atol=1e-6)


@pytest.mark.parametrize("shape", [(7, 5), (2, 7, 5), (2, 3, 7, 5), (2, 1, 3, 5, 7), (2, 2, 1, 2, 5, 5)])
def test_singular_values_keep_the_order_of_the_leading_dimensions(shape):
    a = heads(shape, 3, np.float64)
    found = luna_py.singular_values(a)
    assert found.shape == (*shape[:-2], 5)
    assert np.allclose(found, np.linalg.svd(a, compute_uv=False), rtol=1e-9)


def test_verdicts_stand_beside_nulls_on_request():
    a = probabilities((2, 16, 16))
    plain, beside = luna_py.spectrum(a), luna_py.spectrum(a, nulls="gaussian")
    new = set(beside) - set(plain)
    assert any("gaussian" in name for name in new)
    assert all(np.array_equal(plain[name], beside[name]) for name in ("layer", "head", "effective_rank"))


def test_columns_say_what_they_are():
    table = luna_py.spectrum(probabilities((2, 16, 16)))
    assert set(table.about) == set(table) and all(table.about.values())
    assert table["n"].dtype == np.int64 and table["effective_rank"].dtype == np.float64
    assert table.stamp["study"] == "svd-spectrum" and "a" == table.stamp["attention"]
    assert luna_py.spectrum(heads((16, 16))).notes[0].startswith("these matrices are no attention probabilities")


def test_the_table_is_a_data_frame():
    pandas = pytest.importorskip("pandas")
    table = luna_py.spectrum(probabilities((3, 16, 16)), nulls="gaussian")
    frame = pandas.DataFrame(table)
    assert list(frame.columns) == list(table) and len(frame) == 3
    assert frame["effective_rank"].dtype == np.float64
