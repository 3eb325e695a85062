"""Problems that differ in nothing but a length: what a curve is drawn along."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from harness.records.problem import PosedProblem


@dataclass(frozen=True)
class Family:
    """Problems with different lengths, in their order."""

    along: str
    """The field that is the length, or all of them, such as "q_len = kv_len"."""
    members: tuple[tuple[int, PosedProblem], ...]
    """(length, problem)."""


def families(problems: Iterable[PosedProblem]) -> list[Family]:
    """All the families of two members and more, the largest first.

    A problem is in one family of problems whose lengths are equal, if its own are, and for each length in one of problems
    that have the other lengths in common.
    """
    groups: dict[tuple[str, Hashable], dict[int, PosedProblem]] = {}
    for problem in problems:
        lengths = {name: problem.fields[name] for name in problem.lengths}
        if len(lengths) > 1 and len(set(lengths.values())) == 1:
            key = " = ".join(lengths), problem.family
            groups.setdefault(key, {}).setdefault(next(iter(lengths.values())), problem)
        for name, length in lengths.items():
            others = tuple((other, value) for other, value in lengths.items() if other != name)
            groups.setdefault((name, (problem.family, others)), {}).setdefault(length, problem)
    found = [Family(along, tuple(sorted(members.items()))) for (along, _), members in groups.items() if len(members) > 1]
    return sorted(found, key=lambda family: -len(family.members))
