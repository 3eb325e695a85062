"""Mistakes with a number in them that is not known beforehand: it is fitted, and the output must equal what follows."""

from __future__ import annotations

import numpy as np

from harness.operators.diagnosis.cause import Cause
from harness.operators.diagnosis.failure import Failure
from harness.operators.multi_head.diagnosis.steps import Steps

NEAR = 0.02
"""How far, relative to the whole error or to a weight, what is fitted may be from what was found."""


def fitted(failure: Failure) -> Cause | None:
    """A vector added at every position, or weights multiplied by a number, some of them by zero; else None."""
    got = failure.got.get("out")
    if got is None or not failure.explicable or not got.size or not np.isfinite(got).all():
        return None
    error = got - failure.answer["out"].value
    return _added_vector(error) or (_multiplied_weights(failure, got) if failure.problem.kv_len else None)


def _added_vector(error: np.ndarray) -> Cause | None:
    """Whether every position is off by the same."""
    vector = error.mean(axis=(0, 1), keepdims=True)
    if error.shape[0] * error.shape[1] == 1 or np.abs(error - vector).max() > NEAR * np.abs(error).max():
        return None
    words = "off by the same vector at every position, as by a bias that the formula has not"
    return Cause((words,), f"It is {words}.")


def _multiplied_weights(failure: Failure, got: np.ndarray) -> Cause | None:
    """The weights after the softmax that give this output, where its width is enough to find them, beside the right ones."""
    right = Steps(failure.problem, failure.inputs)
    formula = right.formula
    p = formula.weights(formula.scores())
    batch, heads, length, keys = p.shape
    values = np.repeat(formula.inputs.v, formula.problem.group, axis=1)
    through = np.einsum("bhkd,hde->bhke", values, right.arrays["wo"]).reshape(batch, heads * keys, -1)
    if not 0 < heads * keys <= through.shape[2] or (np.linalg.matrix_rank(through) < heads * keys).any():
        return None
    rest = got - right.arrays["bo"]
    found = np.array([np.linalg.lstsq(a.T, b.T, rcond=None)[0].T for a, b in zip(through, rest, strict=True)])
    ratio = (found.reshape(batch, length, heads, keys).swapaxes(1, 2) / np.where(p > 0, p, np.nan))[p > NEAR]
    kept = ratio[np.abs(ratio) > NEAR]
    if not kept.size or np.abs(kept - np.median(kept)).max() > NEAR:
        return None
    factor = float(np.median(kept))
    if len(kept) < len(ratio):
        words = "weights after the softmax left out at random, as by dropout that is left on"
        return Cause((words,), f"It has {words}; the others are {factor:.3g} times theirs.")
    words = "weights after the softmax that do not sum to one"
    why = "as of those that dropout keeps" if factor > 1 else "as of a layer that is scaled for dropout in inference"
    return Cause((words,), f"It has {words}: all are {factor:.3g} times theirs, {why}.")
