"""Batches as tensors of PyTorch. For workers only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from harness.tasks import batches
from harness.tasks.batches import Batch, Sample


@dataclass(frozen=True)
class Tensors:
    """A batch: inputs (samples, length) and targets (samples,) or (samples, length), of int64."""

    inputs: tuple[torch.Tensor, ...]
    targets: torch.Tensor


def tensors(batch: Batch) -> Tensors:
    """The same memory."""
    return Tensors(tuple(map(torch.from_numpy, batch.inputs)), torch.from_numpy(batch.targets))


def collated(samples: Sequence[Sample]) -> Tensors:
    """Samples filled up to a common length."""
    return tensors(batches.collated(samples))


def in_order(samples: Sequence[Sample], size: int) -> Iterator[Tensors]:
    """All samples once, from the shortest to the longest."""
    return map(tensors, batches.in_order(samples, size))
