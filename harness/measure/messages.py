"""What the manager and a worker say to each other, pickled over a socket pair. Neither imports the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.conformance.verdict import Verdict
from harness.errors import Status
from harness.operators.attention.conventions import Conventions
from harness.operators.attention.inputs import Inputs
from harness.operators.attention.problem import Problem
from harness.operators.case import Case
from harness.plugins.implementation import Origin
from harness.records.accuracy import Accuracy
from harness.records.cell import Memory


@dataclass(frozen=True)
class Start:
    """First message to a worker: whom to load. Answered by `Ready` or `Failed`."""

    implementation: str
    origin: Origin
    device: str
    threads: int
    memory_bytes: int
    """The worker may not allocate more than this; 0 for no limit."""


@dataclass(frozen=True)
class Ready:
    settings: dict[str, str]
    """Versions and fairness settings as the worker found them."""


@dataclass(frozen=True)
class Prepare:
    """Build for a problem, verify against the oracle, warm up. Answered by `Prepared` or `Failed`."""

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
class Sample:
    """Take samples for about `turn_s`. Answered by `Sampled` or `Failed`."""

    turn_s: float


@dataclass(frozen=True)
class Sampled:
    samples_s: tuple[float, ...]


@dataclass(frozen=True)
class Finish:
    """Verify the last output once more and drop the problem. Answered by `Finished` or `Failed`."""


@dataclass(frozen=True)
class Finished:
    accuracy: Accuracy
    settings: dict[str, str]


@dataclass(frozen=True)
class Weigh:
    """Measure the memory of a call. Answered by `Weighed` or `Failed`."""

    problem: Problem
    seed: int


@dataclass(frozen=True)
class Weighed:
    memory: Memory


@dataclass(frozen=True)
class Rate:
    """Measure the machine's matrix-product rate in a dtype. Answered by `Rated` or `Failed`."""

    dtype: str


@dataclass(frozen=True)
class Rated:
    flops_per_s: float


@dataclass(frozen=True)
class Check:
    """Run one conformance case. Answered by `Checked`, or by `Failed` when the process could not survive it."""

    case: Case


@dataclass(frozen=True)
class Checked:
    verdict: Verdict


@dataclass(frozen=True)
class Solve:
    """Compute the outputs of a problem for given arrays. Answered by `Solved` or `Failed`."""

    problem: Problem
    inputs: Inputs


@dataclass(frozen=True)
class Solved:
    outputs: dict[str, np.ndarray]
    """Canonical arrays in the problem's dtype: o, or dq, dk and dv."""


@dataclass(frozen=True)
class Probe:
    """Find out the conventions. Answered by `Probed` or `Failed`."""


@dataclass(frozen=True)
class Probed:
    implementation: Conventions
    library_call: Conventions | None
    """Of the bare library call behind it, where there is one."""


@dataclass(frozen=True)
class Failed:
    """What went wrong, in a status and a sentence."""

    status: Status
    reason: str
    accuracy: Accuracy | None = None


Request = Start | Prepare | Sample | Finish | Weigh | Rate | Check | Solve | Probe
Reply = Ready | Prepared | Sampled | Finished | Weighed | Rated | Checked | Solved | Probed | Failed
