"""Assertions: an output against the oracle's answer. Each says what came and what should have come."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np

from harness.operators.answer import Expected, Tensor
from harness.operators.arrays import NUMPY_DTYPES
from harness.operators.problem import Problem
from harness.records.accuracy import Accuracy


def wrong_form(problem: Problem, outputs: Mapping[str, np.ndarray]) -> str | None:
    """What is wrong with the shapes or dtypes of the outputs, or None."""
    shapes = problem.output_shapes
    for name, array in outputs.items():
        if array.shape != shapes[name]:
            return f"{name} has the shape {array.shape}, and should have {shapes[name]}"
        if array.dtype != NUMPY_DTYPES[problem.dtype]:
            return f"{name} is {array.dtype}, and should be {problem.dtype}"
    return None


def accuracy(outputs: Mapping[str, np.ndarray], answer: Expected) -> Accuracy:
    """Error and error over bound, the largest over every checked element of every output.

    An element whose bound is zero (a row with nothing to attend to) must be exactly zero, and a bound that is not finite
    admits nothing. Where the formula gives no number, neither may the output; elsewhere nan is wrong unless it is excused,
    and infinity is right only where the dtype ends within the bound.
    """
    return accuracy_of_rows({name: tensor.checked(outputs[name]) for name, tensor in answer.items()}, answer)


def accuracy_of_rows(rows: Mapping[str, np.ndarray], answer: Expected) -> Accuracy:
    """The same, of outputs of which only the rows that are checked are given."""
    worst, worst_ratio, worst_error, worst_bound, undefined, largest, elements = "", 0.0, 0.0, 0.0, False, 0.0, 0
    for name, tensor in answer.items():
        got = rows[name]
        error = _error(got, tensor)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(error == 0, 0.0, error / np.where(np.isfinite(tensor.bound), tensor.bound, 0.0))
        elements += got.size
        if not got.size:
            continue
        largest = max(largest, float(error.max()))
        # Among elements that are infinitely far outside, one that is not a number is the finding; of equal ones the last.
        largest_error = np.where(ratio == ratio.max(), error, -1.0).ravel()
        at = np.unravel_index(largest_error.size - 1 - np.argmax(largest_error[::-1]), ratio.shape)
        if ratio[at] > worst_ratio:
            worst_ratio, worst_bound, worst_error = float(ratio[at]), float(tensor.bound[at]), float(error[at])
            worst = f"{name}{list(tensor.place(tuple(int(n) for n in at)))}"
            undefined = bool(np.isnan(tensor.value[at]))
    return Accuracy(largest, worst_ratio, elements, worst, worst_bound, worst_error, undefined)


def outside(stored: np.ndarray, tensor: Tensor) -> np.ndarray:
    """Boolean: which elements of an output, at the rows that are checked, are wrong."""
    return ~(_error(stored, tensor) <= np.where(np.isfinite(tensor.bound), tensor.bound, 0.0))


def _error(stored: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The absolute difference of each element from the oracle; infinite where one of them alone is a number."""
    got, largest = stored.astype(np.float64), float(ml_dtypes.finfo(stored.dtype).max)
    undefined, finite = np.isnan(tensor.value), np.isfinite(got)
    with np.errstate(invalid="ignore"):
        error = np.where(finite & ~undefined, np.abs(got - tensor.value), np.inf)
        ends = np.isinf(got) & (np.sign(got) == np.sign(tensor.value)) & (np.abs(tensor.value) + tensor.bound >= largest)
    return np.where(~finite & (undefined | tensor.excused | ends), 0.0, error)


EXACTLY = "{place} is {error:.3g} from the answer, which must be met exactly"
"""The finding for an element whose bound is zero."""


def finding(accuracy: Accuracy, exactly: str = EXACTLY) -> str:
    """The sentence for an output outside its bound; an operator may say `exactly` in its own words."""
    if accuracy.worst_undefined:
        return f"{accuracy.worst} is a number; the formula gives nan there, which must not be hidden"
    if accuracy.worst_error == np.inf:
        return f"{accuracy.worst} is not a number or infinite; the oracle's answer is finite"
    if accuracy.worst_bound == 0:
        return exactly.format(place=accuracy.worst, error=accuracy.worst_error)
    return f"{accuracy.worst} is {accuracy.worst_error:.3g} from the oracle, bound {accuracy.worst_bound:.3g}"


def different(first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray]) -> str | None:
    """How two results of the same call differ, or None; compared bit by bit."""
    for name, array in first.items():
        if array.tobytes() != second[name].tobytes():
            gap = np.abs(array.astype(np.float64) - second[name].astype(np.float64)).max()
            return f"{name} differs by up to {gap:.3g} between two calls with the same inputs"
    return None


def changed_input(before: Mapping[str, np.ndarray], now: Mapping[str, np.ndarray]) -> str | None:
    """Which input was written to, or None. Compared bit by bit, so that nan and -0 count."""
    for name, array in now.items():
        original = before[name]
        if array.shape != original.shape or array.tobytes() != np.ascontiguousarray(original).tobytes():
            return f"the input {name} was written to; inputs belong to the caller"
    return None
