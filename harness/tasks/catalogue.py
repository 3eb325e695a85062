"""The tasks: what each learns from, its recipe, and figures to hold its own against."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from harness.errors import UserError, unknown_name
from harness.tasks import recall
from harness.tasks.made import MADE
from harness.tasks.recipe import MODELS, TRANSFORMER, Recipe

LABELS, TRANSLATION, RECALL = "labels", "translation", "recall"
"""Kinds: one of several classes for a text; another text for it; tokens asked for within it."""


@dataclass(frozen=True)
class Figure:
    """A figure that somebody has published or measured."""

    what: str
    value: float
    source: str
    score: str = "accuracy"


@dataclass(frozen=True)
class Task:
    """Something to be learnt."""

    name: str
    what: str
    kind: str
    data: tuple[str, ...]
    """Names of data that it is made for, the usual one first."""
    recipe: Recipe
    recipes: tuple[tuple[str, Recipe], ...] = ()
    """Others, for some of the data."""
    symbols: tuple[str, ...] = ()
    """Data whose tokens are separated by blanks; words of others are cut into pieces."""
    models: tuple[str, ...] = MODELS
    figures: tuple[tuple[str, Figure], ...] = ()
    """By data."""

    def recipe_for(self, data: str) -> Recipe:
        """The usual recipe for some data."""
        return dataclasses.replace(dict(self.recipes).get(data, self.recipe), task=self.name, data=data)


def _recipe(**fields: object) -> Recipe:
    return Recipe(task="", data="", **fields)  # type: ignore[arg-type]


_SHORT = _recipe(
    layers=1, width=128, heads=4, batch=128, steps=2500, longest=40, vocabulary=16000, learning_rate=3e-3, dropout=0.3
)
_SENTENCES = _recipe(
    layers=1, width=128, heads=4, batch=64, steps=1000, longest=64, vocabulary=8000, learning_rate=2e-3, dropout=0.4
)
_RECALL = _recipe(
    layers=2, width=64, heads=1, inner=0, batch=64, steps=2000, longest=32, vocabulary=128, learning_rate=3e-3, dropout=0.0,
    smoothing=0.0, patience=10,
)  # fmt: skip

TASKS = {
    task.name: task
    for task in (
        Task(
            name="text-classification",
            what="what kind of thing a definition defines, or what a text is about",
            kind=LABELS,
            data=("glosses", "news", MADE),
            recipe=_SHORT,
            recipes=(
                ("news", dataclasses.replace(_SHORT, batch=16, steps=800, longest=512, vocabulary=8000, learning_rate=1e-3)),
                (MADE, dataclasses.replace(_SENTENCES, steps=600)),
            ),
        ),
        Task(
            name="sentiment",
            what="whether an opinion is positive or negative",
            kind=LABELS,
            data=("film-reviews", "chinese-reviews"),
            recipe=_SENTENCES,
            figures=(
                (
                    "film-reviews",
                    Figure("BERT, on the sentences these are taken from", 0.869, "arXiv 2211.16878"),
                ),
            ),
        ),
        Task(
            name="translation",
            what="English into German or Chinese, dates, or spelling into sounds",
            kind=TRANSLATION,
            data=("english-german", "english-chinese", "pronunciation", MADE),
            recipe=_recipe(
                layers=3,
                width=256,
                heads=8,
                batch=64,
                steps=3200,
                longest=64,
                vocabulary=4000,
                learning_rate=1e-3,
                dropout=0.3,
            ),
            recipes=(
                ("pronunciation", _recipe(layers=3, width=128, heads=4, batch=128, steps=4000, longest=40, vocabulary=100)),
                (
                    MADE,
                    _recipe(
                        layers=2,
                        width=128,
                        heads=4,
                        batch=64,
                        steps=900,
                        longest=64,
                        vocabulary=400,
                        learning_rate=2e-3,
                        smoothing=0.0,
                    ),
                ),
            ),
            symbols=("pronunciation",),
            figures=(
                (
                    "pronunciation",
                    Figure(
                        "Transformer of 4 and 4 layers", 5.2, "Yolchuyeva et al. 2019, arXiv 2004.06338", "phoneme_errors"
                    ),
                ),
                ("pronunciation", Figure("the same", 22.1, "Yolchuyeva et al. 2019", "word_errors")),
            ),
            models=(TRANSFORMER,),
        ),
        Task(
            name="recall",
            what="the value that followed a key, some way back",
            kind=RECALL,
            data=recall.KINDS,
            recipe=_RECALL,
            recipes=(
                (
                    recall.ZOOLOGY,
                    dataclasses.replace(_RECALL, batch=128, steps=4000, longest=64, vocabulary=8192, weight_decay=0.1),
                ),
            ),
        ),
        Task(
            name="listops",
            what="what nested lists of digits come to",
            kind=LABELS,
            data=(MADE,),
            recipe=_recipe(
                layers=2, width=128, heads=4, batch=32, steps=1500, longest=200, vocabulary=20, dropout=0.1, smoothing=0.0
            ),
            symbols=(MADE,),
            figures=((MADE, Figure("Transformer, lengths 500 to 2,000", 0.3637, "Long Range Arena, arXiv 2011.04006")),),
        ),
    )
}


def task(name: str) -> Task:
    """The task of that name. Raises `UserError` with the nearest names when there is none."""
    if name not in TASKS:
        raise UserError(unknown_name("task", name, list(TASKS), "`python -m harness task` names all"))
    return TASKS[name]


def checked(recipe: Recipe) -> Recipe:
    """The same recipe. Raises `UserError` when its task has none such: of another model, of sequences that there are not."""
    chosen = task(recipe.task)
    if recipe.model not in chosen.models:
        raise UserError(f"{chosen.name} is for a {' or '.join(chosen.models)}, not for {recipe.model}")
    if chosen.kind == RECALL:
        recall.check(recipe.data, recipe.longest, recipe.vocabulary)
    return recipe
