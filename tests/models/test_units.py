"""What rounding explains of each output of a model."""

import numpy as np
import pytest

pytest.importorskip("torch")

from harness.models.oracle import units
from harness.records.generation import UNITS


def errors(rows, columns, seed, shape=(2, 200, 300)):
    return np.random.default_rng(seed).standard_normal(shape) * 1e-6 * rows * columns


def test_positions_and_columns_have_units_of_their_own():
    """Of two draws of the same errors, one makes the bound, and the other keeps within it, closely everywhere."""
    rows, columns = np.ones((2, 200, 1)), np.ones(300)
    rows[0, 3], columns[7] = 50.0, 100.0
    found = units(errors(rows, columns, 0), np.ones((2, 200), bool))
    other = np.abs(errors(rows, columns, 1)) / found
    assert other.max() < UNITS
    for some in (other[0, 3], other[..., 7], other):
        # Six standard deviations of the root of a mean square over so many.
        assert abs(np.sqrt((some**2).mean()) - 1) < 6 / np.sqrt(2 * some.size) + 0.05


def test_one_position_makes_no_column_strict():
    found = units(errors(1.0, 1.0, 2, (1, 1, 500)), np.ones((1, 1), bool))
    assert found.min() > 0.5e-6 and np.abs(errors(1.0, 1.0, 3, (1, 1, 500))).max() < UNITS * found.min()


def test_what_counts_not_has_no_unit():
    counts = np.ones((2, 200), bool)
    counts[1, 50:] = False
    made = errors(1.0, 1.0, 4)
    made[1, 50:] = np.nan
    found = units(made, counts)
    assert (found[1, 50:] == 0).all() and (found[counts] > 0).all()
    assert not units(np.zeros((1, 2, 3)), np.ones((1, 2), bool)).any()
