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

    An element whose bound is zero (a row with nothing to attend to) must be exactly zero; nan is never correct.
    """
    worst, worst_ratio, largest, elements = "", 0.0, 0.0, 0
    for name, tensor in answer.items():
        got = outputs[name][:, :, tensor.rows].astype(np.float64)
        error = np.abs(got - tensor.value)
        error = np.where(np.isnan(error), np.inf, error)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(error == 0, 0.0, error / tensor.bound)
        elements += got.size
        if not got.size:
            continue
        largest = max(largest, float(error.max()))
        at = np.unravel_index(np.argmax(ratio), ratio.shape)
        if ratio[at] > worst_ratio:
            worst_ratio = float(ratio[at])
            b, h, row, column = (int(n) for n in at)
            worst = f"{name}[{b}, {h}, {int(tensor.rows[row])}, {column}]"
    return Accuracy(largest, worst_ratio, elements, worst)


def finding(accuracy: Accuracy) -> str:
    """The sentence for an output outside its bound."""
    if accuracy.max_abs_error == np.inf:
        return f"{accuracy.worst} is not a number or infinite; the oracle's answer is finite"
    over = "where the oracle has exactly zero" if accuracy.error_over_bound == np.inf else (
        f"{accuracy.error_over_bound:.3g} times its bound"
    )
    return f"{accuracy.worst} is off, {over}; the largest error anywhere is {accuracy.max_abs_error:.3g}"


def changed_input(before: Inputs, now: Mapping[str, np.ndarray]) -> str | None:
    """Which input was written to, or None. Compared bit by bit, so that nan and -0 count."""
    for name, array in now.items():
        original = getattr(before, name)
        if array.shape != original.shape or array.tobytes() != np.ascontiguousarray(original).tobytes():
            return f"the input {name} was written to; inputs belong to the caller"
    return None
