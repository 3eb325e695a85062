"""What is asked of a run, and the plan that follows from it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.frameworks.base import SIMULATOR, simulating
from harness.measure.plan import Plan
from harness.operators.base import Operator
from harness.plugins.contender import Contender, contenders
from harness.plugins.registry import Registry
from harness.runs.presets import Preset, built_in, from_file

MEMORY_SHARE = 0.8
"""Of the available memory, what the workers may use unless something else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a run should measure; whatever is left out has the default of `harness run`."""

    implementations: str = "all"
    """Names separated by commas, or "all": those that implement the operator whose problems they are."""
    preset: str | None = None
    """A built-in set of problems; "quick" where there is no file either."""
    problems: Path | None = None
    """A file of problems."""
    baseline: str | None = None
    """What speed-ups are against; numpy where it takes part."""
    device: str = "auto"
    """"cpu", "cuda", or "auto": CUDA where there is any."""
    direction: str | None = None
    dtype: str | None = None
    """Instead of each problem's own."""
    threads: int | None = None
    """CPU threads of every implementation; all that this process may use unless given."""
    timeout_s: float = 60.0
    """For any one step."""
    memory_gib: float | None = None
    """For the workers; a share of what is available unless given."""
    seed: int = 0


def plan(request: Request, registry: Registry) -> Plan:
    """What will be measured. Raises `UserError` for what cannot be asked for."""
    preset = _preset(request, registry.operators)
    names = _names(request.implementations, registry, preset.operator)
    changes = {name: value for name in ("direction", "dtype") if (value := getattr(request, name)) is not None}
    return Plan(
        preset=preset.name,
        operator=preset.operator.name,
        problems=tuple(dict.fromkeys(problem.replace(**changes) for problem in preset.problems)),
        contenders=tuple(_never_simulated(one) for one in contenders(registry, names, request.device)),
        baseline=_baseline(request.baseline, names),
        threads=_threads(request.threads),
        timeout_s=request.timeout_s,
        memory_bytes=_memory_bytes(request.memory_gib),
        seed=request.seed,
        effort=preset.effort,
    )


def _preset(request: Request, operators: Sequence[Operator]) -> Preset:
    if request.problems and request.preset:
        raise UserError("--preset and --problems are two ways to say the same; give one of them")
    if request.problems:
        return from_file(request.problems, operators)
    return built_in(request.preset or "quick")


def _names(asked: str, registry: Registry, operator: Operator) -> list[str]:
    """The chosen implementations. Of "all", those of the operator; one that is named must be."""
    names = registry.select(asked)
    others = [n for n in names if n in registry.implementations and registry.implementations[n].operator is not operator]
    if others and asked.strip() != "all":
        other = registry.implementations[others[0]].operator.name
        raise UserError(
            f"{others[0]} implements {other}, and the problems are of {operator.name}; "
            f'give problems of {other} with --problems FILE, whose sets say operator = "{other}"'
        )
    return [name for name in names if name not in others]


def _baseline(asked: str | None, names: Sequence[str]) -> str:
    baseline = asked or ("numpy" if "numpy" in names else "")
    if baseline and baseline not in names:
        raise UserError(f"--baseline {baseline} is not among the implementations of this run")
    return baseline


def _threads(asked: int | None) -> int:
    usable = len(os.sched_getaffinity(0))
    if asked and asked > usable:
        raise UserError(f"--threads {asked} is more than the {usable} CPUs that this process may use")
    return asked or usable


def _memory_bytes(gib: float | None) -> int:
    if gib is not None:
        return int(gib * 2**30)
    import psutil

    return int(MEMORY_SHARE * psutil.virtual_memory().available)


def _never_simulated(contender: Contender) -> Contender:
    """Numba's CUDA simulator answers whether a kernel is right; its times would say nothing."""
    if contender.framework == "numba-cuda" and not contender.absent and simulating():
        return dataclasses.replace(contender, absent=f"{SIMULATOR} is set, and a simulator is not timed")
    return contender
