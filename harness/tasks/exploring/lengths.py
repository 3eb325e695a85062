"""How far back each model remembers: accuracy over length, each model at its best of what was explored.

The best is the one with the highest accuracy on the validation part; what is shown is its accuracy on the test part.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.tasks import recall
from harness.tasks.made import MADE
from harness.tasks.recipe import MODELS, Recipe

LENGTH = "longest"
PICTURE = "accuracy.png"

_LITTLE = 0.02
"""Accuracies that differ by less are called the same at every length."""


def best(recipes: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """One row a length and model: its best recipe."""
    named = recipes if "model" in recipes else recipes.assign(model=recipe.model)
    top = named.sort_values("accuracy", ascending=False, kind="stable").groupby([LENGTH, "model"]).head(1)
    return top.sort_values([LENGTH, "model"], key=lambda column: column.map(_place), ignore_index=True)


def _place(value: int | str) -> int:
    return MODELS.index(value) if isinstance(value, str) else value


def shown(top: pd.DataFrame, fields: Sequence[str]) -> pd.DataFrame:
    """As people read it: a row a length, a column a model, with the spread between seeds and what was best."""
    chosen = [field for field in fields if field not in (LENGTH, "model")]

    def cell(row: pd.Series) -> str:
        spread = "" if pd.isna(row.test_deviation) else f" ± {row.test_deviation:.3f}"
        what = ", ".join(f"{field.replace('_', ' ')} {row[field]:g}" for field in chosen)
        return f"{row.test:.3f}{spread}" + (f" ({what})" if what else "")

    models = dict.fromkeys(top.model)
    cells = {(row[LENGTH], row.model): cell(row) for _, row in top.iterrows()}
    lengths = dict.fromkeys(top[LENGTH])
    rows = [{"tokens": length, **{model: cells.get((length, model), "") for model in models}} for length in lengths]
    return pd.DataFrame(rows)


def paragraph(top: pd.DataFrame, chance: float) -> str:
    """What it says, a sentence a model."""
    said = []
    for model, some in top.groupby("model", sort=False):
        first, last = some.iloc[0], some.iloc[-1]
        high, low = some.loc[some.test.idxmax()], some.loc[some.test.idxmin()]
        if high.test - low.test < _LITTLE:
            said.append(f"{model} has {low.test:.3f} or more at every length.")
        else:
            ends = f"{first.test:.3f} at {first[LENGTH]:.0f} tokens and {last.test:.3f} at {last[LENGTH]:.0f}"
            said.append(f"{model} has {ends}.")
    return " ".join(said) + f" Guessing among the values of a sequence has {chance:.3f}."


def chance(recipe: Recipe) -> float:
    """The accuracy of guessing among the values that a sequence has."""
    return 1 / recall.pairs(recipe.data, recipe.longest) if recipe.data == MADE else 0.0


def draw(top: pd.DataFrame, guessing: float, path: Path) -> None:
    """A line a model, with the spread between seeds."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for model, some in top.groupby("model", sort=False):
        axes.errorbar(some[LENGTH], some.test, some.test_deviation.fillna(0), fmt="o-", capsize=3, label=str(model))
    axes.axhline(guessing, color="#999", linestyle=":", linewidth=1, label="guessing")
    ticks = sorted(set(top[LENGTH]))
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set(xlabel="tokens from the keys to the questions", ylabel="right answers", ylim=(0, 1.05))
    axes.set_title("How far back a model remembers, each at its best")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
