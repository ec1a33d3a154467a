from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from os import PathLike
from typing import Any, Literal, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._capture import Heads
from ._luna import _Answer

__version__: str
__all__ = ["Table", "attention", "capture", "cost", "errors", "read", "singular_values", "spectrum"]

_Words = str | Sequence[str]
_Counts = int | Sequence[int]
_Progress = Callable[[int, int, str], object] | Literal[True]

class Table(dict[str, NDArray[Any]]):
    units: dict[str, str]
    about: dict[str, str]
    notes: list[str]
    stamp: dict[str, Any]
    def __init__(self, answer: _Answer) -> None: ...

def spectrum(
    a: ArrayLike | str | PathLike[str],
    k: ArrayLike | None = None,
    v: ArrayLike | None = None,
    *,
    scale: float | None = None,
    mask: str | None = None,
    softcap: float | None = None,
    sink: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    nulls: _Words | None = None,
    null_draws: int | None = None,
    axes: _Words | None = None,
    at: _Counts | None = None,
    of: Literal["attention", "logits", "queries", "keys", "values"] | None = None,
    method: Literal["exact", "quadrature", "lanczos"] | None = None,
    seed: SupportsIndex = 0,
    threads: SupportsIndex | None = None,
    progress: _Progress | None = None,
    **flags: Any,
) -> Table: ...
def singular_values(
    a: ArrayLike,
    *,
    centred: bool = False,
    threads: SupportsIndex | None = None,
    progress: _Progress | None = None,
) -> NDArray[np.float64]: ...
def errors(
    q: ArrayLike | str | PathLike[str],
    k: ArrayLike | None = None,
    v: ArrayLike | None = None,
    *,
    attention: _Words | None = None,
    l: _Counts | None = None,
    scale: float | None = None,
    mask: str | None = None,
    softcap: float | None = None,
    sink: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    axes: _Words | None = None,
    seed: SupportsIndex = 0,
    threads: SupportsIndex | None = None,
    progress: _Progress | None = None,
    **flags: Any,
) -> Table: ...
def cost(
    attention: _Words | None = None,
    n: _Counts | None = None,
    l: _Counts | None = None,
    *,
    measure: _Words = "flops",
    seed: SupportsIndex = 0,
    threads: SupportsIndex | None = None,
    progress: _Progress | None = None,
    **flags: Any,
) -> Table: ...
def attention(
    name: str,
    q: ArrayLike,
    k: ArrayLike,
    v: ArrayLike,
    *,
    scale: float | None = None,
    mask: Literal["full", "causal"] = "full",
    seed: SupportsIndex = 0,
    threads: SupportsIndex | None = None,
) -> NDArray[np.float32]: ...
def read(run: str | PathLike[str]) -> Table: ...
def capture(
    model: Any,
    to: Callable[[int, NDArray[Any], NDArray[Any], NDArray[Any], Heads], object] | str | PathLike[str],
    *,
    layers: Iterable[int] | None = None,
) -> AbstractContextManager[None]: ...
