"""Judging a case: declared known_failures, and checks that take more than one call."""

import threading

import numpy as np
import pytest

from harness.conformance.cases import all_cases
from harness.conformance.verdict import judge
from harness.errors import Status
from harness.frameworks import adapter
from harness.operators.attention.operator import ATTENTION
from harness.registry import EVERYTHING, implementation
from tests.unit.plain import attend

CASES = {case.id: case for case in all_cases(ATTENTION)}


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
    verdict = verdict_on("softcap/0.5", softcap_forgotten, known_failures={pattern: "the library has none"})
    assert (verdict.status, verdict.reason, verdict.known_failure) == (Status.UNSUPPORTED, "the library has none", True)


@pytest.mark.parametrize("pattern", ["softcap/5", "cuda:softcap/0.5", "soft"])
def test_a_departure_speaks_only_of_the_cases_and_the_device_it_names(pattern):
    assert verdict_on("softcap/0.5", softcap_forgotten, known_failures={pattern: "…"}).status is Status.INCORRECT


def test_a_known_failure_that_no_longer_is_one_is_an_error():
    verdict = verdict_on("softcap/0.5", right, known_failures={"softcap/*": "the library has none"})
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


def scaling_in_place(problem, q, k, v, **extras):
    """Equals the formula of what it has made of q."""
    q *= np.float32(2)
    return right(problem, q, k, v, **extras)


def test_an_input_that_is_written_to_is_told_first_and_the_oracle_sees_what_was_made():
    verdict = verdict_on("values/float32", scaling_in_place)
    assert verdict.status is Status.INCORRECT
    assert verdict.reason == "the input q was written to; inputs belong to the caller"


def negated_for_a_moment(problem, q, k, v, **extras):
    """Bit for bit what it was afterwards."""
    np.negative(q, out=q)
    o = right(problem, -q, k, v, **extras)
    np.negative(q, out=q)
    return o


def test_an_input_that_is_written_to_for_a_moment_passes_unless_its_pages_or_threads_say_so():
    assert verdict_on("values/float32", negated_for_a_moment).status is Status.OK
    # In a worker the case on protected pages ends it: see tests/system/test_check.py.


@pytest.mark.parametrize("case_id", ["calls/many", "calls/many-masked"])
@pytest.mark.parametrize("number", [50, 100, 150])
def test_one_wrong_call_of_a_great_many_is_found(case_id, number):
    verdict = verdict_on(case_id, counting(number))
    assert verdict.status is Status.INCORRECT
    assert verdict.reason.startswith(f"call {number}: o differs")


def remembering_by(key):
    """Answers for the first arrays with that key."""
    known = {}

    def solve(problem, q, k, v, **extras):
        return known.setdefault(key(q, k, v), right(problem, q, k, v, **extras)).copy()

    return solve


@pytest.mark.parametrize(
    "case_id, key, words",
    [
        ("calls/same-buffers", lambda q, k, v: (q.ctypes.data, k.ctypes.data), "other values in the same arrays"),
        ("calls/small-changes", lambda q, k, v: (q.tobytes(), np.sort(k, axis=None).tobytes(), v.tobytes()), "are swapped"),
        ("calls/small-changes", lambda q, k, v: (q[:, :, :1].tobytes(), k.tobytes(), v.tobytes()), "one element of q"),
        ("calls/small-changes-masked", lambda q, k, v: (q.tobytes(), k.tobytes(), v.tobytes()), "one element of mask"),
    ],
)
def test_a_cache_is_found_by_what_it_leaves_out(case_id, key, words):
    verdict = verdict_on(case_id, remembering_by(key))
    assert verdict.status is Status.INCORRECT
    assert words in verdict.reason


def test_an_output_that_is_an_input_is_found():
    verdict = verdict_on("calls/apart-one-key", lambda problem, q, k, v: np.broadcast_to(v, problem.o_shape))
    assert verdict.status is Status.INCORRECT
    assert verdict.reason == "the output o shares memory with the input v; it belongs to the caller"


def in_one_buffer():
    buffers = {}

    def solve(problem, q, k, v, **extras):
        o = buffers.setdefault(q.shape, np.empty(problem.o_shape, q.dtype))
        o[...] = right(problem, q, k, v, **extras)
        return o

    return solve


def test_an_output_that_a_later_call_changes_is_found():
    verdict = verdict_on("calls/apart", in_one_buffer())
    assert verdict.status is Status.INCORRECT
    assert verdict.reason.startswith("a later call changed the output of an earlier one: o differs by up to")


class Copying(type(adapter("numpy")("cpu", 1))):
    """An adapter whose arrays are always in one piece."""

    def from_numpy(self, array):
        return np.array(array, order="C")


@pytest.mark.parametrize("case_id", ["arrays/strided", "arrays/reversed", "arrays/protected", "calls/same-buffers"])
def test_what_an_adapter_copies_is_not_examined(case_id):
    verdict = judge(CASES[case_id], declared(right), Copying("cpu", 1))
    assert verdict.status is Status.UNSUPPORTED
    assert verdict.reason.startswith("not examined: the adapter of numpy copies")


@pytest.mark.parametrize("framework", ["torch"])
def test_tensors_have_the_strides_that_a_case_asks_for_or_it_is_not_examined(framework):
    pytest.importorskip(framework)
    one = declared(
        lambda problem, q, k, v, mask=None: type(q)(right(problem, *(x.numpy() for x in (q, k, v)), mask.numpy()))
    )
    seen = {
        i: judge(CASES[f"arrays/{i}"], one, adapter(framework)("cpu", 1)).reason for i in ("strided", "expanded", "reversed")
    }
    assert "not examined" not in seen["strided"] + seen["expanded"]
    assert seen["reversed"].startswith("not examined")


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
