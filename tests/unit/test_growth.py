"""Exponents that were put in come out; crossings lie where two lines cross."""

import math

import pytest

from harness.analysis.families import families
from harness.analysis.growth import crossings, growths
from harness.analysis.table import results
from harness.problem import Problem
from tests.unit.factories import measured, memory, run

LENGTHS = (128, 256, 512, 1024)
PROBLEMS = tuple(Problem(q_len=length, head_dim=64) for length in LENGTHS)


def grown(time_of, workspace_of, lengths=LENGTHS):
    problems = [Problem(q_len=length, head_dim=64) for length in lengths]
    cells = [measured("a", *[time_of(p.q_len)] * 6, problem=p, memory=memory(int(workspace_of(p.q_len)))) for p in problems]
    made = run(cells, problems)
    return growths(results(made), families(made.problems)[0])


def test_the_exponent_of_a_power_is_found():
    time, workspace = grown(lambda n: 3e-9 * n**2, lambda n: 400 * n)
    assert (time.quantity, workspace.quantity) == ("median_s", "workspace_bytes")
    assert time.exponent == pytest.approx(2.0) and workspace.exponent == pytest.approx(1.0)
    assert time.low <= 2.0 + 1e-9 and time.high >= 2.0 - 1e-9 and time.residual < 1e-9


def test_what_is_no_power_has_a_residual_and_a_wide_interval():
    time, _ = grown(lambda n: 1e-3 + 3e-9 * n**2, lambda n: 400 * n)
    assert 0 < time.exponent < 2 and time.residual > 0.1 and time.high - time.low > 0.2


def test_two_lengths_are_a_line_that_cannot_be_wrong():
    assert grown(lambda n: n, lambda n: n, lengths=LENGTHS[:2]) == []


def test_one_overtakes_another_where_their_lines_cross():
    # Times n² against 300 n: the ratio n / 300 passes one at 300.
    ratios = [(n, n / 300, 0.95 * n / 300, 1.05 * n / 300) for n in LENGTHS]
    (found,) = crossings(ratios, "square", "line")
    assert (found.overtaking, found.overtaken) == ("line", "square")
    assert (found.length, found.low, found.high) == pytest.approx((300, 300 / 1.05, 300 / 0.95))


def test_an_interval_that_does_not_end_between_the_lengths_is_open():
    (found,) = crossings([(100, 0.9, 0.5, 1.3), (200, 1.1, 1.05, 1.2)], "a", "b")
    assert 100 < found.length < 200 and math.isnan(found.high) != math.isnan(found.low)


def test_the_ends_of_an_interval_from_zero_to_infinity_cross_nowhere():
    """As that of a time is, of which there is one turn only."""
    (one,) = crossings([(100, 0.9, 0.0, math.inf), (200, 1.1, 1.05, 1.2)], "a", "b")
    assert 100 < one.length < 200 and math.isnan(one.low) and math.isnan(one.high)


def test_without_a_crossing_there_is_none():
    assert list(crossings([(1, 2.0, 1.9, 2.1), (2, 1.5, 1.4, 1.6)], "a", "b")) == []
