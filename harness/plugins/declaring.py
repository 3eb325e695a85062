"""A worker in which a plug-in of others is imported, and asked what it declares: its code never runs in the parent."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from harness.errors import UserError
from harness.errors.text import one_line
from harness.operators.problem import Problem
from harness.operators.supports import Supports
from harness.plugins.implementation import Implementation
from harness.plugins.origin import Origin
from harness.plugins.registry import declared_in
from harness.workers.messages import Request


@dataclass(frozen=True)
class Declared:
    """What an implementation declares, without its code."""

    name: str
    operator: str
    fields: Mapping[str, Any]
    """Those of `Implementation` that are plain values."""
    supports: Mapping[str, Supports]
    """By device, without `extra_check`."""
    checks: tuple[str, ...]
    """Devices whose declaration has an `extra_check`."""
    asks: bool
    """Whether it has an `unavailable_reason`."""
    calls_library: bool
    """Whether it has a `library_call`."""
    doc: str
    """The first line of its factory's docstring."""
    code: tuple[str, str, int]
    """Of its factory: the module, the name in it, and a number that tells it from others of the plug-in."""


@dataclass(frozen=True)
class Declarations:
    """All of a plug-in. Of an operator that this package has not, nothing but the names are told."""

    declared: tuple[Declared, ...]
    of_own_operators: tuple[str, ...]


@dataclass(frozen=True)
class Reasons:
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class CheckFurther(Request):
    """Ask the `extra_check` of an implementation about a problem. Answered by `Reasons` or `Failed`."""

    STEP: ClassVar[str] = "its extra_check"
    REPLY: ClassVar[type] = Reasons

    name: str
    operator: str
    device: str
    problem: Problem


@dataclass(frozen=True)
class AskAvailable(Request):
    """Ask its `unavailable_reason`. Answered by `Reasons`, empty where it is available, or `Failed`."""

    STEP: ClassVar[str] = "its unavailable_reason"
    REPLY: ClassVar[type] = Reasons

    name: str
    operator: str
    device: str


_PLAIN = (
    "framework", "devices", "layout", "slow_build", "interpreted", "known_failures", "tunables", "fast_kernel",
    "wrong_on_purpose",
)  # fmt: skip


class DeclaringSession:
    """A plug-in, imported."""

    def __init__(self, origin: Origin, operators: tuple[str, ...]):
        """`operators` are those that the parent has."""
        found = list(declared_in(origin))
        self._found = {(one.name, one.operator.name): one for one in found}
        factories = [id(one.factory) for one in found]
        self.ready = Declarations(
            tuple(_declared(one, factories.index(id(one.factory))) for one in found if one.operator.name in operators),
            tuple(one.name for one in found if one.operator.name not in operators),
        )

    @property
    def handlers(self) -> Mapping[type[Request], Callable[[Any], Any]]:
        """What answers each kind of request."""
        return {CheckFurther: self.check, AskAvailable: self.ask}

    def check(self, request: CheckFurther) -> Reasons:
        """What `extra_check` says."""
        supports = self._found[request.name, request.operator].supports_on(request.device)
        assert supports.extra_check is not None
        said = supports.extra_check(request.problem)
        if not isinstance(said, list | tuple) or not all(isinstance(one, str) for one in said):
            raise UserError(f"extra_check must return a list of reasons, not {said!r}; return [] where there are none")
        return Reasons(tuple(map(one_line, said)))

    def ask(self, request: AskAvailable) -> Reasons:
        """What `unavailable_reason` says."""
        asked = self._found[request.name, request.operator].unavailable_reason
        assert asked is not None
        said = asked(request.device)
        if said is not None and not isinstance(said, str):
            raise UserError(f"unavailable_reason must return a reason or None, not {said!r}")
        return Reasons(() if said is None else (one_line(said),))


def _declared(one: Implementation, number: int) -> Declared:
    supports = {device: one.supports_on(device) for device in one.devices}
    factory: Any = inspect.unwrap(one.factory)
    return Declared(
        name=one.name,
        operator=one.operator.name,
        fields={name: getattr(one, name) for name in _PLAIN},
        supports={device: dataclasses.replace(some, extra_check=None) for device, some in supports.items()},
        checks=tuple(device for device, some in supports.items() if some.extra_check is not None),
        asks=one.unavailable_reason is not None,
        calls_library=one.library_call is not None,
        doc=one_line(one.summary),
        code=(str(getattr(factory, "__module__", "")), str(getattr(factory, "__qualname__", "")), number),
    )
