"""A bound call whose inputs have other values each time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.measure import values
from harness.operators.base import Operator
from harness.plugins.bound_call import BoundCall


class FreshCall:
    """What is timed of a bound call: see `harness.measure.timing.Target`.

    In every call of a forward problem all that changes has other values. In a backward problem the gradient of the output
    has, and the saved state is that of a forward pass which `begin` has run, with other values for the turn.
    """

    def __init__(self, bound: BoundCall, operator: Operator, seed: int):
        self.bound = bound
        self.queued = bound.framework.asynchronous
        self._operator = operator
        self._seed = seed
        self._draw = random.Random(seed).randrange
        self._backward = bound.problem.direction == "backward"
        self._known, self._left = 0, -1
        self._take_stock()

    def begin(self, seed: int) -> None:
        """Before a turn: the values from here on follow from `seed`."""
        self._draw = random.Random(seed).randrange
        if self._backward:
            self._give(seed)

    def give_known(self, seed: int, after: int) -> None:
        """Have the call after so many others get the values of `harness.measure.values.others` with this seed."""
        self._known = seed
        self._left = after

    def next_call(self) -> Callable[[], Any]:
        """The call with other values in its inputs."""
        bound = self.bound
        self._left -= 1
        if self._left == -1:
            self._give(self._known)
            return bound.call
        for name, source in self._stock.items():
            values.write_rolled(bound.given[name], source, 1 + self._draw(source.size - 1))
        if self._copied:
            bound.convert_again(self._copied)
        return bound.call

    def wait(self, result: Any) -> None:
        self.bound.framework.synchronize(result)

    def check(self, result: Any) -> None:
        self.bound.check(result)

    def _give(self, seed: int) -> None:
        """All that changes, as the parent can make it too; of a backward problem, the forward pass is run with it."""
        bound = self.bound
        inputs = self._operator.inputs(bound.problem, self._seed)
        bound.overwrite(values.others(inputs, values.changing(self._operator, inputs), seed))
        bound.convert_again(bound.copied_inputs())
        if self._backward:
            bound.run_forward()
            bound.convert_again(())

    def _take_stock(self) -> None:
        """Copies of the arrays that change in every call, in the order in which they are given."""
        bound = self.bound
        names = values.changing(self._operator, bound.given)
        if self._backward:
            names = tuple(name for name in names if name == self._operator.gradient)
        self._stock: dict[str, np.ndarray] = {name: bound.given[name].copy() for name in names}
        self._copied = [name for name in bound.copied_inputs() if name in names]
