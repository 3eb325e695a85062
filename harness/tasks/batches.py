"""Texts as numbers, in batches of about the same length. The order follows from a seed and a step alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

PADDING = 0
"""The token that fills up shorter texts."""
IGNORED = -100
"""The target of a position that does not count; `torch.nn.CrossEntropyLoss` has it so."""

STEP = 8
"""Lengths are rounded up to a multiple of it: every shape is another problem for a kernel."""

_POOL = 50
"""Batches that are drawn together, sorted by length and cut."""


@dataclass(frozen=True)
class Sample:
    """One text: what the network reads, and what it should say."""

    inputs: tuple[Sequence[int], ...]
    """Sequences of tokens: of a text; of a source and a translation up to, and without, its last token."""
    target: int | Sequence[int]
    """A class, or a token for each position of the last input."""

    @property
    def length(self) -> int:
        """Of its inputs in all."""
        return sum(map(len, self.inputs))


@dataclass(frozen=True)
class Batch:
    """Of int64: inputs (samples, length) and targets (samples,) or (samples, length)."""

    inputs: tuple[np.ndarray, ...]
    targets: np.ndarray


def collated(samples: Sequence[Sample]) -> Batch:
    """Samples filled up to a common length."""
    inputs = tuple(_filled([sample.inputs[n] for sample in samples], PADDING) for n in range(len(samples[0].inputs)))
    if isinstance(samples[0].target, int):
        return Batch(inputs, np.array([sample.target for sample in samples]))
    return Batch(inputs, _filled([sample.target for sample in samples], IGNORED))  # type: ignore[misc]


def _filled(sequences: Sequence[Sequence[int]], value: int) -> np.ndarray:
    length = -(-max(map(len, sequences)) // STEP) * STEP
    whole = np.full((len(sequences), length), value, np.int64)
    for row, sequence in zip(whole, sequences, strict=True):
        row[: len(sequence)] = sequence
    return whole


def in_order(samples: Sequence[Sample], size: int) -> Iterator[Batch]:
    """All samples once, from the shortest to the longest."""
    ordered = sorted(samples, key=lambda sample: sample.length)
    for start in range(0, len(ordered), size):
        yield collated(ordered[start : start + size])


class Shuffled:
    """Batches for training, by the number of the step from 0. Every epoch sees each sample once, in another order."""

    def __init__(self, samples: Sequence[Sample], size: int, seed: int):
        self._samples, self._size, self._seed = samples, min(size, len(samples)), seed
        self._of_epoch = len(samples) // self._size
        self._drawn: tuple[int, list[np.ndarray]] = (-1, [])

    def __getitem__(self, step: int) -> Batch:
        epoch, number = divmod(step, self._of_epoch)
        if self._drawn[0] != epoch:
            self._drawn = epoch, self._order(epoch)
        return collated([self._samples[index] for index in self._drawn[1][number]])

    def _order(self, epoch: int) -> list[np.ndarray]:
        random = np.random.default_rng((self._seed, epoch))
        order = random.permutation(len(self._samples))[: self._of_epoch * self._size]
        lengths = np.array([self._samples[index].length for index in order])
        batches = []
        for start in range(0, len(order), _POOL * self._size):
            pool = order[start : start + _POOL * self._size]
            pool = pool[np.argsort(lengths[start : start + _POOL * self._size], kind="stable")]
            batches += np.split(pool, len(pool) // self._size)
        return [batches[index] for index in random.permutation(len(batches))]
