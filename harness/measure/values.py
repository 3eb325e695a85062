"""Other values for the arrays of a problem, as many as are wanted: nobody can hand out an answer that was kept.

A set of values is the problem's own arrays, each turned round by an offset of its own as one long row of numbers: values,
their distribution and sums stay what they were, and every element is another. It costs a copy.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping

import numpy as np

from harness.operators.base import Operator


def changing(operator: Operator, inputs: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The inputs that have other values in every call: numbers that are free to be others, and no layer's own."""
    kept = (*operator.structured, *operator.parameters)
    return tuple(name for name, array in inputs.items() if name not in kept and array.dtype != bool and array.size > 1)


def others(inputs: Mapping[str, np.ndarray], names: Collection[str], seed: int) -> dict[str, np.ndarray]:
    """All the arrays, those called `names` with other values. The same seed gives the same bits in every process."""
    offsets = dict(zip(sorted(names), offsets_of(seed, [inputs[name].size for name in sorted(names)]), strict=True))
    return {name: rolled(array, offsets[name]) if name in offsets else array for name, array in inputs.items()}


def offsets_of(seed: int, sizes: Collection[int]) -> Iterator[int]:
    """An offset for each array of so many elements; never 0."""
    draw = random.Random(seed)
    return (1 + draw.randrange(size - 1) for size in sizes)


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
