"""Implementations that a test names, and the workers in which they are examined."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import pytest

from harness.conformance.answers import Answers
from harness.conformance.cases import select
from harness.conformance.examiner import Examiner
from harness.conformance.findings import counted, kinds
from harness.conformance.known_failures import check_known_failures
from harness.conformance.tally import Tally, nothing_examined, unsupported
from harness.errors import UserError, describe
from harness.frameworks.base import SIMULATOR, cuda_devices
from harness.operators.attention.operator import ATTENTION
from harness.operators.case import Case
from harness.plugins.contender import Contender, contenders
from harness.plugins.implementation import Implementation, Origin
from harness.plugins.origin import absolute
from harness.plugins.registry import Found, Registry

TIMEOUT_S = 300

RANDOM = "random"
"""The chapter of problems drawn at random."""


class Subject:
    """An implementation to be examined: how it is declared, and where it can run here.

    Raises `UserError` for known failures that name no case.
    """

    def __init__(self, implementation: Implementation, option: str, device: str = "auto", suite: str = ""):
        check_known_failures(implementation)
        self.implementation = implementation
        self.option = option
        """What repeats a case in the terminal, such as "--impl numpy"."""
        self.suite = suite or f"tests/conformance {option}"
        """What repeats a test under pytest."""
        self.simulated = implementation.framework == "numba-cuda" and not cuda_devices()
        registry = Registry({implementation.name: implementation}, operator=implementation.operator)
        with self.surroundings():
            self.contender: Contender = contenders(registry, [implementation.name], device)[0]

    @property
    def name(self) -> str:
        return self.implementation.name

    @property
    def label(self) -> str:
        """Its name, with its operator's where that is not attention: names are unique in each operator."""
        operator = self.implementation.operator
        return self.name if operator is ATTENTION else f"{operator.name}:{self.name}"

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
        return [case for case in self._all_cases(full) if not supports.unsupported_reasons(case.problem)]

    def nothing_examined(self, full: bool) -> str:
        """The sentence for one that supports no case."""
        supports = self.implementation.supports_on(self.contender.device)
        return f"{self.name}: {nothing_examined(supports, unsupported(supports, self._all_cases(full)))}"

    def _all_cases(self, full: bool) -> list[Case]:
        return select(self.implementation, simulated=self.simulated, full=full)

    def examiner(self) -> Examiner:
        answers = Answers.shared(self.implementation.operator)
        return Examiner(self.contender, len(os.sched_getaffinity(0)), TIMEOUT_S, answers)

    def repetition(self, case: Case) -> str:
        """The command that runs one case again."""
        if case.chapter == RANDOM:
            return f"python -m pytest {self.suite} -k {RANDOM}-{case.name}  # seed {case.seed}"
        return f"python -m harness check {self.option} --case {case.id} --seed {case.seed}"


def subject(where: str, device: str = "auto") -> Subject:
    """The implementation at "package.module:name" or "file.py:name". Raises `UserError` when there is none."""
    place, colon, name = where.rpartition(":")
    if not colon or not place or not name:
        raise UserError(f'"{where}" does not say where: it should be package.module:name or file.py:name')
    if os.getcwd() not in sys.path:  # As `python -m pytest` has it.
        sys.path.insert(0, os.getcwd())
    is_file = place.endswith(".py")
    origin = Origin("file", str(absolute(place))) if is_file else Origin("module", place)
    found = Found()
    try:
        module = origin.load()
    except Exception as error:
        raise UserError(f"{place} cannot be imported: {describe(error)}") from error
    declared = getattr(module, name, None)
    if declared is not None and not isinstance(declared, Implementation):
        raise UserError(f"{where} is not declared; decorate the function with @implementation(...)")
    found.add_origin(origin, place)
    named = declared.name if declared is not None else name
    registry = found.holding(named, None if declared is None else declared.operator.name)
    if named not in registry.implementations:
        known = ", ".join(registry.implementations) or "none"
        raise UserError(f"{place} declares no implementation called {name}; it declares {known}")
    plugin = f"--plugin {place} " if is_file else f"--plugin {module.__file__} "
    suite = f"--pyargs harness.conformance --implementation {where}"
    return Subject(registry.implementations[named], f"--impl {named} {plugin}".strip(), device, suite)


def examine(where: str, device: str, full: bool) -> str:
    """Run the whole suite on one implementation: the kinds of its failures, or "" when all is well.

    Raises `UserError` when it cannot be found, and skips the test where it cannot run.
    """
    examined = subject(where, device)
    if examined.contender.absent:
        pytest.skip(f"{examined.name}: {examined.contender.absent}")
    cases = examined.cases(full)
    if not cases:
        return examined.nothing_examined(full)
    tally = Tally(examined.name)
    with examined.surroundings(), examined.examiner() as examiner:
        for verdict in examiner.examine_all(cases):
            tally.add(verdict)
    if not tally.failed:
        return ""
    found = kinds(tally, lambda verdict: examined.repetition(verdict.case))
    return "\n".join([*found, f"{examined.name}: {counted(tally.counts)}"])


class Living:
    """What this process keeps: the worker of the implementation that is being examined, and the verdicts on each.

    Cases come implementation by implementation.
    """

    def __init__(self) -> None:
        self._name = ""
        self._checker: Examiner | None = None
        self._tallies: dict[str, Tally] = {}

    def of(self, examined: Subject) -> Examiner:
        """Its examiner; the one before is ended."""
        if self._checker is None or self._name != examined.label:
            self.end()
            self._name, self._checker = examined.label, examined.examiner()
        return self._checker

    def tally(self, examined: Subject) -> Tally:
        """The verdicts on it so far."""
        return self._tallies.setdefault(examined.label, Tally(examined.name))

    def end(self) -> None:
        if self._checker is not None:
            self._checker.__exit__()
        self._checker = None
