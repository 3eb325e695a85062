"""One row a cell: the tidy table behind results.csv and every report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from harness.analysis import statistics
from harness.measure.plan import Plan
from harness.operators.attention.problem import Problem
from harness.records.cell import Cell

COLUMNS = (
    "implementation", "framework", "device", "problem", "batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim",
    "v_head_dim", "dtype", "causal", "mask", "direction", "status", "reason", "median_s", "ci_low_s", "ci_high_s", "min_s",
    "samples", "calls_per_sample", "build_s", "first_call_s", "tflops", "percent_of_peak", "speedup_vs_baseline",
    "peak_memory_bytes", "workspace_bytes", "memory_method", "max_abs_error", "error_over_bound", "warnings",
    "window", "bias", "softcap", "scale", "flops", "bytes", "threads", "baseline", "rounds", "elements_checked",
    "times_fastest", "times_fastest_low", "times_fastest_high",
)  # fmt: skip
"""Columns of results.csv, in order; docs/report.md says what each means. None ever changes its meaning."""

_PROBLEM_COLUMNS = (
    "batch", "q_heads", "kv_heads", "q_len", "kv_len", "head_dim", "v_head_dim", "dtype", "causal", "mask", "direction",
    "bias", "softcap", "scale", "flops", "bytes",
)  # fmt: skip


def results(plan: Plan, cells: Iterable[Cell], rates: Mapping[str, float]) -> pd.DataFrame:
    """The table of a run, problems in the order of the plan. `rates` are FLOP/s by "device dtype"."""
    problems = {problem.name: problem for problem in plan.problems}
    cells = list(cells)
    baselines = {c.problem: c for c in cells if c.implementation == plan.baseline and c.timing}
    fastest: dict[str, Cell] = {}
    for cell in cells:
        best = fastest.get(cell.problem)
        if cell.timing and (best is None or _median_s(cell) < _median_s(best)):
            fastest[cell.problem] = cell
    rows = [
        _row(cell, problems[cell.problem], plan, baselines.get(cell.problem), fastest.get(cell.problem), rates)
        for cell in cells
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    order = {name: number for number, name in enumerate(problems)}
    return table.sort_values("problem", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def samples(cells: Iterable[Cell]) -> pd.DataFrame:
    """Every sample of a run, in the order it was taken within its cell."""
    rows = [
        (cell.implementation, cell.problem, number, sample_s)
        for cell in cells
        if cell.timing
        for number, sample_s in zip(cell.timing.rounds, cell.timing.samples_s, strict=True)
    ]
    return pd.DataFrame(rows, columns=["implementation", "problem", "round", "sample_s"])


def _median_s(cell: Cell) -> float:
    assert cell.timing
    return statistics.interval(cell.timing).median_s


def _row(
    cell: Cell,
    problem: Problem,
    plan: Plan,
    baseline: Cell | None,
    fastest: Cell | None,
    rates: Mapping[str, float],
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "implementation": cell.implementation,
        "framework": cell.framework,
        "device": cell.device,
        "problem": cell.problem,
        **{column: getattr(problem, column) for column in _PROBLEM_COLUMNS},
        "window": "" if problem.window is None else "{},{}".format(*problem.window),
        "threads": plan.threads,
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
        rate = rates.get(f"{cell.device} {problem.dtype}")
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
    row["warnings"] = "; ".join(warnings)
    return row
