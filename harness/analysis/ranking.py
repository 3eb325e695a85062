"""Who is fastest on a problem, and whether that can be told."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from harness.errors import Status


@dataclass(frozen=True)
class Ranking:
    """The fastest implementation of one problem."""

    fastest: str
    median_s: float
    ties: tuple[str, ...]
    """Those that cannot be told from it: their ratio to it is not above one with 95 % confidence."""
    second: str
    """The next where none is tied; "" where it is alone."""
    times: float
    """How many times as long the second takes; nan without one."""


def timed(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a time, the fastest first."""
    return rows[rows.status == Status.OK].sort_values("median_s")


def ranking(rows: pd.DataFrame) -> Ranking | None:
    """The ranking of one problem's rows of `table.results`; None where nothing was measured."""
    ranked = timed(rows)
    if ranked.empty:
        return None
    first, others = ranked.iloc[0], ranked.iloc[1:]
    ties = others[~(others.times_fastest_low > 1)]
    second = None if others.empty or len(ties) else others.iloc[0]
    return Ranking(
        fastest=first.implementation,
        median_s=first.median_s,
        ties=tuple(ties.implementation),
        second="" if second is None else second.implementation,
        times=float("nan") if second is None else second.times_fastest,
    )


def absences(table: pd.DataFrame) -> list[tuple[str, str, str, list[str]]]:
    """(implementation, status, reason, problems) of everything without a time, equal reasons together."""
    missing = table[table.status != Status.OK]
    groups = missing.groupby(["implementation", "status", "reason"], sort=False)["problem"].agg(list)
    return [(*key, problems) for key, problems in groups.items()]
