"""What a search has found: a table, a Pareto front, the noise between seeds, and a paragraph made from them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

CONFIDENCE = 0.95


def front(found: pd.DataFrame, better: str, costs: Sequence[str]) -> pd.Series:
    """Boolean: whether no other row is at least as good in `better` and in every cost, and better in one."""
    kept = []
    for _, row in found.iterrows():
        good = found[better] >= row[better]
        strictly = found[better] > row[better]
        for cost in costs:
            good &= found[cost] <= row[cost]
            strictly |= found[cost] < row[cost]
        kept.append(not bool((good & strictly).any()))
    return pd.Series(kept, index=found.index)


def of_seeds(found: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """One row a recipe, over its seeds: their number, mean and standard deviation of accuracy, mean time, most memory.

    Accuracy is that on the validation part, which chooses; `test` is that on the test part, for the one that was chosen.
    """
    return (
        found.groupby(list(fields), dropna=False)
        .agg(
            seeds=("accuracy", "size"),
            accuracy=("accuracy", "mean"),
            deviation=("accuracy", "std"),
            test=("test", "mean"),
            test_deviation=("test", "std"),
            seconds=("seconds", "mean"),
            peak_memory_bytes=("peak_memory_bytes", "max"),
            parameters=("parameters", "max"),
        )
        .reset_index()
        .sort_values("accuracy", ascending=False, ignore_index=True)
    )


def noise(recipes: pd.DataFrame) -> float:
    """The standard deviation between seeds of one recipe, pooled over all with several; nan where there is none."""
    several = recipes[recipes.seeds > 1]
    degrees = (several.seeds - 1).sum()
    if not degrees:
        return math.nan
    return math.sqrt(((several.seeds - 1) * several.deviation**2).sum() / degrees)


def told_apart(difference: float, noise: float, seeds: tuple[int, int], degrees: int) -> bool:
    """Whether two means differ by more than the noise of seeds explains (Student's t, 95 %)."""
    from scipy.stats import t

    if math.isnan(noise) or not degrees:
        return False
    return abs(difference) > t.ppf((1 + CONFIDENCE) / 2, degrees) * noise * math.sqrt(sum(1 / count for count in seeds))


def paragraph(recipes: pd.DataFrame, fields: Sequence[str]) -> str:
    """What was found, in sentences; a difference smaller than the noise between seeds is not called one."""
    best = recipes.iloc[0]
    on_test = "" if pd.isna(best.test) else f", and of {best.test:.3f} on the test part, which did not choose"
    which = (
        f"The best of {len(recipes)} recipes that came to their end"
        if len(recipes) > 1
        else "The only recipe that came to its end"
    )
    said = [f"{which} is {_named(best, fields)}, with an accuracy of {best.accuracy:.3f} on the validation part{on_test}."]
    between = noise(recipes)
    degrees = int((recipes[recipes.seeds > 1].seeds - 1).sum())
    if math.isnan(between):
        return said[0] + " Each was trained with one seed, so nothing is known of the noise between seeds: --seeds 3 tells."
    said.append(f"Seeds of one recipe differ by {between:.3f} (standard deviation).")
    equal = [
        row for _, row in recipes.iloc[1:].iterrows()
        if not told_apart(best.accuracy - row.accuracy, between, (int(best.seeds), int(row.seeds)), degrees)
    ]  # fmt: skip
    if equal:
        fastest = min([best, *equal], key=lambda row: row.seconds)
        said.append(
            f"{len(equal)} of the others cannot be told apart from it; the fastest of them all is {_named(fastest, fields)}."
        )
    else:
        said.append("All others are worse by more than that explains.")
    for field in fields:
        means = recipes.groupby(field).accuracy.mean()
        if len(means) > 1:
            said.append(_effect(field, means, recipes, between, degrees))
    return " ".join(said)


def _effect(field: str, means: pd.Series, recipes: pd.DataFrame, between: float, degrees: int) -> str:
    high, low = means.idxmax(), means.idxmin()
    counts = tuple(int(recipes[recipes[field] == value].seeds.sum()) for value in (high, low))
    if told_apart(means[high] - means[low], between, counts, degrees):  # type: ignore[arg-type]
        return f"{field} {high} is better than {low} on average, {means[high]:.3f} against {means[low]:.3f}."
    return f"{field} makes no difference among them beyond the noise."


def _named(row: pd.Series, fields: Sequence[str]) -> str:
    return ", ".join(f"{field} {row[field]}" for field in fields)
