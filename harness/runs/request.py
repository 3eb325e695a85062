"""What is asked of a run, and the plan that follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.frameworks import cache_lines
from harness.frameworks.base import SIMULATOR, simulating
from harness.measure.plan import Plan
from harness.plugins.contender import Contender, contenders
from harness.plugins.origin import FILES
from harness.plugins.registry import Found, Registry
from harness.records.files import read_whole
from harness.runs.presets import Preset, built_in, from_file
from harness.workers.limits import memory_limit
from harness.workers.processors import usable

BASELINES = ("torch-sdpa", "torch-module", "numpy")
"""What most people use today; it is steadier than NumPy, which takes its place where it is missing."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a run should measure; whatever is left out has the default of `harness run`."""

    implementations: str = "all"
    """Names separated by commas, or "all": those that implement the operator whose problems they are."""
    operator: str | None = None
    """That of the problems' file, else of the implementations; attention where both leave it open."""
    preset: str | None = None
    """A built-in set of problems; "quick" where there is no file either."""
    problems: Path | None = None
    """A file of problems."""
    baseline: str | None = None
    """What speed-ups are against; the first of `BASELINES` that can run here, unless given."""
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
    cache: str | None = None
    """"hot" or "cold", whether calls find their inputs in a cache; what is usual for the problem unless given."""


def plan(request: Request, found: Found) -> Plan:
    """What will be measured. Raises `UserError` for what cannot be asked for."""
    return planned(request, _preset(request, found), found)


def planned(request: Request, preset: Preset, found: Found) -> Plan:
    """The same for a set of problems."""
    registry = found.of(preset.operator.name)
    names = _names(request.implementations, registry, found)
    changes = {name: value for name in ("direction", "dtype") if (value := getattr(request, name)) is not None}
    chosen = tuple(_never_simulated(one) for one in contenders(registry, names, request.device))
    return Plan(
        preset=preset.name,
        operator=preset.operator.name,
        problems=tuple(dict.fromkeys(problem.replace(**changes) for problem in preset.problems)),
        contenders=chosen,
        baseline=_baseline(request.baseline, chosen),
        threads=_threads(request.threads),
        timeout_s=request.timeout_s,
        memory_bytes=memory_limit(request.memory_gib),
        seed=request.seed,
        effort=preset.effort,
        cache=_cache(request.cache, chosen),
        plugins=digests(chosen),
    )


def _preset(request: Request, found: Found) -> Preset:
    if request.problems and request.preset:
        raise UserError("--preset and --problems are two ways to say the same; give one of them")
    if request.problems:
        asked = [found.of(request.operator).operator] if request.operator else []
        preset = from_file(request.problems, found.operators, *asked)
        if request.operator not in (None, preset.operator.name):
            raise UserError(f"{request.problems} holds problems of {preset.operator.name}, not of {request.operator}")
        return preset
    operator = found.holding(request.implementations, request.operator).operator
    return built_in(request.preset or "quick", operator)


def _names(asked: str, registry: Registry, found: Found) -> list[str]:
    """The chosen implementations. Raises `UserError` for one that is not there, or that implements something else."""
    for name in asked.split(","):
        others = [one.operator.name for one in found.registries.values() if one.has(name)]
        if others and not registry.has(name):
            raise UserError(
                f"{name.strip()} implements {others[0]}, and the problems are of {registry.operator.name}; "
                f"give problems of {others[0]}: --operator {others[0]}, or a file whose sets say "
                f'operator = "{others[0]}"'
            )
    return registry.select(asked)


def _baseline(asked: str | None, chosen: Sequence[Contender]) -> str:
    if asked and asked not in [contender.name for contender in chosen]:
        raise UserError(f"--baseline {asked} is not among the implementations of this run")
    able = [contender.name for contender in chosen if not contender.absent]
    return asked or next((name for name in BASELINES if name in able), "")


def _cache(asked: str | None, chosen: Sequence[Contender]) -> str:
    on_processor = any(contender.device == "cpu" and not contender.absent for contender in chosen)
    if on_processor and asked != "hot" and (reason := cache_lines.unavailable_reason()):
        if asked:
            raise UserError(f"--cache cold is not possible here: {reason}")
        return "hot"
    return asked or ""


def _threads(asked: int | None) -> int:
    allowed = len(os.sched_getaffinity(0))
    if asked and asked > allowed:
        raise UserError(f"--threads {asked} is more than the {allowed} CPUs that this process may use")
    return asked or usable()


def _never_simulated(contender: Contender) -> Contender:
    """Numba's CUDA simulator answers whether a kernel is right; its times would say nothing."""
    if contender.framework == "numba-cuda" and not contender.absent and simulating():
        return dataclasses.replace(contender, absent=f"{SIMULATOR} is set, and a simulator is not timed")
    return contender


def digests(contenders: Sequence[Contender]) -> dict[str, str]:
    """The sha256 of each file with a plug-in that takes part; "" where it cannot be read."""
    origins = (contender.origin.inner for contender in contenders)
    files = {one.file for one in origins if one.kind in FILES}
    return {name: _digest(Path(name)) for name in sorted(files)}


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_whole(path)).hexdigest()
    except OSError:
        return ""
