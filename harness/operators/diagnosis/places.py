"""Where an output is wrong, when it is only a part of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from harness.operators.answer import Tensor
from harness.operators.diagnosis.cause import Cause
from harness.operators.diagnosis.wording import listed

MANY = {"batch element": "batch elements", "head": "heads", "query": "queries", "key": "keys", "column": "columns"}


def where(wrong: np.ndarray, tensor: Tensor, row: str, trivial: np.ndarray | None = None) -> Cause | None:
    """The part that is `wrong` (boolean), when it is only a part of what `trivial` (boolean, a row each) leaves.

    `row` is what the third axis holds: "query" or "key".
    """
    if wrong.all() or not wrong.any():
        return None
    could_be = np.ones_like(wrong) if trivial is None else np.broadcast_to(~trivial[..., None], wrong.shape)
    said: dict[str, str] = {}
    for axis, name in enumerate(("batch element", "head", row, "column")):
        others = tuple(n for n in range(4) if n != axis)
        found = wrong.any(axis=others)
        if (could_be.any(axis=others) & ~found).any():
            at = np.flatnonzero(found)
            size = tensor.length if axis == 2 else wrong.shape[axis]
            said[name] = _indices(name, tensor.rows[at] if axis == 2 else at, size)
    told = {name: part for name, part in said.items() if part}
    return Cause(_kinds(list(told)), f"Wrong only in {', '.join(told.values())}.") if told else None


def _kinds(axes: Sequence[str]) -> tuple[str, ...]:
    """Every choice of the axes, the largest first: in another case a part of them may be all that is left."""
    chosen = (some for count in range(len(axes), 0, -1) for some in itertools.combinations(axes, count))
    return tuple(f"wrong only in some {listed([MANY[name] for name in some])}" for some in chosen)


def _indices(name: str, at: np.ndarray, size: int) -> str:
    """Such as "queries 5 to 8 of 9"; empty for most of them in no order, which says nothing."""
    if len(at) == 1:
        return f"{name} {at[0]} of {size}"
    many = MANY[name]
    if len(at) == 2:
        return f"{many} {at[0]} and {at[1]} of {size}"
    steps = np.unique(np.diff(at))
    if len(steps) == 1:
        every = "" if steps[0] == 1 else f", every {_ordinal(int(steps[0]))}"
        return f"{many} {at[0]} to {at[-1]} of {size}{every}"
    if len(at) > size / 2:
        return ""
    first = ", ".join(str(int(n)) for n in at[:6])
    return f"{len(at)} of {size} {many} ({first}{', …' if len(at) > 6 else ''})"


def _ordinal(n: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(n, f"{n}th")
