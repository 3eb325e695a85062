"""Which implementations there are, and the plug-ins that could not be loaded."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from harness.errors import UserError, describe, unknown_name
from harness.operators.attention.operator import ATTENTION
from harness.operators.base import Operator
from harness.plugins.implementation import Implementation
from harness.plugins.origin import BUILT_IN, BUILT_IN_KIND, FOREIGN, LAYERS, Origin, absolute

ENTRY_POINT_GROUP = "attention_harness.implementations"


@dataclass(frozen=True)
class Broken:
    """A plug-in that could not be loaded: a row with its error, never the end of a run."""

    name: str
    origin: Origin
    error: str


@dataclass
class Registry:
    """The implementations of one operator, by name, and the plug-ins that could not be loaded."""

    implementations: dict[str, Implementation] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    operator: Operator = ATTENTION

    def add_variant(self, name: str) -> None:
        """Make "NAME[ARGUMENT=VALUE]" one of the implementations, if it is a variant of one."""
        whole = self.implementations.get(name.partition("[")[0])
        for one in whole.variants() if whole else ():
            if one.name == name:
                self.implementations[name] = one

    def select(self, names: str) -> list[str]:
        """The names in "a,b,c", or every one for "all" (broken plug-ins included, those wrong on purpose left out), in order
        and once each.

        Raises `UserError` for a name that is not there, with the nearest ones that are.
        """
        for name in names.split(","):
            self.add_variant(name.strip())
        known = [*self.implementations, *(b.name for b in self.broken if b.name not in self.implementations)]
        chosen = [name.strip() for name in names.split(",") if name.strip()]
        if chosen == ["all"]:
            return [name for name in known if name not in self.wrong_on_purpose]
        if not chosen:
            raise UserError("no implementation was named; --impl takes all, or names separated by commas")
        for name in chosen:
            if name not in known:
                raise UserError(unknown_name(self._what, name, known, "`python -m harness list` shows all"))
        return list(dict.fromkeys(chosen))

    @property
    def wrong_on_purpose(self) -> list[str]:
        """Those that "all" leaves out."""
        return [name for name, one in self.implementations.items() if one.wrong_on_purpose]

    @property
    def _what(self) -> str:
        return "implementation" if self.operator is ATTENTION else f"implementation of {self.operator.name}"

    @property
    def option(self) -> str:
        """What a command is given so that a name is looked for here: attention is looked through first anyway."""
        return "" if self.operator is ATTENTION else f"--operator {self.operator.name} "

    def has(self, names: str) -> bool:
        """Whether each of the names in "a,b,c" is here, as an implementation or as a variant of one."""
        given = [name.strip().partition("[")[0] for name in names.split(",") if name.strip()]
        return bool(given) and all(name in self.implementations for name in given)


@dataclass
class Found:
    """Every implementation that was found, operator by operator."""

    broken: list[Broken] = field(default_factory=list)
    registries: dict[str, Registry] = field(default_factory=dict)
    """By the name of the operator, attention first; a name is taken once in each."""

    def __post_init__(self) -> None:
        self._registry(ATTENTION)

    @property
    def operators(self) -> list[Operator]:
        """Those that are implemented, attention first."""
        return [registry.operator for registry in self.registries.values()]

    def of(self, operator: str) -> Registry:
        """The implementations of an operator. Raises `UserError` with the nearest names when nobody implements it."""
        if operator not in self.registries:
            hint = "--plugin FILE adds those of a file; there are"
            raise UserError(unknown_name("operator", operator, list(self.registries), hint))
        return self.registries[operator]

    def holding(self, names: str, operator: str | None = None) -> Registry:
        """Those of the operator or, where none is given, of the first that has all of the names; else attention's."""
        if operator is not None:
            return self.of(operator)
        return next((one for one in self.registries.values() if one.has(names)), self.of(ATTENTION.name))

    def add_origin(self, origin: Origin, name: str) -> None:
        """Load one plug-in and add what it declares; whatever goes wrong becomes an entry of `broken`.

        One of others is imported in a process of its own, unless it has an operator of its own.
        """
        try:
            found = list(declared_in(origin)) if origin.kind == BUILT_IN_KIND else self._foreign(origin)
        except (Exception, SystemExit) as error:  # A plug-in may raise anything; the others must still be found.
            self.broken.append(Broken(name, origin, describe(error)))
            return
        for one in found:
            self.add(one, name)

    def add(self, one: Implementation, name: str) -> None:
        """Add what the plug-in `name` declares; a name that is taken becomes an entry of `broken`."""
        other = self._registry(one.operator).implementations.setdefault(one.name, one)
        if not _same(other, one):  # A plug-in may import another's implementation, to build on it.
            taken = f"the name {one.name} is already taken by {other.origin.location}"
            self.broken.append(Broken(name, one.origin, taken))

    def _foreign(self, origin: Origin) -> list[Implementation]:
        foreign = importlib.import_module(FOREIGN)
        try:
            return foreign.Foreign(origin, {name: one.operator for name, one in self.registries.items()}).implementations()
        except foreign.OwnOperator:
            return list(declared_in(origin))

    def _registry(self, operator: Operator) -> Registry:
        return self.registries.setdefault(operator.name, Registry({}, self.broken, operator))


def _same(one: Implementation, other: Implementation) -> bool:
    """Whether two declarations are of one factory; of two plug-ins, imported in two processes, by the factory's name."""
    if one.factory is other.factory:
        return True
    if one.origin == other.origin:
        return False
    names = [(getattr(f, "__module__", None), getattr(f, "__qualname__", None)) for f in (one.factory, other.factory)]
    return names[0] == names[1] and None not in names[0]


def discover(plugins: Sequence[str] = (), forgiving: bool = False) -> Found:
    """Find the implementations of `impls/`, of installed packages, and of the plug-in files and layers (FILE:CLASS) given.

    Raises `UserError` when a file in `plugins` is missing, raises, or declares nothing: it was asked for by name. Where this
    is `forgiving`, such a file is an entry of `broken`.
    """
    found = Found()
    for operator in _modules_of(importlib.import_module(BUILT_IN)):
        for name in _modules_of(importlib.import_module(f"{BUILT_IN}.{operator}")):
            found.add_origin(Origin(BUILT_IN_KIND, f"{operator}.{name}"), name)
    for entry in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        found.add_origin(Origin("module", entry.value.partition(":")[0]), entry.name)
    for plugin in plugins:
        try:
            _add_layer(found, plugin) if ".py:" in plugin else _add_file(found, plugin)
        except UserError as error:
            if not forgiving:
                raise
            found.broken.append(Broken(Path(plugin).stem, Origin("file", plugin), str(error)))
    return found


def _modules_of(package: ModuleType) -> Iterator[str]:
    for info in pkgutil.iter_modules(package.__path__):
        if not info.name.startswith("_"):
            yield info.name


def _add_file(found: Found, plugin: str) -> None:
    path = absolute(plugin)
    if not path.is_file():
        raise UserError(f"the plug-in {plugin} does not exist; --plugin takes the path of a Python file")
    count = sum(len(registry.implementations) for registry in found.registries.values())
    broken = len(found.broken)
    found.add_origin(Origin("file", str(path)), path.stem)
    if len(found.broken) > broken:
        raise UserError(f"the plug-in {plugin} cannot be loaded: {found.broken[-1].error}")
    if sum(len(registry.implementations) for registry in found.registries.values()) == count:
        raise UserError(f"the plug-in {plugin} declares no implementation; decorate a function with @implementation(...)")


def _add_layer(found: Found, layer: str) -> None:
    one = importlib.import_module(LAYERS).declared(layer)
    broken = len(found.broken)
    found.add(one, one.name)
    if len(found.broken) > broken:
        raise UserError(f"the layer {layer} cannot be used: {found.broken[-1].error}; give its class another name")


def declared_in(origin: Origin) -> Iterator[Implementation]:
    """The implementations among a plug-in's module-level names, each knowing its origin."""
    module = origin.load()
    declared = {id(value): value for value in vars(module).values() if isinstance(value, Implementation)}
    for one in declared.values():
        yield dataclasses.replace(one, origin=origin)


def find(origin: Origin, name: str, operator: str = ATTENTION.name) -> Implementation:
    """The implementation of an operator called `name` in a plug-in, for a worker. Raises `UserError` when there is none."""
    for declared in declared_in(origin):
        for one in (declared, *declared.variants()):
            if one.name == name and one.operator.name == operator:
                return one
    raise UserError(f"{origin.location} declares no implementation called {name}")
