from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["attention", "main", "read", "study"]

_Array = tuple[str, NDArray[Any], str]
_Answer = tuple[list[tuple[str, str, str, Any]], list[str], str, dict[str, NDArray[Any]]]

def main(arguments: list[str]) -> int: ...
def read(path: str) -> _Answer: ...
def study(
    name: str,
    flags: list[str],
    arrays: list[_Array],
    seed: int,
    threads: int | None,
    progress: Any,
    wanted: list[str],
) -> tuple[_Answer, list[str]]: ...
def attention(
    spec: str, arrays: list[_Array], scale: float | None, causal: bool, seed: int, threads: int | None
) -> NDArray[np.float32]: ...
