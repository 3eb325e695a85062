"""Failures in words: what came, what may have come, what it equals, and how to see it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from harness.conformance.tally import Tally
from harness.conformance.verdict import Verdict
from harness.errors import Status

INDENT = " " * 13

MAX_KINDS = 12
"""Kinds of failures that are listed; beyond, something more basic is wrong."""


def failure(name: str, verdict: Verdict, repeat: str) -> str:
    """One failed case: its finding, its cause, and the command that shows it again."""
    case = verdict.case
    head = f"{verdict.status!s:<12} {name}  {case.id}, {case.problem.name}: {verdict.reason}"
    return "\n".join([head, *_beneath(verdict, repeat)])


def kinds(tally: Tally, repeat: Callable[[Verdict], str]) -> Iterator[str]:
    """Each kind of failures, the commonest first: how many, the worst of them with its finding, how to see it again."""
    found = tally.kinds()
    for kind in found[:MAX_KINDS]:
        worst = kind.worst
        yield f"failed, {cases(len(kind.verdicts))}: {kind.name}"
        yield f"{INDENT}worst: {worst.case.id}, {worst.case.problem.name}: {worst.reason}"
        yield from _beneath(worst, repeat(worst))
    left = found[MAX_KINDS:]
    if left:
        yield f"failed, {cases(sum(len(kind.verdicts) for kind in left))} of {len(left)} more kinds"


def _beneath(verdict: Verdict, repeat: str) -> Iterator[str]:
    if verdict.cause is not None and verdict.cause.text:
        yield f"{INDENT}{verdict.cause.text}"
    if repeat:
        yield f"{INDENT}repeat: {repeat}"


def counted(counts: Counter[Status]) -> str:
    """Such as "30 passed, 2 unsupported"."""
    others = [f"{count} {status}" for status, count in counts.items() if status is not Status.OK]
    return ", ".join([f"{counts[Status.OK]} passed", *others])


def cases(count: int) -> str:
    """Such as "1 case"."""
    return f"{count} case{'' if count == 1 else 's'}"
