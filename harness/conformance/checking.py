"""Checking implementations by the conformance cases, told chapter by chapter."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.conformance.answers import Answers
from harness.conformance.cases import all_cases, select
from harness.conformance.examiner import Examiner
from harness.conformance.known_failures import check_known_failures
from harness.conformance.lines import line, row, summary, whole
from harness.conformance.tally import Tally, nothing_examined
from harness.conformance.verdict import Verdict
from harness.errors import UserError, unknown_name
from harness.frameworks.base import simulating
from harness.operators.case import Case
from harness.plugins.contender import Contender, contenders
from harness.plugins.implementation import Implementation
from harness.plugins.registry import Registry
from harness.workers.limits import memory_limit
from harness.workers.processors import usable


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What should be checked; whatever is left out has the default of `harness check`."""

    implementations: str
    """Names separated by commas, or "all"."""
    plugins: Sequence[str] = ()
    """The files that were given with them; they are in the registry already, and belong to what repeats a case."""
    cases: Sequence[str] = ()
    """Ids of cases, or chapters; all where there are none."""
    device: str = "auto"
    threads: int | None = None
    timeout_s: float = 120.0
    """For one case."""
    memory_gib: float | None = None
    """For the worker; a share of what is available unless given."""
    full: bool = False
    """Every case, also where each shape is compiled for seconds."""
    seed: int | None = None
    """Of the arrays, instead of each case's own."""
    quiet: bool = False
    """Of the cases, only the first failure of each kind is told."""


@dataclass
class Checked:
    """What came of it."""

    passed: bool
    """Whether something was examined and nothing was wrong."""
    rows: list[dict[str, object]]
    """One for every case."""


def check(request: CheckRequest, registry: Registry, tell: Callable[[str], None]) -> Checked:
    """Check the named implementations, and tell line by line what comes of it.

    Raises `UserError` for names and cases that are not there.
    """
    names = registry.select(request.implementations)
    return _Checking(request, registry, _wanted(request.cases, all_cases(registry.operator)), tell).check(names)


class _Checking:
    """The implementations of one request, one after the other."""

    def __init__(self, request: CheckRequest, registry: Registry, wanted: set[str], tell: Callable[[str], None]):
        self._request = request
        self._registry = registry
        self._wanted = wanted
        self._tell = tell

    def check(self, names: Sequence[str]) -> Checked:
        rows: list[dict[str, object]] = []
        tallies = []
        for contender in _contenders(self._registry, names, self._request.device):
            tally = Tally(contender.name, contender.absent, contender.broken)
            tallies.append(tally)
            if contender.absent:
                self._tell(summary(tally) + "\n")
            else:
                rows += self._examine(contender, tally)
        if len(tallies) > 1:
            self._tell("\n".join(summary(tally) for tally in tallies))
        if all(tally.absent for tally in tallies):
            self._tell("nothing was examined: none of the named implementations can run here")
        return Checked(_passed(tallies, some_cases=bool(self._wanted)), rows)

    def _examine(self, contender: Contender, tally: Tally) -> list[dict[str, object]]:
        """Run the cases of one implementation, count and tell what comes of them; a row for each."""
        request, implementation = self._request, self._registry.implementations[contender.name]
        verdicts = []
        threads, answers = request.threads or usable(), Answers.shared(self._registry.operator)
        memory_bytes = memory_limit(request.memory_gib)
        with Examiner(contender, threads, request.timeout_s, answers, memory_bytes) as examiner:
            for verdict in examiner.examine_all(self._cases(implementation, contender.device)):
                verdicts.append(verdict)
                news = tally.add(verdict)
                if news or not request.quiet:
                    self._tell(line(contender.name, verdict, self._repetition(contender.name, verdict)))
        self._tell("\n".join(["", *whole(tally, lambda verdict: self._repetition(contender.name, verdict)), summary(tally)]))
        if not tally.examined:
            supports = implementation.supports_on(contender.device)
            self._tell(f"{contender.name}: {nothing_examined(supports, tally.unsupported)}")
        self._tell("")
        kinds = {id(verdict): kind.name for kind in tally.kinds() for verdict in kind.verdicts}
        return [row(contender.name, contender.device, verdict, kinds.get(id(verdict), "")) for verdict in verdicts]

    def _cases(self, implementation: Implementation, device: str) -> list[Case]:
        request = self._request
        cases = select(implementation, simulated=simulating() and device == "cuda", full=request.full)
        if self._wanted:
            cases = [case for case in all_cases(implementation.operator) if case.id in self._wanted]
        if request.seed is not None:
            cases = [dataclasses.replace(case, seed=request.seed) for case in cases]
        return cases

    def _repetition(self, name: str, verdict: Verdict) -> str:
        """The command that runs one case again."""
        plugins = "".join(f" --plugin {shlex.quote(plugin)}" for plugin in self._request.plugins)
        which = f"{self._registry.option}--impl {name}{plugins}"
        return f"python -m harness check {which} --case {verdict.case.id} --seed {verdict.case.seed}"


def _passed(tallies: Sequence[Tally], some_cases: bool) -> bool:
    """Whether nothing was wrong, and everything examined that could be.

    Of some cases, given to several implementations, not every one supports every case: one that was examined is enough.
    """
    if any(tally.failed for tally in tallies):
        return False
    examined = [tally.examined for tally in tallies if not tally.absent]
    return any(examined) if some_cases else bool(examined) and all(examined)


def _contenders(registry: Registry, names: Sequence[str], device: str) -> Iterator[Contender]:
    """The named implementations. Departures that name no case are an error in the row of the implementation.

    Raises `UserError` for them when the implementation comes from a file that was given.
    """
    for contender in contenders(registry, names, device):
        if contender.name in registry.implementations:
            try:
                check_known_failures(registry.implementations[contender.name])
            except UserError as error:
                if contender.origin.kind == "file":
                    raise
                contender = dataclasses.replace(contender, absent=str(error), broken=True)
        yield contender


def _wanted(ids: Sequence[str], cases: Sequence[Case]) -> set[str]:
    """The ids of the cases named by case or chapter; empty for all. Raises `UserError` for an unknown one."""
    known = {case.id: case for case in cases}
    sayable = [*dict.fromkeys(case.chapter for case in known.values()), *known]
    for name in ids:
        if name not in sayable:
            raise UserError(unknown_name("chapter or case", name, sayable, "`harness check` prints them; there are"))
    return {case.id for case in known.values() if case.id in ids or case.chapter in ids}
