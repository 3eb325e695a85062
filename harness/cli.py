"""The command line: one function a verb. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.options import parser
from harness.errors import UserError
from harness.plugins.registry import discover

if TYPE_CHECKING:
    from harness.measure.manager import Manager
    from harness.measure.memory_pass import MemoryPass
    from harness.measure.plan import Plan
    from harness.plugins.contender import Contender
    from harness.records.cell import Cell
    from harness.runs.folder import RunFolder
    from harness.runs.presets import Preset

OK, FAILED, WRONG_COMMAND, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

MEMORY_SHARE = 0.8
"""Of the available memory, what the workers may use unless --memory says otherwise."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns its exit status: 0 fine, 1 a check failed, 2 the command was wrong, 130 interrupted."""
    options = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return VERBS[options.verb](options)
    except KeyboardInterrupt as stop:
        print("harness: interrupted", file=sys.stderr)
        return _stopped(stop)
    except BrokenPipeError:  # `harness list | head`: the reader has had enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except UserError as error:
        print(f"harness: {error}", file=sys.stderr)
        return WRONG_COMMAND


class Terminated(KeyboardInterrupt):
    """SIGTERM, which a run survives as well as Ctrl-C: workers are ended, tables written, the way to go on is said."""


def _terminate(*_: object) -> None:
    raise Terminated


def _stopped(stop: KeyboardInterrupt) -> int:
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


# --- verbs -------------------------------------------------------------------------------------------


def list_(options: argparse.Namespace) -> int:
    """Every implementation: where it can run, whether that is here, what it supports."""
    from harness.plugins.contender import contenders

    registry = discover(options.plugin)
    entries: list[dict[str, Any]] = []
    for one in registry.implementations.values():
        here = {d: contenders(registry, [one.name], d)[0] for d in one.devices}
        entries.append(
            {
                "name": one.name,
                "framework": one.framework,
                "summary": one.summary,
                "devices": {device: contender.absent or None for device, contender in here.items()},
                "supports": {device: one.supports_on(device).summary() for device in one.devices},
                "weaknesses": sorted(set(one.departures.values())),
                "error": None,
            }
        )
    entries += [
        {"name": b.name, "framework": "", "summary": "", "devices": {}, "supports": {}, "weaknesses": [], "error": b.error}
        for b in registry.broken
    ]
    if options.json:
        print(json.dumps(entries, indent=1))
        return OK
    from rich.console import Console

    from harness.report.listing import print_list

    print_list(Console(), entries)
    return OK


def presets(options: argparse.Namespace) -> int:
    """Every built-in preset and its problems."""
    from harness.runs.presets import all_built_in

    for preset in all_built_in():
        print(f"{preset.name}: {preset.description}\n  from {preset.source}")
        for problem in preset.problems:
            print(f"    {problem.name}")
    return OK


def run(options: argparse.Namespace) -> int:
    """Check, time and weigh; then the tables."""
    from harness.measure.manager import Manager
    from harness.measure.memory_pass import MemoryPass
    from harness.report.format import nothing_measured
    from harness.report.terminal import Display, Output, print_results
    from harness.runs.environment import environment
    from harness.runs.folder import RunFolder

    console = Output()
    folder = _resumed(options) if options.resume else None
    plan = folder.plan if folder else _plan(options)
    planned = [c.origin.location for c in plan.contenders if c.origin.kind == "file"]
    registry = discover(list(dict.fromkeys(planned)))
    for contender in plan.contenders:
        registry.add_variant(contender.name)
    folder = folder or RunFolder.create(options.out or _fresh_folder(plan.preset), plan)
    display = Display(console)
    manager = Manager(plan, registry.implementations, display.show)
    display.say(f"{len(plan.contenders)} implementations, {len(plan.problems)} problems; the run's folder is {folder.path}")
    try:
        with display:
            recorded = environment(plan.threads)
            recorded["matmul_flops_per_s"] = manager.matmul_rates()
            folder.write_environment(recorded)
            _measure(manager, MemoryPass(plan, display.show), folder, display.say)
    except KeyboardInterrupt as stop:
        manager.close()
        _write_tables(folder)
        display.say(f"Interrupted; nothing measured is lost. To go on: python -m harness run --resume {folder.path}")
        return _stopped(stop)
    finally:
        manager.close()
    table = _write_tables(folder)
    print_results(console, plan, table)
    display.say(f"\nThe report and the tables are in {folder.path}: report.md, results.csv, samples.csv")
    if not (table.status == "ok").any():
        display.say(nothing_measured(table))
        return FAILED
    return FAILED if table.status.isin(["incorrect", "crashed", "error"]).any() else OK


def tune(options: argparse.Namespace) -> int:
    """Run an implementation beside its variants; its own choice is the baseline of the speed-ups."""
    registry = discover(options.plugin)
    name = registry.select(options.impl)[0]
    variants = [one.name for one in registry.implementations[name].variants()] if name in registry.implementations else []
    if not variants or options.impl.strip() != name:
        able = ", ".join(one.name for one in registry.implementations.values() if one.tunables)
        raise UserError(f"tune takes one implementation that declares what can be tuned ({able}), not {options.impl}")
    options.impl, options.baseline = ",".join([name, *variants]), name
    return run(options)


def check(options: argparse.Namespace) -> int:
    """The conformance cases, chapter by chapter."""
    from harness.commands.check import check as examine

    return OK if examine(options) else FAILED


def conventions(options: argparse.Namespace) -> int:
    """What every available implementation, and the library call behind it, really does."""
    from harness.commands.conventions import conventions as probe

    return OK if probe(options) else FAILED


def report(options: argparse.Namespace) -> int:
    """The tables again, from a stored run."""
    from rich.console import Console

    from harness.report.terminal import print_results
    from harness.runs.folder import RunFolder

    folder = RunFolder.open(options.folder)
    table = _results(folder)
    if options.plot:
        from harness.report.plots import plot

        plot(table, options.plot)
        print(f"drawn: {options.plot}")
    elif options.format == "csv":
        print(table.to_csv(index=False), end="")
    elif options.format == "md":
        from harness.report.markdown import report as markdown

        print(markdown(folder.plan, table, folder.environment()), end="")
    else:
        print_results(Console(), folder.plan, table)
    return OK


# --- a run -------------------------------------------------------------------------------------------


def _measure(manager: Manager, memory_pass: MemoryPass, folder: RunFolder, say: Callable[[str], None]) -> None:
    """Carry out what the journal does not hold yet."""
    from harness.errors import Status
    from harness.workers.messages import Failed

    folder.mend()
    finished = folder.cells()
    for cell in finished:
        manager.remember(cell)
    done = {(c.implementation, c.problem) for c in finished}
    if len(done) < len(folder.plan.problems) * len(folder.plan.contenders):
        manager.load()
    absent = set()
    for cell in manager.cells(done):
        folder.add_cell(cell)
        if cell.implementation not in absent:  # What is not here is not here for any problem: once will do.
            say(_told(cell))
        if cell.status is Status.UNAVAILABLE:
            absent.add(cell.implementation)
    manager.close()
    for cell, found in memory_pass.memories(folder.cells()):
        if isinstance(found, Failed):
            folder.add_warning(cell, f"its memory could not be measured: {found.status}: {found.reason}")
        else:
            folder.add_memory(cell, found)


def _told(cell: Cell) -> str:
    """A finished cell as a line of progress."""
    from harness.analysis.statistics import interval
    from harness.errors import Status
    from harness.report.format import seconds

    if cell.status is Status.UNAVAILABLE:
        return f"{cell.implementation} is unavailable: {cell.reason}"
    result = seconds(interval(cell.timing).median_s) if cell.timing else f"{cell.status}: {cell.reason}"
    return f"{cell.problem}  {cell.implementation}  {result}"


def _plan(options: argparse.Namespace) -> Plan:
    from harness.measure.plan import Plan
    from harness.plugins.contender import contenders
    from harness.runs.presets import built_in, from_file

    if options.problems and options.preset:
        raise UserError("--preset and --problems are two ways to say the same; give one of them")
    preset: Preset = from_file(options.problems) if options.problems else built_in(options.preset or "quick")
    changes = {k: v for k in ("direction", "dtype") if (v := getattr(options, k)) is not None}
    registry = discover(options.plugin)
    names = registry.select(options.impl or "all")
    usable = len(os.sched_getaffinity(0))
    threads = options.threads or usable
    if threads > usable:
        raise UserError(f"--threads {threads} is more than the {usable} CPUs that this process may use")
    chosen = tuple(_never_simulated(c) for c in contenders(registry, names, options.device))
    baseline = options.baseline or ("numpy" if "numpy" in names else "")
    if baseline and baseline not in names:
        raise UserError(f"--baseline {baseline} is not among the implementations of this run")
    return Plan(
        preset=preset.name,
        problems=tuple(dict.fromkeys(p.replace(**changes) for p in preset.problems)),
        contenders=chosen,
        baseline=baseline,
        threads=threads,
        timeout_s=options.timeout,
        memory_bytes=_memory(options.memory),
        seed=options.seed,
        effort=preset.effort,
    )


def _never_simulated(contender: Contender) -> Contender:
    """Numba's CUDA simulator answers whether a kernel is right; its times would say nothing."""
    from harness.frameworks.base import SIMULATOR, simulating

    if contender.framework == "numba-cuda" and not contender.absent and simulating():
        return dataclasses.replace(contender, absent=f"{SIMULATOR} is set, and a simulator is not timed")
    return contender


def _memory(gib: float | None) -> int:
    if gib is not None:
        return int(gib * 2**30)
    import psutil

    return int(MEMORY_SHARE * psutil.virtual_memory().available)


def _resumed(options: argparse.Namespace) -> RunFolder:
    from harness.runs.folder import RunFolder

    given = [f"--{n}" for n in ("impl", "preset", "problems", "out", "direction", "dtype") if getattr(options, n)]
    if given:
        raise UserError(f"--resume goes on with the plan in the folder, so {', '.join(given)} cannot be given with it")
    return RunFolder.open(options.resume)


def _fresh_folder(preset: str) -> Path:
    """runs/DATE-TIME-PRESET, numbered when that exists."""
    import datetime
    import itertools

    stem = f"{datetime.datetime.now():%Y-%m-%d-%H%M%S}-{preset}"
    names = itertools.chain([stem], (f"{stem}-{n}" for n in itertools.count(2)))
    return next(path for name in names if not (path := Path("runs") / name).exists())


def _results(folder: RunFolder) -> Any:
    from harness.analysis.table import results

    return results(folder.plan, folder.cells(), folder.environment().get("matmul_flops_per_s", {}))


def _write_tables(folder: RunFolder) -> Any:
    from harness.analysis.table import samples
    from harness.report.markdown import report as markdown

    table = _results(folder)
    folder.write_text("results.csv", table.to_csv(index=False))
    folder.write_text("samples.csv", samples(folder.cells()).to_csv(index=False))
    folder.write_text("report.md", markdown(folder.plan, table, folder.environment()))
    return table


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "list": list_,
    "presets": presets,
    "run": run,
    "tune": tune,
    "check": check,
    "conventions": conventions,
    "report": report,
}
