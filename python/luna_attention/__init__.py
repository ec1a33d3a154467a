"""Is attention low-rank, and what can stand in for it? The studies of the command ``luna`` on arrays in memory.

Arrays are NumPy's of float16, float32 or float64, or anything that NumPy makes such an array of (``__array__`` or DLPack on the
CPU: tensors of PyTorch and JAX). Contiguous float32 and float64 are read where they are. The letters are those of
the papers: n queries, m keys, h heads, d the width of a head, l a projected length.

Every function gives the figures that the command gives for the same arrays in a file, bit for bit, as a :class:`Table`: a
dictionary of NumPy columns, which ``pandas.DataFrame`` and ``polars.DataFrame`` take as it is. What the command refuses is a
``ValueError`` with the command's message. Work runs without the interpreter's lock on all cores of this process (``threads``
says another number), Ctrl-C stops it, and ``progress(done, total, message)`` is called while it runs
(``progress=True`` shows a bar of tqdm).
"""

from __future__ import annotations

import contextlib
from importlib.metadata import version as _version
from os import PathLike, fspath

import numpy as np

from . import _calls, _capture, _luna
from ._calls import Table

__all__ = ["Table", "attention", "capture", "cost", "errors", "read", "singular_values", "spectrum"]
__version__ = _version("luna-attention")


def spectrum(
    a,
    k=None,
    v=None,
    *,
    scale=None,
    mask=None,
    softcap=None,
    sink=None,
    bias=None,
    nulls=None,
    null_draws=None,
    axes=None,
    at=None,
    of=None,
    method=None,
    seed=0,
    threads=None,
    progress=None,
    **flags,
):
    """Figures of the singular values of attention matrices, as ``luna svd-spectrum`` gives them.

    Parameters
    ----------
    a : array of shape (..., n, m) or (..., n, d), or a path
        Attention matrices, whose rows are probabilities; with ``k`` the queries. Up to three dimensions come before: those of
        two are (layers, h), those of three (layers, batch, h), if ``axes`` does not say otherwise. A path is the folder that
        :func:`capture` wrote, or a file of queries and keys.
    k : array of shape (..., m, d), optional
        Keys. They may have fewer heads than the queries, each for a group of them.
    v : array of shape (..., m, d_v), optional
        Values, beside keys, where they are what is decomposed (``of="values"``).
    scale : float, optional
        The factor on the products of queries and keys; 1 / sqrt(d) by default.
    mask : str, optional
        With queries and keys: "full" (the default), "causal", "window:back=B,ahead=A", or "causal,window:back=B". With matrices
        the mask that null models are drawn under; by default it is inferred from zeros.
    softcap : float, optional
        c, where a logit x becomes c tanh(x / c).
    sink : array of shape (..., h), optional
        A logit that each query of a head sees beside its keys, and that has no value.
    bias : array of shape (..., h, n + m - 1), optional
        What is added to the logits for each distance j - i, from -(n - 1) to m - 1.
    nulls : str or list of str, optional
        Null models that stand beside each head, with verdicts: "gaussian", "shuffled" (``luna list null``). None by default.
    null_draws : int, optional
        Draws of each null model: 10 beside matrices, 3 beside queries and keys.
    axes : str, optional
        What the dimensions before the last two are, such as "batch,head".
    at : list of int, optional
        Indices K of the cumulative figures; 16, 32, 64, 128, 256 by default (those below n).
    of : str, optional
        What is decomposed: "attention" (the default); with queries and keys "logits", "queries", "keys" or "values" too.
    method : str, optional
        "exact", "quadrature" or "lanczos".
    seed, threads, progress
        Of null models and estimates; see the module.
    **flags
        Any other flag of ``luna svd-spectrum``, such as ``probes=32`` or ``layers="0-3"``.

    Returns
    -------
    Table
        A row a head and window (the samples of a batch), with the columns of the command.
    """
    options = {"null": "none" if nulls is None and method != "lanczos" else nulls, "null_draws": null_draws}
    options |= {"axes": axes, "at": at, "of": of, "method": method, **flags}
    settings = {"seed": seed, "threads": threads, "progress": progress}
    heads = {"scale": scale, "mask": mask, "softcap": softcap, "sink": sink, "bias": bias}
    if isinstance(a, (str, PathLike)):
        return _calls.run("svd-spectrum", *_calls.stored_at(a, {"k": k, "v": v}, heads, options), **settings)
    if k is None:
        for name, value in (heads | {"v": v, "mask": None}).items():
            if value is not None:
                raise ValueError(f"{name} is not accepted beside attention matrices; accepted: queries and keys beside it")
        return _calls.run("svd-spectrum", {"attention": "a", "mask": mask, **options}, [_calls.prepared("a", a)], **settings)
    return _calls.run("svd-spectrum", *_calls.heads_of({"q": a, "k": k, "v": v}, heads, options), **settings)


def singular_values(a, *, centred=False, threads=None, progress=None):
    """All singular values of matrices, from the largest to the smallest.

    Parameters
    ----------
    a : array of shape (..., n, m)
        Matrices; any that are finite.
    centred : bool
        Whether the mean row is subtracted first.

    Returns
    -------
    array of float64, shape (..., min(n, m))
        The values that ``luna svd-spectrum --out`` writes.
    """
    name, array, stored = _calls.prepared("a", a)
    leading = array.shape[:-2]
    # An empty array is refused with its own shape.
    if len(leading) > 1 and array.size:
        array = array.reshape(-1, *array.shape[-2:])
    wanted = "centred_singular_values" if centred else "singular_values"
    options = {"attention": "a", "null": "none", "method": "exact"}
    table = _calls.run("svd-spectrum", options, [(name, array, stored)], threads=threads, progress=progress, wanted=[wanted])
    (values,) = table._arrays.values()
    return values.reshape(*leading, values.shape[-1])


def errors(
    q,
    k=None,
    v=None,
    *,
    attention=None,
    l=None,  # noqa: E741 (the papers' letter)
    scale=None,
    mask=None,
    softcap=None,
    sink=None,
    bias=None,
    axes=None,
    seed=0,
    threads=None,
    progress=None,
    **flags,
):
    """Errors of mechanisms in the place of softmax attention, as ``luna approx-error`` gives them.

    Parameters
    ----------
    q, k, v : arrays of shape (..., n, d), (..., m, d) and (..., m, d_v)
        Queries, keys and values; dimensions before the last two as of :func:`spectrum`. Half and double precision are computed
        in float32. ``q`` alone may be the path of a folder that :func:`capture` wrote, or of a file.
    attention : str or list of str, optional
        Mechanisms, such as ["luna", "linformer:e=mean"] (``luna list attention``); by default a handful that fits the mask.
    l : list of int, optional
        Projected lengths; 16, 32, 64, 128, 256 by default (those up to n).
    scale, mask, softcap, sink, bias, axes
        As of :func:`spectrum`.
    **flags
        Any other flag of ``luna approx-error``, such as ``baseline="linformer"``.

    Returns
    -------
    Table
        A row a mechanism, l, head and window: its errors, and beside them those of the best matrix of its rank.
    """
    options = {"axes": axes, "mechanism": attention, "l": l, **flags}
    heads = {"scale": scale, "mask": mask, "softcap": softcap, "sink": sink, "bias": bias}
    settings = {"seed": seed, "threads": threads, "progress": progress}
    if isinstance(q, (str, PathLike)):
        return _calls.run("approx-error", *_calls.stored_at(q, {"k": k, "v": v}, heads, options), **settings)
    for name, value in (("k", k), ("v", v)):
        if value is None:
            raise ValueError(f"{name} is missing; accepted: q, k and v, or a path alone")
    return _calls.run("approx-error", *_calls.heads_of({"q": q, "k": k, "v": v}, heads, options), **settings)


def cost(
    attention=None,
    n=None,
    l=None,  # noqa: E741 (the papers' letter)
    *,
    measure="flops",
    seed=0,
    threads=None,
    progress=None,
    **flags,
):
    """FLOPs of mechanisms over lengths, as ``luna scale-sweep --measure flops`` gives them.

    Parameters
    ----------
    attention : str or list of str, optional
        Mechanisms; by default all with fused implementations. Softmax attention is always beside them.
    n : int or list of int, optional
        Sequence lengths; 128 to 4096 by default.
    l : int or list of int, optional
        Projected lengths; 16, 128, 256 by default (those up to n).
    measure : str or list of str
        "flops", "time", "memory" (allocations), "error".
    **flags
        Any other flag of ``luna scale-sweep``: ``num_heads=8``, ``head_dim=64``, ``causal=True``, ``unit="layer"``,
        ``pass_="train"``.

    Returns
    -------
    Table
        A row a mechanism, n and l.
    """
    if "pass_" in flags:
        flags["pass"] = flags.pop("pass_")
    options = {"mechanism": attention, "seq_len": n, "l": l, "measure": measure, **flags}
    return _calls.run("scale-sweep", options, seed=seed, threads=threads, progress=progress)


def attention(name, q, k, v, *, scale=None, mask="full", seed=0, threads=None):
    """The output of a mechanism on given heads.

    Parameters
    ----------
    name : str
        The mechanism with its parameters, such as "softmax" or "luna:l=16" (``luna list attention``).
    q, k, v : arrays of shape (..., n, d), (..., m, d) and (..., m, d_v)
        Queries, keys and values; computed in float32. In the last dimension before these, k and v may have fewer heads than q,
        each for a group of them.
    scale : float, optional
        The factor on the products of queries and keys; 1 / sqrt(d) by default.
    mask : str
        "full" or "causal".
    seed : int
        Of arrays that a mechanism draws: those of :func:`errors` for the same heads of one layer.

    Returns
    -------
    array of float32, shape (..., n, d_v)
        By the fused implementation, which never holds an n x m array, where the mechanism has one and draws nothing;
        otherwise by the reference implementation.
    """
    if mask not in ("full", "causal"):
        raise ValueError(f"mask: '{mask}' is not accepted; accepted: full, causal")
    arrays, shapes = [], []
    for letter, value in (("q", q), ("k", k), ("v", v)):
        _, array, _ = _calls.prepared(letter, value)
        if array.ndim < 2:
            raise ValueError(f"array '{letter}': shape {list(array.shape)}; expected (..., length, width)")
        shapes.append(array.shape)
        array = np.require(array, np.float32, ["C", "A"])
        arrays.append((letter, array.reshape(int(np.prod(array.shape[:-2])), *array.shape[-2:]), "float32"))
    for letter, shape in zip("kv", shapes[1:], strict=True):
        if shape[:-3] != shapes[0][:-3] or len(shape) != len(shapes[0]):
            expected = ", ".join(str(size) for size in shapes[0][:-3]) or "as many dimensions as q has"
            raise ValueError(f"array '{letter}': shape {list(shape)}; expected {expected}, as q has it, and then heads")
    scale = None if scale is None else float(scale)
    output = _luna.attention(str(name), arrays, scale, mask == "causal", *_calls.settings(seed, threads))
    return output.reshape(*shapes[0][:-1], shapes[2][-1])


def read(run: str | PathLike[str]):
    """The result of a finished run: the folder that ``--out`` wrote, or a file of the format json.

    Returns
    -------
    Table
        All rows of the run; ``stamp`` says how it was produced.
    """
    return Table(_luna.read(fspath(run)))


@contextlib.contextmanager
def capture(model, to, *, layers=None):
    """Hands on queries, keys and values of a Hugging Face model while it runs, a layer at a time.

    >>> with luna_attention.capture(model, "heads"):
    ...     model(input_ids)
    >>> luna_attention.spectrum("heads", nulls="gaussian")

    Parameters
    ----------
    model : PyTorch module
        A model of transformers 5 whose attention goes through its AttentionInterface, with any implementation but
        flex_attention. What it computes is not changed.
    to : callable or path
        A function ``to(layer, q, k, v, info)``: float arrays of shape (batch, h, n, d), (batch, groups, m, d) and
        (batch, groups, m, d_v) after rotation, read where they are if they are on the CPU and not of bfloat16, and a dictionary
        of the keywords of :func:`spectrum` and :func:`errors` (``spectrum(q, k, v, **info)``): ``axes``, ``scale``, ``mask``,
        and where the layer has them ``softcap``, ``sink`` and ``bias``. Or the path of a folder, which gets a file a layer and
        forward pass and which ``luna svd-spectrum --qkv`` reads; its windows have one length.
    layers : list of int, optional
        The layers that are handed on, by their order in the forward pass, from 0; all by default.

    Returns
    -------
    context manager
        Everything is restored at its end, files of a forward pass that failed are removed, and nothing is held longer than its
        layer. Padding is left out: samples of a batch with different padding come one call after the other
        (``info.samples`` and ``info.tokens`` say which). A ``ValueError`` says what in a model has no form here: among others
        its masks must be full, causal or windows, its biases a function of distance, and the output of some queries must be
        that of the softmax attention that is handed on.
    """
    with _capture.Capture(model, to, layers):
        yield
