"""`harness frontier`: the largest length that fits a time and a memory."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options
from harness.plugins.registry import discover
from harness.workers.processors import usable

if TYPE_CHECKING:
    from harness.measure.frontier import Prober, Trial
    from harness.operators.problem import Problem


def add(verbs: Any) -> None:
    """The command and its options."""
    parents = [options.operator(), options.plugin(), options.device()]
    verb = verbs.add_parser("frontier", parents=parents, help="the largest length that fits a time and a memory")
    verb.add_argument("--impl", metavar="NAMES", default="all", help="all, or names separated by commas (all)")
    verb.add_argument("--time", type=options.positive_number, default=2.0, metavar="S", help="seconds for a call (2)")
    verb.add_argument("--memory", type=options.gibibytes, default=8.0, metavar="GIB", help="for the process (8)")
    verb.add_argument(
        "--longest", type=options.positive_int, default=2**20, metavar="L", help="nothing longer is tried (2^20)"
    )
    verb.add_argument(
        "--timeout", type=options.positive_number, default=60.0, metavar="S", help="for compiling and a call (60)"
    )
    verb.add_argument("--preset", metavar="NAME", help="whose first problem is made longer (quick)")
    verb.add_argument("--problems", type=Path, metavar="FILE", help="problems of your own; the first is made longer")
    verb.add_argument("--threads", type=options.positive_int, metavar="N", help="CPU threads for every implementation (all)")
    verb.set_defaults(run=run)


def _fits(prober: Prober, first: Problem, length: int) -> Trial:
    from harness.measure.frontier import of_length

    return prober.fits(of_length(first, length), length)


def run(given: argparse.Namespace) -> bool:
    """Search for each implementation, and print a line as it is found. True when something fits."""
    from harness.measure.frontier import Allowance, Prober, of_length, search
    from harness.report.format import seconds
    from harness.runs.request import Request, plan

    found = discover(given.plugin)
    asked = Request(
        implementations=given.impl,
        operator=given.operator,
        preset=given.preset,
        problems=given.problems,
        device=given.device,
        threads=given.threads,
        memory_gib=given.memory,
    )
    planned = plan(asked, found)
    registry = found.of(planned.operator)
    first = planned.problems[0]
    allowance = Allowance(given.time, planned.memory_bytes, given.timeout, given.threads or usable())
    limits = f"{given.time:g} s a call, {given.memory:g} GiB, {allowance.threads} threads"
    print(f"{of_length(first, 1024).name} and longer; {limits}")
    some = False
    for contender in planned.contenders:
        if contender.absent:
            print(f"{contender.name}: unavailable: {contender.absent}")
            continue
        prober = Prober(registry.operator, registry.implementations[contender.name], contender, allowance)
        frontier = search(contender.name, partial(_fits, prober, first), given.longest)
        some |= frontier.largest is not None
        reached = f"{frontier.largest.length} in {seconds(frontier.largest.call_s or 0)}" if frontier.largest else "nothing"
        beyond = f"; {frontier.beyond.length}: {frontier.beyond.reason}" if frontier.beyond else "; nothing longer was tried"
        print(f"{contender.name}: {reached}{beyond}", flush=True)
    return some
