"""The oracle's answers for one problem, in the parent: where foreign code runs nobody can read them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np

from harness.errors import Status
from harness.measure import values
from harness.measure.messages import Rejected, Revealed
from harness.operators import checks
from harness.operators.answer import Expected
from harness.operators.base import Operator
from harness.operators.problem import Problem
from harness.records.accuracy import Accuracy


@dataclass(frozen=True)
class KnownValues:
    """Values that the parent can make too, and what comes of them."""

    seed: int
    expected: Expected


KEPT_BYTES = 2**26
"""Of an answer that is kept from process to process."""


@dataclass
class Answers:
    """What the implementations of a problem should return: for its own arrays, and for values that are drawn anew for each
    process. Where only some rows are checked, they are others each time."""

    operator: Operator
    problem: Problem
    seed: int
    draw: random.Random
    first: Expected = field(init=False)
    """For the problem's own arrays, at all rows where that is affordable."""
    known: KnownValues = field(init=False)
    """For the values of the turn that is verified, at some rows."""
    _seen: dict[str, set[int]] = field(init=False, default_factory=dict)

    def renew(self) -> None:
        """Make the answers for another process."""
        inputs = self.operator.inputs(self.problem, self.seed)
        if not (hasattr(self, "first") and all(tensor.complete for tensor in self.first.values())):
            self.first = self._noted(self.operator.expected(self.problem, inputs, self.draw.getrandbits(32)))
        seed = self.draw.getrandbits(32)
        others = values.others(inputs, values.changing(self.operator, inputs), seed)
        self.known = KnownValues(
            seed, self._noted(self.operator.spot_check(self.problem, others, self.draw.getrandbits(32)))
        )

    def _noted(self, answer: Expected) -> Expected:
        for name, tensor in answer.items():
            if tensor.rows is not None:
                self._seen.setdefault(name, set()).update(int(row) for row in tensor.rows)
        return answer

    def forget(self) -> None:
        """Let go of what is large until another process needs it: a run has many problems."""
        del self.known
        if sum(tensor.value.nbytes + tensor.bound.nbytes for tensor in self.first.values()) > KEPT_BYTES:
            del self.first

    @property
    def share(self) -> float:
        """The smallest share of an output's rows that has been compared so far."""
        lengths = {name: tensor.length for name, tensor in self.first.items() if not tensor.complete}
        return min((len(self._seen[name]) / length for name, length in lengths.items()), default=1.0)


LATE = " changed after the call had returned: it was still being written, or a later call wrote into it"


def rows_of(expected: Expected) -> dict[str, np.ndarray | None]:
    """The rows of each output that are compared; None for all."""
    return {name: tensor.rows for name, tensor in expected.items()}


def judged(operator: Operator, revealed: Revealed, expected: Expected, when: str = "") -> Accuracy | Rejected:
    """How far off outputs are; `when` they were made begins the sentence about wrong ones."""
    found = checks.accuracy_of_rows(revealed.outputs, expected)
    if not found.correct:
        return Rejected(Status.INCORRECT, when + checks.finding(found, operator.exactly), found)
    if revealed.written_late:
        return Rejected(Status.INCORRECT, revealed.written_late + LATE)
    return found
