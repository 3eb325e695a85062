"""What a problem's output should be, at the rows that are checked, and how far off it may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.inputs import Inputs
from harness.problem import Problem
from harness.reference import half
from harness.reference.backward import backward_rows
from harness.reference.forward import forward_rows
from harness.reference.rows import sampled_rows


@dataclass(frozen=True)
class Tensor:
    """One output of the oracle. The arrays hold only the checked rows of the third axis."""

    value: np.ndarray
    """float64 `(batch, heads, len(rows), dim)`."""
    bound: np.ndarray
    """The largest admissible absolute difference of each element; zero where the output must be exactly zero."""
    rows: np.ndarray
    """Indices of the checked rows (queries for o and dq, keys for dk and dv)."""
    length: int
    """Rows of the whole output."""


Expected = dict[str, Tensor]
"""{"o": …}, or {"dq": …, "dk": …, "dv": …}."""


def expected(problem: Problem, inputs: Inputs, seed: int = 0) -> Expected:
    """The oracle's answer for `problem`: every row where that is affordable, else sampled ones with all the edges.

    Bounds include the oracle's own rounding, which counts only for float64 problems (there it doubles them).
    """
    heads = problem.batch * problem.q_heads
    rows = sampled_rows(problem.q_len, heads * problem.kv_len, seed)
    own = 2.0 if problem.dtype == "float64" else 1.0
    in_half = problem.dtype in half.DTYPES
    if problem.direction == "forward":
        value, bound = forward_rows(problem, inputs, rows)
        if in_half:
            bound = np.minimum(bound, half.forward_rows(problem, inputs, rows).limit(problem, value))
        return {"o": Tensor(value, own * bound, rows, problem.q_len)}
    keys = sampled_rows(problem.kv_len, heads * problem.q_len, seed)
    parts = backward_rows(problem, inputs, rows, keys)
    if in_half:
        honest = half.backward_rows(problem, inputs, rows, keys)
        parts = {
            name: (value, np.minimum(bound, honest[name].limit(problem, value))) for name, (value, bound) in parts.items()
        }
    return {
        name: Tensor(value, own * bound, *((rows, problem.q_len) if name == "dq" else (keys, problem.kv_len)))
        for name, (value, bound) in parts.items()
    }


def save(answer: Expected, path: Path) -> None:
    """Write an answer for the workers to read."""
    arrays = {f"{name}.{part}": getattr(t, part) for name, t in answer.items() for part in ("value", "bound", "rows")}
    lengths = {f"{name}.length": np.array(t.length) for name, t in answer.items()}
    np.savez(path, **arrays, **lengths)  # type: ignore[arg-type]


def load(path: Path) -> Expected:
    """Read what `save` wrote."""
    with np.load(path) as stored:
        names = sorted({key.partition(".")[0] for key in stored.files})
        return {
            name: Tensor(
                stored[f"{name}.value"], stored[f"{name}.bound"], stored[f"{name}.rows"], int(stored[f"{name}.length"])
            )
            for name in names
        }
