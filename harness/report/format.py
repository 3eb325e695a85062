"""Numbers and cells as a person reads them; shared by the terminal and the markdown report."""

from __future__ import annotations

import math

import pandas as pd

from harness.analysis.estimates import Estimates
from harness.analysis.ranking import ranking, timed
from harness.errors import Status
from harness.records.cell import Cell

_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZES = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def seconds(value: float) -> str:
    """0.00123 as "1.23 ms"; empty for nan."""
    return _scaled(value, _TIMES)


def size(value: float, resolution: float = 0) -> str:
    """A number of bytes as "12.5 MiB", to the digit that a `resolution` in bytes leaves; empty for nan.

    A value that cannot be told from zero is told by what it is less than: itself and the resolution, in whole resolutions.
    """
    if value is None or math.isnan(value):
        return ""
    if not resolution > 0:
        return "0 B" if value == 0 else _scaled(value, _SIZES)
    if value <= resolution:
        return "<" + _scaled(resolution * math.ceil((value + resolution) / resolution), _SIZES)
    unit, _ = next(u for u in _SIZES if value >= u[0])
    last_digit = unit * 10.0 ** math.floor(math.log10(resolution / unit))
    return _scaled(round(value / last_digit) * last_digit, _SIZES)


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if value is None or math.isnan(value):
        return ""
    # A value that rounds up to the next unit is told in that unit: 0.9996 ms is 1 ms, not 1000 µs.
    factor, unit = next((u for u in units if abs(value) >= u[0] * (1 - 0.0005)), units[-1])
    number = value / factor
    return f"{number:.0f} {unit}" if number >= 99.95 or unit == "B" else f"{number:.3g} {unit}"


def plus_minus(share: float) -> str:
    """Half the width of an interval against its value, as "±2 %"; "±?" where it has no end."""
    if math.isnan(share):
        return ""
    if math.isinf(share):
        return "±?"
    percent = 100 * share
    return f"±{max(percent, 0.1):.1f} %" if percent < 1 else f"±{percent:.0f} %"


def ratio(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """A ratio as "3.4×", with its interval as "3.4× ±2 %"; empty for nan."""
    if value is None or math.isnan(value):
        return ""
    spread = plus_minus((high - low) / 2 / value) if low < high else ""
    return f"{value:.3g}× {spread}".strip()


def error(value: float) -> str:
    """An error over its bound; below a thousandth the digits say nothing."""
    return "" if value is None or math.isnan(value) else f"{value:.3f}" if value >= 0.001 else "<0.001"


def of_limit(percentage: float, which: str) -> str:
    """How near a time comes to what the processor can do: "87 %", and "35 % bytes" where reading is the nearer limit."""
    if percentage is None or math.isnan(percentage):
        return ""
    return f"{percentage:.0f} %" + (" bytes" if which == "bytes" else "")


HEADINGS = (
    "implementation", "time", "±95 %", "× fastest", "speed-up", "TFLOP/s", "of limit", "first result", "workspace",
    "error/bound", "",
)  # fmt: skip

LESS_NEEDED = ("speed-up", "TFLOP/s", "of limit", "first result", "error/bound")
"""Columns that a narrow terminal does without; it does without the intervals of ratios too."""


def display_rows(problem_rows: pd.DataFrame, narrow: bool = False) -> list[list[str]]:
    """The cells of one problem under `HEADINGS`, fastest first, then those without a time, which show their status."""
    rows = [
        [
            row.implementation,
            seconds(row.median_s),
            plus_minus((row.ci_high_s - row.ci_low_s) / 2 / row.median_s),
            ratio(row.times_fastest, *(() if narrow else (row.times_fastest_low, row.times_fastest_high))),
            ratio(row.speedup_vs_baseline, row.speedup_low, row.speedup_high),
            f"{row.tflops:.3g}",
            of_limit(row.percent_of_limit, row.limit),
            seconds(row.build_s + row.first_call_s),
            size(row.workspace_bytes, row.memory_resolution_bytes),
            error(row.error_over_bound),
            row.notes,
        ]
        for row in timed(problem_rows).itertuples()
    ]
    others = problem_rows[problem_rows.status != Status.OK]
    rows += [
        [row.implementation, row.status, *[""] * (len(HEADINGS) - 4), error(row.error_over_bound), ""]
        for row in others.itertuples()
    ]
    return rows


def cold(problem_rows: pd.DataFrame) -> str:
    """ ", from cold caches" where calls found their inputs in memory."""
    return ", from cold caches" if (problem_rows.caches == "cold").any() else ""


def winner(problem_rows: pd.DataFrame) -> str:
    """Who is fastest on one problem and by how much, in a sentence."""
    found = ranking(problem_rows)
    if found is None:
        return "nothing could be measured"
    told = f"{found.fastest}, {seconds(found.median_s)}"
    if found.ties:
        return f"{told}; not told apart from {', '.join(found.ties)}"
    return f"{told}; {found.times:.3g} times as fast as {found.second}" if found.second else f"{told}, alone"


def told(cell: Cell) -> str:
    """A finished cell as a line of progress."""
    if cell.status is Status.UNAVAILABLE:
        return f"{cell.implementation} is unavailable: {cell.reason}"
    if not cell.timing:
        return f"{cell.problem.name}  {cell.implementation}  {cell.status}: {cell.reason}"
    time = Estimates({cell.implementation: cell.timing}).time(cell.implementation)
    return f"{cell.problem.name}  {cell.implementation}  {seconds(time.median_s)} {plus_minus(time.half_width)}"


def nothing_measured(table: pd.DataFrame) -> str:
    """The sentence for a run of which no cell has a time."""
    counts = ", ".join(f"{count} {status}" for status, count in table.status.value_counts().items())
    return f"Nothing was measured: of {len(table)} cells {counts}; the reasons are listed above."
