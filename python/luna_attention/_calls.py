"""Arrays and options as the library takes them, and its answers as tables."""

from __future__ import annotations

import contextlib
import json
import warnings
from operator import index
from os import fspath

import numpy as np

from . import _luna


class Table(dict):
    """Columns of a result by name, each a NumPy array with a value a row.

    Integers are int64 and booleans bool where every row has one; numbers that are missing are NaN; texts, and booleans of which
    some are missing, are objects (a missing one is None).

    Attributes
    ----------
    units : dict of str
        The unit of a column ("tokens", "ms"), where it has one.
    about : dict of str
        A line on each column.
    notes : list of str
        What a reader must know, as the command prints it below its table.
    stamp : dict
        How the result was produced.
    """

    def __init__(self, answer):
        columns, self.notes, stamp, self._arrays = answer
        super().__init__((name, _column(values)) for name, _, _, values in columns)
        self.units = {name: unit for name, unit, _, _ in columns if unit}
        self.about = {name: about for name, _, about, _ in columns}
        self.stamp = json.loads(stamp)


def _column(values):
    if isinstance(values, np.ndarray):
        return values
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


def prepared(name, value):
    """As (name, contiguous float32 or float64 of native byte order, the type that it had)."""
    try:
        array = value if isinstance(value, np.ndarray) else _taken(value)
    except Exception as error:
        raise ValueError(f"{name}: cannot be read as an array: {error}") from error
    dtype = array.dtype
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8):
        raise ValueError(f"{name}: '{dtype}' is not accepted; accepted: float16, float32 or float64")
    wide = np.float64 if dtype.itemsize == 8 else np.float32
    return name, np.require(np.asarray(array), wide, ["C", "A"]), f"float{8 * dtype.itemsize}"


def _taken(value):
    if hasattr(value, "__array__") or not hasattr(value, "__dlpack__"):
        return np.asarray(value)
    return np.from_dlpack(value)


def _flags(options):
    """Options as the command's flags: those that are None are not given, and those that are True stand alone."""
    flags = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        else:
            # In one word, so that a value may begin with a hyphen.
            flags.append(f"{flag}={_word(value)}")
    return flags


def _word(value):
    if isinstance(value, (list, tuple, set, frozenset, range)) or isinstance(value, np.ndarray) and value.ndim:
        return ",".join(_word(one) for one in value)
    if isinstance(value, float):
        return repr(float(value))
    return str(value)


def settings(seed, threads):
    for name, value, largest in (("seed", seed, (1 << 64) - 1), ("threads", 1 if threads is None else threads, 1024)):
        smallest = 0 if name == "seed" else 1
        if not hasattr(value, "__index__") or not smallest <= index(value) <= largest:
            raise ValueError(f"{name}: '{value}' is not accepted; accepted: {smallest} to {largest}")
    return index(seed), None if threads is None else index(threads)


def heads_of(arrays, heads, options):
    """Flags and arrays of queries and keys, with what their softmax has beside them."""
    options, sink, bias = _terms("q", heads, options)
    named = [prepared(name, value) for name, value in arrays.items() if value is not None]
    dimensions = named[0][1].ndim
    for name, value, axis in (("sink", sink, (-1, -2)), ("bias", bias, -2)):
        if value is not None:
            _, array, stored = prepared(name, value)
            array = np.expand_dims(array, axis)
            # Dimensions that are missing are those before the heads.
            named.append((name, array.reshape((1,) * (dimensions - array.ndim) + array.shape), stored))
    return options, named


def stored_at(path, arrays, heads, options):
    """Flags of queries and keys in a file or folder."""
    options, sink, bias = _terms(fspath(path), heads, options)
    for name, value in (arrays | {"sink": sink, "bias": bias}).items():
        if value is not None:
            raise ValueError(f"{name} is not accepted beside a path; accepted: arrays in the place of '{fspath(path)}'")
    return options, []


def _terms(qkv, heads, options):
    flags = {f"qkv_{name}": heads[name] for name in ("scale", "mask", "softcap")}
    return {"qkv": qkv, **flags, **options}, heads["sink"], heads["bias"]


def run(study, options, arrays=(), *, seed=0, threads=None, progress=None, wanted=()):
    seed, threads = settings(seed, threads)
    with contextlib.ExitStack() as bars:
        if progress is True:
            progress = _on(bars.enter_context(_bar()))
        answer, said = _luna.study(study, _flags(options), list(arrays), seed, threads, progress, list(wanted))
    for message in said:
        warnings.warn(message, stacklevel=3)
    return Table(answer)


def _bar():
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise ValueError("progress: 'True' needs tqdm; accepted: a function progress(done, total, message)") from None
    return tqdm()


def _on(bar):
    def progress(done, total, message):
        bar.total = total
        bar.set_description(message, refresh=False)
        bar.update(done - bar.n)

    return progress
