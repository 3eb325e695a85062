"""What a cell will cost, from the same implementation's smaller cells: so that hours of plain Python are not begun."""

from __future__ import annotations

from dataclasses import dataclass

from harness.measure.plan import Effort
from harness.operators.problem import Problem

MATERIALISED = 0.5
"""An implementation whose first call raised the mark by at least this share of a float32 score matrix is taken to keep
one, and to grow with it; any other to grow with its inputs."""

MOST_MATRICES = 6
"""Float32 score matrices that no implementation of the formula holds at once: it has scores, weights and a few masks."""


@dataclass(frozen=True)
class _Seen:
    problem: Problem
    call_s: float
    rise_bytes: int


class History:
    """What has been seen of each implementation so far."""

    def __init__(self, effort: Effort, memory_bytes: int):
        self._effort = effort
        self._memory_bytes = memory_bytes
        self._seen: dict[str, list[_Seen]] = {}

    def add(self, implementation: str, problem: Problem, call_s: float, rise_bytes: int) -> None:
        """Remember what one cell took."""
        self._seen.setdefault(implementation, []).append(_Seen(problem, call_s, rise_bytes))

    def over_budget(self, implementation: str, problem: Problem) -> str:
        """Why the cell should not be run, or "". Judged by the largest cell not larger than this one, at its fastest.

        Time is taken to grow as the work without skipping: a small cell holds more overhead, so this never predicts too
        little for one that skips nothing.
        """
        smaller = [s for s in self._seen.get(implementation, ()) if 0 < s.problem.dense_flops <= problem.dense_flops]
        if not smaller:
            return ""
        nearest = max(smaller, key=lambda s: (s.problem.dense_flops, -s.call_s))
        call_s = nearest.call_s * problem.dense_flops / nearest.problem.dense_flops
        cost_s = self._effort.cell_cost_s(call_s)
        if cost_s > self._effort.budget_s:
            return (
                f"predicted {call_s:.3g} s a call from {nearest.problem.name}, hence {cost_s:.3g} s for the cell; "
                f"the budget is {self._effort.budget_s:g} s"
            )
        # What the first call took beyond a few score matrices was the compiler's, and does not grow with the problem.
        most = MOST_MATRICES * 4 * problem.intermediate_elements + problem.bytes
        rise = min(nearest.rise_bytes * self._growth(nearest, problem), max(most, nearest.rise_bytes))
        if self._memory_bytes and rise > self._memory_bytes:
            return (
                f"predicted {rise / 2**30:.3g} GiB of memory from {nearest.problem.name}; "
                f"the limit is {self._memory_bytes / 2**30:.3g} GiB"
            )
        return ""

    @staticmethod
    def _growth(seen: _Seen, problem: Problem) -> float:
        if seen.rise_bytes >= MATERIALISED * 4 * seen.problem.intermediate_elements:
            return problem.intermediate_elements / max(1, seen.problem.intermediate_elements)
        return problem.bytes / max(1, seen.problem.bytes)
