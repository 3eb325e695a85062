"""Where an output is wrong, when it is only a part of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from harness.operators.answer import Tensor
from harness.operators.diagnosis.cause import Cause
from harness.operators.diagnosis.wording import listed


def where(wrong: np.ndarray, tensor: Tensor, axes: Sequence[str], trivial: np.ndarray | None = None) -> Cause | None:
    """The part that is `wrong` (boolean), when it is only a part of what `trivial` (boolean, a row each) leaves.

    `axes` are the words for the axes of the output; the last but one has the rows.
    """
    if wrong.all() or not wrong.any():
        return None
    could_be = np.ones_like(wrong) if trivial is None else np.broadcast_to(~trivial[..., None], wrong.shape)
    said: dict[str, str] = {}
    for axis, name in enumerate(axes):
        others = tuple(n for n in range(wrong.ndim) if n != axis)
        found = wrong.any(axis=others)
        if (could_be.any(axis=others) & ~found).any():
            at = np.flatnonzero(found)
            size = wrong.shape[axis]
            if tensor.rows is not None and axis == wrong.ndim - 2:
                at, size = tensor.rows[at], tensor.length
            said[name] = _indices(name, at, size)
    told = {name: part for name, part in said.items() if part}
    return Cause(_kinds(list(told)), f"Wrong only in {', '.join(told.values())}.") if told else None


def _kinds(axes: Sequence[str]) -> tuple[str, ...]:
    """Every choice of the axes, the largest first: in another case a part of them may be all that is left."""
    chosen = (some for count in range(len(axes), 0, -1) for some in itertools.combinations(axes, count))
    return tuple(f"wrong only in some {listed([_many(name) for name in some])}" for some in chosen)


def _indices(name: str, at: np.ndarray, size: int) -> str:
    """Such as "queries 5 to 8 of 9"; empty for most of them in no order, which says nothing."""
    if len(at) == 1:
        return f"{name} {at[0]} of {size}"
    many = _many(name)
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


def _many(name: str) -> str:
    return f"{name[:-1]}ies" if name.endswith("y") and not name.endswith("ey") else f"{name}s"


def _ordinal(n: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(n, f"{n}th")
