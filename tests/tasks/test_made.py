"""Data that are made on the spot: right by another way of computing them."""

import re
import statistics

import numpy as np
import pytest

from harness.errors import UserError
from harness.tasks import listops, made, recall, sources
from harness.tasks.batches import IGNORED, PADDING, Sample, Shuffled, collated, in_order
from harness.tasks.recipe import Recipe


def value(tokens):
    """Of an expression, by a stack."""
    stack = []
    for token in tokens:
        if token != "]":
            stack.append(token)
            continue
        arguments = []
        while not str(stack[-1]).startswith("["):
            arguments.append(int(stack.pop()))
        kind = stack.pop()
        done = {"[MIN": min, "[MAX": max, "[MED": statistics.median, "[SM": lambda values: sum(values) % 10}[kind](arguments)
        stack.append(int(done))
    (left,) = stack
    return left


def test_lists_come_to_what_they_say():
    found = listops.expressions(300, 60, seed=1)
    assert len(found) == 300
    for one in found:
        tokens = one.text.split()
        assert 15 <= len(tokens) <= 60 and value(tokens) == int(one.target)
    assert {one.text.split()[0] for one in found} == set(listops.OPERATORS)
    assert listops.expressions(300, 60, seed=1) == found != listops.expressions(300, 60, seed=2)


@pytest.mark.parametrize("data, length, symbols", [("made", 22, 128), ("made", 12, 32), ("zoology", 128, 8192)])
def test_what_is_asked_has_been_told(data, length, symbols):
    tokens, targets = recall.sequences(data, 200, length, symbols, seed=0)
    assert tokens.shape == targets.shape == (200, length)
    pairs = recall.pairs(data, length)
    for row, target in zip(tokens, targets, strict=True):
        told = dict(zip(row[0 : 2 * pairs : 2], row[1 : 2 * pairs : 2], strict=True))
        asked = np.flatnonzero(target != recall.NOT_ASKED)
        assert len(told) == pairs == len(asked)
        assert {told[key] for key in row[asked]} == set(target[asked]) and len(set(row[asked])) == pairs
        assert [told[key] for key in row[asked]] == target[asked].tolist()
        assert set(np.delete(row[2 * pairs :], asked - 2 * pairs)) <= {recall.GAP_TOKEN}
        if data == "made":
            assert asked.tolist() == list(range(length - pairs, length))


def test_near_questions_are_likelier_in_zoology():
    """The published gaps: half of them within the first ten or so places of a hundred."""
    _, targets = recall.sequences("zoology", 500, 256, 8192, seed=0)
    gaps = np.flatnonzero((targets != recall.NOT_ASKED).any(0)[32:]) // 2
    counts = (targets != recall.NOT_ASKED).sum(0)[32::2]
    assert gaps.max() > 100 and counts[0] > 5 * counts[-20:].mean()


def test_values_tell_nothing_of_keys():
    """No model can do better than the share of a value, but by looking back."""
    tokens, _ = recall.sequences("made", 2000, 12, 128, seed=3)
    values = tokens[tokens[:, 0] == tokens[0, 0]][:, 1]
    assert len(set(values.tolist())) > 10


def test_dates_say_the_same_twice():
    found = made.dates(200, seed=4)
    for one in found:
        day, year, whole, part = re.fullmatch(r"\w+, (\d+) \w+ (\d{4}): ([\d,]+)\.(\d\d) euros", one.text).groups()
        assert re.fullmatch(rf"\w+, {day}\. \w+ {year}: {whole.replace(',', '.')},{part} Euro", one.target)


def test_documentation_strings_do_not_name_their_package():
    found = made.documentation()
    assert len({one.target for one in found}) >= 5 and len(found) > 1000
    assert not any(one.target in one.text for one in found)


SAMPLES = [Sample((list(range(1, 2 + n % 7)),), n % 3) for n in range(50)]


def test_every_epoch_sees_every_sample_once_in_another_order():
    batches = Shuffled(SAMPLES, 10, seed=1)
    epochs = [[batches[epoch * 5 + n] for n in range(5)] for epoch in range(2)]
    for epoch in epochs:
        seen = np.concatenate([(batch.inputs[0] != PADDING).sum(1) * 3 + batch.targets for batch in epoch])
        expected = [len(one.inputs[0]) * 3 + one.target for one in SAMPLES]
        assert sorted(seen.tolist()) == sorted(expected)
    assert any((a.targets != b.targets).any() for a, b in zip(*epochs, strict=True))


def test_a_step_has_its_batch_wherever_one_begins():
    whole, other = Shuffled(SAMPLES, 8, seed=2), Shuffled(SAMPLES, 8, seed=2)
    for step in (17, 3, 17):
        other_batch = other[step]
        assert np.array_equal(whole[step].targets, other_batch.targets)
        assert np.array_equal(whole[step].inputs[0], other_batch.inputs[0])


def test_batches_are_filled_up():
    batch = collated([Sample(([5, 6], [7]), [8]), Sample(([5], [7, 7, 7]), [8, 9, 9])])
    assert batch.inputs[0].tolist() == [[5, 6, 0, 0, 0, 0, 0, 0], [5, 0, 0, 0, 0, 0, 0, 0]]
    assert batch.targets[0].tolist() == [8] + [IGNORED] * 7
    assert sum(len(batch.targets) for batch in in_order(SAMPLES, 8)) == len(SAMPLES)


@pytest.mark.parametrize(
    "change, said",
    [({"heads": 3}, "do not share"), ({"steps": 0}, "steps"), ({"learning_rate": float("nan")}, "learning rate"),
     ({"dropout": 1.0}, "dropout"), ({"model": "lsmt"}, "lstm"), ({"seed": -1}, "seed")],
)  # fmt: skip
def test_a_recipe_that_is_none_is_a_sentence(change, said):
    with pytest.raises(UserError, match=said):
        Recipe("sentiment", "made", **change)


def test_validations_are_spread_over_the_steps():
    recipe = Recipe("sentiment", "made", steps=25, validations=10)
    looks = [step for step in range(1, 26) if recipe.validates_after(step)]
    assert len(looks) == 10 and looks[-1] == 25 and max(np.diff(looks)) <= 3


@pytest.mark.parametrize(
    "rows, said",
    [
        ([("a", "x", "train"), ("b", "x", "validation"), ("c", "x", "test")], "must be two"),
        ([("a", "x", "train"), ("b", "y", "train"), ("c", "x", "validation"), ("d", "x", "test")], "one text only"),
        ([("a", "x", "train")] * 2 + [("b", "y", "train")] * 2 + [("c", "z", "test"), ("d", "x", "validation")], "'z'"),
        ([("a", "x", "train"), ("b", "y", "train")], "nothing to validate"),
    ],
)
def test_data_that_teach_nothing_are_a_sentence(tmp_path, rows, said):
    path = tmp_path / "mine.csv"
    path.write_text(
        "text,label,part\n" + "".join(f"{text}{n},{label},{part}\n" for n, (text, label, part) in enumerate(rows))
    )
    with pytest.raises(UserError, match=said):
        sources.load(str(path), translates=False)


def test_unknown_data_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="glosses"):
        sources.load("gloses", translates=False)
