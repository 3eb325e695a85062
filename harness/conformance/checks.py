"""Assertions: an output against the oracle's answer. Each says what came and what should have come."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.inputs import NUMPY_DTYPES, Inputs
from harness.problem import Problem
from harness.record import Accuracy
from harness.reference import Expected


def wrong_form(problem: Problem, outputs: Mapping[str, np.ndarray]) -> str | None:
    """What is wrong with the shapes or dtypes of the outputs, or None."""
    shapes = {"o": problem.o_shape, "dq": problem.q_shape, "dk": problem.k_shape, "dv": problem.v_shape}
    for name, array in outputs.items():
        if array.shape != shapes[name]:
            return f"{name} has the shape {array.shape}, and should have {shapes[name]}"
        if array.dtype != NUMPY_DTYPES[problem.dtype]:
            return f"{name} is {array.dtype}, and should be {problem.dtype}"
    return None


def accuracy(outputs: Mapping[str, np.ndarray], answer: Expected) -> Accuracy:
    """Error and error over bound, the largest over every checked element of every output.

    An element whose bound is zero (a row with nothing to attend to) must be exactly zero; nan is never correct, and a
    bound that is not finite admits nothing.
    """
    worst, worst_ratio, worst_error, worst_bound, largest, elements = "", 0.0, 0.0, 0.0, 0.0, 0
    for name, tensor in answer.items():
        got = outputs[name][:, :, tensor.rows].astype(np.float64)
        error = np.abs(got - tensor.value)
        error = np.where(np.isnan(error), np.inf, error)
        usable = np.isfinite(tensor.bound)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(error == 0, 0.0, error / np.where(usable, tensor.bound, 0.0))
        elements += got.size
        if not got.size:
            continue
        largest = max(largest, float(error.max()))
        # Among elements that are infinitely far outside, one that is not a number is the finding.
        at = np.unravel_index(np.lexsort((error.ravel(), ratio.ravel()))[-1], ratio.shape)
        if ratio[at] > worst_ratio:
            worst_ratio, worst_bound, worst_error = float(ratio[at]), float(tensor.bound[at]), float(error[at])
            b, h, row, column = (int(n) for n in at)
            worst = f"{name}[{b}, {h}, {int(tensor.rows[row])}, {column}]"
    return Accuracy(largest, worst_ratio, elements, worst, worst_bound, worst_error)


def finding(accuracy: Accuracy) -> str:
    """The sentence for an output outside its bound."""
    if accuracy.worst_error == np.inf:
        return f"{accuracy.worst} is not a number or infinite; the oracle's answer is finite"
    if accuracy.worst_bound == 0:
        return f"{accuracy.worst} is not zero but {accuracy.worst_error:.3g}; nothing is attended to there"
    return f"{accuracy.worst} is {accuracy.worst_error:.3g} from the oracle, bound {accuracy.worst_bound:.3g}"


def different(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> str | None:
    """How two results of the same call differ, or None; compared bit by bit."""
    for name, array in first.items():
        if array.tobytes() != second[name].tobytes():
            gap = np.abs(array.astype(np.float64) - second[name].astype(np.float64)).max()
            return f"{name} differs by up to {gap:.3g} between two calls with the same inputs"
    return None


def changed_input(before: Inputs, now: Mapping[str, np.ndarray]) -> str | None:
    """Which input was written to, or None. Compared bit by bit, so that nan and -0 count."""
    for name, array in now.items():
        original = getattr(before, name)
        if array.shape != original.shape or array.tobytes() != np.ascontiguousarray(original).tobytes():
            return f"the input {name} was written to; inputs belong to the caller"
    return None
