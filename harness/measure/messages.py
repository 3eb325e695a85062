"""What a measuring session is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.operators.problem import Problem
from harness.records.accuracy import Accuracy
from harness.records.cell import Memory
from harness.workers.messages import Failed, Request


@dataclass(frozen=True)
class Prepare(Request):
    """Build for a problem, verify against the oracle, warm up. Answered by `Prepared` or `Failed`."""

    STEP: ClassVar[str] = "building, verifying and warming up"

    problem: Problem
    seed: int
    expected: str
    """Path of the oracle's answer."""
    sample_s: float
    warmup_s: float


@dataclass(frozen=True)
class Prepared:
    accuracy: Accuracy
    build_s: float
    first_call_s: float
    warmup_calls: int
    call_s: float
    """Seconds a call after warming up."""
    calls_per_sample: int
    resident_bytes: int
    """Of the worker, with the problem loaded."""
    rise_bytes: int
    """How far the first call raised the high-water mark; for predictions only."""


@dataclass(frozen=True)
class Sample(Request):
    """Take samples for about `turn_s`. Answered by `Sampled` or `Failed`."""

    STEP: ClassVar[str] = "a round of samples"

    turn_s: float


@dataclass(frozen=True)
class Sampled:
    samples_s: tuple[float, ...]


@dataclass(frozen=True)
class Finish(Request):
    """Verify the output of the last call that was timed, and drop the problem. Answered by `Finished` or `Failed`."""

    STEP: ClassVar[str] = "the last verification"


@dataclass(frozen=True)
class Finished:
    accuracy: Accuracy
    settings: dict[str, str]
    """Versions and fairness settings as the framework then has them."""


@dataclass(frozen=True)
class MeasureMemory(Request):
    """Measure the memory of a call. Answered by `MemoryMeasured` or `Failed`."""

    STEP: ClassVar[str] = "the memory measurement"

    problem: Problem
    seed: int


@dataclass(frozen=True)
class MemoryMeasured:
    memory: Memory
    rise_bytes: int
    """By how much the high-water mark rose during the call."""
    call_s: float
    """Seconds that the call took."""


@dataclass(frozen=True)
class TraceMemory(Request):
    """Measure it again by tracing allocations. Answered by `MemoryMeasured` or `Failed`."""

    STEP: ClassVar[str] = "the allocation trace"

    problem: Problem
    seed: int
    marked: MemoryMeasured


@dataclass(frozen=True)
class Rate(Request):
    """Measure the machine's matrix-product rate in a dtype. Answered by `Rated` or `Failed`."""

    dtype: str


@dataclass(frozen=True)
class Rated:
    flops_per_s: float


@dataclass(frozen=True)
class Rejected(Failed):
    """An output that is wrong."""

    accuracy: Accuracy | None = None
    """How far off it is; None where it has not even the right form."""
