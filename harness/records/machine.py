"""The machine that something was measured on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.records.limits import Limits


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was read from the system, and the rates that were measured. What could not be read has its default."""

    date: str = ""
    """When it was looked at, ISO 8601."""
    processor: str = ""
    instruction_sets: tuple[str, ...] = ()
    cores: int | None = None
    logical_cpus: int | None = None
    usable_cpus: int | None = None
    """CPUs that this process may use."""
    threads: int | None = None
    """CPU threads of every implementation."""
    cpu_quota: float | None = None
    """Processors' time that a container grants; None for no limit."""
    memory_bytes: int = 0
    memory_available_bytes: int = 0
    memory_limit_bytes: int | None = None
    """Of a container; None for no limit."""
    virtual_machine: bool = False
    governor: str = ""
    load_average: tuple[float, ...] = ()
    gpus: tuple[str, ...] = ()
    system: str = ""
    python: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Of the distributions that matter."""
    commit: str = ""
    """Of the harness."""
    command: tuple[str, ...] = ()
    matmul_flops_per_s: Mapping[str, float] = field(default_factory=dict)
    """FLOP/s of a large matrix product, by "device dtype"."""
    limits: Limits | None = None
    """What the processor can do at most; None where that was not measured."""
    resumed: tuple[Machine, ...] = ()
    """The machines of later sessions of the same run."""

    @property
    def name(self) -> str:
        """What records call it: the processor, the GPU where there is one, and the threads."""
        return ", ".join(filter(None, [self.processor, *self.gpus[:1], f"{self.threads} threads" if self.threads else ""]))

    @property
    def told(self) -> str:
        """The same as a sentence, which says where a later session was on another machine or with other versions."""
        elsewhere = ["; ".join(differ) for one in self.resumed if (differ := self.differences(one))]
        return ". ".join([self.name, *(f"Gone on with elsewhere: {one}" for one in elsewhere)]) + "."

    def differences(self, later: Machine) -> list[str]:
        """What tells a later session's machine and versions from this one's, in words; none where this one is not known."""
        if self == Machine():
            return []
        differ = [f"{self.name} then, and {later.name} now"] if self.name != later.name else []
        now = {"Python": later.python, **later.versions}
        for name, version in {"Python": self.python, **self.versions}.items():
            if version and now.get(name) != version:
                differ.append(f"{name} {version} then, and {now.get(name) or 'none'} now")
        return differ

    def rate(self, device: str, dtype: str) -> float | None:
        """FLOP/s of a large matrix product, where it was measured."""
        return self.matmul_flops_per_s.get(f"{device} {dtype}")

    def to_json(self) -> dict[str, Any]:
        """What is known, by name."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        values["resumed"] = [machine.to_json() for machine in self.resumed]
        values["limits"] = self.limits and self.limits.to_json()
        return {name: value for name, value in values.items() if value not in (None, "", (), [], {})}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Machine:
        """The machine that `to_json` wrote; what a later version has added is left out."""
        known = {one.name for one in dataclasses.fields(cls)}
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items() if name in known}
        values["resumed"] = tuple(cls.from_json(one) for one in data.get("resumed", ()))
        values["limits"] = Limits.from_json(data["limits"]) if data.get("limits") else None
        return cls(**values)
