"""Two runs of an implementation that must agree, without an oracle's value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from harness.operators.answer import Tensor

Given = TypeVar("Given")
"""What an operator's inputs are kept in."""


@dataclass(frozen=True)
class Twin(Generic[Given]):
    """Two sets of arrays, and what the output of the second must be."""

    first: Given
    second: Given
    image: Callable[[np.ndarray], np.ndarray]
    """From the first output in float64 to the second."""
    gain: float
    """How far an error of the first output is carried into its image."""
    same: np.ndarray | bool
    """Boolean, broadcastable to the output: the elements that the property speaks of."""
    broken: str
    """The finding, when they disagree."""


def disagreement(
    twin: Twin[Given], name: str, solve: Callable[[Given], np.ndarray], expected: Callable[[Given], Tensor]
) -> str | None:
    """How the two outputs called `name` disagree, or None. Each may be off by its own derived bound, so the two may differ
    by both bounds together."""
    first, second = (solve(arrays).astype(np.float64) for arrays in (twin.first, twin.second))
    bounds = [expected(arrays) for arrays in (twin.first, twin.second)]
    admitted = twin.gain * bounds[0].bound + bounds[1].bound
    checked = bounds[0].checked
    gap = checked(np.abs(second - twin.image(first)))
    outside = ~(gap <= admitted) & checked(np.broadcast_to(twin.same, second.shape))
    if not outside.any():
        return None
    at = np.unravel_index(np.argmax(np.where(outside, np.nan_to_num(gap, nan=np.inf), -1)), gap.shape)
    place = f"{name}{list(bounds[0].place(tuple(int(n) for n in at)))}"
    return f"{twin.broken}: {place} by {gap[at]:.3g}, where rounding may account for {admitted[at]:.3g}"
