"""The kinds of failures of a test session, made from the reports of its tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.conformance.findings import INDENT, cases
from harness.conformance.kinds import Candidates, fewest, kinds_of
from harness.conformance.tally import badness
from harness.conformance.verdict import Verdict


def as_property(name: str, verdict: Verdict, repeat: str) -> dict[str, Any]:
    """A failure as plain values, which a report carries from one process to another."""
    candidates = kinds_of(verdict)
    return {
        "implementation": name,
        "case": verdict.case.id,
        "shown": list(candidates.shown),
        "possible": list(candidates.possible),
        "badness": list(badness(verdict)),
        "finding": verdict.reason,
        "repeat": repeat,
    }


def lines(failures: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For each implementation its kinds of failures, the commonest first: how many, the worst case, how to see it again."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for failure in failures:
        by_name.setdefault(failure["implementation"], []).append(failure)
    for name, found in by_name.items():
        for phrase, numbers in fewest([Candidates(tuple(one["shown"]), tuple(one["possible"])) for one in found]):
            worst = max((found[n] for n in numbers), key=lambda one: one["badness"])
            yield f"{name}  {cases(len(numbers))}: {phrase}"
            yield f"{INDENT}worst: {worst['case']}: {worst['finding']}"
            yield f"{INDENT}repeat: {worst['repeat']}"
