"""The problems that cases are made of."""

from __future__ import annotations

from typing import Any

from harness.operators.attention.problem import Problem


def small(**fields: Any) -> Problem:
    """A problem across the edges of 16-wide tiles, with some fields changed: plain Python runs it in milliseconds."""
    return Problem(**{"batch": 1, "q_heads": 2, "q_len": 18, "kv_len": 21, "head_dim": 16, **fields})


FORMS = tuple(
    form
    for axes in ("bhqk", "hqk", "qk", "k")
    for form in ("".join("1" if drop >> n & 1 else axis for n, axis in enumerate(axes)) for drop in range(2 ** len(axes)))
)
"""Every way to broadcast a mask or bias to (batch, head, query, key): the axes from the right, 1 where it broadcasts."""
