"""One row a cell: the tidy table behind results.csv and every report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from harness.analysis import statistics
from harness.records.cell import Cell
from harness.records.problem import PosedProblem
from harness.records.run import Run

BEFORE = ("implementation", "framework", "device", "problem")
MEASURED = (
    "status", "reason", "median_s", "ci_low_s", "ci_high_s", "min_s",
    "samples", "calls_per_sample", "build_s", "first_call_s", "tflops", "percent_of_peak", "speedup_vs_baseline",
    "peak_memory_bytes", "workspace_bytes", "memory_method", "max_abs_error", "error_over_bound", "warnings",
)  # fmt: skip
AFTER = (
    "flops", "bytes", "threads", "baseline", "rounds", "elements_checked",
    "times_fastest", "times_fastest_low", "times_fastest_high",
    "memory_resolution_bytes",
)  # fmt: skip
"""Columns of results.csv: the problem's own stand between these. docs/report.md says what each means; none ever changes."""


def columns(problem: PosedProblem) -> list[str]:
    """All the columns for problems of its operator, in order."""
    return [*BEFORE, *problem.columns, *MEASURED, *problem.more_columns, *AFTER]


def results(run: Run) -> pd.DataFrame:
    """The table of a run, problems in the order of the plan."""
    baselines = {c.problem.name: c for c in run.cells if c.implementation == run.baseline and c.timing}
    fastest: dict[str, Cell] = {}
    for cell in run.cells:
        best = fastest.get(cell.problem.name)
        if cell.timing and (best is None or _median_s(cell) < _median_s(best)):
            fastest[cell.problem.name] = cell
    rows = [_row(cell, run, baselines.get(cell.problem.name), fastest.get(cell.problem.name)) for cell in run.cells]
    table = pd.DataFrame(rows, columns=columns(run.problems[0]))
    order = {problem.name: number for number, problem in enumerate(run.problems)}
    return table.sort_values("problem", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def samples(cells: Iterable[Cell]) -> pd.DataFrame:
    """Every sample of a run, in the order it was taken within its cell."""
    rows = [
        (cell.implementation, cell.problem.name, number, sample_s)
        for cell in cells
        if cell.timing
        for number, sample_s in zip(cell.timing.rounds, cell.timing.samples_s, strict=True)
    ]
    return pd.DataFrame(rows, columns=["implementation", "problem", "round", "sample_s"])


def _median_s(cell: Cell) -> float:
    assert cell.timing
    return statistics.interval(cell.timing).median_s


def _row(cell: Cell, run: Run, baseline: Cell | None, fastest: Cell | None) -> dict[str, Any]:
    problem = cell.problem
    row: dict[str, Any] = {
        "implementation": cell.implementation,
        "framework": cell.framework,
        "device": cell.device,
        "problem": problem.name,
        **{column: problem.column(column) for column in (*problem.columns, *problem.more_columns)},
        "flops": problem.flops,
        "bytes": problem.bytes,
        "threads": run.threads,
        "status": str(cell.status),
        "reason": cell.reason,
    }
    warnings = list(cell.warnings)
    if cell.accuracy:
        row["max_abs_error"] = cell.accuracy.max_abs_error
        row["error_over_bound"] = cell.accuracy.error_over_bound
        row["elements_checked"] = cell.accuracy.elements
    if cell.timing:
        found = statistics.interval(cell.timing)
        warnings += statistics.warnings(cell.timing)
        rate = run.machine.rate(cell.device, problem.dtype)
        row |= {
            "median_s": found.median_s,
            "ci_low_s": found.low_s,
            "ci_high_s": found.high_s,
            "min_s": min(cell.timing.samples_s),
            "samples": len(cell.timing.samples_s),
            "rounds": len(set(cell.timing.rounds)),
            "calls_per_sample": cell.timing.calls_per_sample,
            "build_s": cell.timing.build_s,
            "first_call_s": cell.timing.first_call_s,
            "tflops": problem.flops / found.median_s / 1e12,
            "percent_of_peak": 100 * problem.flops / found.median_s / rate if rate else math.nan,
        }
        if baseline and baseline.timing:
            row["baseline"] = baseline.implementation
            speedup = statistics.ratio(baseline.timing, cell.timing)
            row["speedup_vs_baseline"] = speedup and speedup.median
        if fastest and fastest.timing and (times := statistics.ratio(cell.timing, fastest.timing)):
            row |= {
                "times_fastest": times.median,
                "times_fastest_low": times.low,
                "times_fastest_high": times.high,
            }
    if cell.memory:
        row["peak_memory_bytes"] = cell.memory.peak_bytes
        row["workspace_bytes"] = cell.memory.workspace_bytes
        row["memory_method"] = cell.memory.method
        row["memory_resolution_bytes"] = cell.memory.resolution_bytes
    row["warnings"] = "; ".join(warnings)
    return row
