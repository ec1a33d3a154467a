"""What the tests share: heads to measure, and the command beside the module."""

import csv
import io
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

LUNA = Path(sys.executable).with_name("luna")


@pytest.fixture
def luna(tmp_path):
    """Runs the command in a folder of the test; what it did."""

    def run(*arguments):
        command = [LUNA, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture
def rows(luna):
    """Runs the command; its rows by column, as texts in full precision."""

    def run(*arguments):
        ran = luna(*arguments, "--format", "csv", "--quiet")
        assert ran.returncode == 0, ran.stderr
        lines = csv.DictReader(io.StringIO(ran.stdout))
        found = list(lines)
        return {name: [row[name] for row in found] for name in lines.fieldnames}

    return run


def heads(shape, seed=0, dtype=np.float32):
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def probabilities(shape, seed=0, dtype=np.float32, causal=False):
    """Attention matrices of random logits."""
    logits = 2 * heads(shape, seed, np.float64)
    if causal:
        logits = np.where(np.tri(*shape[-2:], dtype=bool), logits, -np.inf)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True)).astype(dtype)


def assert_same(table, texts):
    """The columns are those of the command, and every value is the same number, bit for bit."""
    assert list(table) == list(texts)
    for name, column in table.items():
        assert len(column) == len(texts[name]) > 0, name
        for value, text in zip(column.tolist(), texts[name], strict=True):
            if text == "":
                assert value is None or math.isnan(value), (name, value)
            elif isinstance(value, bool):
                assert text == str(value).lower(), (name, value, text)
            elif isinstance(value, (int, float)):
                assert value == float(text), (name, value, text)
            else:
                assert value == text, (name, value, text)
