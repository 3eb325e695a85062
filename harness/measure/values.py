"""Other values for the arrays of a problem, as many as are wanted: nobody can hand out an answer that was kept.

A set of values is the problem's own arrays, each turned round by an offset of its own as one long row of numbers: values,
their distribution and sums stay what they were, and every element is another. It costs a copy.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Collection, Mapping

import numpy as np

from harness.operators.base import Operator


def changing(operator: Operator, inputs: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The inputs that have other values in every call: numbers that are free to be others, and no layer's own."""
    kept = (*operator.structured, *operator.parameters)
    return tuple(name for name, array in inputs.items() if name not in kept and array.dtype != bool and array.size > 1)


def others(inputs: Mapping[str, np.ndarray], names: Collection[str], seed: int) -> dict[str, np.ndarray]:
    """All the arrays, those called `names` with other values. The same seed gives the same bits in every process."""
    draw = random.Random(seed)
    offsets = {name: 1 + draw.randrange(inputs[name].size - 1) for name in sorted(names)}
    return {name: rolled(array, offsets[name]) if name in offsets else array for name, array in inputs.items()}


class Offsets:
    """Offsets for arrays of so many elements, which do not come again before every combination has come.

    Drawn at random, those of arrays of a few hundred elements would come again within some thousand calls.
    """

    def __init__(self, sizes: Collection[int]):
        self._ranges = [size - 1 for size in sizes]
        self._total = math.prod(self._ranges)
        self._at = random.SystemRandom().randrange(self._total)
        # Without a common divisor every combination is reached before one comes again.
        self._step = next(step for step in itertools.count(int(0.618 * self._total) + 1) if math.gcd(step, self._total) == 1)

    def __next__(self) -> list[int]:
        """An offset for each array; never 0."""
        self._at = (self._at + self._step) % self._total
        left, offsets = self._at, []
        for count in self._ranges:
            left, offset = divmod(left, count)
            offsets.append(1 + offset)
        return offsets


def rolled(array: np.ndarray, offset: int) -> np.ndarray:
    """A new array: the elements in their order, beginning with the one at `offset`."""
    turned = np.empty(array.shape, array.dtype)
    write_rolled(turned, array, offset)
    return turned


def write_rolled(target: np.ndarray, source: np.ndarray, offset: int) -> None:
    """Write the elements of `source` into `target`, both C-contiguous, beginning with the one at `offset`."""
    to, given = target.reshape(-1), source.reshape(-1)
    to[: given.size - offset] = given[offset:]
    to[given.size - offset :] = given[:offset]
