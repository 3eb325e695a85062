"""The verdicts on one implementation, counted: chapter by chapter, and failures by their kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.conformance.kinds import Candidates, fewest, kinds_of
from harness.conformance.verdict import Verdict
from harness.errors import Status
from harness.operators.case import Case
from harness.operators.supports import Supports

PASSING = (Status.OK, Status.UNSUPPORTED)
"""A known failure that is still there is unsupported, and no failure."""

MAX_REASONS = 3
"""Reasons that are told where nothing was examined."""


@dataclass(frozen=True)
class Kind:
    """Failures of one kind, in the order in which they came."""

    name: str
    verdicts: tuple[Verdict, ...]

    @property
    def worst(self) -> Verdict:
        """The one whose error is the largest over its bound; the first where none has an error."""
        return max(self.verdicts, key=badness)


def badness(verdict: Verdict) -> tuple[float, float]:
    """Error over bound, and the error where that is infinite."""
    found = verdict.accuracy
    return (found.error_over_bound, found.worst_error) if found else (0.0, 0.0)


class Chapter:
    """The verdicts of one chapter."""

    def __init__(self, name: str):
        self.name = name
        self.counts: Counter[Status] = Counter()
        self.worst: Verdict | None = None
        """The case nearest to its bound, or the worst of those that failed."""
        self.ratio = 0.0
        """The worst ratio of error to bound."""

    def add(self, verdict: Verdict) -> None:
        self.counts[verdict.status] += 1
        if verdict.status is Status.UNSUPPORTED:
            return
        if verdict.accuracy is not None:
            self.ratio = max(self.ratio, verdict.accuracy.error_over_bound)
        if self.worst is None or _order(verdict) > _order(self.worst):
            self.worst = verdict

    @property
    def failed(self) -> bool:
        return any(count for status, count in self.counts.items() if status not in PASSING)


def _order(verdict: Verdict) -> tuple[bool, tuple[float, float]]:
    return verdict.status is not Status.OK, badness(verdict)


class Tally:
    """Counts the verdicts on one implementation."""

    def __init__(self, name: str, absent: str = "", broken: bool = False):
        self.name = name
        self.absent = absent
        """Why it cannot run here; empty when it can."""
        self.broken = broken
        """Whether that is a fault of its plug-in."""
        self.chapters: dict[str, Chapter] = {}
        self.unsupported: list[str] = []
        """Why cases were not examined, for each of them."""
        self.known_failures: Counter[str] = Counter()
        """The known failures that were met, with the number of their cases."""
        self._failures: list[Verdict] = []
        self._candidates: list[Candidates] = []
        self._kinds: list[Kind] = []
        self._news: list[Verdict] = []

    def add(self, verdict: Verdict) -> bool:
        """Count one verdict. True when it is the first failure of its kind: no other so far explains it."""
        self.chapters.setdefault(verdict.case.chapter, Chapter(verdict.case.chapter)).add(verdict)
        if verdict.known_failure:
            self.known_failures[verdict.reason] += 1
        elif verdict.status is Status.UNSUPPORTED:
            self.unsupported.append(verdict.reason)
        if verdict.status in PASSING:
            return False
        self._failures.append(verdict)
        self._candidates.append(kinds_of(verdict))
        groups = fewest(self._candidates)
        self._kinds = [Kind(phrase, tuple(self._failures[n] for n in numbers)) for phrase, numbers in groups]
        news = len(self._kinds) > len(self._news)
        if news:
            self._news.append(verdict)
        return news

    @property
    def counts(self) -> Counter[Status]:
        return sum((chapter.counts for chapter in self.chapters.values()), Counter())

    @property
    def examined(self) -> bool:
        """Whether any case was judged: right, wrong, or wrong as declared."""
        return bool(self.known_failures) or any(status is not Status.UNSUPPORTED for status in self.counts)

    @property
    def failed(self) -> bool:
        """Whether anything was wrong; what is unsupported or unavailable is not."""
        return self.broken or bool(self._failures)

    @property
    def ratio(self) -> float:
        """The worst ratio of error to bound."""
        return max((chapter.ratio for chapter in self.chapters.values()), default=0.0)

    def kinds(self) -> list[Kind]:
        """The failures by their fewest kinds, the commonest first."""
        return self._kinds

    def like(self, failure: Verdict) -> tuple[Verdict, str]:
        """For a failure that was no news: the one that was, and the name of their kind."""
        kind = next(kind for kind in self._kinds if any(failure is one for one in kind.verdicts))
        first = next((one for one in kind.verdicts if any(one is news for news in self._news)), kind.verdicts[0])
        return first, kind.name


def unsupported(supports: Supports, cases: Sequence[Case]) -> list[str]:
    """Why each of the cases is not supported, as far as the declaration says."""
    return ["; ".join(reasons) for case in cases if (reasons := supports.unsupported_reasons(case.problem))]


def nothing_examined(supports: Supports, refused: Sequence[str]) -> str:
    """The sentence for an implementation none of whose cases could be judged, with the commonest reasons of `refused`."""
    if not refused:
        return "nothing was examined: there is no case that could be run here"
    reasons = Counter(reason for one in refused for reason in one.split("; "))
    said = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(MAX_REASONS))
    return (
        f"nothing was examined: none of {len(refused)} cases asks only for what it declares ({supports.summary()}) "
        f"and can be examined here; the commonest reasons: {said}"
    )
