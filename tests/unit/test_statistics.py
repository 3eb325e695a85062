"""Times with their uncertainty: medians over rounds, intervals that hold them, ratios within rounds."""

import math
import random
import statistics

import pytest

from harness.analysis.statistics import Interval, interval, ratio, round_medians, warnings
from tests.unit.factories import timing


def chance_to_hold_the_median(low, high, n):
    """That the median of any continuous distribution lies between its low-th and high-th of n order statistics."""
    return sum(math.comb(n, k) for k in range(low, high)) / 2**n


@pytest.mark.parametrize("n", [*range(6, 21), 33, 50, 101])
def test_the_interval_holds_the_median_at_95_percent_and_is_the_narrowest_symmetric_one(n):
    values = list(range(1, n + 1))
    random.Random(n).shuffle(values)
    found = interval(timing(*map(float, values)))
    low, high = int(found.low_s), int(found.high_s)
    assert low == n + 1 - high
    assert chance_to_hold_the_median(low, high, n) >= 0.95
    assert low + 1 >= high - 1 or chance_to_hold_the_median(low + 1, high - 1, n) < 0.95


def test_the_median_is_that_of_the_rounds():
    # The long round has the most samples, and counts once.
    found = timing(1.0, 1.0, 2.0, 9.0, 9.0, 9.0, 9.0, rounds=[0, 0, 1, 2, 2, 2, 2])
    assert round_medians(found) == {0: 1.0, 1: 2.0, 2: 9.0}
    assert interval(found).median_s == 2.0


def test_samples_of_a_round_need_not_stand_together():
    found = timing(5.0, 1.0, 7.0, 2.0, 6.0, 3.0, rounds=[1, 0, 1, 0, 1, 0])
    assert round_medians(found) == {0: 2.0, 1: 6.0}


@pytest.mark.parametrize("n", [1, 2, 5])
def test_with_few_rounds_the_interval_is_the_whole_range_and_a_warning_says_so(n):
    samples = [1.0 + 0.001 * k for k in range(n)]
    found = interval(timing(*samples))
    assert (found.low_s, found.high_s) == (min(samples), max(samples))
    assert found.median_s == statistics.median(samples)
    (said,) = warnings(timing(*samples))
    assert f"only {n} rounds" in said


def test_no_sample_is_dropped():
    # An outlier in every round moves every round's median when there are two samples a round.
    found = timing(*[1.0, 100.0] * 8, rounds=[n // 2 for n in range(16)])
    assert interval(found).median_s == 50.5


def test_steady_times_over_enough_rounds_have_no_warning():
    assert warnings(timing(*[1.0, 1.01] * 5)) == []


def test_a_wide_interval_is_called_noisy():
    (said,) = warnings(timing(*[1.0, 1.5] * 5))
    assert "noisy" in said and "40" in said


@pytest.mark.parametrize("values", [(1.0, 1.5, 2.0), (3.0, 1.0, 2.0), (1.5, 2.0, 1.0), (math.nan, 1.0, 2.0)])
def test_an_interval_out_of_order_cannot_be_built(values):
    with pytest.raises(ValueError, match="out of order"):
        Interval(*values)


def test_a_ratio_is_taken_within_rounds():
    # The machine slows down threefold on the way; both slow down alike.
    pace = [1.0, 1.2, 1.5, 1.9, 2.2, 2.6, 3.0]
    found = ratio(timing(*[4 * p for p in pace]), timing(*[2 * p for p in pace]))
    assert (found.median, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))


def test_a_ratio_is_over_common_rounds_only():
    one = timing(100.0, 6.0, 8.0, rounds=[0, 2, 4])
    other = timing(2.0, 2.0, 1.0, 1.0, rounds=[1, 2, 4, 5])
    found = ratio(one, other)
    assert (found.median, found.low, found.high) == (5.5, 3.0, 8.0)
    assert ratio(one, timing(1.0, rounds=[7])) is None


def test_the_interval_of_a_ratio_is_that_of_its_order_statistics():
    found = ratio(timing(*map(float, [5, 3, 1, 4, 2, 6, 7, 9, 8])), timing(*[1.0] * 9))
    assert found.median == 5.0
    # Of nine, the second and the eighth hold the median at 96.1 %, the third and the seventh at 82 %.
    assert (found.low, found.high) == (2.0, 8.0)
