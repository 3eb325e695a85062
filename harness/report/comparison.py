"""A comparison for the terminal, for a pull request, and for tools."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from harness.analysis.comparison import Comparison
from harness.records.strict_json import dumps
from harness.report.format import error, plus_minus, size

HEADINGS = ("problem", "implementation", "time", "±95 %", "verdict", "peak memory", "error/bound", "")


def rows(found: Sequence[Comparison]) -> list[list[str]]:
    """A row each under `HEADINGS`; what changed in memory or error is shown as "before → now"."""
    return [
        [
            one.problem,
            one.name,
            f"{one.ratio.median:.3f}×" if one.ratio else "",
            plus_minus((one.ratio.high - one.ratio.low) / 2 / one.ratio.median) if one.ratio else "",
            one.verdict,
            _change([size(value) for value in one.peak_bytes or ()]),
            _change([error(value) for value in one.error_over_bound or ()]),
            "; ".join(filter(None, ["worse: " + ", ".join(one.regressions) if one.regressions else "", one.reason])),
        ]
        for one in found
    ]


def _change(values: Sequence[str]) -> str:
    return " → ".join(dict.fromkeys(values))


def summary(found: Sequence[Comparison], threshold: float) -> str:
    """How many of each verdict, and what became worse beyond the threshold."""
    counts = pd.Series([one.verdict for one in found]).value_counts()
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    worse = [f"{one.name} on {one.problem} ({', '.join(one.regressions)})" for one in found if one.regressions]
    if not worse:
        return f"{told}; nothing is worse by more than {threshold:.0%}."
    return f"{told}. Worse by more than {threshold:.0%}: {'; '.join(worse)}."


def markdown(title: str, found: Sequence[Comparison], remarks: Sequence[str], threshold: float) -> str:
    """For a pull request."""
    frame = pd.DataFrame(rows(found), columns=list(HEADINGS))
    alignment = ("left", "left", "right", "right", "left", "right", "right", "left")
    table = frame.to_markdown(index=False, colalign=alignment, disable_numparse=True)
    return "\n\n".join([f"### {title}", summary(found, threshold), table, *(f"- {remark}" for remark in remarks)]) + "\n"


def json(found: Sequence[Comparison], remarks: Sequence[str]) -> str:
    """For tools."""
    return dumps({"comparisons": [one.to_json() for one in found], "remarks": list(remarks)}, indent=1) + "\n"
