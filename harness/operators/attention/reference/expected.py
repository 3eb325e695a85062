"""What a problem's output should be, at the rows that are checked, and how far off it may be."""

from __future__ import annotations

import numpy as np

from harness.operators.answer import Expected, Tensor
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.attention.reference import half
from harness.operators.attention.reference.answer import Part
from harness.operators.attention.reference.backward import backward_rows
from harness.operators.attention.reference.forward import forward_rows
from harness.operators.attention.reference.rows import sampled_rows


def expected(problem: Problem, inputs: Inputs, seed: int = 0) -> Expected:
    """The oracle's answer for `problem`: every row where that is affordable, else sampled ones with all the edges.

    Bounds include the oracle's own rounding, which counts only for float64 problems (there it doubles them).
    """
    heads = problem.batch * problem.q_heads
    rows = sampled_rows(problem.q_len, heads * problem.kv_len, seed)
    keys = sampled_rows(problem.kv_len, heads * problem.q_len, seed)
    if problem.direction == "forward":
        parts = {"o": forward_rows(problem, inputs, rows)}
    else:
        parts = backward_rows(problem, inputs, rows, keys)
    if problem.dtype in half.DTYPES:
        for name, limit in half.limits(problem, inputs, rows, keys, parts).items():
            parts[name].bound = np.minimum(parts[name].bound, limit)
    own = 2.0 if problem.dtype == "float64" else 1.0
    checked = {"o": (rows, problem.q_len), "dq": (rows, problem.q_len)}
    return {n: _tensor(part, own, *checked.get(n, (keys, problem.kv_len))) for n, part in parts.items()}


def _tensor(part: Part, factor: float, rows: np.ndarray, length: int) -> Tensor:
    """A finished part of the answer, its bound times `factor`."""
    value = np.where(part.undefined, np.nan, part.value)
    bound = np.where(part.undefined, 0.0, factor * (part.bound + part.floor))
    return Tensor(value, bound, rows, length, part.excused)
