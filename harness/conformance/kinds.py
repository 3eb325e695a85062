"""Kinds of failures: one cause, however many cases it makes fail and whatever numbers each of them shows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.conformance.verdict import Verdict
from harness.errors import Status

OF_CALLS = {
    "repeat": "calls with the same inputs differ",
    "many": "calls with the same inputs differ",
    "alternate": "a call in between changes the result",
    "new-values": "wrong with a second set of arrays",
    "same-buffers": "wrong with other values in the same arrays",
    "small-changes": "wrong with arrays that hardly differ from earlier ones",
    "apart": "an output is not new",
    "concurrent": "wrong when two threads call at once",
    "concurrent-shared": "wrong when two threads call at once with the same arrays",
}
"""A case's check of several calls, and what a failure of it says."""

_EXCEPTION = re.compile(r"(?P<type>\w+)(: .*)? (?P<place>\([^()]+, line \d+\))")
"""An exception as `registry.describe` tells it."""

WRITTEN = ("the input ", "an input was written to")
"""How findings about inputs begin."""

_INDICES = re.compile(r"\[[^\]]*\]")
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d.,]*(e[+-]?\d+)?")


@dataclass(frozen=True)
class Candidates:
    """The kinds of one failure: what it shows, the most particular first, and what it may be when others show it."""

    shown: tuple[str, ...]
    possible: tuple[str, ...] = ()


def kinds_of(verdict: Verdict) -> Candidates:
    """The phrases that a failure may be grouped by."""
    if verdict.cause is not None:
        return Candidates(verdict.cause.kinds, verdict.cause.may_be)
    if verdict.status is not Status.INCORRECT:
        return Candidates((f"{verdict.status}: {_of_reason(verdict.reason)}",))
    if verdict.accuracy is None and not verdict.reason.startswith(WRITTEN):
        return Candidates(_of_form(verdict.reason))
    return Candidates((_of_check(verdict),))


def fewest(failures: Sequence[Candidates]) -> list[tuple[str, list[int]]]:
    """The fewest phrases that explain all failures: (phrase, indices of the failures), the commonest first.

    Greedy: the phrase that most of what is left shows, again and again; of two the one that came first.
    """
    left = list(range(len(failures)))
    groups = []
    while left:
        counts = Counter(phrase for n in left for phrase in dict.fromkeys(failures[n].shown))
        phrase = max(counts, key=counts.__getitem__)
        groups.append((phrase, [n for n in left if phrase in failures[n].shown + failures[n].possible]))
        left = [n for n in left if n not in groups[-1][1]]
    return sorted(groups, key=lambda group: -len(group[1]))


def _of_reason(reason: str) -> str:
    """An exception is its type and place; anything else is what it says, without numbers."""
    exception = _EXCEPTION.fullmatch(reason)
    if exception:
        return f"{exception['type']} {exception['place']}"
    return _without_numbers(reason.partition(";")[0])


def _without_numbers(sentence: str) -> str:
    return _NUMBER.sub("…", _INDICES.sub("[…]", sentence))


def _of_form(reason: str) -> tuple[str, ...]:
    name, _, rest = reason.partition(" ")
    what = f"has the wrong {'shape' if 'shape' in rest else 'dtype'}"
    return f"{name} {what}", f"an output {what}"


def _of_check(verdict: Verdict) -> str:
    """An input was written to; or the output of the first call was right, and the case's further check failed."""
    if verdict.reason.startswith(WRITTEN):
        return "an input is written to"
    check = verdict.case.check
    if check in OF_CALLS:
        return OF_CALLS[check]
    return _without_numbers(verdict.reason) if check == "values" else f"the property {check} does not hold"
