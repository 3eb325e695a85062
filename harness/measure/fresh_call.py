"""A bound call whose inputs have other values each time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.measure import values
from harness.measure.eviction import Eviction
from harness.operators.base import Operator
from harness.plugins.bound_call import BoundCall


@dataclass(frozen=True)
class Kept:
    """The outputs of a call, as they were when it had returned."""

    result: Any
    outputs: dict[str, np.ndarray]

    @classmethod
    def of(cls, bound: BoundCall, result: Any) -> Kept:
        """Copy the outputs at once: what is written later does not count."""
        return cls(result, {name: output.copy() for name, output in bound.outputs(result).items()})


@dataclass(frozen=True)
class KnownCall:
    """The call whose outputs are kept, with values that the parent can make too."""

    seed: int
    """Of `harness.measure.values.others`."""
    after: int
    """Calls of the turn that come before it."""


class FreshCall:
    """What is timed of a bound call: see `harness.measure.timing.Target`.

    In every call of a forward problem all that changes has other values. In a backward problem the gradient of the output
    has, and the saved state is that of a forward pass which `begin` has run, with other values for the turn.

    Nothing tells the call that is kept from the others before it has returned: its values were made before the turn, and are
    written by the same code. Where a call is to find its inputs in memory, they are thrown out of the caches after that.
    """

    kept: Kept | None = None
    """Of the known call of the turn, once it has been made."""

    def __init__(self, bound: BoundCall, operator: Operator, seed: int, cold: bool = False):
        self.bound = bound
        self.queued = bound.framework.asynchronous and not cold
        self._evict = Eviction(bound.framework) if cold else None
        self._operator = operator
        self._seed = seed
        self._backward = bound.problem.direction == "backward"
        names = values.changing(operator, bound.given)
        self._names = [name for name in names if name == operator.gradient or not self._backward]
        """The inputs that change in every call."""
        self._copied = [name for name in bound.copied_inputs() if name in self._names]
        self._stock = {name: bound.given[name].copy() for name in self._names}
        self._offsets = values.Offsets([array.size for array in self._stock.values()])
        self._known_values: dict[str, np.ndarray] = {}
        self._calls_left = -1

    def begin(self, seed: int, known: KnownCall | None) -> None:
        """Before a turn: its known call, and in a backward problem other values for the forward pass, from `seed`."""
        self.kept = None
        self._calls_left = known.after if known else -1
        if known is None and not self._backward:
            return
        inputs = self._operator.inputs(self.bound.problem, self._seed)
        names = values.changing(self._operator, inputs)
        changed = values.others(inputs, names, known.seed if known else seed)
        self._known_values = {name: self.bound.in_layout(name, changed[name]) for name in self._names}
        if self._backward:
            self.bound.overwrite(changed)
            self.bound.convert_again(self.bound.copied_inputs())
            self.bound.run_forward()

    def next_call(self) -> Callable[[], Any]:
        """The call with other values in its inputs."""
        bound = self.bound
        self._calls_left -= 1
        for name, offset in zip(self._names, next(self._offsets), strict=True):
            known = self._calls_left == -1
            source = self._known_values[name] if known else self._stock[name]
            values.write_rolled(bound.given[name], source, 0 if known else offset)
        bound.convert_again(self._copied)
        self.cool_down()
        return bound.call

    def cool_down(self) -> None:
        """Throw the inputs out of the caches, where calls are to find them in memory.

        Parameters stay where they are: of those, many implementations have copies of their own.
        """
        if self._evict:
            arrays = self.bound.native_inputs.items()
            self._evict([array for name, array in arrays if name not in self._operator.parameters])

    def wait(self, result: Any) -> None:
        self.bound.framework.synchronize(result)

    def finished(self, result: Any) -> None:
        """Look at what a call gave, and keep it where it was the known one."""
        self.bound.check(result)
        if self._calls_left == -1:
            self.kept = Kept.of(self.bound, result)
