"""One row a cell: the tidy table behind results.csv and every report."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from harness.analysis.cold_start import with_break_even
from harness.analysis.estimates import Estimates
from harness.analysis.quality import differences, other_answers, remarks, short
from harness.records.cell import Cell, Timing
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
    "speedup_low", "speedup_high", "processes", "stopped", "checked_share", "import_s", "break_even_calls",
    "percent_of_limit", "limit", "memory_resolution_bytes", "notes", "caches",
    "threads_used", "processors_busy", "kernels", "computed_in", "settings",
)  # fmt: skip
"""Columns of results.csv: the problem's own stand between these. docs/report.md says what each means; none ever changes."""


INSIDE = (
    "tokens_per_s", "attention_s", "exchange_s", "copied_bytes", "generated", "differs_at", "differs_by", "rounding_unit",
    "answers_asked", "answers_same", "answers_apart", "attention_share", "exchange_share",
)  # fmt: skip
"""Further columns of implementations inside models."""


def columns(problem: PosedProblem) -> list[str]:
    """All the columns for problems of its operator, in order."""
    inside = INSIDE if problem.operator == "model" else ()
    return [*BEFORE, *problem.columns, *MEASURED, *problem.more_columns, *AFTER, *inside]


def results(run: Run) -> pd.DataFrame:
    """The table of a run, problems in the order of the plan."""
    found = estimates(run.cells)
    rows = [_row(cell, run, found.get(cell.problem.name)) for cell in run.cells]
    table = with_break_even(pd.DataFrame(rows, columns=columns(run.problems[0])))
    order = {problem.name: number for number, problem in enumerate(run.problems)}
    return table.sort_values("problem", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def samples(cells: Iterable[Cell]) -> pd.DataFrame:
    """Every sample of a run, in the order it was taken within its cell."""
    rows = [
        (
            cell.implementation,
            cell.problem.name,
            turn.round,
            sample_s,
            turn.process,
            turn.order,
            turn.start_s,
            turn.disturbed,
        )
        for cell in cells
        if cell.timing
        for turn in cell.timing.turns
        for sample_s in turn.samples_s
    ]
    head = ["implementation", "problem", "round", "sample_s", "process", "order", "turn_start_s", "disturbed"]
    return pd.DataFrame(rows, columns=head)


def estimates(cells: Iterable[Cell]) -> dict[str, Estimates]:
    """What the cells say of each problem, by its name."""
    timings: dict[str, dict[str, Timing]] = {}
    for cell in cells:
        if cell.timing:
            timings.setdefault(cell.problem.name, {})[cell.implementation] = cell.timing
    return {problem: Estimates(measured) for problem, measured in timings.items()}


def _row(cell: Cell, run: Run, found: Estimates | None) -> dict[str, Any]:
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
        row["checked_share"] = cell.accuracy.share
    if cell.timing and found:
        time = found.time(cell.implementation)
        warnings += remarks(cell.timing, time)
        rate = run.machine.rate(cell.device, problem.dtype)
        row |= {
            "median_s": time.median_s,
            "ci_low_s": time.low_s,
            "ci_high_s": time.high_s,
            "min_s": min(cell.timing.samples_s),
            "samples": len(cell.timing.samples_s),
            "rounds": len(cell.timing.turns),
            "processes": len(cell.timing.processes),
            "stopped": cell.timing.stopped,
            "calls_per_sample": cell.timing.turns[0].calls,
            "build_s": cell.timing.build_s,
            "first_call_s": cell.timing.first_call_s,
            "import_s": cell.timing.import_s or math.nan,
            "caches": cell.timing.cache,
            "tflops": problem.flops / time.median_s / 1e12,
            "percent_of_peak": 100 * problem.flops / time.median_s / rate if rate else math.nan,
            **_limit(cell, run, time.median_s),
            **_ratios(cell.implementation, run.baseline, found),
        }
    if cell.memory:
        row["peak_memory_bytes"] = cell.memory.peak_bytes
        row["workspace_bytes"] = cell.memory.workspace_bytes
        row["memory_method"] = cell.memory.method
        row["memory_resolution_bytes"] = cell.memory.resolution_bytes
    if cell.execution:
        warnings += differences(cell.execution, problem.dtype)
        row["threads_used"] = cell.execution.threads or math.nan
        row["processors_busy"] = cell.execution.processors
        row["kernels"] = "; ".join(cell.execution.kernels)
        row["computed_in"] = " ".join(cell.execution.dtypes)
    if problem.operator == "model":
        warnings += other_answers(cell)
        row |= _inside(cell, row.get("median_s", math.nan))
    row["settings"] = "; ".join(f"{name}={value}" for name, value in cell.versions.items() if value)
    row["warnings"] = "; ".join(warnings)
    row["notes"] = short(warnings)
    return row


def _inside(cell: Cell, time_s: float) -> dict[str, Any]:
    """What is known of a model with an implementation inside."""
    row: dict[str, Any] = {"tokens_per_s": cell.problem.fields["batch"] * cell.problem.fields["length"] / time_s}
    if cell.usage:
        row["attention_s"] = cell.usage.attention_s
        row["exchange_s"] = cell.usage.exchange_s
        row["copied_bytes"] = cell.usage.copied_bytes
        # A mean of all calls, the slow ones too, is no share of a median: it is one of the mean of the same calls.
        whole_s = cell.usage.calls_s or max(time_s, cell.usage.attention_s)
        row["attention_share"], row["exchange_share"] = cell.usage.attention_s / whole_s, cell.usage.exchange_s / whole_s
    if found := cell.generation:
        row["generated"] = found.tokens
        if found.differs_at is not None:
            row |= {"differs_at": found.differs_at, "differs_by": found.gap, "rounding_unit": found.unit}
    if answers := cell.answers:
        row |= {"answers_asked": answers.asked, "answers_same": answers.same, "answers_apart": answers.apart}
    return row


def _limit(cell: Cell, run: Run, time_s: float) -> dict[str, Any]:
    """How near a time comes to the nearest of the processor's limits, where they were measured."""
    limits, problem = run.machine.limits, cell.problem
    cold = cell.timing is not None and cell.timing.cache == "cold"
    if limits is None or cell.device != "cpu":
        return {}
    nearest = limits.nearest(problem.flops, problem.bytes, problem.dtype, run.threads, time_s, cold)
    return {"percent_of_limit": nearest.percentage, "limit": nearest.which} if nearest else {}


def _ratios(name: str, baseline: str, found: Estimates) -> dict[str, Any]:
    """Against the fastest, and against the baseline where it was measured on the problem."""
    row: dict[str, Any] = {}
    if times := found.ratio(name, found.fastest):
        row = {"times_fastest": times.median, "times_fastest_low": times.low, "times_fastest_high": times.high}
    if baseline in found:
        row["baseline"] = baseline
        if speedup := found.ratio(baseline, name):
            row |= {"speedup_vs_baseline": speedup.median, "speedup_low": speedup.low, "speedup_high": speedup.high}
    return row
