"""`harness model`: implementations of attention inside models of transformers."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from harness.commands import options
from harness.commands.run import TIMEOUT_S, begin
from harness.errors import UserError
from harness.operators.dtypes import DTYPES
from harness.plugins.registry import discover

if TYPE_CHECKING:
    from harness.models.problem import Problem

COMPARED = ("eager", "sdpa")
"""The model's own attention takes part in every run."""


def add(verbs: Any) -> None:
    """The command and its options."""
    verb = verbs.add_parser(
        "model", parents=[options.plugin(), options.measuring()], help="implementations inside a model of transformers"
    )
    verb.add_argument("--model", metavar="NAMES", required=True, help="names or folders, separated by commas")
    verb.add_argument("--impl", metavar="NAMES", required=True, help="all, or names separated by commas")
    verb.add_argument("--batch", type=options.positive_ints, default=[1], metavar="N", help="sequences, one or more (1)")
    verb.add_argument("--length", type=options.positive_ints, default=[128], metavar="N", help="positions (128)")
    verb.add_argument("--past", type=options.positive_ints, metavar="N", help="a step after so many positions that are kept")
    verb.add_argument("--padding", choices=("left", "right"), help="fill up sequences of several lengths on this side")
    verb.add_argument(
        "--generate", type=options.positive_int, metavar="N", help="tokens, to compare; and time the step after --length"
    )
    verb.add_argument(
        "--processes", type=options.positive_int, default=3, metavar="N", help="of each implementation, at most (3)"
    )
    verb.add_argument("--dtype", choices=tuple(DTYPES), default="float32", help="of weights and activations (float32)")
    verb.set_defaults(run=run)


def run(given: argparse.Namespace) -> bool:
    """Check, time and weigh, and generate where that is asked for."""
    from harness.measure.plan import Effort
    from harness.models.derived import missing
    from harness.models.operator import MODEL
    from harness.models.registry import add_models
    from harness.runs.presets import Preset
    from harness.runs.request import Request, planned

    if reason := missing():
        raise UserError(reason)
    found = discover(given.plugin)
    registry = add_models(found)
    names = registry.select(given.impl)
    request = Request(
        implementations=",".join(dict.fromkeys((*COMPARED, *names))),
        operator=MODEL.name,
        baseline="sdpa",
        device="cpu",
        threads=given.threads,
        timeout_s=given.timeout or TIMEOUT_S,
        memory_gib=given.memory,
        seed=given.seed or 0,
    )
    effort = Effort(processes=given.processes, min_processes=min(given.processes, 3), budget_s=120.0)
    preset = Preset("model", "", "", tuple(_problems(given)), effort, MODEL)
    return begin(planned(request, preset, found), given, found)


def _problems(given: argparse.Namespace) -> list[Problem]:
    """Whole sequences, and steps after a past where there is one."""
    from harness.models.problem import Problem

    found = []
    for name in filter(None, (name.strip() for name in given.model.split(","))):
        for batch in given.batch:
            for length in given.length:
                posed = Problem(model=name, batch=batch, length=length, padding=given.padding, dtype=given.dtype)
                if given.generate and posed.generates:
                    posed = dataclasses.replace(posed, generate=given.generate)
                found.append(posed)
            lengths = given.past or (given.length if given.generate else [])
            found += [
                Problem(model=name, batch=batch, length=1, past=past, padding=given.padding, dtype=given.dtype)
                for past in lengths
                if posed.keeps_a_past
            ]
    if given.past and not any(problem.past for problem in found):
        raise UserError(f"--past is for decoders, and {given.model} is none")
    if not found:
        raise UserError("no model was named; --model takes names or folders, separated by commas")
    return found
