"""When enough processes have measured a cell."""

import dataclasses

import pytest

from harness.analysis.estimates import Estimates
from harness.measure.plan import Effort
from harness.measure.stopping import is_open, with_reason_to_stop
from tests.unit.factories import absent, measured, timing_of

EFFORT = Effort(processes=5, min_processes=3, precision=0.02, turn_s=0.06, cell_s=1.5)
STEADY, NOISY = [1.0, 1.001], [1.0, 1.5]


def after(processes, time_s=1e-3, effort=EFFORT, noise=STEADY):
    rounds = [[time_s * noise[(p + r) % 2] for r in range(3)] for p in range(processes)]
    cell = dataclasses.replace(measured("a", 1.0), timing=timing_of(rounds, stopped=""))
    return with_reason_to_stop(cell, Estimates({"a": cell.timing}).time("a"), effort)


@pytest.mark.parametrize(
    "processes, noise, reason",
    [
        (1, STEADY, ""),
        (2, STEADY, ""),
        (3, STEADY, "precise: ±0.02 of the time was wanted"),
        (3, NOISY, ""),
        (4, NOISY, ""),
        (5, NOISY, "processes: all 5"),
    ],
)
def test_a_cell_ends_when_it_is_precise_or_its_processes_are_used_up(processes, noise, reason):
    cell = after(processes, noise=noise)
    assert cell.timing.stopped == reason and is_open(cell) == (reason == "")


def test_a_long_call_is_measured_by_one_process():
    assert after(1, time_s=2.0, noise=NOISY).timing.stopped == "budget: a call is long"


def test_a_single_turn_is_not_enough_where_another_process_may_have_more():
    rounds = [[2.0]]
    cell = dataclasses.replace(measured("a", 1.0), timing=timing_of(rounds, stopped=""))
    assert is_open(with_reason_to_stop(cell, Estimates({"a": cell.timing}).time("a"), EFFORT))


def test_fewer_processes_than_the_least_may_be_asked_for():
    assert after(1, effort=Effort(processes=1), noise=NOISY).timing.stopped == "processes: all 1"


def test_what_was_not_begun_is_open_and_what_has_no_time_is_not():
    assert is_open(None) and not is_open(absent("a"))
