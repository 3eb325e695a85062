"""`harness check`: the conformance cases of the chosen implementations, told chapter by chapter."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.conformance.case import Case
from harness.conformance.cases import all_cases, select
from harness.conformance.verdict import Verdict
from harness.frameworks.base import simulating
from harness.measure.checker import Checker
from harness.plan import Contender, contenders
from harness.registry import Registry, RegistryError, discover, unknown_name
from harness.report.verdicts import Tally, line, row


def check(options: argparse.Namespace) -> bool:
    """Check, print, and write the rows where asked. True when nothing was wrong."""
    registry = discover(options.plugin)
    names = registry.select(options.impl)
    wanted = _wanted(options.case)
    if options.csv and options.csv.exists():
        raise RegistryError(f"{options.csv} exists, and is not overwritten; give --csv another name")
    rows: list[dict[str, object]] = []
    tallies = []
    for contender in contenders(registry, names, options.device):
        tally = Tally(contender.name, contender.absent, contender.broken)
        tallies.append(tally)
        if not contender.absent:
            for verdict in _examine(options, registry, contender, wanted):
                tally.add(verdict)
                rows.append(row(contender.name, contender.device, verdict))
                if not options.quiet or tally.is_news(verdict):
                    print(line(contender.name, verdict, _repetition(options, contender.name, verdict)), flush=True)
            print("", *tally.chapters(), sep="\n")
        print(tally.summary() + "\n", flush=True)
    if len(tallies) > 1:
        print("\n".join(tally.summary() for tally in tallies))
    if options.csv:
        _write(options.csv, rows)
    return not any(tally.failed for tally in tallies)


def _wanted(ids: Sequence[str]) -> set[str]:
    """The ids of the cases named by case or chapter; empty for all. Raises `RegistryError` for an unknown one."""
    known = {case.id: case for case in all_cases()}
    sayable = [*dict.fromkeys(case.chapter for case in known.values()), *known]
    for name in ids:
        if name not in sayable:
            raise RegistryError(unknown_name("chapter or case", name, sayable, "`harness check` prints them; there are"))
    return {case.id for case in known.values() if case.id in ids or case.chapter in ids}


def _examine(options: argparse.Namespace, registry: Registry, contender: Contender, wanted: set[str]) -> Iterator[Verdict]:
    implementation = registry.implementations[contender.name]
    simulated = simulating() and contender.device == "cuda"
    cases: Sequence[Case] = select(
        slow_build=implementation.slow_build,
        interpreted=implementation.interpreted,
        simulated=simulated,
        full=options.full,
    )
    if wanted:
        cases = [case for case in all_cases() if case.id in wanted]
    if options.seed is not None:
        cases = [dataclasses.replace(case, seed=options.seed) for case in cases]
    with Checker(contender, options.threads or len(os.sched_getaffinity(0)), options.timeout) as checker:
        yield from checker.check_all(cases)


def _repetition(options: argparse.Namespace, name: str, verdict: Verdict) -> str:
    """The command that runs one case again."""
    plugins = "".join(f" --plugin {shlex.quote(plugin)}" for plugin in options.plugin)
    return f"python -m harness check --impl {name}{plugins} --case {verdict.case.id} --seed {verdict.case.seed}"


def _write(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with open(path, "x", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else ["implementation"])
        writer.writeheader()
        writer.writerows(rows)
