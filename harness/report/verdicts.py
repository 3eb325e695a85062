"""What `harness check` prints: a line a case, and a line that sums up an implementation."""

from __future__ import annotations

from collections import Counter

from harness.conformance.verdict import Verdict
from harness.record import Status


def line(name: str, verdict: Verdict, repeat: str) -> str:
    """One case: its verdict, the worst element's error and bound; for a failure the finding and how to see it again."""
    case = verdict.case
    head = f"{verdict.status!s:<12} {name}  {case.id}"
    if verdict.status is Status.UNSUPPORTED:
        return f"{head}: {verdict.reason}"
    if verdict.status is Status.OK:
        assert verdict.accuracy is not None
        found = verdict.accuracy
        if not found.worst:
            return f"{head}: exact"
        return f"{head}: error {found.worst_error:.2e}, bound {found.worst_bound:.2e}, ratio {found.error_over_bound:.3f}"
    cause = f". {verdict.cause}" if verdict.cause else ""
    return f"{head}, {case.problem.name}: {verdict.reason}{cause}\n{'':<12} repeat: {repeat}"


class Tally:
    """The verdicts on one implementation, counted."""

    def __init__(self, name: str, absent: str = "", broken: bool = False):
        self._name = name
        self._absent = absent
        self._broken = broken
        self._counts: Counter[Status] = Counter()
        self._worst = 0.0

    def add(self, verdict: Verdict) -> None:
        """Count one verdict."""
        self._counts[verdict.status] += 1
        if verdict.accuracy is not None:
            self._worst = max(self._worst, verdict.accuracy.error_over_bound)

    @property
    def failed(self) -> bool:
        """Whether anything was wrong; what is unsupported or unavailable is not."""
        return self._broken or any(self._counts[s] for s in self._counts if s not in (Status.OK, Status.UNSUPPORTED))

    def summary(self) -> str:
        """One line, such as "numpy: 182 passed, 3 unsupported; the worst error is 0.12 of its bound"."""
        if self._absent:
            return f"{self._name}: {'error' if self._broken else 'unavailable'}: {self._absent}"
        passed = self._counts[Status.OK]
        others = [f"{count} {status}" for status, count in self._counts.items() if status is not Status.OK]
        return f"{self._name}: {', '.join([f'{passed} passed', *others])}; the worst error is {self._worst:.2g} of its bound"
