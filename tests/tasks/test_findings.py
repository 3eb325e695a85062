"""What a search says it has found: fronts, the noise between seeds, and differences that are called one."""

import math

import pandas as pd
import pytest

from harness.tasks.exploring import findings, lengths
from harness.tasks.recipe import Recipe


def trials(accuracies, seconds=(1.0, 2.0)):
    """Two recipes, of one and two layers, by the accuracies of their seeds."""
    rows = [
        {
            "layers": layers,
            "accuracy": accuracy,
            "test": accuracy,
            "seconds": time,
            "peak_memory_bytes": 100,
            "parameters": 1,
        }
        for layers, time, some in zip((1, 2), seconds, accuracies, strict=True)
        for accuracy in some
    ]
    return findings.of_seeds(pd.DataFrame(rows), ["layers"])


def test_noise_is_pooled_over_recipes():
    # Variances 0.02 of two seeds and 0.01 of three: (1 · 0.02 + 2 · 0.01) / 3.
    found = trials([(0.5, 0.7), (0.5, 0.6, 0.7)])
    assert findings.noise(found) == pytest.approx(math.sqrt(0.04 / 3))
    assert math.isnan(findings.noise(trials([(0.5,), (0.6,)])))


def test_a_difference_within_the_noise_is_not_called_one():
    said = findings.paragraph(trials([(0.80, 0.84, 0.82), (0.81, 0.85, 0.83)]), ["layers"])
    assert "1 of the others cannot be told apart" in said and "the fastest of them all is layers 1" in said
    assert "layers makes no difference among them beyond the noise" in said


def test_a_difference_beyond_the_noise_is():
    said = findings.paragraph(trials([(0.50, 0.52, 0.51), (0.81, 0.83, 0.82)]), ["layers"])
    assert "All others are worse" in said and "layers 2 is better than 1" in said


def test_one_seed_says_nothing_of_noise():
    assert "one seed" in findings.paragraph(trials([(0.5,), (0.9,)]), ["layers"])


def test_the_front_is_what_nothing_else_beats():
    found = pd.DataFrame({"accuracy": [0.9, 0.8, 0.8, 0.7], "seconds": [3, 2, 1, 1], "bytes": [1, 1, 1, 1]})
    assert findings.front(found, "accuracy", ["seconds", "bytes"]).tolist() == [True, False, True, False]


def test_the_validation_part_chooses_and_the_test_part_is_shown():
    """The recipe that did best on the test part by chance is not the one that is quoted."""
    rows = [("lstm", 16, 0.01, 0.90, 0.60), ("lstm", 16, 0.001, 0.80, 0.70), ("gru", 16, 0.01, 0.95, 0.94)]
    rows += [("lstm", 64, 0.01, 0.30, 0.25), ("gru", 64, 0.01, 0.95, 0.93)]
    found = pd.DataFrame(rows, columns=["model", "longest", "learning_rate", "accuracy", "test"])
    fields = ["model", "longest", "learning_rate"]
    recipes = findings.of_seeds(found.assign(seconds=1.0, peak_memory_bytes=1, parameters=1), fields)
    top = lengths.best(recipes, Recipe("recall", "made"))
    assert top[["longest", "model", "test"]].values.tolist() == [
        [16, "lstm", 0.60], [16, "gru", 0.94], [64, "lstm", 0.25], [64, "gru", 0.93]
    ]  # fmt: skip
    said = lengths.paragraph(top, 0.25)
    assert "lstm has 0.600 at 16 tokens and 0.250 at 64" in said and "gru has 0.930 or more at every length" in said
    assert lengths.shown(top, fields).lstm[0] == "0.600 (learning rate 0.01)"
