"""The well-known mistakes that an output equals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from harness.operators.diagnosis.cause import Cause
from harness.operators.diagnosis.failure import Failure
from harness.operators.diagnosis.mistake import Mistake

EQUALS = 0.02
"""An output equals a variant when it is closer to it than this fraction of its distance from the right answer."""

SAME = 1e-9
"""Two variants are the same in a problem when they differ by less than this fraction of what they differ from the answer."""

MAX_NAMED = 3
"""Variants that are the same, beyond which none of them is named."""


def named(mistakes: Sequence[Mistake], equals: str) -> Cause | None:
    """The mistakes as a cause; None for none, and for so many that they say nothing."""
    if not 0 < len(mistakes) <= MAX_NAMED:
        return None
    return Cause(formula_kinds(mistakes), f"{equals} the formula {', or '.join(mistake.words for mistake in mistakes)}.")


def formula_kinds(mistakes: Iterable[Mistake]) -> tuple[str, ...]:
    """The kinds of all the mistakes, once each."""
    return tuple(dict.fromkeys(f"the formula {kind}" for mistake in mistakes for kind in mistake.kinds))


def nearest(candidates: Iterable[tuple[Mapping[str, np.ndarray], Mistake]], failure: Failure) -> list[Mistake]:
    """The mistakes whose outputs these are: that of the nearest candidate, and those that are the same here."""
    allowed = {name: _allowed(failure, name) for name in failure.got}
    if not failure.explicable:
        return []
    near = []
    for outputs, mistake in candidates:
        differs = any(_gap(outputs[name], tensor.value) > 0 for name, tensor in failure.answer.items())
        gaps = {name: _gap(got, outputs[name]) for name, got in failure.got.items()}
        if differs and all(gap < allowed[name] or gap == 0 for name, gap in gaps.items()):
            near.append((sum(gaps.values()), mistake, outputs))
    if not near:
        return []
    closest = min(near, key=lambda one: one[0])[2]
    moved = [np.abs(closest[name] - tensor.value)[np.isfinite(failure.got[name])] for name, tensor in failure.answer.items()]
    same = SAME * max(float(part.max(initial=0.0)) for part in moved)
    return [mistake for _, mistake, outputs in near if all(_gap(outputs[name], closest[name]) <= same for name in closest)]


def _allowed(failure: Failure, name: str) -> float:
    """How far a variant may be from an output that equals it."""
    got, tensor = failure.got[name], failure.answer[name]
    finite = np.isfinite(got)
    error = np.abs(got - tensor.value)[finite].max(initial=0.0)
    # Where what is finite is right, the candidate must be right there too.
    certain = finite.all() and failure.wrong[name].any()
    bound = 0.0 if certain else tensor.bound[finite & np.isfinite(tensor.bound)].max(initial=0.0)
    return max(EQUALS * error, bound)


def _gap(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference of what is finite; infinite unless the same elements are."""
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)):
        return np.inf
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0))
