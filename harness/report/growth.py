"""How time and workspace grow, as a section of the report."""

from __future__ import annotations

import math

import pandas as pd

from harness.analysis.families import Family, families
from harness.analysis.growth import Crossing, Growth, changes_of_the_fastest, growths
from harness.analysis.table import estimates
from harness.records.run import Run

COLUMNS = {"median_s": "time", "workspace_bytes": "workspace"}


def growth(run: Run, table: pd.DataFrame) -> str:
    """The exponents along every family of three lengths and more, and where the fastest changes; empty without any."""
    found = estimates(run.cells)
    parts = []
    for family in families(run.problems):
        if exponents := growths(table, family):
            changes = [_sentence(one, family) for one in changes_of_the_fastest(found, family)]
            name = family.members[-1][1].name
            parts.append("\n\n".join([f"Along {family.along}, up to {name}:", _table(exponents), *changes]))
    if not parts:
        return ""
    about = (
        "The exponent p of time ~ length^p and of workspace ~ length^p with its 95 % interval, and the most by which a "
        "length departs from the line."
    )
    return "\n\n".join(["### Growth", about, *parts])


def _table(exponents: list[Growth]) -> str:
    cells: dict[str, dict[str, str]] = {}
    for one in exponents:
        told = f"{one.exponent:.2f} ± {(one.high - one.low) / 2:.2f}, off by {one.residual:.0%}"
        cells.setdefault(one.implementation, {})[COLUMNS[one.quantity]] = told
    frame = pd.DataFrame.from_dict(cells, orient="index").reindex(columns=list(COLUMNS.values())).fillna("")
    return frame.to_markdown(disable_numparse=True, colalign=("left", "right", "right"))


def _sentence(one: Crossing, family: Family) -> str:
    low, high = ("?" if math.isnan(value) else f"{value:.0f}" for value in (one.low, one.high))
    return f"From {family.along} = {one.length:.0f} on ({low} to {high}) {one.overtaking} is faster than {one.overtaken}."
