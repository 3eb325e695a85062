"""What `harness check` prints and writes: a line a case, a line a chapter, a line an implementation, a row a case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from harness.conformance.verdict import Verdict
from harness.record import Status

MAX_CAUSES = 8
"""Different causes that are listed at the end; beyond, something more basic is wrong."""

PASSING = (Status.OK, Status.UNSUPPORTED)


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
    cause = f"\n{'':<12} {verdict.cause}" if verdict.cause else ""
    return f"{head}, {case.problem.name}: {verdict.reason}{cause}\n{'':<12} repeat: {repeat}"


def row(name: str, device: str, verdict: Verdict) -> dict[str, object]:
    """One case as a row of conformance.csv."""
    case, found = verdict.case, verdict.accuracy
    return {
        "implementation": name,
        "device": device,
        "chapter": case.chapter,
        "case": case.name,
        "problem": case.problem.name,
        "dtype": case.problem.dtype,
        "direction": case.problem.direction,
        "inputs": case.inputs,
        "check": case.check,
        "seed": case.seed,
        "status": str(verdict.status),
        "reason": verdict.reason,
        "cause": verdict.cause,
        "max_abs_error": found.max_abs_error if found else None,
        "error_over_bound": found.error_over_bound if found else None,
        "elements_checked": found.elements if found else None,
    }


class Chapter:
    """The verdicts of one chapter, counted."""

    def __init__(self, name: str):
        self.name = name
        self.counts: Counter[Status] = Counter()
        self.worst: Verdict | None = None
        """The case nearest to its bound, or the first that failed."""
        self.ratio = 0.0
        """The worst ratio of error to bound."""

    def add(self, verdict: Verdict) -> None:
        self.counts[verdict.status] += 1
        if verdict.accuracy is not None and not verdict.departure:
            self.ratio = max(self.ratio, verdict.accuracy.error_over_bound)
        if self._badness(verdict) > self._badness(self.worst):
            self.worst = verdict

    @staticmethod
    def _badness(verdict: Verdict | None) -> tuple[bool, float]:
        if verdict is None or verdict.status is Status.UNSUPPORTED:
            return False, -1.0
        if verdict.status is not Status.OK:
            return True, 0.0
        return False, verdict.accuracy.error_over_bound if verdict.accuracy else 0.0

    def line(self) -> str:
        """One line, such as "masks     ok       30 passed, 2 unsupported   worst 0.12 of its bound: long, b1h2q130…"."""
        failed = any(self.counts[status] for status in self.counts if status not in PASSING)
        state = "FAILED" if failed else "ok" if self.counts[Status.OK] else "unsupported"
        head = f"{self.name:<14} {state:<12} {counted(self.counts):<28}"
        if self.worst is None or self.worst.accuracy is None:
            return head.rstrip()
        found, case = self.worst.accuracy, self.worst.case
        return f"{head}  worst {found.error_over_bound:.3g} of its bound: {case.name}, {case.problem.name}"


def counted(counts: Counter[Status]) -> str:
    """Such as "30 passed, 2 unsupported"."""
    others = [f"{count} {status}" for status, count in counts.items() if status is not Status.OK]
    return ", ".join([f"{counts[Status.OK]} passed", *others])


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def _cause(verdict: Verdict) -> str:
    """What explains a failure: its cause, or else the finding itself."""
    return verdict.cause.partition(". ")[0].rstrip(".") + "." if verdict.cause else verdict.reason


class Tally:
    """The verdicts on one implementation, chapter by chapter."""

    def __init__(self, name: str, absent: str = "", broken: bool = False):
        self._name = name
        self._absent = absent
        self._broken = broken
        self._chapters: dict[str, Chapter] = {}
        self._departures: dict[str, int] = {}
        self._causes: dict[str, list[Verdict]] = {}

    def add(self, verdict: Verdict) -> None:
        """Count one verdict."""
        self._chapters.setdefault(verdict.case.chapter, Chapter(verdict.case.chapter)).add(verdict)
        if verdict.departure:
            self._departures[verdict.reason] = self._departures.get(verdict.reason, 0) + 1
        if verdict.status not in PASSING:
            self._causes.setdefault(_cause(verdict), []).append(verdict)

    def is_news(self, verdict: Verdict) -> bool:
        """Whether it is the first failure of its cause."""
        return verdict.status not in PASSING and self._causes[_cause(verdict)][0] is verdict

    @property
    def failed(self) -> bool:
        """Whether anything was wrong; what is unsupported or unavailable is not."""
        return self._broken or any(self._counts[s] for s in self._counts if s not in PASSING)

    @property
    def _counts(self) -> Counter[Status]:
        return sum((chapter.counts for chapter in self._chapters.values()), Counter())

    def chapters(self) -> Iterator[str]:
        """A line for each chapter, in order, each declared weakness, and each cause of failures, the commonest first."""
        for chapter in self._chapters.values():
            yield chapter.line()
        for reason, count in self._departures.items():
            yield f"declared weakness, {_cases(count)}: {reason}"
        commonest = sorted(self._causes.items(), key=lambda item: -len(item[1]))
        for cause, verdicts in commonest[:MAX_CAUSES]:
            yield f"failed, {_cases(len(verdicts))}, {verdicts[0].case.id} first: {cause}"
        if len(commonest) > MAX_CAUSES:
            yield f"failed in {len(commonest) - MAX_CAUSES} more ways"

    def summary(self) -> str:
        """One line, such as "numpy: 182 passed, 3 unsupported; the worst error is 0.12 of its bound"."""
        if self._absent:
            return f"{self._name}: {'error' if self._broken else 'unavailable'}: {self._absent}"
        ratio = max((chapter.ratio for chapter in self._chapters.values()), default=0.0)
        return f"{self._name}: {counted(self._counts)}; the worst error is {ratio:.2g} of its bound"
