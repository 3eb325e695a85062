"""What a measuring session is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from harness.measure.timing import Pace
from harness.operators.problem import Problem
from harness.records.accuracy import Accuracy
from harness.records.cell import Memory
from harness.records.execution import Execution
from harness.records.usage import Usage
from harness.workers.messages import Failed, Request


@dataclass(frozen=True)
class Prepared:
    """The outputs of the first call are kept until `Reveal` or the next turn."""

    build_s: float
    first_call_s: float
    warmup_calls: int
    call_s: float
    """Seconds a call after warming up."""
    pace: Pace
    resident_bytes: int
    """Of the worker, with the problem loaded."""
    rise_bytes: int
    """How far the first call raised the high-water mark; for predictions only."""


@dataclass(frozen=True)
class Prepare(Request):
    """Build for a problem, make the first call, warm up. Answered by `Prepared` or `Failed`."""

    STEP: ClassVar[str] = "building, the first call and warming up"
    REPLY: ClassVar[type] = Prepared

    problem: Problem
    seed: int
    sample_s: float
    warmup_s: float
    cold: bool = False
    """Whether each call is to find its inputs in memory, and not in a cache."""
    pace: Pace | None = None
    """As an earlier process has found it, alone on the machine, which this one is not."""


@dataclass(frozen=True)
class Sampled:
    samples_s: tuple[float, ...]
    start_s: float
    """When the turn began and ended by the worker's monotonic clock, which all processes share."""
    end_s: float


@dataclass(frozen=True)
class Sample(Request):
    """Take samples for about `turn_s`. Answered by `Sampled` or `Failed`."""

    STEP: ClassVar[str] = "a round of samples"
    REPLY: ClassVar[type] = Sampled

    turn_s: float
    seed: int
    """Of which call's outputs are kept, and of the values of a forward pass before gradients."""
    known: int | None = None
    """That call gets values that the parent can make too, from this seed; None to keep nothing."""


@dataclass(frozen=True)
class Revealed:
    outputs: dict[str, np.ndarray]
    """Canonical, as they were when the call had returned."""
    written_late: str
    """Which output has changed since then, or ""."""


@dataclass(frozen=True)
class Reveal(Request):
    """Give the outputs that are kept, and drop them. Answered by `Revealed` or `Failed`.

    Which rows are wanted is not known to the worker until then.
    """

    STEP: ClassVar[str] = "giving the outputs"
    REPLY: ClassVar[type] = Revealed

    rows: Mapping[str, np.ndarray | None]
    """By output, along the last axis but one; None for all."""


@dataclass(frozen=True)
class Observe(Request):
    """Look at how calls run. Answered by `Execution` or `Failed`."""

    STEP: ClassVar[str] = "looking at how a call runs"
    REPLY: ClassVar[type] = Execution


@dataclass(frozen=True)
class Finished:
    settings: dict[str, str]
    """Versions and fairness settings as the framework then has them."""
    usage: Usage | None = None
    """What a call of the turns was spent on, where the implementation tells."""


@dataclass(frozen=True)
class Finish(Request):
    """Drop the problem, unless it is to be observed. Answered by `Finished` or `Failed`."""

    STEP: ClassVar[str] = "the end of a problem"
    REPLY: ClassVar[type] = Finished

    observed: bool = False
    """Whether `Observe` follows, which drops it."""


@dataclass(frozen=True)
class MemoryMeasured:
    memory: Memory
    rise_bytes: int
    """By how much the high-water mark rose during the call."""
    call_s: float
    """Seconds that the call took."""
    python_bytes: int = 0
    """Of Python's own objects, NumPy's arrays included, at the highest moment of a call."""


@dataclass(frozen=True)
class MeasureMemory(Request):
    """Measure the memory of a call. Answered by `MemoryMeasured` or `Failed`."""

    STEP: ClassVar[str] = "the memory measurement"
    REPLY: ClassVar[type] = MemoryMeasured

    problem: Problem
    seed: int


@dataclass(frozen=True)
class TraceMemory(Request):
    """Measure it again by tracing allocations. Answered by `MemoryMeasured` or `Failed`."""

    STEP: ClassVar[str] = "the allocation trace"
    REPLY: ClassVar[type] = MemoryMeasured

    problem: Problem
    seed: int
    marked: MemoryMeasured


@dataclass(frozen=True)
class Rated:
    flops_per_s: float


@dataclass(frozen=True)
class Rate(Request):
    """Measure the machine's matrix-product rate in a dtype. Answered by `Rated` or `Failed`."""

    REPLY: ClassVar[type] = Rated

    dtype: str


@dataclass(frozen=True)
class Rejected(Failed):
    """An output that is wrong."""

    accuracy: Accuracy | None = None
    """How far off it is; None where it has not even the right form."""
