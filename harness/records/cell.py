"""What a run finds out, as types whose wrong states cannot be built.

A cell is one implementation on one problem. It ends in exactly one status, and the status decides what the record may
hold: a cell that failed its verification has an error and no time.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import Status
from harness.records.accuracy import Accuracy
from harness.records.execution import Execution
from harness.records.generation import Generation
from harness.records.problem import PosedProblem
from harness.records.real_answers import RealAnswers
from harness.records.usage import Usage


@dataclass(frozen=True)
class Turn:
    """Samples taken one after the other by one process, while every other worker was stopped."""

    process: int
    """Which of the processes that measured the problem, counted from 0; those of one number were alive together."""
    round: int
    """In which round of that process; turns of one round follow each other closely."""
    order: int
    """Its place in the round, counted from 0."""
    start_s: float
    """When it began, in seconds since the epoch; 0 where that was not kept."""
    calls: int
    """Calls in each sample."""
    samples_s: tuple[float, ...]
    """Seconds a call, each the mean of `calls` calls."""
    disturbed: str = ""
    """What else went on in the machine during the round, in a few words."""

    def __post_init__(self) -> None:
        if not self.samples_s or not all(s > 0 and math.isfinite(s) for s in self.samples_s):
            raise ValueError("a turn has at least one sample, and every sample is a positive number of seconds")

    @property
    def when(self) -> tuple[int, int]:
        """The process and the round: turns of different cells with the same two were taken together."""
        return self.process, self.round


@dataclass(frozen=True)
class Timing:
    """The raw samples of one cell."""

    turns: tuple[Turn, ...]
    """In the order they were taken."""
    build_s: float
    """Building the callable in the first process: compiling, tuning, workspaces."""
    first_call_s: float
    """The first call there, which may compile what building did not."""
    warmup_calls: int
    """Calls before the first sample there."""
    import_s: float = 0.0
    """Processor time of starting that process, with everything that is imported; 0 where that was not kept."""
    stopped: str = ""
    """Why no further process measured it; empty while more are to come."""
    cache: str = "hot"
    """Whether calls found their inputs in a cache, or "cold": in memory."""

    def __post_init__(self) -> None:
        if not self.turns:
            raise ValueError("a timing has at least one turn")
        if len({turn.when for turn in self.turns}) < len(self.turns):
            raise ValueError("a process has one turn in a round")

    @property
    def samples_s(self) -> tuple[float, ...]:
        """Every sample, in order."""
        return tuple(sample_s for turn in self.turns for sample_s in turn.samples_s)

    @property
    def processes(self) -> tuple[int, ...]:
        """The numbers of the processes that took part."""
        return tuple(dict.fromkeys(turn.process for turn in self.turns))

    def with_more(self, turns: tuple[Turn, ...]) -> Timing:
        """The timing with the turns of another process."""
        return dataclasses.replace(self, turns=(*self.turns, *turns))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Timing:
        """What was written of it. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        turns = tuple(Turn(**{**turn, "samples_s": tuple(turn["samples_s"])}) for turn in data["turns"])
        return cls(**{**data, "turns": turns})


@dataclass(frozen=True)
class Memory:
    """Memory of one call in the steady state, in bytes."""

    peak_bytes: int
    """Inputs, output and workspace: the highest mark of the call, above the process without the problem."""
    workspace_bytes: int
    """What the call needed beyond its inputs and its output, kept buffers included."""
    method: str
    """How it was read, such as "VmHWM after clear_refs"."""
    resolution_bytes: int = 2**19
    """How far the two may be from the truth. Records of old do not say: the step of the high-water mark on two CPUs."""


@dataclass(frozen=True)
class Cell:
    """One implementation on one problem, and what came of it.

    Raises `ValueError` for a combination of status and findings that must not exist.
    """

    implementation: str
    framework: str
    device: str
    problem: PosedProblem
    status: Status
    reason: str = ""
    """Why there is no time, in words; empty when there is one."""
    accuracy: Accuracy | None = None
    timing: Timing | None = None
    memory: Memory | None = None
    execution: Execution | None = None
    """How its calls ran, where that was looked at."""
    usage: Usage | None = None
    """What a call was spent on in the first process, where the implementation tells."""
    generation: Generation | None = None
    """Of a model that generates text, where that was asked for."""
    answers: RealAnswers | None = None
    """Of a model with real weights."""
    warnings: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    """The framework's version and settings as the worker found them."""
    machine: str = ""
    """The name of the machine it was measured on; "" where nothing was run, and in records of old."""
    taken: str = ""
    """When it was finished, ISO 8601, UTC."""
    printed: str = ""
    """The last lines that the worker printed meanwhile."""

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

    @property
    def key(self) -> tuple[str, str]:
        """What a run has one cell of: the implementation and the problem's name."""
        return self.implementation, self.problem.name

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """The cell that `to_json` wrote. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        if not isinstance(data, Mapping):
            raise ValueError(f"a cell is {data!r}")
        values = dict(data)
        values["status"] = Status(values["status"])
        values["problem"] = PosedProblem.from_json(values["problem"])
        kinds: dict[str, Any] = {
            "accuracy": lambda part: Accuracy.from_json(**part),
            "timing": Timing.from_json,
            "memory": lambda part: Memory(**part),
            "execution": Execution.from_json,
            "usage": Usage.from_json,
            "generation": Generation.from_json,
            "answers": RealAnswers.from_json,
        }
        for name, kind in kinds.items():
            part = values.get(name)
            if part is not None:
                if not isinstance(part, Mapping):
                    raise ValueError(f"{name} is {part!r}")
                values[name] = kind(part)
        values["warnings"] = tuple(values.get("warnings", ()))
        return cls(**values)
