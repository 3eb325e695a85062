"""What a run will do, decided before it starts, and written down so that a killed run can go on."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.operators.base import Operator
from harness.operators.problem import Problem
from harness.plugins.contender import Contender
from harness.plugins.origin import Origin
from harness.records.typed import checked

MOST = 1e9
"""Of seconds, processes and rounds."""


@dataclass(frozen=True)
class Effort:
    """How much time a run spends on a cell. Seconds."""

    processes: int = 5
    """Processes of each implementation, one after the other, at most: two processes of one kernel differ by more than the
    rounds of one."""
    min_processes: int = 3
    """From which on measuring may end early."""
    precision: float = 0.02
    """It ends early when half of the 95 % interval is this share of the time."""
    rounds: int = 4
    """Turns of each process, interleaved with the others'."""
    min_rounds: int = 3
    """Turns that even a slow implementation gets, in one process."""
    turn_s: float = 0.06
    """Length of a turn, unless one call is longer."""
    sample_s: float = 0.01
    """Least length of a sample: long against the clock (0.1 µs) and against what interrupts it."""
    warmup_s: float = 0.2
    """Warming up ends here at the latest."""
    cell_s: float = 1.5
    """Timed work a cell gets over `min_processes`, `min_rounds` apart."""
    budget_s: float = 15.0
    """A cell predicted to take longer than this in all is over budget."""
    limits: bool = True
    """Whether the limits of the processor are measured first, which takes about 5 s."""
    memory: bool = True
    """Whether memory is measured afterwards, which takes about a second a cell."""

    CALLS = 4
    """Calls a cell costs beside its rounds: first, warm-up, last verification, memory."""

    def __post_init__(self) -> None:
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if one.type == "bool":
                if not isinstance(value, bool):
                    raise ValueError(f"{one.name} must be true or false, not {value!r}")
                continue
            kind, called = (int, "a whole number") if one.type == "int" else (int | float, "a number")
            if isinstance(value, bool) or not isinstance(value, kind) or not 0 < value <= MOST:
                raise ValueError(f"{one.name} must be {called} above zero and at most {MOST:.0e}, not {reprlib.repr(value)}")

    def processes_for(self, call_s: float) -> int:
        """How many processes measure a call of that length at most; one where not each could have a turn."""
        return self.processes if self._turns(call_s) >= self.min_processes else 1

    def rounds_for(self, call_s: float) -> int:
        """In how many rounds of a process a call of that length has a turn."""
        if self.processes_for(call_s) == 1:
            return min(self.rounds, max(self.min_rounds, self._turns(call_s)))
        return min(self.rounds, max(1, self._turns(call_s) // min(self.min_processes, self.processes)))

    def _turns(self, call_s: float) -> int:
        return int(self.cell_s / max(self.turn_s, call_s) + 1e-9)  # 0.6 / 0.05 is 11.999…, and twelve turns.

    def takes_part(self, call_s: float, number: int) -> bool:
        """Whether it has a turn in round `number` of a process; turns are spread evenly over the rounds."""
        mine = self.rounds_for(call_s)
        return (number + 1) * mine // self.rounds > number * mine // self.rounds

    def cell_cost_s(self, call_s: float) -> float:
        """What a cell takes in all, when one call takes `call_s`."""
        return (self.CALLS + self.min_rounds) * call_s


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a run measures."""

    preset: str
    operator: str
    """Whose problems they are."""
    problems: tuple[Problem, ...]
    contenders: tuple[Contender, ...]
    baseline: str
    """Whose time the others' are divided into, measured in every block; "" for none."""
    threads: int
    timeout_s: float
    memory_bytes: int
    """Memory that workers may use, each for itself and all that are alive together."""
    seed: int
    effort: Effort
    cache: str = ""
    """What every call finds in the caches: "hot", its inputs, as they have just been written; "cold", none of them. "" for
    what is usual for the problem."""
    plugins: Mapping[str, str] = field(default_factory=dict)
    """Files of plug-ins, with the sha256 that they had."""

    def is_cold(self, problem: Problem) -> bool:
        """Whether the calls of a problem find their inputs in memory, and not in a cache."""
        return self.cache == "cold" or (not self.cache and problem.usually_cold)

    def to_json(self) -> dict[str, Any]:
        """Plain values; problems as records hold them."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        values["problems"] = [problem.posed(self.operator).to_json() for problem in self.problems]
        values["contenders"] = [dataclasses.asdict(contender) for contender in self.contenders]
        values["effort"] = dataclasses.asdict(self.effort)
        return values

    @classmethod
    def from_json(cls, data: Mapping[str, Any], operator: Operator) -> Plan:
        """The plan that `to_json` wrote. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
        values = {"cache": "hot", **data}  # As all plans were that do not say.
        values["problems"] = tuple(operator.problem(**posed["fields"]) for posed in values["problems"])
        values["contenders"] = tuple(Contender(**{**c, "origin": Origin(**c["origin"])}) for c in values["contenders"])
        values["effort"] = Effort(**values["effort"])
        return checked(cls(**values))
