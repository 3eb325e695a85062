"""`harness check`: the conformance cases of the chosen implementations, told chapter by chapter."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.conformance.cases import all_cases, select
from harness.conformance.departures import check_departures
from harness.conformance.examiner import Examiner
from harness.conformance.lines import line, row, summary, whole
from harness.conformance.tally import Tally, nothing_examined
from harness.conformance.verdict import Verdict
from harness.errors import UserError, unknown_name
from harness.frameworks.base import simulating
from harness.operators.case import Case
from harness.plugins.contender import Contender, contenders
from harness.plugins.implementation import Implementation
from harness.plugins.registry import Registry, discover


def check(options: argparse.Namespace) -> bool:
    """Check, print, and write the rows where asked. True when something was examined and nothing was wrong."""
    registry = discover(options.plugin)
    names = registry.select(options.impl)
    wanted = _wanted(options.case)
    if options.csv and options.csv.exists():
        raise UserError(f"{options.csv} exists, and is not overwritten; give --csv another name")
    rows: list[dict[str, object]] = []
    tallies = []
    for contender in _contenders(registry, names, options.device):
        tally = Tally(contender.name, contender.absent, contender.broken)
        tallies.append(tally)
        if contender.absent:
            print(summary(tally) + "\n", flush=True)
            continue
        implementation = registry.implementations[contender.name]
        cases = _cases(options, implementation, contender.device, wanted)
        rows += _examine(options, contender, cases, tally)
        print(summary(tally), flush=True)
        if not tally.examined:
            print(f"{contender.name}: {nothing_examined(implementation.supports_on(contender.device), tally.refusals)}")
        print(flush=True)
    if len(tallies) > 1:
        print("\n".join(summary(tally) for tally in tallies))
    if all(tally.absent for tally in tallies):
        print("nothing was examined: none of the named implementations can run here")
    if options.csv:
        _write(options.csv, rows)
    return _passed(tallies, some_cases=bool(wanted))


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
                check_departures(registry.implementations[contender.name])
            except UserError as error:
                if contender.origin.kind == "file":
                    raise
                contender = dataclasses.replace(contender, absent=str(error), broken=True)
        yield contender


def _wanted(ids: Sequence[str]) -> set[str]:
    """The ids of the cases named by case or chapter; empty for all. Raises `UserError` for an unknown one."""
    known = {case.id: case for case in all_cases()}
    sayable = [*dict.fromkeys(case.chapter for case in known.values()), *known]
    for name in ids:
        if name not in sayable:
            raise UserError(unknown_name("chapter or case", name, sayable, "`harness check` prints them; there are"))
    return {case.id for case in known.values() if case.id in ids or case.chapter in ids}


def _cases(options: argparse.Namespace, implementation: Implementation, device: str, wanted: set[str]) -> list[Case]:
    cases = select(
        slow_build=implementation.slow_build,
        interpreted=implementation.interpreted,
        simulated=simulating() and device == "cuda",
        full=options.full,
    )
    if wanted:
        cases = [case for case in all_cases() if case.id in wanted]
    if options.seed is not None:
        cases = [dataclasses.replace(case, seed=options.seed) for case in cases]
    return cases


def _examine(
    options: argparse.Namespace, contender: Contender, cases: Sequence[Case], tally: Tally
) -> list[dict[str, object]]:
    """Run the cases of one implementation, count and tell what comes of them; a row for each."""

    def repeat(verdict: Verdict) -> str:
        return _repetition(options, contender.name, verdict)

    verdicts = []
    with Examiner(contender, options.threads or len(os.sched_getaffinity(0)), options.timeout) as checker:
        for verdict in checker.check_all(cases):
            verdicts.append(verdict)
            news = tally.add(verdict)
            if news or not options.quiet:
                print(line(contender.name, verdict, repeat(verdict)), flush=True)
    print("", *whole(tally, repeat), sep="\n")
    kinds = {id(verdict): kind.name for kind in tally.kinds() for verdict in kind.verdicts}
    return [row(contender.name, contender.device, verdict, kinds.get(id(verdict), "")) for verdict in verdicts]


def _repetition(options: argparse.Namespace, name: str, verdict: Verdict) -> str:
    """The command that runs one case again."""
    plugins = "".join(f" --plugin {shlex.quote(plugin)}" for plugin in options.plugin)
    return f"python -m harness check --impl {name}{plugins} --case {verdict.case.id} --seed {verdict.case.seed}"


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with open(path, "x", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else ["implementation"])
        writer.writeheader()
        writer.writerows(rows)
