"""Arrays read with other strides than their own: what a kernel finds that takes them for contiguous.

Nothing here knows how the arrays were made; their strides and their alignment say it all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
from numpy.lib.array_utils import byte_bounds

from harness.operators.attention.inputs import Inputs
from harness.operators.diagnosis.mistake import Mistake
from harness.operators.diagnosis.wording import listed

NAMES = ("q", "k", "v", "do", "mask", "bias")


def _packed(x: np.ndarray) -> tuple[int, ...]:
    """The strides of an array without gaps, in bytes."""
    return np.empty(x.shape, x.dtype).strides


READINGS: dict[str, Callable[[np.ndarray], tuple[int, ...]]] = {
    "read as if contiguous": _packed,
    "read as if their rows were packed": lambda x: (*x.strides[:-2], *_packed(x)[-2:]),
    "read as if their last axis were contiguous": lambda x: (*x.strides[:-1], x.itemsize),
}
"""How arrays are misread, and the strides that are taken for theirs."""


def misreadings(inputs: Inputs) -> Iterator[tuple[Mistake, Inputs]]:
    """(what is wrong, the arrays that are found): each array by itself, q, k and v together, and all of them.

    A reading that leaves the memory of its array is left out: what lies there is not known.
    """
    arrays = {name: x for name in NAMES if (x := getattr(inputs, name)) is not None and x.size}
    for how, strides in READINGS.items():
        misread = {name: strides(x) for name, x in arrays.items() if x.ndim > 1 and strides(x) != x.strides}
        found = {name: _in_memory(arrays[name], taken) for name, taken in misread.items()}
        groups: list[tuple[str, ...]] = [(name,) for name in misread]
        groups += [tuple(name for name in misread if name in "qkv"), tuple(misread)]
        for names in dict.fromkeys(groups):
            reread = {name: x for name in names if (x := found[name]) is not None}
            if names and len(reread) == len(names):
                yield _mistake(names, how), dataclasses.replace(inputs, **reread)


def unusual(inputs: Inputs) -> dict[str, list[str]]:
    """What is unusual about the storage of the arrays, and of which: "expanded (a stride of 0)", say.

    Arrays with gaps, or in another order of their axes, are not: `misreadings` tells what is made of them.
    """
    found: dict[str, list[str]] = {}
    for name in NAMES:
        x = getattr(inputs, name)
        if x is not None and x.size and (what := _storage(x)):
            found.setdefault(what, []).append(name)
    return found


def _storage(x: np.ndarray) -> str:
    strides = [stride for stride, size in zip(x.strides, x.shape, strict=True) if size > 1]
    if not x.flags.aligned:
        return "not aligned to its elements"
    if 0 in strides:
        return "expanded (a stride of 0)"
    return "reversed (a negative stride)" if any(stride < 0 for stride in strides) else ""


def _in_memory(x: np.ndarray, strides: tuple[int, ...]) -> np.ndarray | None:
    """The memory from the first element of `x` on, with other strides; None where that leaves what `x` is a view of."""
    owner = x
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    reread = np.lib.stride_tricks.as_strided(x, x.shape, strides, writeable=False)
    (low, high), (first, last) = byte_bounds(owner), byte_bounds(reread)
    return reread if low <= first and last <= high else None


def _mistake(names: tuple[str, ...], how: str) -> Mistake:
    said = f"with {listed(names)} {how}"
    if len(names) == 1:
        said = said.replace("their", "its")
    return Mistake(said, (said, f"with arrays {how}"))
