"""Comparing: verdicts, what is a regression, and what makes runs hard to compare."""

import dataclasses
import json

import numpy as np
import pytest

from harness.analysis.comparison import between_runs, differences, within_a_run
from harness.analysis.history import History
from harness.errors import Status
from harness.report import comparison as told
from tests.unit.factories import absent, measured, memory, run, timing_of

NOISE = np.array([[1.0, 1.001, 0.999], [1.002, 1.0, 1.001], [0.998, 1.0, 0.999], [1.0, 0.999, 1.0]])


def cell(name, time_s, noise=NOISE, **options):
    return dataclasses.replace(measured(name, 1.0, **options), timing=timing_of(time_s * noise))


def one(old, new, threshold=0.05):
    (found,) = between_runs(run([old]), run([new]), threshold)
    return found


@pytest.mark.parametrize(
    "factor, verdict", [(1.0, "same"), (1.001, "same"), (1.1, "slower"), (0.9, "faster"), (1.02, "slower")]
)
def test_the_verdict_follows_from_the_interval(factor, verdict):
    found = one(cell("a", 1e-3), cell("a", factor * 1e-3, noise=NOISE[::-1]))
    assert found.verdict == verdict and found.ratio.median == pytest.approx(factor)


def test_a_difference_of_which_only_95_percent_are_certain_is_none():
    spread = 1.03 * np.array([[1.0], [1.015], [0.985], [1.02], [0.98]])
    found = one(cell("a", 1e-3, noise=np.ones((5, 1))), cell("a", 1e-3, noise=spread), threshold=0.1)
    assert found.ratio.low > 1 and not found.ratio.differs and found.verdict == "same"


def test_what_cannot_be_told_is_unclear_and_says_why():
    wild = np.array([[1.0, 1.0], [1.3, 1.3], [0.8, 0.8]])
    found = one(cell("a", 1e-3, noise=wild), cell("a", 1.01e-3, noise=wild[::-1]))
    assert found.verdict == "unclear" and "5% is what matters" in found.reason and not found.regressions


@pytest.mark.parametrize("factor, regressions", [(1.04, ()), (1.06, ("time",)), (0.5, ())])
def test_slower_than_the_threshold_is_a_regression(factor, regressions):
    assert one(cell("a", 1e-3), cell("a", factor * 1e-3)).regressions == regressions


def test_hot_and_cold_caches_are_not_compared():
    old = cell("a", 1e-3)
    new = dataclasses.replace(old, timing=dataclasses.replace(old.timing, cache="cold"))
    found = one(old, new)
    assert found.verdict == "unclear" and found.reason == "caches were hot and are cold" and not found.regressions


def test_memory_and_error_are_compared_alike():
    old = cell("a", 1e-3, memory=memory(2**20, peak=10 * 2**20), ratio=0.2)
    assert one(old, cell("a", 1e-3, memory=memory(2**20, peak=12 * 2**20), ratio=0.3)).regressions == ("memory",)
    assert one(old, cell("a", 1e-3, memory=memory(2**20, peak=10 * 2**20 + 2**18), ratio=0.5)).regressions == ("error",)


def test_what_has_no_time_any_more_is_a_regression():
    found = one(cell("a", 1e-3), absent("a", Status.CRASHED, "signal 11"))
    assert found.regressions == ("crashed",) and "signal 11" in found.reason
    back = one(absent("a", Status.CRASHED, "signal 11"), cell("a", 1e-3))
    assert back.verdict == "unclear" and not back.regressions


def test_two_implementations_of_a_run_are_compared_by_their_common_rounds():
    drift = np.array([[1.0, 2.0, 3.0], [5.0, 1.0, 2.0], [1.0, 4.0, 2.0]])
    cells = [cell("a", 1e-3, noise=drift), cell("b", 1.03e-3, noise=drift)]
    (found,) = within_a_run(run(cells), "b", "a", 0.05)
    assert found.verdict == "slower" and found.ratio.median == pytest.approx(1.03)


def history(*times_s, versions=None):
    """Of runs in which "a" took so long, with these versions."""
    versions = versions or [{}] * len(times_s)
    return History(
        run([dataclasses.replace(cell("a", time_s), versions=one)]) for time_s, one in zip(times_s, versions, strict=True)
    )


def test_the_history_of_a_cell_reaches_three_iqr_beyond_its_third_quartile():
    # Changes of 0, 1, 2, 3 and 4 %: quartiles of 1 and 3 %.
    times = 1e-3 * np.exp(np.cumsum([0, 0.0, 0.01, -0.02, 0.03, -0.04]))
    problem = cell("a", 1e-3).problem.name
    assert history(*times).reach("a", problem) == pytest.approx(np.exp(0.03 + 3 * 0.02))
    assert history(*times[:4]).reach("a", problem) is None
    assert history(*times).reach("b", problem) is None


def test_changes_between_versions_are_no_history():
    versions = [{"torch": "1"}, {"torch": "1"}, {"torch": "2"}, {"torch": "2"}, {"torch": "2"}, {"torch": "2"}]
    problem = cell("a", 1e-3).problem.name
    steady = history(1e-3, 1e-3, 2e-3, 2e-3, 2e-3, 2e-3, versions=versions)
    assert steady.reach("a", problem) == pytest.approx(1.0)
    assert history(1e-3, 1e-3, 2e-3, 2e-3, 2e-3, versions=versions[:5]).reach("a", problem) is None


@pytest.mark.parametrize(
    "swing, factor, verdict, regressions",
    [
        (0.0, 1.1, "slower", ("time",)),
        (0.0, 0.9, "faster", ()),
        (0.02, 1.01, "same", ()),
        (0.08, 1.07, "unclear", ()),
        (0.08, 0.95, "unclear", ()),
        (0.08, 1.2, "slower", ("time",)),
    ],
)
def test_a_change_counts_that_is_larger_than_those_of_earlier_runs(swing, factor, verdict, regressions):
    seen = history(*(1e-3 * np.exp([0, swing, 0, swing, 0, swing])))
    (found,) = between_runs(run([cell("a", 1e-3)]), run([cell("a", factor * 1e-3)]), 0.05, seen)
    assert (found.verdict, found.regressions) == (verdict, regressions)
    assert ("earlier runs of this machine" in found.reason) is (swing > 0 and verdict in ("same", "unclear"))


def test_other_machines_threads_and_versions_are_named():
    old = run([cell("a", 1e-3)], processor="Some CPU", versions={"torch": "2.6", "numpy": "2.1"})
    new = run([cell("a", 1e-3)], processor="Other CPU", versions={"torch": "2.7", "jax": "0.5", "numpy": "2.1"})
    machines, others = differences(old, new)
    assert machines == ["processor: Some CPU then, Other CPU now"]
    assert others == ["torch 2.6 then, 2.7 now", "jax none then, 0.5 now"]
    assert differences(old, old) == ([], [])


def test_it_is_told_in_three_forms():
    found = between_runs(run([cell("a", 1e-3)]), run([cell("a", 1.2e-3)]), 0.05)
    text = told.markdown("OLD and NEW", found, ["torch 2.6 then, 2.7 now"], 0.05)
    assert "1 slower. Worse by more than 5%: a on" in text and "| slower" in text and "- torch 2.6 then" in text
    data = json.loads(told.json(found, []))["comparisons"][0]
    assert data["verdict"] == "slower" and data["regressions"] == ["time"] and data["ratio_low"] > 1.05
