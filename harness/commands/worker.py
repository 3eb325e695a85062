"""`harness worker`: what a worker does, in this very process, where a debugger can look at it."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options
from harness.errors import UserError
from harness.plugins.registry import Found, Registry, discover

if TYPE_CHECKING:
    from harness.plugins.contender import Contender


def add(verbs: Any) -> None:
    """The command and its options."""
    parents = [options.operator(), options.plugin(), options.device()]
    verb = verbs.add_parser("worker", parents=parents, help="do what a worker does in this process, for debugging")
    verb.add_argument("--impl", metavar="NAME", required=True, help="one implementation")
    verb.add_argument("--case", metavar="ID", help="judge this conformance case; else problems are measured")
    verb.add_argument("--preset", metavar="NAME", help="a built-in set of problems (smoke)")
    verb.add_argument("--problems", type=Path, metavar="FILE", help="problems of your own, in TOML")
    verb.add_argument("--threads", type=options.positive_int, metavar="N", help="CPU threads (all)")
    verb.add_argument("--seed", type=int, metavar="N", help="of the arrays")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Open the session and ask it; nothing is restricted, and nothing that it prints is kept. True when all went well."""
    from harness.plugins.contender import contenders
    from harness.plugins.session import environment

    found = discover(given.plugin)
    registry = found.holding(given.impl, given.operator)
    (contender, *others) = contenders(registry, registry.select(given.impl), given.device)
    if others or contender.absent:
        reason = contender.absent or f"--impl names {len(others) + 1}"
        raise UserError(f"a worker serves one implementation that can run here, and {given.impl} is not that: {reason}")
    threads = given.threads or len(os.sched_getaffinity(0))
    os.environ.update(environment(contender, threads))
    return _check(given, registry, contender, threads) if given.case else _measure(given, found, contender, threads)


def _check(given: argparse.Namespace, registry: Registry, contender: Contender, threads: int) -> bool:
    from dataclasses import replace

    from harness.conformance.cases import all_cases
    from harness.conformance.lines import line
    from harness.conformance.session import ConformanceSession, ExamineCase
    from harness.conformance.tally import PASSING
    from harness.errors import unknown_name

    cases = {case.id: case for case in all_cases(registry.operator)}
    if given.case not in cases:
        raise UserError(unknown_name("case", given.case, list(cases), "`harness check` prints them; there are"))
    case = cases[given.case] if given.seed is None else replace(cases[given.case], seed=given.seed)
    session = ConformanceSession(contender.operator, contender.origin, contender.name, contender.device, threads)
    verdict = session.examine(ExamineCase(case))
    print(line(contender.name, verdict, ""))
    return verdict.status in PASSING


def _measure(given: argparse.Namespace, found: Found, contender: Contender, threads: int) -> bool:
    from harness.measure.memory_session import MemorySession
    from harness.measure.messages import Finish, MeasureMemory, Prepare, Sample
    from harness.measure.session import MeasuringSession
    from harness.operators import answer
    from harness.runs.request import Request, plan
    from harness.workers.messages import Failed

    preset = given.preset or (None if given.problems else "smoke")
    asked = Request(
        implementations=contender.name,
        operator=contender.operator,
        preset=preset,
        problems=given.problems,
        threads=threads,
    )
    planned, seed, operator = plan(asked, found), given.seed or 0, found.of(contender.operator).operator
    opened = (contender.operator, contender.origin, contender.name, contender.device, threads)
    session, memory = MeasuringSession(*opened), MemorySession(*opened)
    right = True
    for problem in planned.problems:
        print(problem.name)
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "expected.npz"
            answer.save(operator.expected(problem, operator.inputs(problem, seed), seed), path)
            prepared = session.prepare(Prepare(problem, seed, str(path), planned.effort.sample_s, planned.effort.warmup_s))
        print(f"  {prepared}")
        if isinstance(prepared, Failed):
            right = False
            continue
        replies = session.sample(Sample(planned.effort.turn_s)), session.finish(Finish())
        right &= not any(isinstance(reply, Failed) for reply in replies)
        for reply in (*replies, memory.measure(MeasureMemory(problem, seed))):
            print(f"  {reply}")
    return right
