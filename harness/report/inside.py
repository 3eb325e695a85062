"""What implementations do to the model they are in: how fast it is, and what of the time is theirs."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from harness.analysis.ranking import timed
from harness.report.format import size

HEADINGS = ("implementation", "tokens/s", "attention", "at most", "exchange", "copied", "generated", "answers")


def inside_rows(problem_rows: pd.DataFrame) -> list[list[str]]:
    """The cells of one problem under `HEADINGS`, fastest first.

    "At most" is what the model would gain if attention took no time at all (Amdahl 1967, AFIPS Spring Joint Computer
    Conference): 1 / (1 - its share).
    """
    return [_row(row) for row in timed(problem_rows).itertuples()]


def _row(row: Any) -> list[str]:
    share = row.attention_share
    return [
        row.implementation,
        f"{row.tokens_per_s:.3g}" if row.tokens_per_s < 1000 else f"{row.tokens_per_s:,.0f}",
        _percent(share),
        "" if math.isnan(share) or share == 1 else f"{1 / (1 - share):.2f}×",
        _percent(row.exchange_share),
        size(row.copied_bytes) if row.copied_bytes else "",
        _generated(row),
        "" if math.isnan(row.answers_asked) else f"{row.answers_same:.0f} of {row.answers_asked:.0f}",
    ]


def _generated(row: Any) -> str:
    if math.isnan(row.generated):
        return ""
    if math.isnan(row.differs_at):
        return f"{row.generated:.0f} the same"
    apart = row.differs_by / row.rounding_unit if row.rounding_unit else math.inf
    return f"differs at {row.differs_at:.0f}: {apart:.2g} roundings apart"


def _percent(share: float) -> str:
    return "" if math.isnan(share) else f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else "<1 %"
