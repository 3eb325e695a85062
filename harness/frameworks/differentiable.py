"""The backward pass of an implementation, as a framework or its author gives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Differentiable(NamedTuple):
    """What a factory returns for a backward problem when its framework has no automatic differentiation."""

    forward: Callable[..., tuple[Any, Any]]
    """`(q, k, v, **extras) -> (o, saved)`, or the operands of another operator; run once, not timed."""
    backward: Callable[[Any, Any], tuple[Any, ...]]
    """`(saved, do) -> (dq, dk, dv)`; this is what is timed."""
