"""Records: what a cell may hold under each status, and that it survives being written down."""

import json
import math

import pytest

from harness.errors import Status
from harness.records.accuracy import Accuracy
from harness.records.cell import Cell, Memory, Timing, Turn
from harness.records.strict_json import dumps
from tests.unit.factories import PROBLEM, memory, timing

RIGHT = Accuracy(1e-7, 0.5, 64, "o[0, 0, 1, 2]", 2e-7)
WRONG = Accuracy(1e-2, 1.5, 64, "o[0, 0, 1, 2]", 2e-7)
NOT_A_NUMBER = Accuracy(math.inf, math.nan, 64, "o[0, 0, 1, 2]", 2e-7)
TIME = timing(1e-3, 2e-3)
MEMORY = memory()
WITHOUT_A_TIME = [status for status in Status if status is not Status.OK]


def cell(status, reason="", **found):
    return Cell("mine", "numpy", "cpu", PROBLEM.posed("attention"), status, reason, **found)


def test_statuses_are_the_promised_words():
    assert [str(status) for status in Status] == [
        "ok",
        "incorrect",
        "unsupported",
        "unavailable",
        "over-budget",
        "timeout",
        "out-of-memory",
        "crashed",
        "error",
        "impossible",
    ]


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"accuracy": RIGHT},
        {"timing": TIME},
        {"timing": TIME, "memory": MEMORY},
        {"accuracy": WRONG, "timing": TIME},
        {"accuracy": NOT_A_NUMBER, "timing": TIME},
        {"accuracy": RIGHT, "memory": MEMORY},
        {"accuracy": RIGHT, "timing": TIME, "reason": "but slowly"},
    ],
)
def test_ok_needs_a_right_answer_and_a_time_and_no_excuse(found):
    with pytest.raises(ValueError, match=r"ok|without a time"):
        cell(Status.OK, **found)


@pytest.mark.parametrize("status", WITHOUT_A_TIME)
@pytest.mark.parametrize("found", [{"timing": TIME}, {"memory": MEMORY}, {"timing": TIME, "memory": MEMORY}])
@pytest.mark.parametrize("accuracy", [None, RIGHT, WRONG])
def test_only_ok_carries_a_time_or_a_memory(status, found, accuracy):
    with pytest.raises(ValueError, match="cannot carry"):
        cell(status, "because", accuracy=accuracy, **found)


@pytest.mark.parametrize("status", WITHOUT_A_TIME)
def test_a_cell_without_a_time_says_why(status):
    with pytest.raises(ValueError, match="says why"):
        cell(status)
    assert cell(status, "because").reason == "because"


def test_an_error_within_the_bound_is_not_incorrect():
    with pytest.raises(ValueError, match="within the bound"):
        cell(Status.INCORRECT, "because", accuracy=RIGHT)
    # An output of the wrong shape has no error to show.
    assert cell(Status.INCORRECT, "the shape is wrong").accuracy is None
    assert not cell(Status.INCORRECT, "nan", accuracy=NOT_A_NUMBER).accuracy.correct


@pytest.mark.parametrize("ratio, correct", [(0.0, True), (1.0, True), (1.0001, False), (math.inf, False), (math.nan, False)])
def test_correct_means_within_the_bound(ratio, correct):
    assert Accuracy(1.0, ratio, 1).correct is correct


@pytest.mark.parametrize("samples_s", [(), (0.0,), (1.0, -1.0), (math.nan,), (math.inf,)])
def test_a_turn_has_positive_samples(samples_s):
    with pytest.raises(ValueError, match="sample"):
        Turn(0, 0, 0, 0.0, 1, samples_s)


def test_a_timing_has_turns_and_a_process_one_in_a_round():
    turn = Turn(0, 3, 0, 0.0, 1, (1.0,))
    for turns in ((), (turn, turn)):
        with pytest.raises(ValueError, match="turn"):
            Timing(turns, build_s=0.0, first_call_s=0.0, warmup_calls=1)
    both = Timing((turn,), 0.0, 0.0, 1).with_more((Turn(1, 3, 0, 0.0, 1, (2.0, 3.0)),))
    assert (both.samples_s, both.processes) == ((1.0, 2.0, 3.0), (0, 1))


CELLS = [
    cell(
        Status.OK,
        accuracy=RIGHT,
        timing=TIME,
        memory=MEMORY,
        warnings=("noisy", "µ"),
        versions={"numpy": "2.1", "threads": "2"},
    ),
    cell(Status.OK, accuracy=RIGHT, timing=TIME),
    cell(Status.INCORRECT, "o[0, 0, 1, 2] is 0.01 from the oracle", accuracy=WRONG),
    cell(Status.INCORRECT, "o is not a number", accuracy=Accuracy(math.inf, math.inf, 64)),
    *(cell(status, "because") for status in WITHOUT_A_TIME),
]


@pytest.mark.parametrize("original", CELLS, ids=lambda c: f"{c.status}{'-found' if c.accuracy else ''}")
def test_a_cell_survives_json(original):
    again = Cell.from_json(json.loads(dumps(original.to_json())))
    assert again == original
    assert type(again.status) is Status
    assert again.timing is None or isinstance(again.timing.samples_s, tuple)


def changed(**changes):
    return {**CELLS[0].to_json(), **changes}


@pytest.mark.parametrize(
    "data",
    [
        changed(status="splendid"),
        changed(status="incorrect"),
        changed(timing=None),
        changed(colour="blue"),
        changed(accuracy={"max_abs_error": 1.0}),
        changed(accuracy=5),
        changed(timing=[1.0, 2.0]),
        changed(memory="much"),
        changed(problem="b1h1q4k4d4-f32"),
        changed(problem={"operator": "attention"}),
        {k: v for k, v in CELLS[0].to_json().items() if k != "status"},
        {k: v for k, v in CELLS[0].to_json().items() if k != "implementation"},
        {},
    ],
)
def test_json_that_is_no_cell_is_refused(data):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Cell.from_json(data)


def test_records_cannot_be_changed():
    for record in (CELLS[0], RIGHT, TIME, Memory(1, 1, "some")):
        with pytest.raises(AttributeError):
            record.status = Status.ERROR
