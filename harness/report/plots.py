"""Pictures of a run: time and workspace against the length."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pandas as pd

from harness.analysis.families import Family, families
from harness.analysis.ranking import timed
from harness.errors import UserError
from harness.records.run import Run


def plot(run: Run, table: pd.DataFrame, path: Path) -> None:
    """Draw time and workspace against the length for the largest family of problems that differ in nothing else.

    The format follows the file's ending (.png, .svg, .pdf). Raises `UserError` without matplotlib, for a run with fewer than
    two lengths, and when the file exists or cannot be written.
    """
    try:
        import matplotlib
    except ImportError:
        raise UserError("plots need matplotlib; install it with pip install 'attention-harness[plot]'") from None
    if path.exists():
        raise UserError(f"{path} exists, and will not be overwritten; name another file")
    matplotlib.use("agg")
    from matplotlib.figure import Figure

    family = _family(run, table)
    names = {problem.name: length for length, problem in family.members}
    measured = timed(table[table.problem.isin(names)])
    measured = measured.assign(length=measured.problem.map(names)).sort_values("length")
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    times, workspaces = figure.subplots(1, 2, sharex=True)
    order = measured.groupby("implementation").median_s.last().sort_values(ascending=False).index
    for number, name in enumerate(order):
        rows = measured[measured.implementation == name]
        style: dict[str, Any] = {
            "color": matplotlib.colormaps["tab20"](number % 20),
            "marker": "osD^v"[number % 5],
            "markersize": 4,
            "linewidth": 1.4,
            "label": name,
        }
        times.plot(rows.length, rows.median_s * 1e3, **style)
        times.fill_between(rows.length, rows.ci_low_s * 1e3, rows.ci_high_s * 1e3, color=style["color"], alpha=0.15)
        workspaces.plot(rows.length, rows.workspace_bytes / 2**20, **style)
    _dress(times, "time a call, ms", family)
    _dress(workspaces, "workspace, MiB", family)
    figure.suptitle(_title(run, family), fontsize=11)
    figure.legend(*times.get_legend_handles_labels(), loc="outside right upper", fontsize=8, title="slowest first")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot draw {path}: {error}") from None


def _family(run: Run, table: pd.DataFrame) -> Family:
    """The family of measured problems with the most lengths."""
    measured = set(timed(table).problem)
    found = families(problem for problem in run.problems if problem.name in measured)
    if not found:
        raise UserError("a plot against the length needs a run with at least two lengths")
    return found[0]


def _title(run: Run, family: Family) -> str:
    """What the problems have in common."""
    problem = family.members[0][1]
    shared = [name for name in (*problem.columns, *problem.more_columns) if name not in family.along.split(" = ")]
    values = ((name, problem.column(name)) for name in shared)
    said = [
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values
        if value is not None
    ]
    return "\n".join(textwrap.wrap(", ".join([*said, f"{run.threads} threads"]), 110))


def _dress(axes: Any, label: str, family: Family) -> None:
    lengths = [length for length, _ in family.members]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.set_xlabel(family.along)
    axes.set_ylabel(label)
    axes.grid(True, which="major", linewidth=0.4, alpha=0.6)
