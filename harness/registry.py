"""Implementations: how one declares itself, and where they are found.

An implementation is a function that takes a `Problem` and returns the callable that solves it:

    @implementation("mine", framework="numpy", supports=Supports(dtypes=("float32",)))
    def mine(problem):
        def attention(q, k, v):
            ...
        return attention

`attention` receives native arrays of the framework in the declared layout, and the keywords `mask=` and `bias=` when the
problem has them (only then: what is not supported need not be accepted). Building it may compile and allocate; that is
timed apart from calling it. Nothing here imports a framework, and importing a plug-in should not either: frameworks are
imported inside the function, which runs in a worker process.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from harness import declaration
from harness.errors import RegistryError, unknown_name
from harness.problem import CAUSAL, DTYPE_SHORT, DTYPES, Problem

ENTRY_POINT_GROUP = "attention_harness.implementations"

BUILT_IN = "attention_harness_implementations"
"""What the folder `impls` is imported as."""


class Differentiable(NamedTuple):
    """What a factory returns for a backward problem when its framework has no automatic differentiation."""

    forward: Callable[..., tuple[Any, Any]]
    """`(q, k, v, **extras) -> (o, saved)`; run once, not timed."""
    backward: Callable[[Any, Any], tuple[Any, Any, Any]]
    """`(saved, do) -> (dq, dk, dv)`; this is what is timed."""


@dataclass(frozen=True, kw_only=True)
class Supports:
    """What of the contract an implementation does. Undeclared means unsupported, and the case is reported so.

    A field named in `because` replaces the standard sentence with the reason behind the gap. `also` may add reasons of
    its own for a problem (an empty list when there are none).
    """

    dtypes: Sequence[str] = ("float32",)
    causal: Sequence[str] = ()
    """Which alignments: "top-left", "bottom-right". They are one where there are as many keys as queries."""
    window: bool = False
    mask: bool = False
    bias: bool = False
    softcap: bool = False
    grouped_heads: bool = False
    v_head_dim: bool = False
    """Values of another width than queries and keys."""
    gradients: bool = False
    because: Mapping[str, str] = field(default_factory=dict)
    also: Callable[[Problem], list[str]] | None = None

    def refusals(self, problem: Problem) -> list[str]:
        """Why `problem` is not supported, a phrase each; empty when it is."""
        asked = {
            "dtypes": (problem.dtype not in self.dtypes, f"no {problem.dtype}"),
            "causal": (not self._aligns(problem), f"no causal mask aligned {problem.causal}"),
            "window": (problem.window is not None and not self.window, "no attention window"),
            "mask": (problem.mask is not None and not self.mask, "no boolean mask"),
            "bias": (problem.bias is not None and not self.bias, "no bias"),
            "softcap": (problem.softcap is not None and not self.softcap, "no softcap"),
            "grouped_heads": (problem.group > 1 and not self.grouped_heads, "no grouped heads"),
            "v_head_dim": (
                problem.v_head_dim != problem.head_dim and not self.v_head_dim,
                "values must be as wide as keys",
            ),
            "gradients": (problem.direction == "backward" and not self.gradients, "no gradients"),
        }
        reasons = [self.because.get(name, phrase) for name, (refused, phrase) in asked.items() if refused]
        return reasons + (self._further(problem) if self.also else [])

    def _further(self, problem: Problem) -> list[str]:
        assert self.also is not None
        reasons = self.also(problem)
        if not isinstance(reasons, list | tuple):
            raise RegistryError(f"also must return a list of reasons, not {reasons!r}; return [] where there are none")
        return list(reasons)

    def check(self, owner: str) -> None:
        """Raise `RegistryError` for a word or value that says nothing; `owner` is the implementation's name."""
        declaration.check_words(owner, "dtypes", self.dtypes, declaration.DTYPE_WORDS)
        declaration.check_words(owner, "causal", self.causal, declaration.CAUSAL_WORDS)
        for flag in _FLAGS:
            declaration.check_flag(owner, flag, getattr(self, flag))
        declaration.check_reasons(owner, "because", self.because, "mask", _FIELD_WORDS)
        declaration.check_callable(owner, "also", self.also, "of a problem that returns a list of reasons")

    def _aligns(self, problem: Problem) -> bool:
        if problem.causal is None or problem.causal in self.causal:
            return True
        return bool(self.causal) and problem.q_len == problem.kv_len

    def summary(self) -> str:
        """One line for `harness list`: what is supported, or what is not where that is shorter."""
        present = [DTYPE_SHORT[d] for d in DTYPES if d in self.dtypes]
        absent = [DTYPE_SHORT[d] for d in DTYPES if d not in self.dtypes]
        for alignment in CAUSAL:
            (present if alignment in self.causal else absent).append(f"causal {alignment}")
        for name in _FLAGS:
            (present if getattr(self, name) else absent).append(_FLAGS[name])
        if not absent:
            return "everything"
        return f"all but {', '.join(absent)}" if len(absent) < len(present) else ", ".join(present)


_FLAGS = {
    "window": "window",
    "mask": "mask",
    "bias": "bias",
    "softcap": "softcap",
    "grouped_heads": "grouped heads",
    "v_head_dim": "v_head_dim ≠ head_dim",
    "gradients": "gradients",
}

_FIELD_WORDS = declaration.Words("field of Supports", ("dtypes", "causal", *_FLAGS), "mask")

EVERYTHING = Supports(
    dtypes=tuple(DTYPES),
    causal=CAUSAL,
    window=True,
    mask=True,
    bias=True,
    softcap=True,
    grouped_heads=True,
    v_head_dim=True,
    gradients=True,
)
"""The whole contract; `dataclasses.replace` takes away from it."""


@dataclass(frozen=True)
class Origin:
    """Where an implementation was found, so that a worker process can find it again."""

    kind: str
    """"built-in" (a module in the folder `impls` beside this package), "module" (an importable name) or "file" (a path)."""
    location: str

    def load(self) -> ModuleType:
        """Import the plug-in. Whatever it raises goes through."""
        if self.kind == "built-in":
            _import_built_in()
            return importlib.import_module(f"{BUILT_IN}.{self.location}")
        if self.kind == "module":
            return importlib.import_module(self.location)
        path = Path(self.location)
        name = f"harness_plugin_{path.stem}_{abs(hash(str(path)))}"
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise RegistryError(f"{path} is not a Python file; a plug-in is a .py file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # Dataclasses and pickles in the plug-in look themselves up here.
        spec.loader.exec_module(module)
        return module


@dataclass(frozen=True)
class Implementation:
    """One declared implementation."""

    name: str
    factory: Callable[[Problem], Any]
    framework: str = "numpy"
    """The adapter in `harness.frameworks` whose arrays it takes."""
    devices: Sequence[str] = ("cpu",)
    supports: Supports | Mapping[str, Supports] = Supports()
    """One declaration, or one for each device."""
    layout: str = "BHSD"
    """Axis order of the arrays it takes and returns: BHSD (batch, head, sequence, dim) or BSHD. Converted before timing."""
    needs: Callable[[str], str | None] | None = None
    """Asked with the device before anything is built: a reason why it cannot run on this machine, or None."""
    slow_build: bool = False
    """Whether every new shape costs seconds of compilation; `check` then runs its core cases unless told otherwise."""
    interpreted: bool = False
    """Whether it runs as plain Python; `check` then leaves out the cases that take it minutes unless told otherwise."""
    departures: Mapping[str, str] = field(default_factory=dict)
    """Conformance cases (ids, or patterns such as "logits/overflow-*") that it fails, with the reason: a library's known
    weakness, shown with every report. An entry whose case passes is itself a failure."""
    library_call: Callable[[], Callable[..., Any]] | None = None
    """Gives the library's own function behind it, bare: `(q, k, v, *, mask, bias, causal, scale) -> o`, in the library's
    layout, None for what is not given. `harness conventions` probes it; nothing else calls it."""
    tunables: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Arguments of the factory that it chooses itself when they are left out, each with values worth a comparison. The
    implementation with one of them is called "NAME[ARGUMENT=VALUE]"; `harness tune` runs them all beside its own choice."""
    origin: Origin = Origin("module", "")

    def __post_init__(self) -> None:
        name = self.name
        declaration.check_name(name)
        declaration.check_factory(name, self.factory)
        declaration.check_word(name, "framework", self.framework, _framework_words())
        declaration.check_words(name, "devices", self.devices, declaration.DEVICE_WORDS)
        object.__setattr__(self, "devices", tuple(self.devices))
        declaration.check_word(name, "layout", self.layout, declaration.LAYOUT_WORDS)
        declaration.check_callable(name, "needs", self.needs, "of a device that returns a reason or None")
        declaration.check_flag(name, "slow_build", self.slow_build)
        declaration.check_reasons(name, "departures", self.departures, "logits/overflow-*")
        declaration.check_callable(name, "library_call", self.library_call, "that returns the library's own function")
        declaration.check_tunables(name, self.tunables, self.factory)
        if isinstance(self.supports, Mapping):
            declaration.check_by_device(name, self.supports, self.devices)
        for supports in self.supports.values() if isinstance(self.supports, Mapping) else [self.supports]:
            declaration.check_supports(name, supports, Supports)
            supports.check(name)

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

    def departs(self, case_id: str, device: str) -> str:
        """Why it is declared to fail a conformance case on a device, or "". "cuda:PATTERN" speaks of one device only."""
        for pattern, reason in self.departures.items():
            only, _, rest = pattern.rpartition(":")
            if only in ("", device) and fnmatch.fnmatchcase(case_id, rest):
                return reason
        return ""


def implementation(
    name: str,
    *,
    framework: str = "numpy",
    devices: Sequence[str] = ("cpu",),
    supports: Supports | Mapping[str, Supports] | None = None,
    layout: str = "BHSD",
    needs: Callable[[str], str | None] | None = None,
    slow_build: bool = False,
    interpreted: bool = False,
    departures: Mapping[str, str] | None = None,
    library_call: Callable[[], Callable[..., Any]] | None = None,
    tunables: Mapping[str, Sequence[Any]] | None = None,
) -> Callable[[Callable[[Problem], Any]], Implementation]:
    """Declare a factory to be an implementation. The fields are those of `Implementation`.

    Raises `RegistryError` for a declaration that says what nobody knows: an unknown word, or a value of another kind.
    """
    declared = Implementation(
        name=name,
        factory=_not_yet_given,
        framework=framework,
        devices=devices,
        supports=Supports() if supports is None else supports,
        layout=layout,
        needs=needs,
        slow_build=slow_build,
        interpreted=interpreted,
        departures={} if departures is None else departures,
        library_call=library_call,
        tunables={} if tunables is None else tunables,
    )

    def declare(factory: Callable[[Problem], Any]) -> Implementation:
        return dataclasses.replace(declared, factory=factory)

    return declare


def _not_yet_given(problem: Problem, **tunables: Any) -> Any:
    """Stands for the factory while the rest of the declaration is checked, so that its error names the right line."""
    raise NotImplementedError


def _framework_words() -> declaration.Words:
    from harness.frameworks import ADAPTERS  # Which imports this module; no framework is imported by it.

    return declaration.Words("framework", sorted(ADAPTERS), "numpy")


@dataclass(frozen=True)
class Broken:
    """A plug-in that could not be loaded: a row with its error, never the end of a run."""

    name: str
    origin: Origin
    error: str


@dataclass
class Registry:
    """Every implementation that was found, by name, and the plug-ins that could not be loaded."""

    implementations: dict[str, Implementation] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)

    def add_origin(self, origin: Origin, name: str) -> None:
        """Load one plug-in and add what it declares; whatever goes wrong becomes an entry of `broken`."""
        try:
            found = list(declared_in(origin))
        except (Exception, SystemExit) as error:  # A plug-in may raise anything; the others must still be found.
            self.broken.append(Broken(name, origin, describe(error)))
            return
        for one in found:
            other = self.implementations.setdefault(one.name, one)
            if other.factory is not one.factory:  # A plug-in may import another's implementation, to build on it.
                taken = f"the name {one.name} is already taken by {other.origin.location}"
                self.broken.append(Broken(name, origin, taken))

    def add_variant(self, name: str) -> None:
        """Make "NAME[ARGUMENT=VALUE]" one of the implementations, if it is a variant of one."""
        whole = self.implementations.get(name.partition("[")[0])
        for one in whole.variants() if whole else ():
            if one.name == name:
                self.implementations[name] = one

    def select(self, names: str) -> list[str]:
        """The names in "a,b,c", or every one for "all" (broken plug-ins included), in order and once each.

        Raises `RegistryError` for a name that is not there, with the nearest ones that are.
        """
        for name in names.split(","):
            self.add_variant(name.strip())
        known = [*self.implementations, *(b.name for b in self.broken if b.name not in self.implementations)]
        chosen = [name.strip() for name in names.split(",") if name.strip()]
        if chosen == ["all"]:
            return known
        if not chosen:
            raise RegistryError("no implementation was named; --impl takes all, or names separated by commas")
        for name in chosen:
            if name not in known:
                raise RegistryError(unknown_name("implementation", name, known, "`python -m harness list` shows all"))
        return list(dict.fromkeys(chosen))


def discover(plugins: Sequence[str] = ()) -> Registry:
    """Find the implementations of `impls/`, of installed packages, and of the plug-in files given.

    Raises `RegistryError` when a file in `plugins` is missing, raises, or declares nothing: it was asked for by name.
    """
    registry = Registry()
    for operator in _modules_of(_import_built_in()):
        for name in _modules_of(importlib.import_module(f"{BUILT_IN}.{operator}")):
            registry.add_origin(Origin("built-in", f"{operator}.{name}"), name)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        registry.add_origin(Origin("module", entry.value.partition(":")[0]), entry.name)
    for plugin in plugins:
        _add_file(registry, plugin)
    return registry


def _import_built_in() -> ModuleType:
    """The folder `impls` beside this package, found by its place: another project may have a folder of that name too."""
    if BUILT_IN not in sys.modules:
        path = Path(__file__).parents[1] / "impls" / "__init__.py"
        spec = importlib.util.spec_from_file_location(BUILT_IN, path, submodule_search_locations=[str(path.parent)])
        if spec is None or spec.loader is None or not path.is_file():
            raise RegistryError(f"the implementations are missing: {path.parent} should be there; install the harness anew")
        module = importlib.util.module_from_spec(spec)
        sys.modules[BUILT_IN] = module
        spec.loader.exec_module(module)
    return sys.modules[BUILT_IN]


def _modules_of(package: ModuleType) -> Iterator[str]:
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            yield info.name


def _add_file(registry: Registry, plugin: str) -> None:
    path = Path(plugin).expanduser().resolve()
    if not path.is_file():
        raise RegistryError(f"the plug-in {plugin} does not exist; --plugin takes the path of a Python file")
    before, broken_before = len(registry.implementations), len(registry.broken)
    registry.add_origin(Origin("file", str(path)), path.stem)
    if len(registry.broken) > broken_before:
        raise RegistryError(f"the plug-in {plugin} cannot be loaded: {registry.broken[-1].error}")
    if len(registry.implementations) == before:
        raise RegistryError(
            f"the plug-in {plugin} declares no implementation; decorate a function with @implementation(...)"
        )


def declared_in(origin: Origin) -> Iterator[Implementation]:
    """The implementations among a plug-in's module-level names, each knowing its origin."""
    module = origin.load()
    declared = {id(value): value for value in vars(module).values() if isinstance(value, Implementation)}
    for one in declared.values():
        yield dataclasses.replace(one, origin=origin)


def find(origin: Origin, name: str) -> Implementation:
    """The implementation called `name` in a plug-in, for a worker. Raises `RegistryError` when it is not there."""
    for declared in declared_in(origin):
        for one in (declared, *declared.variants()):
            if one.name == name:
                return one
    raise RegistryError(f"{origin.location} declares no implementation called {name}")


def describe(error: BaseException) -> str:
    """An exception as one line: its type, its message, and where in the plug-in it was raised.

    A `RegistryError` is a sentence already: it is told without its type, and its place is outside this package.
    """
    message = " ".join(str(error).split())
    frames = [(Path(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    told = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if isinstance(error, RegistryError):
        told, frames = (
            message,
            [frame for frame in frames if frame[0].exists() and Path(__file__).parent not in frame[0].parents],
        )
    return f"{told} ({frames[-1][0].name}, line {frames[-1][1]})" if frames else told
