"""Judging a case: declared departures, and checks that take more than one call."""

import threading

import numpy as np
import pytest

from harness.conformance.cases import all_cases
from harness.conformance.verdict import judge
from harness.frameworks import adapter
from harness.record import Status
from harness.registry import EVERYTHING, implementation
from tests.unit.plain import attend

CASES = {case.id: case for case in all_cases()}


def declared(solve, **fields):
    """An implementation whose callable is `solve(problem, q, k, v, **extras)`."""

    @implementation("one", framework="numpy", supports=EVERYTHING, **fields)
    def one(problem):
        return lambda q, k, v, **extras: solve(problem, q, k, v, **extras)

    return one


def right(problem, q, k, v, **extras):
    return attend(problem, q, k, v, **extras).astype(q.dtype)


def verdict_on(case_id, solve, **fields):
    return judge(CASES[case_id], declared(solve, **fields), adapter("numpy")("cpu", 1))


def softcap_forgotten(problem, q, k, v, **extras):
    return right(problem.replace(softcap=None), q, k, v, **extras)


def test_a_wrong_output_is_incorrect_with_its_cause():
    verdict = verdict_on("softcap/0.5", softcap_forgotten)
    assert verdict.status is Status.INCORRECT
    assert "from the oracle, bound" in verdict.reason
    assert verdict.cause.text == "It equals the formula with the softcap ignored."


@pytest.mark.parametrize("pattern", ["softcap/0.5", "softcap/*", "cpu:softcap/*"])
def test_a_declared_departure_is_unsupported_in_its_own_words(pattern):
    verdict = verdict_on("softcap/0.5", softcap_forgotten, departures={pattern: "the library has none"})
    assert (verdict.status, verdict.reason, verdict.departure) == (Status.UNSUPPORTED, "the library has none", True)


@pytest.mark.parametrize("pattern", ["softcap/5", "cuda:softcap/0.5", "soft"])
def test_a_departure_speaks_only_of_the_cases_and_the_device_it_names(pattern):
    assert verdict_on("softcap/0.5", softcap_forgotten, departures={pattern: "…"}).status is Status.INCORRECT


def test_a_departure_that_no_longer_is_one_is_an_error():
    verdict = verdict_on("softcap/0.5", right, departures={"softcap/*": "the library has none"})
    assert verdict.status is Status.ERROR
    assert "passes; take the entry out" in verdict.reason


def counting(wrong_from):
    """Right until the call of that number."""
    calls = []

    def solve(problem, q, k, v, **extras):
        calls.append(None)
        return right(problem, q, k, v, **extras) + (np.float32(1e-7) if len(calls) >= wrong_from else 0)

    return solve


@pytest.mark.parametrize("number", [2, 3, 5])
def test_a_later_call_that_differs_is_found(number):
    verdict = verdict_on("calls/repeat", counting(number))
    assert verdict.status is Status.INCORRECT
    assert verdict.reason.startswith(f"call {number}: o differs")


def remembering():
    """Answers for the first arrays of a shape, whatever comes later."""
    known = {}

    def solve(problem, q, k, v, **extras):
        return known.setdefault(q.shape, right(problem, q, k, v, **extras))

    return solve


def test_an_answer_to_earlier_arrays_is_found():
    verdict = verdict_on("calls/new-values", remembering())
    assert verdict.status is Status.INCORRECT
    assert verdict.reason.startswith("the second set of arrays: o[")


def sharing_scratch():
    """Two threads meet in the same array: both have written before either reads."""
    scratch, both = {}, threading.Barrier(2)

    def solve(problem, q, k, v, **extras):
        scratch["o"] = right(problem, q, k, v, **extras)
        if threading.current_thread() is not threading.main_thread():
            both.wait(timeout=30)
        return scratch["o"].copy()

    return solve


def test_an_array_shared_between_threads_is_found():
    verdict = verdict_on("calls/concurrent", sharing_scratch())
    assert verdict.status is Status.INCORRECT
    assert "with a second thread calling too" in verdict.reason


def refusing_threads(problem, q, k, v, **extras):
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("one thread only")
    return right(problem, q, k, v, **extras)


def test_what_a_second_thread_meets_is_told():
    verdict = verdict_on("calls/concurrent", refusing_threads)
    assert verdict.status is Status.ERROR
    assert "one thread only" in verdict.reason


@pytest.mark.parametrize("case_id", [i for i in CASES if i.partition("/")[0] in ("calls", "arrays", "properties")])
def test_the_formula_passes(case_id):
    if CASES[case_id].problem.direction == "forward":
        assert verdict_on(case_id, right).status is Status.OK
