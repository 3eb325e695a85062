"""`harness run`: check, time and weigh implementations; then the tables."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options
from harness.commands.going_on import told_how_to_go_on
from harness.errors import UserError
from harness.operators.dtypes import DIRECTIONS, DTYPES
from harness.plugins.registry import discover
from harness.records.lock import owned
from harness.workers.limits import memory_limit
from harness.workers.processors import claimed

if TYPE_CHECKING:
    from harness.measure.plan import Plan
    from harness.plugins.contender import Contender
    from harness.plugins.registry import Found, Registry
    from harness.report.terminal import Display
    from harness.runs.folder import RunFolder
    from harness.runs.request import Request


TIMEOUT_S = 60.0
"""For any one step, unless told otherwise."""


def add(verbs: Any) -> None:
    """The command and its options."""
    parents = [options.operator(), options.plugin(), options.device(), measured()]
    verb = verbs.add_parser("run", parents=parents, help="check, time and weigh implementations")
    verb.add_argument("--impl", metavar="NAMES", help="all, or names separated by commas (all)")
    verb.add_argument("--baseline", metavar="NAME", help="what speed-ups are against (torch-sdpa, torch-module or numpy)")
    verb.add_argument("--resume", type=Path, metavar="DIR", help="go on with an interrupted run")
    verb.set_defaults(run=run)


def measured() -> argparse.ArgumentParser:
    """The options of every command that measures problems of a file or a preset."""
    some = argparse.ArgumentParser(add_help=False, parents=[options.measuring()])
    some.add_argument("--preset", metavar="NAME", help="a built-in set of problems (quick)")
    some.add_argument("--problems", type=Path, metavar="FILE", help="problems of your own, in TOML")
    some.add_argument("--direction", choices=DIRECTIONS, help="instead of each problem's own")
    some.add_argument("--dtype", choices=tuple(DTYPES), help="instead of each problem's own")
    some.add_argument(
        "--cache",
        choices=("hot", "cold"),
        help="whether calls find their inputs in a cache (hot; cold for one query against a cache of keys)",
    )
    return some


def requested(given: argparse.Namespace, implementations: str, baseline: str | None) -> Request:
    """The options as a request."""
    from harness.runs.request import Request

    return Request(
        implementations=implementations,
        operator=given.operator,
        baseline=baseline,
        preset=given.preset,
        problems=given.problems,
        device=given.device,
        direction=given.direction,
        dtype=given.dtype,
        threads=given.threads,
        timeout_s=given.timeout or TIMEOUT_S,
        memory_gib=given.memory,
        seed=given.seed or 0,
        cache=given.cache,
    )


def run(given: argparse.Namespace) -> bool:
    """A new run, or what is left of an old one."""
    from harness.runs.folder import RunFolder
    from harness.runs.request import plan

    if given.resume:
        _refuse(given)
        folder = RunFolder.open(given.resume)
        return carry_out(folder, discover([*folder.plugins, *given.plugin], forgiving=True), given)
    found = discover(given.plugin)
    if given.operator == "model":
        from harness.models.registry import add_models

        add_models(found)
    return begin(plan(requested(given, given.impl or "all", given.baseline), found), given, found)


def begin(plan: Plan, given: argparse.Namespace, found: Found) -> bool:
    """Carry out a new plan."""
    from harness.runs.folder import RunFolder

    folder = RunFolder.create(given.out or fresh_folder(plan.preset), plan)
    return carry_out(folder, found, given, plan)


def carry_out(folder: RunFolder, found: Found, given: argparse.Namespace, plan: Plan | None = None) -> bool:
    """Measure what is left to be measured, and print the tables. True when something was measured and nothing was wrong.

    Without a plan it is the folder's, which is gone on with. With --wait-for-idle it begins when nothing else uses the
    machine; else it says what does.
    """
    from harness.runs.folder import PLAN, RunFolder

    with owned(folder.path / PLAN):
        # Read again: until now somebody else may have owned it, and gone on with it.
        return _carry_out(RunFolder.open(folder.path), found, given, plan)


def _carry_out(folder: RunFolder, found: Found, given: argparse.Namespace, plan: Plan | None) -> bool:
    from harness.models.operator import MODEL
    from harness.models.registry import add_models
    from harness.report.format import nothing_measured
    from harness.report.terminal import Display, Output, print_results

    if folder.operator == MODEL.name and not plan:
        add_models(found)
    registry = _registry(found, folder)
    console = Output()
    display = Display(console)
    plan = plan or _resumed(folder, registry, given, display.say)
    for contender in plan.contenders:
        registry.add_variant(contender.name)
    try:
        with told_how_to_go_on("run", folder.path, console.say):
            _measure(plan, folder, registry, given.wait_for_idle, display)
            table = _write_tables(folder)
            print_results(console, folder.run(), table)
    except BaseException:  # Of what was measured there are tables, whatever has ended it.
        with contextlib.suppress(UserError):
            _write_tables(folder)
        raise
    display.say(f"\nThe report and the tables are in {folder.path}: report.md, results.csv, samples.csv")
    if not (table.status == "ok").any():
        display.say(nothing_measured(table))
        return False
    return not table.status.isin(["incorrect", "crashed", "error", "impossible"]).any()


def _measure(plan: Plan, folder: RunFolder, registry: Registry, waits: bool, display: Display) -> None:
    from harness.measure.idle import busy, wait_for_idle
    from harness.runs.execute import execute

    display.say(
        f"Implementations: {len(plan.contenders)}; problems: {len(plan.problems)}. The run's folder is {folder.path}"
    )
    if not waits and (said := busy()):
        display.say(f"The machine is busy: {said}. Times will be noisy; --wait-for-idle begins when it is idle.")
    for lost in folder.journal.damage:
        display.say(f"{lost}; what it held is measured again")
    with claimed(plan.threads) as disturbed, display:
        if disturbed:
            display.say(disturbed)
        if waits:
            wait_for_idle(display.doing)
        execute(plan, folder, registry.implementations, display)


def _write_tables(folder: RunFolder) -> Any:
    """The files that are derived from the journal, as far as it goes. Returns the table of results."""
    from harness.analysis.table import results, samples
    from harness.report.markdown import report

    run = folder.run()
    table = results(run)
    folder.write_text("results.csv", table.to_csv(index=False))
    folder.write_text("samples.csv", samples(run.cells).to_csv(index=False))
    folder.write_text("report.md", report(run, table))
    return table


def _refuse(given: argparse.Namespace) -> None:
    names = ("impl", "baseline", "operator", "preset", "problems", "out", "direction", "dtype", "cache", "threads", "seed")
    if refused := [f"--{name}" for name in names if getattr(given, name) is not None]:
        raise UserError(f"--resume goes on with the plan in the folder, so {', '.join(refused)} cannot be given with it")


def _resumed(folder: RunFolder, registry: Registry, given: argparse.Namespace, say: Callable[[str], None]) -> Plan:
    """The folder's plan, with the limits that were given again, as far as its implementations are still there.

    Raises `UserError` for a run that another machine, or other versions, have begun.
    """
    from harness.runs.environment import machine
    from harness.runs.request import digests

    plan = folder.plan(registry.operator)
    if differ := folder.machine().differences(machine(plan.threads)):
        raise UserError(f"this run was begun elsewhere, and times could not be compared: {'; '.join(differ)}; begin another")
    for contender in plan.contenders:
        registry.add_variant(contender.name)
    contenders = tuple(_still_there(contender, registry) for contender in plan.contenders)
    now = digests(contenders)
    for name, digest in plan.plugins.items():
        if now.get(name) != digest:
            say(f"{name} has changed since the run began; what was measured before is of what it was then")
    return dataclasses.replace(
        plan,
        contenders=contenders,
        timeout_s=given.timeout or plan.timeout_s,
        memory_bytes=memory_limit(given.memory) if given.memory else plan.memory_bytes,
    )


def _still_there(contender: Contender, registry: Registry) -> Contender:
    one = registry.implementations.get(contender.name)
    if one is None and not contender.absent:
        lost = next((b.error for b in registry.broken if b.origin.location == contender.origin.location), "")
        gone = f"its plug-in cannot be loaded any more: {lost}" if lost else "its plug-in does not declare it any more"
        return dataclasses.replace(contender, absent=gone, broken=True)
    return contender if one is None else dataclasses.replace(contender, origin=one.origin)


def _registry(found: Found, folder: RunFolder) -> Registry:
    if folder.operator in found.registries:
        return found.of(folder.operator)
    raise UserError(f"{folder.path} measures {folder.operator}, an operator that no plug-in of the plan has any more")


def fresh_folder(preset: str) -> Path:
    """runs/DATE-TIME-PRESET, numbered when that exists."""
    stem = f"{datetime.datetime.now():%Y-%m-%d-%H%M%S}-{preset}"
    names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    return next(path for name in names if not (path := Path("runs") / name).exists())
