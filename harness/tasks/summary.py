"""What a run of trainings has come to: a row a training, and a row for all seeds of one."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from harness.tasks import catalogue
from harness.tasks.plan import TORCH, Result, TaskFolder, Training
from harness.tasks.sameness import SHAKEN, Distance, distances

FAILED, BASELINE, PUBLISHED = "failed", "baseline", "published"

OTHERS = (
    "name", "status", "seed", "seeds", "steps", "seconds", "peak_memory_bytes", "parameters", "apart_nats",
    "apart_roundings", "reason",
)  # fmt: skip
"""Columns that are no scores."""

DEVIATION = "_deviation"
"""After the name of a score: its standard deviation between seeds."""


def table(folder: TaskFolder) -> pd.DataFrame:
    """One row a training, then the baselines and what others have published: scores on the test part, time and memory."""
    first = folder.trainings[0]
    alike = {one.name for one in folder.trainings if one.recipe.seed == first.recipe.seed and one.session == TORCH}
    curves = {name: points for name, points in folder.curves().items() if name in alike}
    apart = distances(curves, first.name)
    results = folder.results()
    rows = [_row(one, results[one.name], apart.get(one.name)) for one in folder.trainings if one.name in results]
    rows = [row for row in rows if row["name"] != SHAKEN]
    rows += [{"name": name, "status": BASELINE, **values} for name, values in folder.notes.baselines.items()]
    for data, figure in catalogue.task(first.recipe.task).figures:
        if data == first.recipe.data:
            rows.append({"name": f"{figure.what} ({figure.source})", "status": PUBLISHED, figure.score: figure.value})
    scores = dict.fromkeys(key for row in rows for key in row if key not in OTHERS)
    return pd.DataFrame(rows, columns=["name", "status", "seed", *scores, *(name for name in OTHERS[4:])])


def _row(training: Training, result: Result, apart: Distance | None) -> dict[str, Any]:
    return {
        "name": training.subject,
        "status": FAILED if result.failed else "ok",
        "seed": training.recipe.seed,
        **result.scores,
        "steps": result.steps,
        "seconds": result.seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "parameters": result.parameters,
        "apart_nats": apart.apart if apart else math.nan,
        "apart_roundings": apart.roundings if apart else math.nan,
        "reason": result.failed,
    }


def scores(found: pd.DataFrame) -> list[str]:
    """The columns that are scores."""
    return [name for name in found.columns if name not in OTHERS and not name.endswith(DEVIATION)]


def over_seeds(found: pd.DataFrame) -> pd.DataFrame:
    """One row a network: the mean over its seeds of all, the standard deviation of each score, and the most memory."""
    rows = []
    for (name, status), some in found.groupby(["name", "status"], sort=False):
        means = some[[*scores(found), "steps", "seconds", "parameters"]].mean()
        spread = {f"{score}{DEVIATION}": some[score].std() for score in scores(found)}
        rows.append(
            {
                "name": name,
                "status": status,
                "seeds": len(some),
                **means,
                **spread,
                "peak_memory_bytes": some.peak_memory_bytes.max(),
                "apart_nats": some.apart_nats.max(),
                "apart_roundings": some.apart_roundings.max(),
                "reason": next((one for one in some.reason if isinstance(one, str) and one), ""),
            }
        )
    return pd.DataFrame(rows)
