"""A point of a grid as a problem."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from harness.problem import Problem
from tests.external.grids.product import Point

MOST_SCORES = 2**17
"""Score elements above which batch and heads are cut: the oracle takes tenths of a second for so many."""

MOST_ELEMENTS = 2**20
"""Elements of q, k, v and o together above which they are cut too."""

MOST_AT_ALL = 2**22
"""Score elements, a head of 2048 x 2048, above which only `--every` runs a problem: the oracle takes seconds for so many."""

Sees = tuple[tuple[str, Hashable], ...]
"""Fields of a problem that say which keys are seen, as a value of the axis "sees"."""

SCALES: Mapping[str, Callable[[int], float]] = {
    "1/d": lambda head_dim: 1 / head_dim,
    "9/sqrt(d)": lambda head_dim: 9 / math.sqrt(head_dim),
    "15/sqrt(d)": lambda head_dim: 15 / math.sqrt(head_dim),
}
"""Scales that depend on the head size."""


def sees(**fields: Hashable) -> Sees:
    """A value of the axis "sees", such as `sees(mask="padding", causal="top-left")`; of nothing, every key."""
    return tuple(sorted(fields.items()))


def stated(point: Point) -> Problem | None:
    """The problem that a point asks for, with fewer heads where they are too many; None where the contract cannot say it.

    Axes are fields of `Problem`, or one of: lengths (q_len, kv_len), heads (q_heads, kv_heads), head_dim (head_dim,
    v_head_dim), shape (batch, heads, lengths, head_dim), sees and broadcast (what `sees` returns), scale (a number or a key
    of `SCALES`), local (whether there is a window of random size).
    """
    fields = _fields(point)
    if fields.pop("local", False):
        window = random_window(fields)
        if window is None:
            return None
        fields["window"] = window
    if isinstance(fields.get("scale"), str):
        fields["scale"] = SCALES[fields["scale"]](fields["head_dim"])
    return cut(Problem(**fields))


def lengths_of(point: Point) -> tuple[int, int]:
    """(q_len, kv_len) of a point."""
    fields = _fields(point)
    return fields["q_len"], fields["kv_len"]


def _fields(point: Point) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for axis, value in point.items():
        match axis, value:
            case "shape", (batch, heads, lengths, head_dim):
                fields |= _fields({"batch": batch, "heads": heads, "lengths": lengths, "head_dim": head_dim})
            case "sees" | "broadcast", _:
                fields |= dict(value)  # type: ignore[call-overload]
            case "lengths", (q_len, kv_len):
                fields |= {"q_len": q_len, "kv_len": kv_len}
            case "heads", (q_heads, kv_heads):
                fields |= {"q_heads": q_heads, "kv_heads": kv_heads}
            case "heads", heads:
                fields |= {"q_heads": heads}
            case "head_dim", (head_dim, v_head_dim):
                fields |= {"head_dim": head_dim, "v_head_dim": v_head_dim}
            case _:
                fields[axis] = value
    return fields


def random_window(fields: Mapping[str, Any]) -> tuple[int, int] | None:
    """A window of FlashAttention's, whose sides are anything below the number of keys; None where it cannot be stated."""
    q_len, kv_len = fields["q_len"], fields["kv_len"]
    rng = random.Random(repr(sorted(fields.items(), key=repr)))
    if fields.get("causal"):
        return rng.randrange(kv_len), rng.randrange(kv_len)
    return band_window(q_len, kv_len, rng)


def band_window(q_len: int, kv_len: int, rng: random.Random) -> tuple[int, int] | None:
    """A random window around the diagonal that ends at the last query and key, stated around the main diagonal.

    FlashAttention aligns windows so, causal or not. Without causality the contract's window is around the main diagonal, and
    its sides are not negative. Of the sizes that could be drawn, those that leave them so; None where there are none.
    """
    diagonal = kv_len - q_len
    if kv_len <= max(0, -diagonal):
        return None
    left, right = rng.randrange(max(0, diagonal), kv_len), rng.randrange(max(0, -diagonal), kv_len)
    return left - diagonal, right + diagonal


def cut(problem: Problem) -> Problem:
    """The same with fewer batch elements and heads, where there are more than `MOST_SCORES` or `MOST_ELEMENTS`.

    All heads are kept where those of one batch element fit, else two of each as far as they do. Grouped heads stay grouped.
    """
    scores, elements = _of_one_head(problem)
    heads = max(1, min(MOST_SCORES // max(1, scores), MOST_ELEMENTS // max(1, elements)))
    if problem.batch * problem.q_heads <= heads:
        return problem
    if problem.q_heads <= heads:
        return problem.replace(batch=heads // problem.q_heads)
    group = min(problem.group, max(2, heads))
    groups = max(1, heads // group)
    kv_heads = min(problem.kv_heads, max(1, groups // min(2, problem.batch)))
    return problem.replace(batch=min(problem.batch, max(1, groups // kv_heads)), q_heads=kv_heads * group, kv_heads=kv_heads)


def cost(problem: Problem) -> float:
    """What the oracle is taken to need, 2 where both limits are met."""
    scores, elements = _of_one_head(problem)
    return problem.batch * problem.q_heads * (scores / MOST_SCORES + elements / MOST_ELEMENTS)


def _of_one_head(problem: Problem) -> tuple[int, int]:
    """(score elements, elements of q, k, v and o), each query head with keys and values of its own."""
    elements = (problem.q_len + problem.kv_len) * (problem.head_dim + problem.v_head_dim)
    return problem.q_len * problem.kv_len, elements
