"""Failures are grouped by their cause, and nothing examined is no pass."""

import dataclasses
import math

import numpy as np
import pytest

from harness.conformance.cases import all_cases
from harness.conformance.kinds import Candidates, fewest, kinds_of
from harness.conformance.tally import PASSING, Tally, nothing_examined, unsupported
from harness.conformance.verdict import Verdict, judge
from harness.errors import Status
from harness.frameworks import adapter
from harness.operators.attention.cases.problems import small
from harness.operators.attention.operator import ATTENTION
from harness.operators.case import Case
from harness.operators.diagnosis.cause import Cause
from harness.records.accuracy import Accuracy
from harness.registry import EVERYTHING, Supports, implementation
from tests.unit.plain import attend

CASES = {case.id: case for case in all_cases(ATTENTION)}
CASE = Case("causal", "some", small(causal="bottom-right"))
RIGHT = Accuracy(1e-6, 0.5, 64, "o[0, 0, 1, 2]", 2e-6, 1e-6)


def failed(*kinds, ratio=10.0, name="some", possible=()):
    """A failure of these kinds."""
    accuracy = Accuracy(1.0, ratio, 64, "o[0, 0, 1, 2]", 1 / ratio, 1.0)
    case = dataclasses.replace(CASE, name=name)
    return Verdict(case, Status.INCORRECT, "o is wrong", accuracy, Cause(kinds, "A sentence.", possible))


def counted(*verdicts):
    """A tally of these, and which of them were news."""
    tally = Tally("a")
    return tally, [tally.add(verdict) for verdict in verdicts]


# --- the fewest kinds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shown, groups",
    [
        ([["a"], ["b"], ["a"]], [("a", [0, 2]), ("b", [1])]),
        ([["a", "b"], ["b", "c"], ["b"]], [("b", [0, 1, 2])]),
        ([["a", "b"], ["b", "c"]], [("b", [0, 1])]),
        ([["a", "b"], ["a", "b"]], [("a", [0, 1])]),  # Of two the more particular.
        ([["heads and queries", "heads", "queries"], ["heads"]], [("heads", [0, 1])]),
        ([["a", "a"], ["b"], ["b"]], [("b", [1, 2]), ("a", [0])]),  # A phrase counts once a failure.
        ([], []),
    ],
)
def test_as_few_phrases_as_explain_every_failure(shown, groups):
    assert fewest([Candidates(tuple(phrases)) for phrases in shown]) == groups


def test_what_a_failure_may_be_counts_only_where_another_shows_it():
    alone = [Candidates(("outside",), ("small errors",)), Candidates(("columns",), ("small errors",))]
    assert [phrase for phrase, _ in fewest(alone)] == ["outside", "columns"]
    assert fewest([*alone, Candidates(("small errors",))])[0] == ("outside", [0])  # One against one: the first.
    assert fewest([*alone, *2 * [Candidates(("small errors",))]]) == [("small errors", [0, 1, 2, 3])]


# --- the tally ---------------------------------------------------------------------------------------


def test_the_first_failure_of_each_kind_is_news():
    tally, news = counted(failed("a"), failed("a", "b"), failed("c"), failed("b", "c"), failed("c"))
    assert news == [True, False, True, False, False]
    assert [(kind.name, len(kind.verdicts)) for kind in tally.kinds()] == [("c", 3), ("a", 2)]


def test_what_passes_is_no_news():
    passing = [Verdict(CASE, Status.OK, accuracy=RIGHT), Verdict(CASE, Status.UNSUPPORTED, "no softcap")]
    tally, news = counted(*passing)
    assert news == [False, False] and tally.kinds() == [] and not tally.failed


def test_the_worst_of_a_kind_is_farthest_beyond_its_bound():
    verdicts = [failed("a", ratio=ratio, name=name) for ratio, name in ((3.0, "x"), (math.inf, "y"), (9.0, "z"))]
    (kind,) = counted(*verdicts)[0].kinds()
    assert kind.worst.case.name == "y"


def test_a_later_failure_is_as_the_first_of_its_kind():
    first, other, again = failed("a", name="first"), failed("b", name="other"), failed("b", name="again")
    tally, _ = counted(first, other, again)
    assert tally.like(again) == (other, "b")


@pytest.mark.parametrize("status", list(Status))
def test_a_tally_fails_for_what_is_wrong_and_not_for_what_is_missing(status):
    tally, _ = counted(Verdict(CASE, Status.OK, accuracy=RIGHT))
    assert not tally.failed
    tally.add(Verdict(CASE, status, "because", RIGHT if status is Status.OK else None))
    assert tally.failed == (status not in PASSING)
    assert tally.counts[status] == (2 if status is Status.OK else 1)


def test_a_plug_in_that_cannot_be_loaded_fails_and_an_absent_framework_does_not():
    assert not Tally("a", "torch is not installed").failed
    assert Tally("a", "OSError", broken=True).failed


def test_only_what_was_judged_was_examined():
    unsupported = Verdict(CASE, Status.UNSUPPORTED, "no softcap")
    assert not counted(unsupported)[0].examined
    assert not counted()[0].examined
    for judged in (
        Verdict(CASE, Status.OK, accuracy=RIGHT),
        failed("a"),
        Verdict(CASE, Status.UNSUPPORTED, "the library has none", known_failure=True),
    ):
        assert counted(unsupported, judged)[0].examined


def test_where_nothing_is_examined_the_commonest_reasons_are_told():
    supports = Supports(dtypes=("float64",))
    refused = unsupported(supports, all_cases(ATTENTION))
    said = nothing_examined(supports, refused)
    assert f"none of {len(refused)} cases" in said and "(f64)" in said
    assert "no float32 (" in said and said.index("no float32") < said.index("no boolean mask")
    assert "no case that could be run" in nothing_examined(supports, [])


# --- the kind of a verdict ---------------------------------------------------------------------------


def verdict_on(case_id, attention):
    """The suite's verdict on `attention(problem, q, k, v, **extras)`."""

    @implementation("one", supports=EVERYTHING)
    def one(problem):
        return lambda q, k, v, **extras: attention(problem, q, k, v, **extras)

    return judge(CASES[case_id], one, adapter("numpy")("cpu", 1))


def right(problem, q, k, v, **extras):
    return attend(problem, q, k, v, **extras).astype(q.dtype)


def writing(problem, q, k, v, **extras):
    o = right(problem, q, k, v, **extras)
    q *= q.dtype.type(1.0000001)
    return o


def drifting():
    calls = []

    def attention(problem, q, k, v, **extras):
        calls.append(None)
        return right(problem, q, k, v, **extras) * q.dtype.type(1 + 1e-7 * len(calls))

    return attention


def frozen():
    answers = {}

    def attention(problem, q, k, v, **extras):
        return answers.setdefault(problem, right(problem, q, k, v, **extras))

    return attention


def raising(problem, q, k, v, **extras):
    raise ValueError(f"no tile of {problem.q_len} rows")


KINDS = {
    "shape": (["values/float32", "shapes/q3k5"], lambda *a, **k: right(*a, **k)[0], "o has the wrong shape"),
    "dtype": (["values/float32", "values/float16"], lambda *a, **k: right(*a, **k) + np.float64(0), "o has the wrong dtype"),
    "written": (["values/float32", "shapes/q3k5"], writing, "an input is written to"),
    "repeat": (["calls/repeat", "calls/repeat-masked"], drifting(), "calls with the same inputs differ"),
    "frozen": (["calls/new-values", "calls/new-values-masked"], frozen(), "wrong with a second set of arrays"),
    "exception": (["values/float32", "shapes/q3k5"], raising, "error: ValueError (test_tally.py, line "),
}


@pytest.mark.parametrize("name", KINDS)
def test_one_fault_is_one_kind_whatever_its_numbers(name):
    ids, attention, words = KINDS[name]
    verdicts = [verdict_on(case_id, attention) for case_id in ids]
    assert all(verdict.status not in PASSING for verdict in verdicts)
    (kind,) = counted(*verdicts)[0].kinds()
    assert kind.name.startswith(words)
    assert len(kind.verdicts) == len(ids)


def test_a_property_that_is_broken_is_a_kind():
    def of_the_first(problem, q, k, v, **extras):
        """Right, unless the batch elements differ in a way that their first key tells."""
        o = right(problem, q, k, v, **extras)
        return o if np.abs(k).max() < 6 else o + k[:, :, :1, :1].max()

    verdict = verdict_on("properties/independent-batches-plain", of_the_first)
    assert kinds_of(verdict).shown == ("the property independent-batches does not hold",)


@pytest.mark.parametrize(
    "status, reason, kind",
    [
        (Status.CRASHED, "the process was ended by signal 6 (SIGABRT); it last printed: tile 17", "SIGABRT"),
        (Status.TIMEOUT, "no answer within 120 s; the case was stopped", "timeout: no answer within … s"),
        (Status.ERROR, "ZeroDivisionError (mine.py, line 3)", "error: ZeroDivisionError (mine.py, line 3)"),
        (Status.ERROR, "KeyError: 'k (x.py, line 1)' (mine.py, line 3)", "error: KeyError (mine.py, line 3)"),
    ],
)
def test_a_process_that_dies_or_raises_is_a_kind_by_how_and_where(status, reason, kind):
    (phrase,) = kinds_of(Verdict(CASE, status, reason)).shown
    assert phrase.startswith(f"{status}: ") and kind in phrase and "17" not in phrase
