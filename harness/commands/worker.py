"""`harness worker`: what a worker does, in this very process, where a debugger can look at it."""

from __future__ import annotations

import argparse
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options
from harness.errors import UserError
from harness.plugins.registry import Found, Registry, discover
from harness.workers.processors import usable

if TYPE_CHECKING:
    from harness.measure.answers import Answers
    from harness.measure.memory_session import MemorySession
    from harness.measure.plan import Effort
    from harness.measure.session import MeasuringSession
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
    verb.add_argument("--seed", type=options.seed, metavar="N", help="of the arrays")
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
    threads = given.threads or usable()
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
    from harness.measure.answers import Answers
    from harness.measure.memory_session import MemorySession
    from harness.measure.session import MeasuringSession
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
        answers = Answers(operator, problem, seed, random.Random(seed))
        answers.renew()
        for reply in _replies(answers, session, memory, planned.effort):
            print(f"  {reply}")
            if isinstance(reply, Failed):
                right = False
                break
    return right


def _replies(answers: Answers, session: MeasuringSession, memory: MemorySession, effort: Effort) -> Iterator[Any]:
    """What a worker says of one problem, step by step."""
    from harness.measure.answers import judged, rows_of
    from harness.measure.messages import Finish, MeasureMemory, Prepare, Reveal, Sample
    from harness.workers.messages import Failed

    problem, seed = answers.problem, answers.seed
    yield session.prepare(Prepare(problem, seed, effort.sample_s, effort.warmup_s))
    for expected, turn in ((answers.first, None), (answers.known.expected, Sample(effort.turn_s, seed, answers.known.seed))):
        if turn is not None:
            yield session.sample(turn)
        revealed = session.reveal(Reveal(rows_of(expected)))
        yield revealed if isinstance(revealed, Failed) else judged(answers.operator, revealed, expected)
    yield session.finish(Finish())
    yield memory.measure(MeasureMemory(problem, seed))
