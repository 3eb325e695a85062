"""How an implementation declares itself."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.errors import declared
from harness.frameworks import ADAPTERS
from harness.operators.attention.operator import ATTENTION
from harness.operators.base import Operator
from harness.operators.problem import Problem
from harness.operators.supports import Supports
from harness.plugins import declaration
from harness.plugins.origin import NOWHERE, Origin

_FRAMEWORKS = declared.Words("framework", sorted(ADAPTERS), "numpy")


@dataclass(frozen=True)
class Implementation:
    """One declared implementation."""

    name: str
    factory: Callable[[Any], Any]
    """Builds the callable for a problem of the operator."""
    operator: Operator = ATTENTION
    """What it implements."""
    framework: str = "numpy"
    """The adapter in `harness.frameworks` whose arrays it takes."""
    devices: Sequence[str] = ("cpu",)
    supports: Supports | Mapping[str, Supports] = None  # type: ignore[assignment]
    """One declaration, or one for each device. The operator's default where nothing is said."""
    layout: str = None  # type: ignore[assignment]
    """Axis order of the arrays it takes and returns, such as BSHD (batch, sequence, head, dim); the operator's canonical one
    unless given. Converted before timing."""
    unavailable_reason: Callable[[str], str | None] | None = None
    """Asked with the device before anything is built: a reason why it cannot run on this machine, or None."""
    slow_build: bool = False
    """Whether every new shape costs seconds of compilation; `check` then runs its core cases unless told otherwise."""
    interpreted: bool = False
    """Whether it runs as plain Python; `check` then leaves out the cases that take it minutes unless told otherwise."""
    known_failures: Mapping[str, str] = field(default_factory=dict)
    """Conformance cases (ids, or patterns such as "logits/overflow-*") that it fails, with the reason: a library's known
    weakness, shown with every report. An entry whose case passes is itself a failure."""
    library_call: Callable[[], Callable[..., Any]] | None = None
    """Gives the library's own function behind it, bare: `(q, k, v, *, mask, bias, causal, scale) -> o`, in the library's
    layout, None for what is not given. `harness conventions` probes it; nothing else calls it."""
    tunables: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Arguments of the factory that it chooses itself when they are left out, each with values worth a comparison. The
    implementation with one of them is called "NAME[ARGUMENT=VALUE]"; `harness tune` runs them all beside its own choice."""
    fast_kernel: str = ""
    """A regular expression of the names of the kernels that it is about. Where its library says that it ran others only, the
    row says `fallback`."""
    wrong_on_purpose: str = ""
    """Why it is here although it is wrong; it is then found by its name only, and never part of "all"."""
    origin: Origin = NOWHERE

    def __post_init__(self) -> None:
        name = self.name
        declaration.check_name(name)
        declaration.check_factory(name, self.factory)
        declared.check_word(name, "framework", self.framework, _FRAMEWORKS)
        declared.check_words(name, "devices", self.devices, declaration.DEVICE_WORDS)
        object.__setattr__(self, "devices", tuple(self.devices))
        layouts = list(self.operator.layouts)
        self._default("layout", layouts[0])
        declared.check_word(name, "layout", self.layout, declared.Words("layout", layouts, layouts[0]))
        declared.check_callable(
            name, "unavailable_reason", self.unavailable_reason, "of a device that returns a reason or None"
        )
        declared.check_flag(name, "slow_build", self.slow_build)
        declared.check_reasons(name, "known_failures", self.known_failures, "logits/overflow-*")
        declared.check_callable(name, "library_call", self.library_call, "that returns the library's own function")
        declaration.check_tunables(name, self.tunables, self.factory)
        declaration.check_sentence(name, "wrong_on_purpose", self.wrong_on_purpose)
        declaration.check_pattern(name, "fast_kernel", self.fast_kernel)
        self._default("supports", self.operator.supports())
        if isinstance(self.supports, Mapping):
            declaration.check_by_device(name, self.supports, self.devices)
        for supports in self.supports.values() if isinstance(self.supports, Mapping) else [self.supports]:
            declaration.check_supports(name, supports, self.operator.supports)
            supports.validate(name)

    def _default(self, field: str, value: object) -> None:
        if getattr(self, field) is None:
            object.__setattr__(self, field, value)

    def variants(self) -> Iterator[Implementation]:
        """The implementation with each value of each of its tunables, one at a time."""
        for argument, values in self.tunables.items():
            for value in values:
                factory = functools.update_wrapper(functools.partial(self.factory, **{argument: value}), self.factory)
                yield dataclasses.replace(self, name=f"{self.name}[{argument}={value}]", factory=factory, tunables={})

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return (self.factory.__doc__ or "").strip().partition("\n")[0]

    def supports_on(self, device: str) -> Supports:
        return self.supports[device] if isinstance(self.supports, Mapping) else self.supports

    def known_failure(self, case_id: str, device: str) -> str:
        """Why it is declared to fail a conformance case on a device, or "". "cuda:PATTERN" speaks of one device only."""
        for pattern, reason in self.known_failures.items():
            only, _, rest = pattern.rpartition(":")
            if only in ("", device) and fnmatch.fnmatchcase(case_id, rest):
                return reason
        return ""


def implementation(
    name: str,
    *,
    operator: Operator = ATTENTION,
    framework: str = "numpy",
    devices: Sequence[str] = ("cpu",),
    supports: Supports | Mapping[str, Supports] | None = None,
    layout: str | None = None,
    unavailable_reason: Callable[[str], str | None] | None = None,
    slow_build: bool = False,
    interpreted: bool = False,
    known_failures: Mapping[str, str] | None = None,
    library_call: Callable[[], Callable[..., Any]] | None = None,
    tunables: Mapping[str, Sequence[Any]] | None = None,
    fast_kernel: str = "",
    wrong_on_purpose: str = "",
) -> Callable[[Callable[[Any], Any]], Implementation]:
    """Declare a factory to be an implementation. The fields are those of `Implementation`.

    Raises `UserError` for a declaration that says what nobody knows: an unknown word, or a value of another kind.
    """
    checked = Implementation(
        name=name,
        factory=_not_yet_given,
        operator=operator,
        framework=framework,
        devices=devices,
        supports=supports,  # type: ignore[arg-type]
        layout=layout,  # type: ignore[arg-type]
        unavailable_reason=unavailable_reason,
        slow_build=slow_build,
        interpreted=interpreted,
        known_failures={} if known_failures is None else known_failures,
        library_call=library_call,
        tunables={} if tunables is None else tunables,
        fast_kernel=fast_kernel,
        wrong_on_purpose=wrong_on_purpose,
    )

    def declare(factory: Callable[[Any], Any]) -> Implementation:
        return dataclasses.replace(checked, factory=factory)

    return declare


def _not_yet_given(problem: Problem, **tunables: Any) -> Any:
    """Stands for the factory while the rest of the declaration is checked, so that its error names the right line."""
    raise NotImplementedError
