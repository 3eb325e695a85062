"""What implementations, and the library calls behind them, really do."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from harness.conformance.examiner import Examiner
from harness.operators.conventions import Conventions
from harness.plugins.contender import contenders
from harness.plugins.registry import Registry
from harness.workers.messages import Failed

LIBRARY = "library call"


@dataclass(frozen=True)
class Probed:
    """What was found."""

    found: list[tuple[str, str, Conventions]]
    """(implementation, "" or `LIBRARY` for the bare call behind it, its conventions)."""
    absent: list[str]
    """Sentences on those that could not be probed."""

    @property
    def disagreements(self) -> list[str]:
        """What is not as the contract or the declarations have it."""
        return [f"{name}: {sentence}" for name, _, one in self.found for sentence in one.disagreements]


def probe(registry: Registry, names: Sequence[str], device: str, timeout_s: float) -> Probed:
    """Probe the named implementations, each in a worker of its own."""
    found: list[tuple[str, str, Conventions]] = []
    absent: list[str] = []
    for contender in contenders(registry, names, device):
        if contender.absent:
            absent.append(f"{contender.name}: {contender.absent}")
            continue
        with Examiner(contender, len(os.sched_getaffinity(0)), timeout_s) as examiner:
            reply = examiner.probe()
        if isinstance(reply, Failed):
            absent.append(f"{contender.name}: {reply.status}: {reply.reason}")
            continue
        found.append((contender.name, "", reply.implementation))
        if reply.library_call is not None:
            found.append((contender.name, LIBRARY, reply.library_call))
    return Probed(found, absent)
