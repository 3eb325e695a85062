"""Implementations that a test names, and the workers in which they are examined."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.conformance.case import Case
from harness.conformance.cases import select
from harness.frameworks.base import SIMULATOR, cuda_devices
from harness.measure.checker import Checker
from harness.plan import Contender, contenders
from harness.record import Status
from harness.registry import Implementation, Origin, Registry, RegistryError, describe
from harness.report.verdicts import Tally, line

TIMEOUT_S = 300


class Subject:
    """An implementation to be examined: how it is declared, and where it can run here."""

    def __init__(self, implementation: Implementation, option: str, device: str = "auto"):
        self.implementation = implementation
        self.option = option
        """What repeats a case in the terminal, such as "--impl numpy"."""
        self.simulated = implementation.framework == "numba-cuda" and not cuda_devices()
        registry = Registry({implementation.name: implementation})
        with self.surroundings():
            self.contender: Contender = contenders(registry, [implementation.name], device)[0]

    @property
    def name(self) -> str:
        return self.implementation.name

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[None]:
        """The environment in which it is looked at and its worker started: CUDA kernels written in Numba are examined in
        Numba's simulator where there is no GPU."""
        with pytest.MonkeyPatch.context() as patch:
            if self.simulated:
                patch.setenv(SIMULATOR, "1")
            yield

    def cases(self, full: bool) -> list[Case]:
        """The cases that it declares to support."""
        supports = self.implementation.supports_on(self.contender.device)
        one = self.implementation
        cases = select(slow_build=one.slow_build, interpreted=one.interpreted, simulated=self.simulated, full=full)
        return [case for case in cases if not supports.refusals(case.problem)]

    def checker(self) -> Checker:
        return Checker(self.contender, len(os.sched_getaffinity(0)), TIMEOUT_S)

    def repetition(self, case: Case) -> str:
        """The command that runs one case again."""
        return f"python -m harness check {self.option} --case {case.id} --seed {case.seed}"


def subject(where: str, device: str = "auto") -> Subject:
    """The implementation at "package.module:name" or "file.py:name". Raises `RegistryError` when there is none."""
    place, colon, name = where.rpartition(":")
    if not colon or not place or not name:
        raise RegistryError(f'"{where}" does not say where: it should be package.module:name or file.py:name')
    if os.getcwd() not in sys.path:  # As `python -m pytest` has it.
        sys.path.insert(0, os.getcwd())
    is_file = place.endswith(".py")
    origin = Origin("file", str(Path(place).resolve())) if is_file else Origin("module", place)
    registry = Registry()
    try:
        module = origin.load()
    except Exception as error:
        raise RegistryError(f"{place} cannot be imported: {describe(error)}") from error
    declared = getattr(module, name, None)
    if declared is not None and not isinstance(declared, Implementation):
        raise RegistryError(f"{where} is not declared; decorate the function with @implementation(...)")
    registry.add_origin(origin, place)
    named = declared.name if declared is not None else name
    if named not in registry.implementations:
        known = ", ".join(registry.implementations) or "none"
        raise RegistryError(f"{place} declares no implementation called {name}; it declares {known}")
    plugin = f"--plugin {place} " if is_file else f"--plugin {module.__file__} "
    return Subject(registry.implementations[named], f"--impl {named} {plugin}".strip(), device)


def examine(where: str, device: str, full: bool) -> list[str]:
    """Run the whole suite on one implementation: what failed, and the chapters at the end; empty when all is well."""
    examined = subject(where, device)
    if examined.contender.absent:
        pytest.skip(f"{examined.name}: {examined.contender.absent}")
    tally = Tally(examined.name)
    failures = []
    with examined.surroundings(), examined.checker() as checker:
        for verdict in checker.check_all(examined.cases(full)):
            tally.add(verdict)
            if tally.is_news(verdict):
                failures.append(line(examined.name, verdict, examined.repetition(verdict.case)))
    return [*failures, *tally.chapters(), tally.summary()] if failures else []


class Living:
    """The worker of the implementation that is being examined; cases come implementation by implementation."""

    def __init__(self) -> None:
        self._name = ""
        self._checker: Checker | None = None

    def of(self, examined: Subject) -> Checker:
        """Its checker; the one before is ended."""
        if self._checker is None or self._name != examined.name:
            self.end()
            self._name, self._checker = examined.name, examined.checker()
        return self._checker

    def end(self) -> None:
        if self._checker is not None:
            self._checker.__exit__()
        self._checker = None


def passes(status: Status) -> bool:
    """A declared weakness that is still there is no failure."""
    return status in (Status.OK, Status.UNSUPPORTED)
