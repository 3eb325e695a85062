"""An implementation as it is used here: on which device, or why not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import describe
from harness.frameworks import adapter
from harness.operators.attention.operator import ATTENTION
from harness.plugins.implementation import Implementation, Origin
from harness.plugins.registry import Broken, Registry


@dataclass(frozen=True)
class Contender:
    """An implementation as the run will use it."""

    name: str
    framework: str
    device: str
    origin: Origin
    absent: str = ""
    """Why it cannot be run here at all; empty when it can."""
    operator: str = ATTENTION.name
    """What it implements."""
    broken: bool = False
    """Its plug-in could not be loaded; `absent` says why."""


def contenders(registry: Registry, names: Sequence[str], device: str) -> tuple[Contender, ...]:
    """The chosen implementations on `device` ("cpu", "cuda", or "auto": CUDA where it can be had), absent ones too."""
    broken = {entry.name: entry for entry in registry.broken}
    return tuple(
        _contender(registry.implementations[name], device)
        if name in registry.implementations
        else _broken(broken[name], registry.operator.name)
        for name in names
    )


def _broken(entry: Broken, operator: str) -> Contender:
    return Contender(entry.name, "", "", entry.origin, f"the plug-in cannot be loaded: {entry.error}", operator, broken=True)


def _contender(implementation: Implementation, device: str) -> Contender:
    one, framework = implementation, adapter(implementation.framework)
    wanted = ("cuda", "cpu") if device == "auto" else (device,)
    able = [d for d in wanted if d in implementation.devices]
    if not able:
        absent = f"runs on {' and '.join(implementation.devices)} only"
        return Contender(one.name, one.framework, device, one.origin, absent, one.operator.name)
    reasons = {d: framework.unavailable(d) or _own_reason(one, d) for d in able}
    chosen = next((d for d in able if reasons[d] is None), able[-1])
    return Contender(one.name, one.framework, chosen, one.origin, reasons[chosen] or "", one.operator.name)


def _own_reason(one: Implementation, device: str) -> str | None:
    """What its `unavailable_reason` says; that it cannot be asked is a reason."""
    if one.unavailable_reason is None:
        return None
    try:
        said = one.unavailable_reason(device)
    except Exception as error:  # A plug-in may raise anything.
        return f"its unavailable_reason: {describe(error)}"
    if said is None or isinstance(said, str):
        return said
    return f"its unavailable_reason must return a reason or None, and returned {said!r}"
