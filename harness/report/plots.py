"""Pictures of a run: time and workspace against the length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import Status, UserError

_SAME = ("batch", "q_heads", "kv_heads", "head_dim", "v_head_dim", "dtype", "causal", "mask", "direction")


def plot(table: pd.DataFrame, path: Path) -> None:
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

    family = _family(table)
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    times, workspaces = figure.subplots(1, 2, sharex=True)
    order = family.sort_values("q_len").groupby("implementation").median_s.last().sort_values(ascending=False).index
    for number, name in enumerate(order):
        rows = family[family.implementation == name].sort_values("q_len")
        style: dict[str, Any] = {
            "color": matplotlib.colormaps["tab20"](number % 20),
            "marker": "osD^v"[number % 5],
            "markersize": 4,
            "linewidth": 1.4,
            "label": name,
        }
        times.plot(rows.q_len, rows.median_s * 1e3, **style)
        times.fill_between(rows.q_len, rows.ci_low_s * 1e3, rows.ci_high_s * 1e3, color=style["color"], alpha=0.15)
        workspaces.plot(rows.q_len, rows.workspace_bytes / 2**20, **style)
    _dress(times, "time a call, ms", sorted(family.q_len.unique()))
    _dress(workspaces, "workspace, MiB", sorted(family.q_len.unique()))
    figure.suptitle(_title(family.iloc[0]), fontsize=11)
    figure.legend(*times.get_legend_handles_labels(), loc="outside right upper", fontsize=8, title="slowest first")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot draw {path}: {error}") from None


def _family(table: pd.DataFrame) -> pd.DataFrame:
    """The measured rows of the family with the most lengths, equal q_len and kv_len."""
    measured = table[(table.status == Status.OK) & (table.q_len == table.kv_len)]
    families = measured.groupby(list(_SAME), dropna=False, sort=False)
    best = max((rows for _, rows in families), key=lambda rows: rows.q_len.nunique(), default=None)
    if best is None or best.q_len.nunique() < 2:
        raise UserError("a plot against the length needs a run with at least two lengths")
    return best


def _title(row: Any) -> str:
    causal = f", causal {row.causal}" if isinstance(row.causal, str) and row.causal else ""
    heads = f"{row.q_heads} heads" if row.q_heads == row.kv_heads else f"{row.q_heads}/{row.kv_heads} heads"
    dtype = row["dtype"]  # The attribute of that name is the row's own.
    return f"batch {row.batch}, {heads} of {row.head_dim}, {dtype}{causal}, {row.direction}, {row.threads} threads"


def _dress(axes: Any, label: str, lengths: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.set_xlabel("length (queries = keys)")
    axes.set_ylabel(label)
    axes.grid(True, which="major", linewidth=0.4, alpha=0.6)
