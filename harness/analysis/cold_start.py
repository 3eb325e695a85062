"""When compiling has paid for itself."""

from __future__ import annotations

import math

import pandas as pd

COMPILES_S = 0.02
"""Building and the first call together take longer than this beyond a usual call: then something is compiled, or tuned."""


def with_break_even(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `break_even_calls`: after so many calls an implementation that compiles has taken no longer in all than
    the fastest of those that do not, on the same problem. Infinite where it never does; empty for those that do not compile,
    and where all do."""
    if table.empty:
        return table
    cost_s = table.build_s.astype(float) + table.first_call_s.astype(float) - table.median_s.astype(float)
    compiles = cost_s > COMPILES_S
    for _, rows in table[table.median_s.notna()].groupby("problem"):
        plain = rows[~compiles[rows.index]]
        if plain.empty:
            continue
        best = plain.median_s.astype(float).idxmin()
        for at in rows.index[compiles[rows.index]]:
            gain_s = table.median_s[best] - table.median_s[at]
            extra_s = cost_s[at] - max(0.0, cost_s[best])
            table.loc[at, "break_even_calls"] = math.ceil(extra_s / gain_s) if gain_s > 0 else math.inf
    return table
