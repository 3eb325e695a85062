"""What a problem's output should be, at the rows that are checked, and how far off it may be."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.inputs import Inputs
from harness.problem import Problem
from harness.reference import half
from harness.reference.answer import Part
from harness.reference.backward import backward_rows
from harness.reference.forward import forward_rows
from harness.reference.rows import sampled_rows


@dataclass(frozen=True)
class Tensor:
    """One output of the oracle. The arrays hold only the checked rows of the third axis."""

    value: np.ndarray
    """float64 `(batch, heads, len(rows), dim)`; nan where the formula gives nan or infinity."""
    bound: np.ndarray
    """The largest admissible absolute difference of each element; zero where the output must be exactly zero."""
    rows: np.ndarray
    """Indices of the checked rows (queries for o and dq, keys for dk and dv)."""
    length: int
    """Rows of the whole output."""
    excused: np.ndarray | bool = False
    """Boolean: where an output may be nan or infinite though the formula gives a number, since a nan or an infinity is
    hidden from its row, or a score lies beyond the accumulator's range."""


Expected = dict[str, Tensor]
"""{"o": …}, or {"dq": …, "dk": …, "dv": …}."""


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


def save(answer: Expected, path: Path) -> None:
    """Write an answer for the workers to read."""
    fields = [field.name for field in dataclasses.fields(Tensor)]
    arrays = {f"{name}.{field}": np.asarray(getattr(t, field)) for name, t in answer.items() for field in fields}
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Expected:
    """Read what `save` wrote."""
    with np.load(path) as stored:
        names = sorted({key.partition(".")[0] for key in stored.files})
        return {
            name: Tensor(
                stored[f"{name}.value"],
                stored[f"{name}.bound"],
                stored[f"{name}.rows"],
                int(stored[f"{name}.length"]),
                stored[f"{name}.excused"],
            )
            for name in names
        }
