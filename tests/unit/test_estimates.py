"""Times and their ratios from turns: one model for all that is shown, and intervals that hold what they promise."""

import dataclasses
import math

import numpy as np
import pytest

from harness.analysis.estimates import Estimates, Interval
from harness.analysis.quality import remarks, short
from tests.unit.factories import timing, timing_of


def drawn(rng, times_s, processes, rounds, process_sd, round_sd, drift=0.0):
    """Timings of implementations whose true times are known: noise of processes, of turns, and a machine that drifts."""
    shape = (len(times_s), processes)
    levels = np.log(list(times_s.values()))[:, None] + process_sd * rng.standard_normal(shape)
    state = drift * np.cumsum(rng.standard_normal((processes, rounds)), axis=1)
    log_s = levels[:, :, None] + state + round_sd * rng.standard_normal((*shape, rounds))
    return {name: timing_of(np.exp(log_s[row])) for row, name in enumerate(times_s)}


def test_a_time_is_the_geometric_mean_of_its_processes_and_in_each_the_median_of_rounds():
    found = Estimates({"a": timing_of([[1.0, 2.0, 64.0], [8.0, 8.0, 0.5]])})
    assert found.time("a").median_s == pytest.approx(4.0)


def test_the_median_of_all_samples_of_a_process_counts():
    found = Estimates({"a": timing(1.0, 1.0, 2.0, 3.0, 9.0, 9.0, rounds=[0, 0, 1, 1, 2, 2])})
    assert found.time("a").median_s == pytest.approx(math.sqrt(6.0))  # That of the rounds' medians is another.


def test_what_a_round_has_in_common_does_not_count():
    slow = [1.0, 1.1, 30.0, 33.0, 1.0, 1.1]
    found = Estimates({
        "a": timing(*slow, rounds=[0, 0, 1, 1, 2, 2]), "b": timing(*(2 * s for s in slow), rounds=[0, 0, 1, 1, 2, 2])
    })  # fmt: skip
    assert found.time("a").median_s == pytest.approx(math.sqrt(1.1))
    assert found.ratio("b", "a").median == pytest.approx(2.0)


@pytest.mark.parametrize("processes, rounds", [(1, 10), (3, 4), (5, 3)])
def test_the_ratio_of_two_shown_times_is_the_shown_ratio(processes, rounds):
    rng = np.random.default_rng(processes)
    names = {"a": 1e-3, "b": 1.1e-3, "c": 7e-3, "d": 2e-3}
    found = Estimates(drawn(rng, names, processes, rounds, process_sd=0.05, round_sd=0.1, drift=0.3))
    for one in names:
        for other in names:
            shown = found.time(one).median_s / found.time(other).median_s
            assert found.ratio(one, other).median == pytest.approx(shown, rel=1e-9)
    assert found.fastest == min(names, key=lambda name: found.time(name).median_s)


def test_a_ratio_does_not_see_the_drift_of_the_machine():
    pace = np.array([[1.0, 1.2, 1.5, 1.9], [2.2, 2.6, 3.0, 1.0], [5.0, 1.0, 2.0, 4.0]])
    found = Estimates({"a": timing_of(4e-3 * pace), "b": timing_of(2e-3 * pace)})
    ratio = found.ratio("a", "b")
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((2.0, 2.0, 2.0))
    assert found.time("a").half_width > 0.2


def test_a_ratio_is_taken_over_common_processes_when_one_took_part_in_more():
    # The machine was twice as slow while the third process ran, which the slow implementation had no share in.
    fast = timing_of([[1.0] * 3, [1.0] * 3, [2.0] * 3])
    slow = timing_of([[10.0] * 3, [10.0] * 3])
    assert Estimates({"fast": fast, "slow": slow}).ratio("slow", "fast").median == pytest.approx(10.0)


def test_one_process_beside_several_is_judged_by_its_rounds():
    slow = timing_of([[100.0, 101.0, 99.0]])
    fast = timing_of([[1.0, 1.0, 1.0], [1.01, 1.0, 1.0], [0.99, 1.0, 1.0]])
    found = Estimates({"slow": slow, "fast": fast})
    assert 0.001 < found.time("slow").half_width < 0.05
    assert 90 < found.ratio("slow", "fast").low < 100 < found.ratio("slow", "fast").high < 110


def test_what_never_ran_in_the_same_round_has_no_ratio():
    found = Estimates({"a": timing(1.0, 1.0, rounds=[0, 1]), "b": timing(2.0, 2.0, rounds=[2, 3])})
    assert found.ratio("a", "b") is None
    assert found.ratio("a", "a").median == 1.0


@pytest.mark.parametrize(
    "processes, rounds, process_sd, least", [(1, 10, 0.0, 0.90), (3, 4, 0.01, 0.92), (8, 4, 0.01, 0.92)]
)
def test_intervals_hold_the_true_ratio_as_often_as_they_promise(processes, rounds, process_sd, least):
    """95 % is promised; of 200 experiments the share is known to 1.5 % (one standard deviation). The bootstrap of the few
    rounds of one process is a little narrow."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        found = Estimates(drawn(rng, {"a": 1e-3, "b": 1.02e-3}, processes, rounds, process_sd, round_sd=0.004, drift=0.01))
        ratio = found.ratio("b", "a")
        held += ratio.low <= 1.02 <= ratio.high
    assert least <= held / 200 <= 0.995


def test_one_process_is_told_apart_from_itself_by_its_rounds_only():
    """What two processes have of their own is invisible from one, and visible from several."""
    rng = np.random.default_rng(1)
    wrong = {1: 0, 4: 0}
    for processes in wrong:
        for _ in range(100):
            twins = {"a": 1e-3, "b": 1e-3}
            found = Estimates(drawn(rng, twins, processes, 5, process_sd=0.01, round_sd=0.002))
            ratio = found.ratio("a", "b")
            wrong[processes] += not ratio.low <= 1 <= ratio.high
    assert wrong[1] > 40 and wrong[4] <= 10


def test_a_single_turn_has_a_time_without_an_end():
    found = Estimates({"a": timing(2.0, rounds=[0]), "b": timing(1.0, rounds=[0])})
    assert (found.time("a").low_s, found.time("a").high_s) == (0.0, math.inf)
    assert (found.ratio("a", "b").low, found.ratio("a", "b").high) == (0.0, math.inf)
    (said,) = remarks(timing(2.0), found.time("a"))
    assert said.startswith("once: ")


def test_no_sample_is_dropped():
    # Half of the samples are another mode, and the median of logarithms lies between the two.
    found = Estimates({"a": timing(*[1.0, 100.0] * 8, rounds=[n // 2 for n in range(16)])})
    assert found.time("a").median_s == pytest.approx(10.0)


def test_the_same_samples_give_the_same_interval():
    one = timing_of([[1.0, 1.1, 1.2], [1.3, 1.0, 1.1], [1.2, 1.2, 1.3]])
    assert Estimates({"a": one}).time("a") == Estimates({"a": one}).time("a")


def test_steady_times_have_no_remark_and_noisy_ones_a_word():
    steady = timing_of([[1.0, 1.01, 1.0], [1.01, 1.0, 1.0], [1.0, 1.0, 1.01]])
    assert remarks(steady, Estimates({"a": steady}).time("a")) == []
    noisy = timing_of([[1.0, 1.5, 1.0], [1.5, 1.0, 1.0], [1.0, 2.0, 2.5]])
    said = remarks(noisy, Estimates({"a": noisy}).time("a"))
    assert short(said) == "noisy"


@pytest.mark.parametrize(
    "times, told",
    [
        ([[1.1, 1.0, 1.01], [1.2, 1.0, 1.0], [1.08, 1.0, 1.02]], "warming"),
        ([[1.1, 1.0, 1.01], [1.2, 1.0, 1.0], [1.03, 1.0, 1.02]], ""),
        ([[1.1, 1.0, 1.15], [1.2, 1.0, 1.0], [1.08, 1.0, 1.02]], ""),
        ([[1.1, 1.0, 1.01], [1.2, 1.0, 1.0]], ""),
        ([[1.1, 1.0], [1.2, 1.0], [1.3, 1.0]], ""),
    ],
)
def test_first_rounds_that_are_slower_in_every_process_tell_that_warming_up_was_not_over(times, told):
    assert short(remarks(timing_of(times), Interval(1.0, 1.0, 1.0))) == told


@pytest.mark.parametrize(
    "disturbed, told", [(["x", "", "", ""], ""), (["x", "", "x", ""], "disturbed"), (["x"] * 4, "disturbed")]
)
def test_disturbed_rounds_do_not_count_where_enough_others_are_left(disturbed, told):
    one = timing(9.0, 1.0, 1.0, 1.0, disturbed=disturbed)
    assert short(remarks(one, Interval(1.0, 1.0, 1.0))) == told
    assert (Estimates({"a": one}).time("a").half_width < 0.01) == (told == "")


def test_a_disturbed_process_does_not_count_beside_two_quiet_ones():
    turns = timing_of([[9.0, 9.0], [1.0, 1.0], [1.0, 1.0]]).turns
    noted = tuple(dataclasses.replace(turn, disturbed="x" if turn.process == 0 else "") for turn in turns)
    assert Estimates({"a": dataclasses.replace(timing(1.0), turns=noted)}).time("a").median_s == pytest.approx(1.0)


@pytest.mark.parametrize("values", [(1.0, 1.5, 2.0), (3.0, 1.0, 2.0), (1.5, 2.0, 1.0), (math.nan, 1.0, 2.0)])
def test_an_interval_out_of_order_cannot_be_built(values):
    with pytest.raises(ValueError, match="out of order"):
        Interval(*values)
