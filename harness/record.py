"""What a run finds out, as types whose wrong states cannot be built.

A cell is one implementation on one problem. It ends in exactly one status, and the status decides what the record may
hold: a cell that failed its verification has an error and no time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a cell ended."""

    OK = "ok"
    """Verified against the oracle, then measured."""
    INCORRECT = "incorrect"
    """Failed the verification; not timed."""
    UNSUPPORTED = "unsupported"
    """The implementation declares that it does not do this."""
    UNAVAILABLE = "unavailable"
    """Its framework or device is not on this machine."""
    OVER_BUDGET = "over-budget"
    """Predicted from its smaller cells to exceed the cell's time or memory; not run."""
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    CRASHED = "crashed"
    """The process died: exit code or signal, and the last lines it printed."""
    ERROR = "error"
    """It raised."""


@dataclass(frozen=True)
class Accuracy:
    """How far an output lies from the float64 oracle."""

    max_abs_error: float
    """Largest absolute difference over the checked elements; infinite when the output holds a nan."""
    error_over_bound: float
    """Largest ratio of that difference to the derived bound of its element; at most 1 when correct."""
    elements: int
    """How many elements were compared."""
    worst: str = ""
    """Where the largest ratio lies, such as "o[0, 3, 17, 5]"; empty when nothing differs."""
    worst_bound: float = 0.0
    """The bound of that element."""
    worst_error: float = 0.0
    """The absolute difference of that element; infinite where it is not a number."""
    worst_undefined: bool = False
    """Whether the formula gives nan there, and the output a number."""

    @property
    def correct(self) -> bool:
        return self.error_over_bound <= 1.0


@dataclass(frozen=True)
class Timing:
    """The raw samples of one cell, in the order they were taken."""

    samples_s: tuple[float, ...]
    """Seconds a call, each the mean of `calls_per_sample` calls."""
    rounds: tuple[int, ...]
    """The round that each sample was taken in; samples of one round share the machine's mood."""
    calls_per_sample: int
    build_s: float
    """Building the callable: compiling, tuning, workspaces."""
    first_call_s: float
    """The first call, which may compile what building did not."""
    warmup_calls: int

    def __post_init__(self) -> None:
        if not self.samples_s or len(self.samples_s) != len(self.rounds):
            raise ValueError("a timing has at least one sample, and a round for each")
        if not all(s > 0 and math.isfinite(s) for s in self.samples_s):
            raise ValueError("every sample is a positive number of seconds")


@dataclass(frozen=True)
class Memory:
    """Memory of one call in the steady state, in bytes."""

    peak_bytes: int
    """Inputs, output and workspace: the highest mark of the call, above the process without the problem."""
    workspace_bytes: int
    """What the call needed beyond its inputs and its output, kept buffers included."""
    method: str
    """How it was read, such as "VmHWM after clear_refs"."""


@dataclass(frozen=True)
class Cell:
    """One implementation on one problem, and what came of it.

    Raises `ValueError` for a combination of status and findings that must not exist.
    """

    implementation: str
    framework: str
    device: str
    problem: str
    """The problem's name; the plan holds the problem itself."""
    status: Status
    reason: str = ""
    """Why there is no time, in words; empty when there is one."""
    accuracy: Accuracy | None = None
    timing: Timing | None = None
    memory: Memory | None = None
    warnings: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """The framework's version and settings as the worker found them."""

    def __post_init__(self) -> None:
        ok = self.status is Status.OK
        measured = self.timing is not None or self.memory is not None
        if ok and (self.accuracy is None or not self.accuracy.correct or self.timing is None):
            raise ValueError("an ok cell has been verified, is correct and has a time")
        if not ok and measured:
            raise ValueError(f"a cell that is {self.status} cannot carry a time or a memory")
        if self.status is Status.INCORRECT and self.accuracy is not None and self.accuracy.correct:
            raise ValueError("an incorrect cell cannot have an error within the bound")
        if ok == bool(self.reason):
            raise ValueError("a cell without a time says why, and only such a cell does")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """The cell that `to_json` wrote. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        if not isinstance(data, Mapping):
            raise ValueError(f"a cell is {data!r}")
        values = dict(data)
        values["status"] = Status(values["status"])
        kinds: dict[str, Any] = {"accuracy": Accuracy, "timing": Timing, "memory": Memory}
        for name, kind in kinds.items():
            part = values.get(name)
            if part is not None:
                if not isinstance(part, Mapping):
                    raise ValueError(f"{name} is {part!r}")
                values[name] = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in part.items()})
        values["warnings"] = tuple(values.get("warnings", ()))
        return cls(**values)
