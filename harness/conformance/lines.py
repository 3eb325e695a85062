"""What `harness check` prints and writes: a line a case, a line a chapter, a line an implementation, a row a case."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from harness.conformance import findings
from harness.conformance.tally import Chapter, Tally
from harness.conformance.verdict import Verdict
from harness.errors import Status


def line(name: str, verdict: Verdict, repeat: str) -> str:
    """One case: its verdict, the worst element's error and bound; for a failure the finding and how to see it again."""
    head = f"{verdict.status!s:<12} {name}  {verdict.case.id}"
    if verdict.status is Status.UNSUPPORTED:
        return f"{head}: {verdict.reason}"
    if verdict.status is not Status.OK:
        return findings.failure(name, verdict, repeat)
    assert verdict.accuracy is not None
    found = verdict.accuracy
    if not found.worst:
        return f"{head}: exact"
    return f"{head}: error {found.worst_error:.2e}, bound {found.worst_bound:.2e}, ratio {found.error_over_bound:.3f}"


def row(name: str, device: str, verdict: Verdict, kind: str) -> dict[str, object]:
    """One case as a row of conformance.csv; `kind` is the kind of its failure."""
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
        "cause": verdict.cause.text if verdict.cause else "",
        "kind": kind,
        "max_abs_error": found.max_abs_error if found else None,
        "error_over_bound": found.error_over_bound if found else None,
        "elements_checked": found.elements if found else None,
    }


def chapter(one: Chapter) -> str:
    """One line, such as "masks     ok       30 passed, 2 unsupported   worst 0.12 of its bound: long, b1h2q130…"."""
    state = "FAILED" if one.failed else "ok" if one.counts[Status.OK] else "unsupported"
    head = f"{one.name:<14} {state:<12} {findings.counted(one.counts):<28}"
    if one.worst is None or one.worst.accuracy is None:
        return head.rstrip()
    found, case = one.worst.accuracy, one.worst.case
    return f"{head}  worst {found.error_over_bound:.3g} of its bound: {case.name}, {case.problem.name}"


def summary(tally: Tally) -> str:
    """One line, such as "numpy: 182 passed, 3 unsupported; the worst error is 0.12 of its bound"."""
    if tally.absent:
        return f"{tally.name}: {'error' if tally.broken else 'unavailable'}: {tally.absent}"
    counts = findings.counted(tally.counts)
    if not tally.examined:
        return f"{tally.name}: {counts}"
    return f"{tally.name}: {counts}; the worst error is {tally.ratio:.2g} of its bound"


def whole(tally: Tally, repeat: Callable[[Verdict], str]) -> Iterator[str]:
    """A line for each chapter, each known failure, and each kind of failures, the commonest first."""
    for one in tally.chapters.values():
        yield chapter(one)
    for reason, count in tally.known_failures.items():
        yield f"known failure, {findings.cases(count)}: {reason}"
    yield from findings.kinds(tally, repeat)
