"""What a task's texts become for a network: a vocabulary, and samples in three parts. For workers only."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data.examples import PARTS, TEST, TRAIN, VALIDATION, Example, of_part
from harness.errors import UserError
from harness.tasks import catalogue, recall
from harness.tasks.batches import Sample
from harness.tasks.recipe import Recipe
from harness.tasks.worker import vocabulary
from harness.tasks.worker.vocabulary import BEGIN, END, SPECIAL, Vocabulary

LABELS_FILE = "labels.json"

_HELD_OUT = 2000
"""Sequences of recall that validate, and as many that test."""


@dataclass(frozen=True)
class Material:
    """The texts of a recipe as numbers."""

    recipe: Recipe
    tokens: int
    """In the vocabulary."""
    samples: Mapping[str, Sequence[Sample]]
    """By part."""
    vocabulary: Vocabulary | None = None
    labels: tuple[str, ...] = ()


def of_texts(recipe: Recipe, examples: Sequence[Example], folder: Path) -> Material:
    """Material of labelled or translated texts; the vocabulary is learnt where `folder` has none yet, and left there."""
    task = catalogue.task(recipe.task)
    translates = task.kind == catalogue.TRANSLATION
    if (folder / vocabulary.FILE).is_file():
        known = Vocabulary.load(folder)
    else:
        trained = list(of_part(examples, TRAIN))
        texts = [example.text for example in trained] + ([example.target for example in trained] if translates else [])
        if recipe.data in task.symbols:
            known = vocabulary.words(texts, recipe.vocabulary)
        else:
            known = vocabulary.pieces(texts, recipe.vocabulary, lowercase=not translates)
        known.save(folder)
    if known.size <= len(SPECIAL):
        raise UserError(f"the texts of {recipe.data} have no tokens to learn from")
    if translates:
        parts = {part: [_translated(one, known, recipe) for one in of_part(examples, part)] for part in PARTS}
        return Material(recipe, known.size, parts, known)
    labels = tuple(sorted({example.target for example in of_part(examples, TRAIN)}))
    (folder / LABELS_FILE).write_text(json.dumps(labels, ensure_ascii=False) + "\n", encoding="utf-8")
    number = {label: n for n, label in enumerate(labels)}
    parts = {
        part: [Sample((known.numbers(one.text, recipe.longest),), number[one.target]) for one in of_part(examples, part)]
        for part in PARTS
    }
    return Material(recipe, known.size, parts, known, labels)


def of_recall(recipe: Recipe) -> Material:
    """Sequences as long as the recipe's longest."""
    counts = {TRAIN: max(recipe.batch, min(recipe.batch * recipe.steps, 100_000)), VALIDATION: _HELD_OUT, TEST: _HELD_OUT}
    samples = {}
    for part, seed in zip(PARTS, range(3), strict=True):
        tokens, targets = recall.sequences(recipe.data, counts[part], recipe.longest, recipe.vocabulary, seed)
        samples[part] = [Sample((x,), y) for x, y in zip(tokens, targets, strict=True)]
    return Material(recipe, recipe.vocabulary, samples)


def _translated(example: Example, known: Vocabulary, recipe: Recipe) -> Sample:
    begin, end = SPECIAL.index(BEGIN), SPECIAL.index(END)
    said = known.numbers(example.target, recipe.longest - 1)
    return Sample((known.numbers(example.text, recipe.longest), [begin, *said]), [*said, end])
